"""A name server on loopback that costs little: names that begin with `good` are 127.0.0.1, others get no answer. It
prints its port, and ends with its stdin."""

from __future__ import annotations

import json
import select
import socket
import sys

RECORD = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x7f\0\0\1"
A, GOOD = b"\0\1", b"good"


def main() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        print(json.dumps(sock.getsockname()[1]), flush=True)
        while sys.stdin not in (ready := select.select([sock, sys.stdin], [], [])[0]) or sock in ready:
            question, sender = sock.recvfrom(512)
            if question[13:17] == GOOD:
                found = question[-4:-2] == A
                head = question[:2] + b"\x81\x80\0\1" + bytes((0, found)) + bytes(4)
                sock.sendto(head + question[12:] + (RECORD if found else b""), sender)


if __name__ == "__main__":
    main()
