"""The other side of sinks' connections: servers that say what a test wants, and what is asked of them."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest

from monitor.sinks import _http, _lines
from monitor.sinks.contract import SendFailed
from tests.end_to_end.rig import PATIENCE

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

Handle = Callable[["Other"], Awaitable[None]]


class Other:
    """The other side of one connection, and what it was sent."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def request(self) -> bytes:
        """The next one; nothing when there is none."""
        try:
            head = await self._reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, OSError):
            return b""
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        return head + await self._reader.readexactly(length)

    async def some(self) -> bytes:
        return await self._reader.read(65536)

    async def say(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def gone(self) -> None:
        """Until we have closed it."""
        while await self.some():
            pass

    def reset(self) -> None:
        """End it at once, with an RST."""
        found: socket.socket = self._writer.get_extra_info("socket")
        found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self._writer.transport.abort()


class Server:
    """Handles each connection so, one after another in the order of `handles`; the last of them goes on."""

    def __init__(self, *handles: Handle) -> None:
        self._handles = list(handles)
        self.connections = 0
        self.url = ""

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handle = self._handles[min(self.connections, len(self._handles) - 1)]
        self.connections += 1
        try:
            await handle(Other(reader, writer))
        finally:
            writer.close()

    @asynccontextmanager
    async def open(self, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> AsyncIterator[Server]:
        server = await asyncio.start_server(self._handle, "127.0.0.1", 0, ssl=tls)
        port = server.sockets[0].getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://{host}:{port}/hook?key=1"
        async with server:
            yield self


def saying(*answers: bytes) -> Handle:
    """Each request gets the next of them; then the connection is closed."""

    async def handle(other: Other) -> None:
        for answer in answers:
            if not await other.request():
                return
            await other.say(answer)

    return handle


async def always(other: Other) -> None:
    while await other.request():
        await other.say(OK)


async def told(client: httpx.AsyncClient, server: Server, seconds: float = PATIENCE) -> _http.Answer:
    return await _http.ask(client, "POST", server.url, b'{"a": 1}', {"x-key": "K3Y"}, seconds=seconds)


async def failure(client: httpx.AsyncClient, server: Server, seconds: float = PATIENCE) -> SendFailed:
    with pytest.raises(SendFailed) as raised:
        await told(client, server, seconds)
    assert not open_lines(client)
    assert not raised.value.permanent
    return raised.value


def open_lines(client: httpx.AsyncClient) -> set[_lines._Line]:
    """Those that are not closed or closing."""
    transport = client._transport
    assert isinstance(transport, _lines.Lines)
    return {line for line in transport._open if not line._transport.is_closing()}
