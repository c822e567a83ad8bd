"""The other side of a sink, on real sockets: it takes requests in, and answers, or hangs up instead."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus

import httpx

Answer = Callable[[httpx.Request], httpx.Response]


def fine(request: httpx.Request) -> httpx.Response:
    return httpx.Response(202)


@dataclass
class Peer:
    """Answers each request by `answer`; where that raises a `TransportError`, the connection ends without one."""

    answer: Answer = fine
    taken: list[httpx.Request] = field(default_factory=list)
    at: list[float] = field(default_factory=list)
    """When each came (time of the loop)."""
    url: str = ""

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            method, path, _ = head[0].split(" ")
            headers = [tuple(line.split(": ", 1)) for line in head[1:] if line]
            length = int(httpx.Headers(headers).get("content-length", 0))  # type: ignore[arg-type]
            body = await reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError):
            return writer.close()  # whoever asked was killed
        request = httpx.Request(method, self.url + path, headers=headers, content=body)  # type: ignore[arg-type]
        self.taken.append(request)
        self.at.append(asyncio.get_running_loop().time())
        try:
            writer.write(_written(self.answer(request)))
            await writer.drain()
        except httpx.TransportError:
            pass  # taken, and the answer is cut off
        finally:
            writer.close()


def _written(answer: httpx.Response) -> bytes:
    headers = {**answer.headers, "content-length": str(len(answer.content)), "connection": "close"}
    lines = [f"HTTP/1.1 {answer.status_code} {HTTPStatus(answer.status_code).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + answer.content


@asynccontextmanager
async def peering(peer: Peer, tls: ssl.SSLContext | None = None) -> AsyncIterator[Peer]:
    server = await asyncio.start_server(peer.handle, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    peer.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    async with server:
        yield peer
