"""Asking those who can tell whether our own network is there: references, the default gateway, the resolvers.

Each question takes a second at most. The answer is True, False for silence, or None where we could not even ask.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from errno import EMFILE, ENFILE, ENOBUFS, ENOMEM
from functools import partial
from pathlib import Path
from typing import Protocol

from probes.contract import LookFailed, Resolver

LIMIT = 1.0
"""Seconds that a witness has to answer."""
NO_ROOM = frozenset({EMFILE, ENFILE, ENOBUFS, ENOMEM})
"""The errors that say we could not ask."""

_TRACEROUTE = 33434
"""A UDP port where nothing listens: a machine that is there says so at once."""
_ROOT_NS = b"\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x01"
"""The rest of a DNS question, behind its id: recursion wanted, one question: the name servers of the root."""
_ANSWERED = (0, 3)
"""The response codes of a name server that works: no error, no such name."""
_ROUTES_READ = 65_536
_NAME_SERVERS = 3
"""As many of /etc/resolv.conf as the C library asks."""


class Asked(Protocol):
    """What can be asked; a test has its own."""

    async def reference(self, host: str, port: int) -> bool | None: ...

    async def gateway(self) -> bool | None: ...

    async def resolvers(self) -> bool | None: ...

    def link(self) -> str: ...


class Witnesses:
    """The real ones. `resolver` is for references that are given by name; `servers` are the name servers that it asks
    (address, port), where they are not those of resolv.conf."""

    def __init__(
        self,
        resolver: Resolver,
        proc: Path = Path("/proc/net"),
        etc: Path = Path("/etc"),
        servers: tuple[tuple[str, int], ...] = (),
    ) -> None:
        self._resolver = resolver
        self._servers = servers
        self._proc = proc
        self._etc = etc
        self._interface = ""
        """The one of the last default route that there was."""

    async def reference(self, host: str, port: int) -> bool | None:
        """Whether it takes a connection."""

        async def ask() -> bool:
            address = (await self._resolver.resolve(host, port, LIMIT))[0]
            with socket.socket(address.family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as sock:
                await asyncio.get_running_loop().sock_connect(sock, (address.host, address.port))
            return True

        return await _asked(ask)

    async def gateway(self) -> bool | None:
        """Whether the default gateway says that nothing listens where nothing should; None: there is none."""
        route = self._default_route()
        if route is None:
            return None

        async def ask() -> bool:
            with suppress(ConnectionRefusedError):
                await _datagram(route[1], _TRACEROUTE, b"\0")
            return True

        return await _asked(ask)

    async def resolvers(self) -> bool | None:
        """Whether one of the resolvers answers; None: there is none."""
        servers = self._servers or tuple((host, 53) for host in self._name_servers())
        if not servers:
            return None
        answers = await asyncio.gather(*(_asked(partial(_answers_names, *server)) for server in servers))
        return True if True in answers else False if False in answers else None

    def link(self) -> str:
        """What is wrong with the way to the default gateway; empty where nothing is, or where there never was one."""
        route = self._default_route()
        if route is None:
            return f"there is no default route any more (it went by {self._interface})" if self._interface else ""
        self._interface, gateway = route
        if _read(Path("/sys/class/net") / self._interface / "carrier").strip() == "0":
            return f"{self._interface} has no carrier"
        if self._unreached(gateway):
            return f"the gateway {gateway} does not answer on {self._interface}"
        return ""

    def _default_route(self) -> tuple[str, str] | None:
        """(interface, gateway) of the IPv4 default route with the lowest metric."""
        found: list[tuple[int, str, str]] = []
        for line in _read(self._proc / "route").splitlines()[1:]:
            fields = line.split()
            if len(fields) > 7 and fields[1] == fields[7] == "00000000" and fields[2] != "00000000":
                gateway = socket.inet_ntoa(bytes.fromhex(fields[2])[::-1])
                found.append((int(fields[6]), fields[0], gateway))
        return min(found)[1:] if found else None

    def _unreached(self, gateway: str) -> bool:
        """Whether the kernel has asked for the gateway's hardware address in vain."""
        for line in _read(self._proc / "arp").splitlines()[1:]:
            fields = line.split()
            if len(fields) > 3 and fields[0] == gateway:
                return int(fields[2], 16) == 0
        return False

    def _name_servers(self) -> list[str]:
        lines = (line.split() for line in _read(self._etc / "resolv.conf").splitlines())
        found = [fields[1].partition("%")[0] for fields in lines if len(fields) > 1 and fields[0] == "nameserver"]
        return found[:_NAME_SERVERS]


async def _asked(ask: Callable[[], Awaitable[bool]]) -> bool | None:
    try:
        async with asyncio.timeout(LIMIT):
            return await ask()
    except (TimeoutError, LookFailed, ValueError):  # ValueError: a name server that is no address
        return False
    except OSError as error:
        return None if error.errno in NO_ROOM else False


async def _answers_names(host: str, port: int) -> bool:
    question = os.urandom(2) + _ROOT_NS
    while True:
        answer = await _datagram(host, port, question)
        if len(answer) > 3 and answer[:2] == question[:2]:
            return answer[3] & 15 in _ANSWERED


async def _datagram(host: str, port: int, data: bytes) -> bytes:
    """Send a datagram, and wait for what comes back. Raises OSError, as when the other side says nobody listens."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
        sock.connect((host, port))
        sock.send(data)
        return await asyncio.get_running_loop().sock_recv(sock, 512)


def _read(path: Path) -> str:
    with suppress(OSError), path.open("rb") as file:
        return file.read(_ROUTES_READ).decode("ascii", "replace")
    return ""
