"""`/api/v1/incidents`: the open ones as the agent knows them now, the others from the journal."""

from __future__ import annotations

from aiohttp import web

from monitor.core.model import Incident
from monitor.store.contract import StoreError
from monitor.web import query
from monitor.web.items import incident_item
from monitor.web.problem import Problem, unreadable
from monitor.web.stream import JSON, json_pieces, stream
from monitor.web.view import View

LIST_LIMIT, LIST_MOST = 50, 500
EVENTS_MOST = 500
"""Events of one incident that are told."""


class Incidents:
    """The routes of incidents."""

    def __init__(self, view: View) -> None:
        self._view = view

    async def all(self, request: web.Request) -> web.StreamResponse:
        """The open ones first; then the newest that the journal has."""
        limit = query.whole(request, "limit", LIST_LIMIT, LIST_MOST)
        known = self._open()
        try:
            kept = await self._view.records.incidents(limit)
        except StoreError:
            raise unreadable() from None
        for incident in sorted(kept, key=lambda item: item.resolved is not None):
            known.setdefault(incident.id, incident)
        items = (incident_item(incident, self._view.redact) for incident in list(known.values())[:limit])
        head = {"open": sum(incident.resolved is None for incident in known.values())}
        return await stream(request, json_pieces(head, {"incidents": items}), JSON)

    async def one(self, request: web.Request) -> web.StreamResponse:
        """With its events, oldest first."""
        identity, view = request.match_info["id"], self._view
        try:
            incident = self._open().get(identity) or await view.records.incident(identity)
            if incident is None:
                raise Problem(404, "No incident has this id; /api/v1/incidents lists them.")
            bodies = await view.records.incident_events(identity, EVENTS_MOST)
        except StoreError:
            raise unreadable() from None
        events = map(view.redact, bodies)
        return await stream(request, json_pieces(incident_item(incident, view.redact), {"events": events}), JSON)

    def _open(self) -> dict[str, Incident]:
        statuses = self._view.world().services.values()
        return {status.incident.id: status.incident for status in statuses if status.incident}
