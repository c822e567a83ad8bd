"""HTTP that lets others have their turn, whatever the other side answers.

Who answers decides how much of it there is to go through at one go: 64 KB of interim answers, or of chunks of a byte
each, held the loop for half a second, and with it all looks. So an answer is read in small pieces, each after a turn
of the loop, and of interim answers (1xx) there may be a few.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Iterable
from typing import Any, Final

import httpcore
import httpx

PIECE: Final = 2048
"""Bytes that are read, and gone through, at one go."""
MOST_INTERIM: Final = 20
_INTERIM: Final = re.compile(rb"HTTP/\d\.\d 1\d\d")


class PacedTransport(httpx.AsyncHTTPTransport):
    """httpx's own, over connections that are read so. Proxies and certificates of the environment are not ours."""

    def __init__(self, limits: httpx.Limits) -> None:
        super().__init__(trust_env=False, limits=limits)
        # httpx has no parameter for it; a pool takes it up whenever it connects.
        self._pool._network_backend = _Network(self._pool._network_backend)  # noqa: SLF001


class _Network(httpcore.AsyncNetworkBackend):
    def __init__(self, inner: httpcore.AsyncNetworkBackend) -> None:
        self._inner = inner

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        made = await self._inner.connect_tcp(host, port, timeout, local_address, socket_options)
        return _Stream(made)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class _Stream(httpcore.AsyncNetworkStream):
    def __init__(self, inner: httpcore.AsyncNetworkStream) -> None:
        self._inner = inner
        self._interim = 0

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        await asyncio.sleep(0)  # what has come already is handed over without a turn of the loop
        piece = await self._inner.read(min(max_bytes, PIECE), timeout)
        self._interim += len(_INTERIM.findall(piece))
        if self._interim > MOST_INTERIM:
            raise httpcore.RemoteProtocolError("it goes on and on before it answers")
        return piece

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._interim = 0
        await self._inner.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        return _Stream(await self._inner.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
