"""What the world may see: services, their states, and what is wrong in a sentence of ours.

Nothing here comes from a target or names one: no check, address, evidence or figure. A service that nobody has
written under `services:` (that of a single check) is not told of either.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from aiohttp import web

from monitor.core.calming import is_well_now
from monitor.core.model import ServiceState
from monitor.core.service import WORST_FIRST, ServiceStatus
from monitor.core.wording import clock, iso
from monitor.web.assets import PUBLIC_PAGE
from monitor.web.health import health_document
from monitor.web.pages import health
from monitor.web.ribbons import Ribbons
from monitor.web.stream import dumps
from monitor.web.view import View

SERVICES_LIMIT = 500
FRESH = 1.0
"""Seconds that an answer is kept: a crowd costs as much as one visitor."""

_SENTENCES = {
    ServiceState.OPERATIONAL: "{title} works.",
    ServiceState.DEGRADATION: "{title} is degraded since {since}: slow, or partly failing.",
    ServiceState.OUTAGE: "{title} has an outage since {since}.",
    ServiceState.UNKNOWN: "{title} cannot be judged at the moment.",
}


class Public:
    """The routes of the public listener that are its own."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._kept: tuple[float, bytes] | None = None
        self._ribbons = Ribbons(view)
        self._turn = asyncio.Lock()

    async def page(self, _request: web.Request) -> web.Response:
        return web.Response(
            body=PUBLIC_PAGE, content_type="text/html", charset="utf-8", headers={"Cache-Control": "no-cache"}
        )

    async def document(self, _request: web.Request) -> web.Response:
        async with self._turn:
            tick = self._view.clock.now().tick
            if self._kept is None or not 0 <= tick - self._kept[0] < FRESH:
                shown = _published(self._view)[:SERVICES_LIMIT]
                past = await self._ribbons.of([status.service.id for status in shown])
                self._kept = (tick, dumps(public_document(self._view, past)))
            return web.Response(body=self._kept[1], content_type="application/json")

    async def healthz(self, _request: web.Request) -> web.Response:
        """A word; what is wrong is told inside."""
        view = self._view
        document = health_document(view.health(), view.version, view.vantage, view.clock.now().at)
        return health({"status": document["status"]})


def public_document(view: View, past: Mapping[str, Any]) -> dict[str, Any]:
    """The body of `/api/v1/public`, worst first. `past`: the ribbon of each service, by its id."""
    ordered = _published(view)
    worst = ordered[0].state if ordered else ServiceState.UNKNOWN
    return {
        "now": iso(view.clock.now().at),
        "state": worst.value,
        "sentence": _overall(ordered, view),
        "services": [_service(status, past, view) for status in ordered[:SERVICES_LIMIT]],
    }


def _published(view: View) -> list[ServiceStatus]:
    """The worst first."""
    statuses = [status for status in view.world().services.values() if not status.service.implicit]
    return sorted(statuses, key=lambda status: WORST_FIRST.index(status.state))


def _service(status: ServiceStatus, past: Mapping[str, Any], view: View) -> dict[str, Any]:
    incident, until = status.incident, _maintained(status, view)
    return {
        "title": view.redact(status.service.title),
        "state": status.state.value,
        "since": iso(status.since),
        "sentence": view.redact(_sentence(status, until, view)),
        "maintenance": {"until": iso(until)} if until else None,
        "incident": {"since": iso(incident.since), "impact": incident.impact.value} if incident else None,
        "past": past.get(status.service.id),
    }


def _maintained(status: ServiceStatus, view: View) -> datetime | None:
    """Until when all of the service is in maintenance, as far as is known."""
    calm = view.world().calm
    covers = [calm.cover_of(check) for check in status.service.checks]
    return min(cover.ends for cover in covers if cover) if covers and all(covers) else None


def _sentence(status: ServiceStatus, maintained: datetime | None, view: View) -> str:
    if maintained is not None and not status.state.bad:
        return f"{status.service.title} is in maintenance until {maintained:%d %B %H:%M} UTC."
    began = status.since
    if is_well_now(view.world(), status):
        title = status.service.title
        return f"{title} works at the moment; it has failed several times, and is watched until that lasts."
    if status.incident is not None and status.state is ServiceState.DEGRADATION:
        began = status.incident.since  # the trouble's, also where the worst of it is over
    text = _SENTENCES[status.state]
    return text.format(title=status.service.title, since=clock(began) if began else "a moment ago")


def _overall(ordered: list[ServiceStatus], view: View) -> str:
    bad = [status for status in ordered if status.state.bad]
    if bad:
        more = f" {len(bad) - 1} more service{' has' if len(bad) == 2 else 's have'} trouble." if len(bad) > 1 else ""
        return str(view.redact(_sentence(bad[0], None, view))) + more
    if not ordered:
        return "No services are published here"
    unknown = [status for status in ordered if status.state is ServiceState.UNKNOWN]
    if unknown:
        more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        return f"{view.redact(unknown[0].service.title)}{more} cannot be judged; nothing is known to be bad"
    return "All systems operational"
