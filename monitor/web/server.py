"""The HTTP surface: its routes, and the sockets that it is served on."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import json
import socket
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

from aiohttp import web

from monitor.core.model import Incident
from monitor.store.contract import StoreError
from monitor.telemetry import OPENMETRICS, TEXT, wants_openmetrics
from monitor.tokens import Scope
from monitor.web.access import Access, Handler
from monitor.web.arrivals import add_arrivals
from monitor.web.assets import PAGE, add_assets
from monitor.web.guard import add_headers, host_guard, problems
from monitor.web.health import health_document, readiness_document
from monitor.web.names import hostname
from monitor.web.problem import problem
from monitor.web.status import StatusDocument, incident_item
from monitor.web.stream import json_pieces, stream
from monitor.web.view import View

HEALTH = "application/health+json"
JSON = "application/json"
STATUS_LIMIT, STATUS_MOST = 500, 10_000
LIST_LIMIT, LIST_MOST = 50, 500
BODY_LIMIT = 16 * 1024
"""Bytes of a request's body; only what arrives for a check is read, within bounds of its own."""
BACKLOG = 128
CONNECTIONS_LIMIT = 256
"""Open connections; more are closed at once, so that requests that never end leave descriptors to the probes."""
STOP_GRACE = 2.0
"""Seconds that answers under way get when the agent stops."""


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
            access_log=None,
            handle_signals=False,
            shutdown_timeout=STOP_GRACE,
            keepalive_timeout=75,
            max_line_size=4096,
            max_field_size=8190,
            max_headers=64,
            lingering_time=2.0,
            auto_decompress=False,  # nobody sends us that much; and nobody sends us bombs
        )

    @property
    def port(self) -> int:
        return int(self.sockets[0].getsockname()[1])

    async def start(self) -> None:
        await self._runner.setup()
        loop = asyncio.get_running_loop()
        # Not web.SockSite, which takes every connection.
        for item in self.sockets:
            self._servers.append(await loop.create_server(self._protocol, sock=item, backlog=BACKLOG))

    def _protocol(self) -> asyncio.Protocol:
        server = self._runner.server
        if server is None or len(server.connections) >= self._limit:
            self._turned_away()
            return _Refusal()
        return server()

    async def stop(self) -> None:
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


LOOPBACK = web.AppKey("loopback", list[bool])
"""Whether it is served on loopback only; known once it has its sockets."""


ACCESS = web.AppKey("access", Access)
"""The guard of what not everybody may do."""


def application(view: View) -> web.Application:
    """All routes over one view."""
    public = hostname(view.public_url) if view.public_url else None
    loopback: list[bool] = []
    guard = host_guard(lambda: all(loopback), view.listen_host, public)
    app = web.Application(middlewares=[problems, guard], client_max_size=BODY_LIMIT)
    app[LOOPBACK] = loopback
    app.on_response_prepare.append(add_headers)
    access = app[ACCESS] = Access(view.tokens, view.clock, (view.listen_host, public), view.telemetry.api_refused)
    pages = Pages(view)

    def read(path: str, handler: Handler) -> None:
        app.router.add_get(path, access.requires(Scope.READ, handler) if view.protected else handler)

    app.router.add_get("/", pages.page)
    read("/api/v1/status", pages.status)
    read("/api/v1/incidents", pages.incidents)
    read("/api/v1/events", pages.events)
    read("/metrics", pages.metrics)
    app.router.add_get("/healthz", pages.healthz)
    app.router.add_get("/readyz", pages.readyz)
    add_arrivals(app, view)
    add_assets(app)
    return app


class Pages:
    """What each route answers."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._status = StatusDocument(view)

    async def page(self, _request: web.Request) -> web.Response:
        return web.Response(
            body=PAGE, content_type="text/html", charset="utf-8", headers={"Cache-Control": "no-cache"}
        )

    async def status(self, request: web.Request) -> web.StreamResponse:
        limit = _limit(request, STATUS_LIMIT, STATUS_MOST)
        if isinstance(limit, web.Response):
            return limit
        return await stream(request, _again(await self._status.pieces(limit)), JSON)

    async def incidents(self, request: web.Request) -> web.StreamResponse:
        """The open ones first, as the agent knows them now; then the newest that the journal has."""
        limit = _limit(request, LIST_LIMIT, LIST_MOST)
        if isinstance(limit, web.Response):
            return limit
        statuses = self._view.world().services.values()
        known: dict[str, Incident] = {status.incident.id: status.incident for status in statuses if status.incident}
        try:
            kept = await self._view.records.incidents(limit)
        except StoreError:
            return _unreadable()
        for incident in sorted(kept, key=lambda item: item.resolved is not None):
            known.setdefault(incident.id, incident)
        items = (incident_item(incident, self._view.redact) for incident in list(known.values())[:limit])
        head = {"open": sum(incident.resolved is None for incident in known.values())}
        return await stream(request, json_pieces(head, {"incidents": items}), JSON)

    async def events(self, request: web.Request) -> web.StreamResponse:
        limit = _limit(request, LIST_LIMIT, LIST_MOST)
        if isinstance(limit, web.Response):
            return limit
        try:
            bodies = await self._view.records.events(limit)
        except StoreError:
            return _unreadable()
        head = {"vantage": self._view.vantage}
        return await stream(request, json_pieces(head, {"events": map(self._view.redact, bodies)}), JSON)

    async def metrics(self, request: web.Request) -> web.StreamResponse:
        openmetrics = wants_openmetrics(request.headers.get("Accept", ""))
        pieces = self._view.telemetry.metrics(openmetrics=openmetrics)
        return await stream(request, pieces, OPENMETRICS if openmetrics else TEXT)

    async def healthz(self, _request: web.Request) -> web.Response:
        """Well enough to be left alone? 503 only when nothing is being looked at."""
        view = self._view
        return _health(health_document(view.health(), view.version, view.vantage, view.clock.now().at))

    async def readyz(self, _request: web.Request) -> web.Response:
        return _health(readiness_document(self._view.health()))


def _health(document: dict[str, Any]) -> web.Response:
    status = 503 if document["status"] == "fail" else 200
    return web.Response(status=status, body=json.dumps(document).encode(), content_type=HEALTH)


def _limit(request: web.Request, default: int, most: int) -> int | web.Response:
    text = request.query.get("limit", str(default))
    if not (text.isascii() and text.isdecimal() and len(text) <= 6 and 1 <= int(text) <= most):
        return problem(400, f"limit must be a whole number from 1 to {most}.")
    return int(text)


def _unreadable() -> web.Response:
    detail = "The journal cannot be read now; /api/v1/status still tells how everything stands."
    return problem(503, detail, {"Retry-After": "10"})


async def _again(pieces: list[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
