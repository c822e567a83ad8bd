"""A name server that does as a test scripts it, by UDP, TCP and TLS, in threads of its own: it answers or misbehaves,
also while the loop of a test stands still. And messages for it, as dnspython makes them."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rrset

HANG = "hang"
"""In a script for a connection: it stays open."""
RESET = "reset"
"""In a script for a connection: it ends with a reset."""
MORE = "more"
"""In a script for a connection: it waits for another question, and begins anew."""

Step = bytes | float | str
"""Bytes to send, seconds to wait, HANG, RESET or MORE."""
Script = Callable[[bytes], Iterable[Step]]
"""What to do about a question: a datagram, or what is in a frame. On a connection bytes are sent as they are."""

_LINGER = struct.pack("ii", 1, 0)
_PATIENCE = 10.0


@dataclass
class NameServer:
    """Where it is asked, and what it was asked so far, by transport."""

    port: int
    by_udp: list[bytes] = field(default_factory=list)
    by_tcp: list[bytes] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"


@contextmanager
def name_server(
    udp: Script, tcp: Script | None = None, *, tls: ssl.SSLContext | None = None, where: tuple[str, int] | None = None
) -> Iterator[NameServer]:
    """`tcp` none: nobody listens there. `tls`: what is served by TCP is TLS. `where`: on this address."""
    stop = threading.Event()
    datagrams, listener = _bound(where)
    server = NameServer(datagrams.getsockname()[1])
    threads = [threading.Thread(target=_serve_udp, args=(datagrams, udp, server.by_udp, stop), daemon=True)]
    if tcp is not None:
        arguments = (listener, tcp, tls, server.by_tcp, stop)
        threads.append(threading.Thread(target=_serve_tcp, args=arguments, daemon=True))
    else:
        listener.close()
    for thread in threads:
        thread.start()
    try:
        yield server
    finally:
        stop.set()
        for sock in (datagrams, listener):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)  # wakes whoever waits for it
        for thread in threads:
            thread.join(_PATIENCE)
        datagrams.close()
        listener.close()


def _bound(where: tuple[str, int] | None) -> tuple[socket.socket, socket.socket]:
    """A socket for datagrams and one that listens, on one port."""
    while True:
        listener = socket.create_server(where or ("127.0.0.1", 0))
        datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            datagrams.bind(listener.getsockname())
        except OSError:
            datagrams.close()
            listener.close()
            if where is not None:
                raise
        else:
            return datagrams, listener


def _serve_udp(sock: socket.socket, script: Script, asked: list[bytes], stop: threading.Event) -> None:
    while not stop.is_set():
        with contextlib.suppress(OSError):
            data, sender = sock.recvfrom(65_535)
            if stop.is_set() or not data:
                return
            asked.append(data)
            for step in script(data):
                if isinstance(step, bytes):
                    sock.sendto(step, sender)
                elif isinstance(step, float):
                    stop.wait(step)


def _serve_tcp(
    listener: socket.socket, script: Script, tls: ssl.SSLContext | None, asked: list[bytes], stop: threading.Event
) -> None:
    talks: list[threading.Thread] = []
    while not stop.is_set():
        try:
            connection, _ = listener.accept()
        except OSError:
            break
        thread = threading.Thread(target=_talk, args=(connection, script, tls, asked, stop), daemon=True)
        talks.append(thread)
        thread.start()
    for thread in talks:
        thread.join(_PATIENCE)


def _talk(
    connection: socket.socket, script: Script, tls: ssl.SSLContext | None, asked: list[bytes], stop: threading.Event
) -> None:
    connection.settimeout(_PATIENCE)
    with connection, contextlib.suppress(OSError):
        link: Any = tls.wrap_socket(connection, server_side=True) if tls is not None else connection
        with link:
            while _answer(link, script, asked, stop):
                pass


def _answer(link: Any, script: Script, asked: list[bytes], stop: threading.Event) -> bool:
    """One question; whether there may be another."""
    size = int.from_bytes(_exactly(link, 2), "big")
    question = _exactly(link, size)
    asked.append(question)
    for step in script(question):
        if isinstance(step, bytes):
            link.sendall(step)
        elif isinstance(step, float):
            stop.wait(step)
        elif step == HANG:
            stop.wait(_PATIENCE)
        elif step == RESET:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
        else:
            return True
    return False


def _exactly(link: Any, size: int) -> bytes:
    found = b""
    while len(found) < size:
        data = link.recv(size - len(found))
        if not data:
            raise ConnectionResetError
        found += data
    return found


# --- messages -----------------------------------------------------------------------------------------------------

NAME = "shop.example.com."


def reply(
    question: bytes,
    *records: str,
    rcode: str = "NOERROR",
    flags: str = "QR RD RA",
    authority: Iterable[str] = (),
    error: tuple[int, str] | None = None,
) -> bytes:
    """An answer to a question. Records as `name ttl type text`, each name one set; `error`: an extended one."""
    query = dns.message.from_wire(question)
    message = dns.message.make_response(query)
    message.flags = dns.flags.from_text(flags)
    message.answer = _sets(records)
    message.authority = _sets(authority)
    if error is not None:
        message.use_edns(0, options=[dns.edns.EDEOption(dns.edns.EDECode.make(error[0]), error[1])])
    message.set_rcode(dns.rcode.from_text(rcode))
    return message.to_wire(max_size=65_535)


def _sets(records: Iterable[str]) -> list[dns.rrset.RRset]:
    grouped: dict[tuple[str, str, str], list[str]] = {}
    for record in records:
        name, ttl, kind, text = record.split(" ", 3)
        grouped.setdefault((name, ttl, kind), []).append(text)
    return [dns.rrset.from_text(name, int(ttl), "IN", kind, *texts) for (name, ttl, kind), texts in grouped.items()]


def framed(message: bytes) -> bytes:
    """As it goes over a connection."""
    return len(message).to_bytes(2, "big") + message


def patched(message: bytes, at: int, new: bytes) -> bytes:
    """The message with other bytes from there on."""
    return message[:at] + new + message[at + len(new) :]


def answering(*records: str, **said: Any) -> Script:
    """A script that gives an answer, by UDP."""
    return lambda question: [reply(question, *records, **said)]


def answering_framed(*records: str, **said: Any) -> Script:
    """A script that gives an answer, on a connection."""
    return lambda question: [framed(reply(question, *records, **said))]


def silent(_: bytes) -> list[Step]:
    return []
