"""HTTP/1.1 of all sinks: httpx's interface, over the agent's own reader of answers.

httpx's own transport took three quarters of what a webhook costs, and who answers decides how much of it there is to
go through at one go: 64 KB of interim answers, or of chunks of a byte each, held the loop for half a second. The
reader (`probes._http.http1`) is bounded in all of that, and lets others have their turn.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from typing import Final, cast

import aiohappyeyeballs
import httpx

from monitor.sinks._trust import trusted
from probes._http import http1
from probes.contract import LookFailed

CONNECT_SECONDS: Final = 10.0
"""For a name, a connection and its TLS."""
IDLE_SECONDS: Final = 30.0
"""For which a connection is kept when nothing is sent."""
LONGEST_KEPT: Final = 600.0
"""Seconds after which a new one is made, which goes where the name leads by then."""
MOST_IDLE: Final = 20
_NEXT_ADDRESS: Final = 0.25
"""Seconds until the next address is tried as well (RFC 8305, 5: Connection Attempt Delay)."""
_UNREAD: Final = 64 * 1024
"""Bytes that may have come before somebody reads them."""

Origin = tuple[str, str, int]
"""(scheme, host, port)"""


class Lines(httpx.AsyncBaseTransport):
    """Connections that are kept from one request to the next, each for one at a time. There are as many as are
    needed: a sink that hangs takes none from others. Proxies and passwords of the environment are not ours."""

    def __init__(self) -> None:
        self._idle: list[_Line] = []
        self._open: set[_Line] = set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Raises `httpx.TransportError`: where nothing was sent yet, `ConnectError` or `ConnectTimeout`."""
        url = request.url
        headers = ((name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw)
        asked = http1.request(request.method, url.raw_path.decode("ascii"), headers) + await request.aread()
        host, port = url.raw_host.decode("ascii"), url.port or (443 if url.scheme == "https" else 80)
        line = self._kept((url.scheme, host, port)) or await self._connected((url.scheme, host, port))
        # As much as comes: who asks takes so much of it.
        reader = http1.ResponseReader(request.method, max_bytes=sys.maxsize, keep=sys.maxsize)
        try:
            line.write(asked)
            while not reader.headers_complete:
                await line.hand_to(reader)
        except BaseException:
            line.close()
            raise
        # As bytes: httpx takes no text but ASCII, and servers say what they like.
        told = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in reader.headers]
        return httpx.Response(reader.status, headers=told, stream=_Body(self, line, reader), request=request)

    async def aclose(self) -> None:
        for line in list(self._open):
            line.close()

    def give_back(self, line: _Line) -> None:
        """It may be used again."""
        line.idle_since = asyncio.get_running_loop().time()
        self._idle.append(line)
        if len(self._idle) > MOST_IDLE:
            self._idle[0].close()
            del self._idle[0]

    def _kept(self, origin: Origin) -> _Line | None:
        """The one that was used last, so that who needs fewer lets others go. Whose time is over is closed."""
        now, found = asyncio.get_running_loop().time(), None
        for line in reversed(self._idle.copy()):
            if not line.is_quiet or now - line.idle_since > IDLE_SECONDS or now - line.made > LONGEST_KEPT:
                self._idle.remove(line)
                line.close()
            elif found is None and line.origin == origin:
                self._idle.remove(line)
                found = line
        return found

    async def _connected(self, origin: Origin) -> _Line:
        scheme, host, port = origin
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                trust = await trusted() if scheme == "https" else None
                return await self._dialled(host, port, origin, trust)
        except TimeoutError as error:
            raise httpx.ConnectTimeout("no connection in time") from error
        except (OSError, RuntimeError) as error:  # uvloop has either where a connection cannot be made
            raise httpx.ConnectError("no connection") from error

    async def _dialled(self, host: str, port: int, origin: Origin, trust: ssl.SSLContext | None) -> _Line:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        sock = await aiohappyeyeballs.start_connection(found, happy_eyeballs_delay=_NEXT_ADDRESS)
        line = _Line(origin, self._open)
        try:
            await loop.create_connection(lambda: line, sock=sock, ssl=trust, server_hostname=host if trust else None)
        except BaseException:
            self._open.discard(line)  # uvloop does not say that what is given up meanwhile is lost
            sock.close()
            raise
        return line


class _Line(asyncio.Protocol):
    """One connection. What comes is kept until somebody reads it, and stops coming when that is too much."""

    def __init__(self, origin: Origin, known: set[_Line]) -> None:
        self.origin = origin
        self.made = self.idle_since = asyncio.get_running_loop().time()
        self._known = known
        self._came = bytearray()
        self._ended = False
        self._error: Exception | None = None
        self._broken: LookFailed | None = None
        """What was wrong with the answer."""
        self._waiter: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # as a stream's is; uvloop's is of no such class
        self._known.add(self)

    def data_received(self, data: bytes) -> None:
        self._came += data
        if len(self._came) > _UNREAD:
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        self._ended = True
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended, self._error = True, exc
        self._known.discard(self)
        self._wake()

    @property
    def is_quiet(self) -> bool:
        """Whether it stands, and nobody has said what was not asked for."""
        return not self._ended and not self._came

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    def close(self) -> None:
        """At once: who does not read holds nothing open."""
        self._transport.abort()

    async def hand_to(self, reader: http1.ResponseReader) -> None:
        """What has come, or what comes next. Raises `httpx.TransportError`; but where a head came along with what is
        wrong behind it, only when asked for more: the head says what became of the request."""
        if self._broken is not None:
            raise httpx.RemoteProtocolError("no whole answer") from self._broken
        if reader.held:
            await asyncio.sleep(0)
            data = b""
        else:
            data = await self._next()
        try:
            if data or reader.held:
                reader.feed(data)
            else:
                reader.eof()
        except LookFailed as error:
            self._broken = error
            if not reader.headers_complete:
                raise httpx.RemoteProtocolError("no answer") from error

    async def _next(self) -> bytes:
        """Nothing (b"") at the end."""
        while not self._came:
            if self._error is not None:
                raise httpx.ReadError("the connection broke") from self._error
            if self._ended:
                return b""
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        data = bytes(self._came)
        self._came.clear()
        if not self._ended and len(data) > _UNREAD:
            self._transport.resume_reading()
        return data

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class _Body(httpx.AsyncByteStream):
    """The rest of an answer, as it comes."""

    def __init__(self, lines: Lines, line: _Line, reader: http1.ResponseReader) -> None:
        self._lines = lines
        self._line = line
        self._reader = reader
        self._over = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            if part := self._reader.take_body():
                yield bytes(part)
            if self._reader.done:
                return
            await self._line.hand_to(self._reader)

    async def aclose(self) -> None:
        if self._over:
            return
        self._over = True
        reader, line = self._reader, self._line
        stays = reader.version == "1.1" and "close" not in (reader.header("connection") or "").lower()
        if reader.done and stays and line.is_quiet:
            self._lines.give_back(line)
        else:
            line.close()
