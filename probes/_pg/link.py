"""How asyncpg is given a connection that is open already, and what comes over it is watched.

asyncpg resolves and dials by itself, through its loop. It is handed a loop that differs in one point: connecting
gives what our own dialling has made. So the name is resolved by the agent's resolver, the certificate is held against
the name although an address was dialled, and phases and reasons are those of every probe.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from time import perf_counter
from typing import Any, cast

from probes._look import Look
from probes.contract import TEXT_LIMIT, LookFailed, Reason

MOST = 4 * 2**20
"""Bytes that a server may send for one question: the driver holds a message until it is whole, and a server may lie
about its length."""

_FIRST = frozenset(b"RENSKZv")
"""What a server's first message can be (PostgreSQL, "Message Formats"): an authentication request, an error, ..."""


class Guard(asyncio.Protocol):
    """Stands between the transport and the driver's protocol: refuses what is not PostgreSQL, and too much of it."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.arrived = 0.0
        """When the last bytes came, by `perf_counter`."""
        self._transport: asyncio.Transport | None = None
        self._taken = 0
        self._begun = False
        self._garbage: bytes | None = None
        self._last = b""

    @property
    def said(self) -> tuple[str, str] | None:
        """SQLSTATE and text of the error that came last, if nothing followed: the driver forgets it when the server
        hangs up right after."""
        if self._last[:1] != b"E":
            return None
        fields = {part[:1]: part[1:].decode("utf-8", "replace") for part in self._last[5:].split(b"\0") if part}
        return fields.get(b"C", ""), fields.get(b"M", "")

    def turn(self) -> None:
        """A new question is asked."""
        self._taken = 0
        self._last = b""

    def failure(self, look: Look) -> LookFailed | None:
        """What was seen that the driver cannot know."""
        where = look.evidence.get("address", "the server")
        if self._garbage is not None:
            text = self._garbage[:TEXT_LIMIT].decode("latin-1")
            look.evidence["answer"] = look.show(text, 200, cut=len(self._garbage) > TEXT_LIMIT)
            return LookFailed(Reason.PROTOCOL, f"{where}: what answers is not PostgreSQL")
        if self._taken > MOST:
            return LookFailed(Reason.TOO_LARGE, f"{where}: the answer is larger than {MOST >> 20} MiB")
        return None

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are none by class
        self.inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        self.arrived = perf_counter()
        if not self._begun and data[0] not in _FIRST:
            self._garbage = bytes(data)
        self._begun = True
        self._last = bytes(data[:TEXT_LIMIT])
        self._taken += len(data)
        if self._garbage is not None or self._taken > MOST:
            self.abort()
        else:
            self.inner.data_received(data)

    def eof_received(self) -> bool | None:
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        self.inner.connection_lost(exc)

    def pause_writing(self) -> None:
        self.inner.pause_writing()

    def resume_writing(self) -> None:
        self.inner.resume_writing()


class Door:
    """The running loop, but for connecting: that gives, once, the connection that it was made with."""

    def __init__(self, look: Look, opened: tuple[socket.socket, ssl.SSLContext | None], name: str | None) -> None:
        """`name` is whom the certificate must be for; None for a socket file."""
        self._loop = look.loop
        self._look: Look | None = look
        self._sock, self._tls = opened
        self._name = name
        self.guard = Guard(None)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    async def create_connection(self, factory: Callable[[], Any], *_args: Any, **_given: Any) -> Any:
        """What asyncpg calls to connect; and again to cancel a statement, which is done by hanging up."""
        look, self._look = self._look, None
        if look is None:
            raise ConnectionAbortedError("one connection is all there is")
        self.guard.inner = factory()
        since = perf_counter()
        look.begin(Reason.FIRST_BYTE_TIMEOUT if self._tls is None else Reason.TLS_TIMEOUT)
        transport: asyncio.BaseTransport
        if self._name is None:
            transport, _ = await self._loop.create_unix_connection(lambda: self.guard, sock=self._sock)
        else:
            transport, _ = await self._loop.create_connection(
                lambda: self.guard,
                sock=self._sock,
                ssl=self._tls,
                server_hostname=self._name if self._tls is not None else None,
            )
        if self._tls is not None:
            took = perf_counter() - since
            look.spend("tls", took)
            look.spend("login", -took)  # which is being timed around it
            secured = transport.get_extra_info("ssl_object")
            look.evidence["tls"] = (secured.version() or "") if secured is not None else ""
            look.begin(Reason.FIRST_BYTE_TIMEOUT)
        return transport, self.guard.inner

    create_unix_connection = create_connection

    def close(self) -> None:
        """Hang up, however far it came."""
        self.guard.abort()
        self._sock.close()
