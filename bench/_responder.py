"""A web server that answers at once and closes: `python -m bench._responder`. Ends when its stdin does.

`/flip/N` answers with a long body in every second period of time, N parts of a period later than `/flip/0`.
Listens on several loopback addresses: one address and port has room for only so many closed connections.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from typing import cast

import uvloop

HOSTS = tuple(f"127.0.0.{number}" for number in range(1, 33))
PERIOD = 5.0
"""Seconds that `/flip/N` stays as it is."""
PARTS = 100
LONG, SHORT = b"x" * 1000, b"ok"


def reply(body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nServer: bench\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


_LONG, _SHORT = reply(LONG), reply(SHORT)


class Answer(asyncio.Protocol):
    """One request, which fits into one segment, and its answer."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one by behaviour, not by birth

    def data_received(self, data: bytes) -> None:
        self._transport.write(_LONG if data.startswith(b"GET /flip/") and flipped(data) else _SHORT)
        self._transport.close()


def flipped(data: bytes) -> bool:
    part = int(data[10 : data.index(b" ", 10)])
    return int(time.monotonic() / PERIOD - part / PARTS) % 2 == 1


async def serve() -> None:
    loop = asyncio.get_running_loop()
    port = 0
    for host in HOSTS:
        server = await loop.create_server(Answer, host, port, backlog=4096, family=socket.AF_INET)
        port = server.sockets[0].getsockname()[1]
    print(port, flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(serve())
