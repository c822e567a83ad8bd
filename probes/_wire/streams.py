"""Connections for drivers that speak over asyncio's streams: dialled as every probe dials, then handed on.

So names are resolved by the agent's resolver, a failure to connect has its reason, and TLS means the same for all.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, field
from time import perf_counter
from typing import SupportsIndex

from probes._look import Look
from probes._tls.contexts import handshake_failure
from probes._wire.dial import dial
from probes._wire.errnos import translated
from probes._wire.reach import resolved
from probes.contract import Context, LookFailed, Reason

MOST = 4 * 2**20
"""Bytes that a server may send for one question: a driver reads as much as it is told to, and some servers lie."""


class BoundedReader(asyncio.StreamReader):
    """Takes `most` bytes between two calls of `turn`; beyond, whoever reads gets `LookFailed` (too_large)."""

    def __init__(self, most: int = MOST) -> None:
        super().__init__()
        self._most = most
        self._taken = 0
        self._ended = False

    def turn(self) -> None:
        """A new question is asked."""
        self._taken = 0

    @property
    def idle(self) -> bool:
        """Whether nothing has come since the last `turn`, not even the end: a kept connection that is as it was."""
        return self._taken == 0 and not self._ended

    def feed_data(self, data: Iterable[SupportsIndex]) -> None:
        chunk = bytes(data)
        self._taken += len(chunk)
        if self._taken > self._most:
            self.set_exception(LookFailed(Reason.TOO_LARGE, f"the answer is larger than {self._most >> 20} MiB"))
        elif self.exception() is None:
            super().feed_data(chunk)

    def feed_eof(self) -> None:
        self._ended = True
        super().feed_eof()


@dataclass(slots=True)
class Stream:
    """A connection as drivers take it. `name` is whom it is to, for TLS."""

    reader: BoundedReader
    writer: asyncio.StreamWriter
    name: str
    secured: bool = field(default=False)

    @property
    def idle(self) -> bool:
        """Whether it can be used again; see `BoundedReader.idle`."""
        return self.reader.idle and not self.writer.transport.is_closing()

    def drop(self) -> None:
        """Close it without waiting."""
        self.writer.transport.abort()


async def open_tcp(look: Look, context: Context, host: str, port: int) -> Stream:
    """A connection over TCP, not yet secured. Raises `LookFailed`; spends the phases resolve and connect."""
    sock = (await dial(look, await resolved(look, context, host, port))).detach()
    try:
        return await _stream(look, sock, host)
    except BaseException:
        sock.close()
        raise


async def open_unix(look: Look, path: str) -> Stream:
    """A connection to a socket file. Raises `LookFailed`; spends the phase connect."""
    sock = dial_unix(look, path)
    try:
        return await _stream(look, sock, "localhost")
    except BaseException:
        sock.close()
        raise


def dial_unix(look: Look, path: str) -> socket.socket:
    """The bare socket, connected. Raises `LookFailed`; spends the phase connect."""
    look.evidence["address"] = shown = look.show(path, 120)
    since = perf_counter()
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)  # noqa: FBT003  (the socket module's own signature)
        sock.connect(path)  # local: it is taken at once, or refused (EAGAIN when nobody has accepted for long)
    except BlockingIOError:
        sock.close()
        raise LookFailed(Reason.CONNECT_TIMEOUT, f"{shown}: its queue of connections is full") from None
    except OSError as error:
        sock.close()
        raise _unix_failure(shown, error) from error
    look.spend("connect", perf_counter() - since)
    return sock


async def secure(look: Look, stream: Stream, tls: ssl.SSLContext) -> None:
    """The TLS handshake on a connection that is open. Raises `LookFailed`; spends the phase tls."""
    try:
        async with look.phase("tls", Reason.TLS_TIMEOUT):
            await stream.writer.start_tls(tls, server_hostname=stream.name)
    except ssl.SSLError as error:
        raise handshake_failure(error) from error
    except (OSError, EOFError) as error:
        text = "the server closed the connection during the handshake"
        raise LookFailed(Reason.TLS_PROTOCOL, text) from error
    secured = stream.writer.get_extra_info("ssl_object")
    look.evidence["tls"] = (secured.version() or "") if secured is not None else ""
    look.check_late(perf_counter())
    stream.secured = True


async def _stream(look: Look, sock: socket.socket, name: str) -> Stream:
    reader = BoundedReader()
    protocol = asyncio.StreamReaderProtocol(reader, loop=look.loop)
    if sock.family == socket.AF_UNIX:
        transport, _ = await look.loop.create_unix_connection(lambda: protocol, sock=sock)
    else:
        transport, _ = await look.loop.create_connection(lambda: protocol, sock=sock)
    return Stream(reader, asyncio.StreamWriter(transport, protocol, reader, look.loop), name)


def _unix_failure(path: str, error: OSError) -> LookFailed:
    if error.errno == errno.ENOENT:
        return LookFailed(Reason.REFUSED, f"{path}: there is no such socket")
    return translated(error.errno or 0, path, Reason.REFUSED)
