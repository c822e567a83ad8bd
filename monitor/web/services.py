"""`/api/v1/services`: every service, and one with its checks."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from monitor.core.judge import Judge
from monitor.core.service import ServiceStatus
from monitor.core.wording import cut
from monitor.core.world import World
from monitor.web.items import incident_item, service_item
from monitor.web.problem import Problem
from monitor.web.stream import JSON, json_pieces, stream
from monitor.web.view import View

MEMBERS_LIMIT = 10_000


class Services:
    """The routes of services."""

    def __init__(self, view: View) -> None:
        self._view = view

    async def all(self, request: web.Request) -> web.StreamResponse:
        """In the order of the configuration."""
        world, redact = self._view.world(), self._view.redact
        statuses = list(world.services.values())
        items = (service_item(status, world, redact) for status in statuses)
        return await stream(request, json_pieces({"count": len(statuses)}, {"services": items}), JSON)

    async def one(self, request: web.Request) -> web.StreamResponse:
        world = self._view.world()  # one, whatever a reload does while the answer is sent
        status = world.services.get(request.match_info["name"])
        if status is None:
            raise Problem(404, "No service has this name; /api/v1/services lists them.")
        head = service_item(status, world, self._view.redact)
        head |= self._more(status, world)
        members = (self._member(world.judges[check]) for check in status.service.checks[:MEMBERS_LIMIT])
        return await stream(request, json_pieces(head, {"members": members}), JSON)

    def _more(self, status: ServiceStatus, world: World) -> dict[str, Any]:
        rule, redact = status.service.outage, self._view.redact
        incident, now = status.incident, self._view.clock.now()
        return {
            "labels": redact(dict(status.service.labels)),
            "outage": {"needed": rule.needed, "of": redact(list(rule.checks[:MEMBERS_LIMIT]))},
            "open_incident": incident_item(incident, world, now, redact) if incident else None,
        }

    def _member(self, judge: Judge) -> dict[str, Any]:
        name, why = self._view.redact([judge.check.id, judge.verdict.why])
        return {"id": name, "state": judge.state.value, "why": cut(why)}
