"""The sockets that the web is served on, within bounds."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import logging
import math
import socket
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from aiohttp import web

from monitor.web.connection import Connection, watch_requests
from monitor.web.names import is_loopback_name

BACKLOG = 128
CONNECTIONS_LIMIT = 256
"""Open connections; more are closed at once, so that requests that never end leave descriptors to the probes. One
address has half of them at most, unless it is on loopback."""
IDLE = 5.0
"""Seconds without a request after which a connection makes room for another one, where there is no room left."""
STOP_GRACE = 1.0
"""Seconds that answers under way get when the agent stops; what was cut off then gets as long to come to its end."""

_LOGGER = logging.getLogger("brownout.http")

LOOPBACK = web.AppKey("loopback", list[bool])
"""Whether it is served on loopback only; known once it has its sockets."""


def bind(host: str, port: int) -> list[socket.socket]:
    """Listening sockets for every address of `host`; raises OSError when one is taken or none can be had.

    Bound before anything else starts, so that a second agent on the same port ends at once.
    """
    found = socket.getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=socket.AI_PASSIVE
    )
    sockets: list[socket.socket] = []
    missing: OSError | None = None
    with contextlib.ExitStack() as undo:
        for family, *_, address in dict.fromkeys(found):
            try:
                sockets.append(_listening(family, address))
            except OSError as error:
                # A machine without IPv6 still resolves localhost to ::1.
                if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    raise
                missing = error
            else:
                undo.callback(sockets[-1].close)
        undo.pop_all()
    if not sockets:
        raise missing or OSError(errno.EADDRNOTAVAIL, f"{host} has no address to listen on")
    return sockets


def _listening(family: int, address: Any) -> socket.socket:
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Connections of an agent that has just ended must not keep the next one from its port.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind(address)
        listening.listen(BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening


class Site:
    """The application on its sockets: `start`, and `stop`, which closes them."""

    def __init__(
        self,
        app: web.Application,
        sockets: Iterable[socket.socket],
        *,
        connections: int = CONNECTIONS_LIMIT,
        turned_away: Callable[[], None] = lambda: None,
    ) -> None:
        """`turned_away` is told of each connection beyond the limit."""
        self._turned_away = turned_away
        self.sockets = tuple(sockets)
        self._limit = connections
        self._servers: list[asyncio.Server] = []
        app[LOOPBACK].append(all(is_loopback(item) for item in self.sockets))
        self._runner = web.AppRunner(
            app,
            handle_signals=False,
            shutdown_timeout=STOP_GRACE,
        )

    @property
    def port(self) -> int:
        return int(self.sockets[0].getsockname()[1])

    async def start(self) -> None:
        await self._runner.setup()
        loop = asyncio.get_running_loop()
        if self._runner.server is not None:
            watch_requests(self._runner.server, loop)
        # Not web.SockSite, which takes every connection.
        for item in self.sockets:
            self._servers.append(await loop.create_server(self._protocol, sock=item, backlog=BACKLOG))

    def _protocol(self) -> asyncio.Protocol:
        server = self._runner.server
        if server is None or not self._has_room(self._open(), self._limit):
            self._turned_away()
            return _Refusal()
        return Connection(server, asyncio.get_running_loop(), _LOGGER, self._admits)

    def _open(self) -> list[Connection]:
        server = self._runner.server
        there = server.connections if server is not None else ()
        return [item for item in there if isinstance(item, Connection) and not item.leaving]

    def _admits(self, connection: Connection) -> bool:
        """Whether its address has not all that one may have. On loopback are proxies, which come for many."""
        if is_loopback_name(connection.remote):
            return True
        same = [item for item in self._open() if item.remote == connection.remote]
        if self._has_room(same, self._limit // 2):
            return True
        self._turned_away()
        return False

    @staticmethod
    def _has_room(there: Sequence[Connection], limit: int) -> bool:
        """Whether there is room for one more; that which has been idle for longest makes it. So nobody keeps others
        out by connections that are merely held."""
        if len(there) < limit:
            return True
        idle = [(item.idle_since, place) for place, item in enumerate(there) if item.idle_since is not None]
        since, place = min(idle, default=(math.inf, 0))
        if asyncio.get_running_loop().time() - since < IDLE:
            return False
        there[place].make_room()
        return True

    async def stop(self) -> None:
        """Once more does nothing."""
        for server in self._servers:
            server.close()
        await self._runner.cleanup()
        for item in self.sockets:
            item.close()


class _Refusal(asyncio.Protocol):
    """Closes its connection as soon as there is one."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


def is_loopback(listening: socket.socket) -> bool:
    return ipaddress.ip_address(listening.getsockname()[0].partition("%")[0]).is_loopback
