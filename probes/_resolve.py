"""Names to addresses by the system's resolver, in threads of its own: a resolver that hangs blocks nobody else."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Any

from probes.contract import Address, LookFailed, Reason

_THREADS = 8
_ENTRIES = 16_384
_KEEP = 5.0
"""Seconds: long enough for the checks of one host to share an answer, short enough to follow a fail-over."""

_GetAddrInfo = Callable[..., list[Any]]


class SystemResolver:
    """`socket.getaddrinfo` with a bounded wait and a small cache. IP literals cost nothing; failures are not kept."""

    __slots__ = ("_answers", "_getaddrinfo", "_pending", "_pool")

    def __init__(self, getaddrinfo: _GetAddrInfo = socket.getaddrinfo) -> None:
        self._getaddrinfo = getaddrinfo
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="resolve")
        self._answers: dict[tuple[str, int], tuple[float, tuple[Address, ...]]] = {}
        self._pending: dict[tuple[str, int], asyncio.Future[tuple[Address, ...]]] = {}

    async def resolve(self, host: str, port: int, timeout: float) -> tuple[Address, ...]:
        """Raises `LookFailed` with a dns_* reason; answers within `timeout` seconds."""
        key = (host, port)
        kept = self._answers.get(key)
        if kept is not None and kept[0] > monotonic():
            return kept[1]
        literal = _literal(host, port)
        if literal is not None:
            self._keep(key, (literal,), float("inf"))
            return (literal,)
        addresses = await self._ask(key, timeout)
        self._keep(key, addresses, monotonic() + _KEEP)
        return addresses

    def close(self) -> None:
        """Ask no more; a thread that hangs in the system's resolver is left behind."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _ask(self, key: tuple[str, int], timeout: float) -> tuple[Address, ...]:
        # One question a name at a time, so that a name whose servers hang holds one thread, not all of them.
        pending = self._pending.get(key)
        if pending is None:
            loop = asyncio.get_running_loop()
            pending = loop.run_in_executor(self._pool, self._lookup, key)
            self._pending[key] = pending
            pending.add_done_callback(lambda done: self._forget(key, done))
        try:
            done, _ = await asyncio.wait((pending,), timeout=timeout)
            if not done:
                raise LookFailed(Reason.DNS_TIMEOUT, f"no answer for {key[0]} within {timeout:g} s")
            return pending.result()
        except socket.gaierror as error:
            raise _translated(key[0], error) from error
        except UnicodeError as error:
            raise LookFailed(Reason.DNS_NXDOMAIN, f"{key[0]!r} cannot be a host name") from error

    def _lookup(self, key: tuple[str, int]) -> tuple[Address, ...]:
        found = self._getaddrinfo(*key, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
        return tuple(dict.fromkeys(Address(where[0], where[1], int(family)) for family, _, _, _, where in found))

    def _forget(self, key: tuple[str, int], done: asyncio.Future[tuple[Address, ...]]) -> None:
        self._pending.pop(key, None)
        if not done.cancelled():
            done.exception()  # whoever waited has gone: nobody else asks for it

    def _keep(self, key: tuple[str, int], addresses: tuple[Address, ...], until: float) -> None:
        if len(self._answers) >= _ENTRIES:
            self._answers.pop(next(iter(self._answers)))
        self._answers[key] = (until, addresses)


def _literal(host: str, port: int) -> Address | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return Address(str(address), port, int(socket.AF_INET if address.version == 4 else socket.AF_INET6))


def _translated(host: str, error: socket.gaierror) -> LookFailed:
    if error.errno in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)):
        return LookFailed(Reason.DNS_NXDOMAIN, f"{host}: {error.strerror}")
    return LookFailed(Reason.DNS_SERVFAIL, f"{host}: {error.strerror}")
