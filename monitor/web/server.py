"""Which routes there are: inside, everything; for the world, the public page and what is sent to checks."""

from __future__ import annotations

from aiohttp import web

from monitor.presence import Listener
from monitor.tokens import Scope
from monitor.web.access import Access, Handler
from monitor.web.actions import ActionRoutes
from monitor.web.arrivals import add_arrivals
from monitor.web.assets import add_assets
from monitor.web.checks import Checks
from monitor.web.configuration import Configuration
from monitor.web.deploys import DeployRoutes
from monitor.web.drills import DrillRoutes
from monitor.web.feed import Feed
from monitor.web.guard import MAY_READ, NOTHING_HERE, add_headers, host_guard, problems
from monitor.web.hooks import add_doors
from monitor.web.incidents import Incidents
from monitor.web.maintenance import MaintenanceRoutes
from monitor.web.names import hostname
from monitor.web.oncall import OncallRoutes
from monitor.web.openapi import OpenApi
from monitor.web.pages import Pages, readyz
from monitor.web.past import PastRoutes
from monitor.web.public import Public
from monitor.web.services import Services
from monitor.web.silences import SilenceRoutes
from monitor.web.sinks import SinkRoutes
from monitor.web.sockets import LOOPBACK
from monitor.web.view import View

BODY_LIMIT = 16 * 1024
"""Bytes of a request's body; what arrives for a check is read within bounds of its own."""

ACCESS = web.AppKey("access", Access)
"""The guard of what not everybody may do."""
FEED = web.AppKey("feed", Feed)
"""Where events go that were committed."""


def application(view: View) -> web.Application:
    """The inner listener: all routes over one view."""
    public_host = hostname(view.public_url) if view.public_url else None
    loopback: list[bool] = []
    guard = host_guard(lambda: all(loopback), view.listen_host, public_host)
    app = web.Application(middlewares=[problems, guard], client_max_size=BODY_LIMIT)
    app[LOOPBACK] = loopback
    app[NOTHING_HERE] = "Nothing is here; /api/v1/openapi.json lists what there is."
    app.on_response_prepare.append(add_headers)
    app[ACCESS] = Access(view.tokens, view.clock, (view.listen_host, public_host), view.telemetry.api_refused)
    app[FEED] = view.feed or Feed(view.records, view.redact)
    app.on_shutdown.append(_end_streams)
    _add_reading(app, view)
    _add_deeds(app, view)
    add_arrivals(app, view, Listener.INNER)
    add_doors(app, view)
    add_assets(app)
    return app


def _add_reading(app: web.Application, view: View) -> None:
    pages, checks, services, incidents = Pages(view, app[FEED]), Checks(view), Services(view), Incidents(view)
    history, sinks = PastRoutes(view), SinkRoutes(view)

    def read(path: str, handler: Handler) -> None:
        guarded = app[ACCESS].requires(Scope.READ, handler)

        async def answer(request: web.Request) -> web.StreamResponse:
            request[MAY_READ] = lambda: not view.protected() or app[ACCESS].permits(request, Scope.READ)
            return await (guarded if view.protected() else handler)(request)

        app.router.add_get(path, answer)

    app.router.add_get("/", pages.page)
    app.router.add_get("/healthz", pages.healthz)
    app.router.add_get("/readyz", readyz(view))
    app.router.add_get("/api/v1/openapi.json", OpenApi().answer)
    app.router.add_get("/api/v1/public", Public(view).document)
    read("/metrics", pages.metrics)
    read("/api/v1/status", pages.status)
    read("/api/v1/checks", checks.all)
    read("/api/v1/checks/{name}", checks.one)
    read("/api/v1/checks/{name}/chart", history.chart)
    read("/api/v1/checks/{name}/findings", history.findings)
    read("/api/v1/checks/{name}/ribbon", history.check_ribbon)
    read("/api/v1/checks/{name}/transitions", history.transitions)
    read("/api/v1/services", services.all)
    read("/api/v1/services/{name}", services.one)
    read("/api/v1/services/{name}/ribbon", history.service_ribbon)
    read("/api/v1/incidents", incidents.all)
    read("/api/v1/incidents/{id}", incidents.one)
    read("/api/v1/events", pages.events)
    read("/api/v1/maintenance", MaintenanceRoutes(view).all)
    read("/api/v1/actions", ActionRoutes(view).all)
    read("/api/v1/drills/{id}", DrillRoutes(view).one)
    read("/api/v1/deploys", DeployRoutes(view).all)
    read("/api/v1/silences", SilenceRoutes(view).all)
    read("/api/v1/oncall", OncallRoutes(view).show)
    read("/api/v1/sinks", sinks.all)
    read("/api/v1/sinks/dead", sinks.dead)
    read("/api/v1/config", Configuration(view).show)


def _add_deeds(app: web.Application, view: View) -> None:
    """What people and scripts bring about: each needs a token."""
    incidents, maintenance, silences = Incidents(view), MaintenanceRoutes(view), SilenceRoutes(view)
    sinks = SinkRoutes(view)

    def do(method: str, path: str, handler: Handler, scope: Scope = Scope.OPERATE) -> None:
        app.router.add_route(method, path, app[ACCESS].requires(scope, handler))

    do("POST", "/api/v1/incidents/{id}/acknowledge", incidents.acknowledge)
    do("POST", "/api/v1/incidents/{id}/snooze", incidents.snooze)
    do("POST", "/api/v1/incidents/{id}/notes", incidents.note)
    do("POST", "/api/v1/maintenance", maintenance.begin)
    do("DELETE", "/api/v1/maintenance/{id}", maintenance.end)
    do("POST", "/api/v1/actions/stop", ActionRoutes(view).stop)
    do("POST", "/api/v1/actions/start", ActionRoutes(view).start)
    do("POST", "/api/v1/drills", DrillRoutes(view).begin)
    do("POST", "/api/v1/deploys", DeployRoutes(view).mark)
    do("POST", "/api/v1/silences", silences.begin)
    do("DELETE", "/api/v1/silences/{id}", silences.end)
    do("POST", "/api/v1/sinks/replay", sinks.replay)
    do("POST", "/api/v1/sinks/{name}/test", sinks.test)
    do("POST", "/api/v1/reload", Configuration(view).reload, Scope.ADMIN)


def public_application(view: View) -> web.Application:
    """The listener for the world. Nothing is written here but what is sent to checks, and nothing inner is read: so
    it needs no check of Host, and answers to any name."""
    app = web.Application(middlewares=[problems], client_max_size=BODY_LIMIT)
    app[LOOPBACK] = []
    app[NOTHING_HERE] = "Nothing is here."  # the world is not told of the inner listener
    app.on_response_prepare.append(add_headers)
    public = Public(view)
    app.router.add_get("/", public.page)
    app.router.add_get("/api/v1/public", public.document)
    app.router.add_get("/healthz", public.healthz)
    app.router.add_get("/readyz", readyz(view))
    add_arrivals(app, view, Listener.PUBLIC)
    add_doors(app, view)
    add_assets(app, public=True)
    return app


async def _end_streams(app: web.Application) -> None:
    app[FEED].close()
