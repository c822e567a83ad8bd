"""`/api/v1/incidents`: the open ones as the agent knows them now, the others from the journal; and what people do
about the open ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp import web

from monitor.core.model import Incident
from monitor.store.contract import StoreError
from monitor.web import query
from monitor.web.access import TOKEN_NAME
from monitor.web.body import asked_in
from monitor.web.items import incident_item
from monitor.web.problem import Problem, unreadable
from monitor.web.stream import JSON, dumps, json_pieces, stream
from monitor.web.view import Deed, Responses, View

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
        items = map(self._item, list(known.values())[:limit])
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
        return await stream(request, json_pieces(self._item(incident), {"events": events}), JSON)

    async def acknowledge(self, request: web.Request) -> web.Response:
        """Whoever asks has it."""
        return await self._act(request, lambda port: port.acknowledge)

    async def snooze(self, request: web.Request) -> web.Response:
        """It is put off for a while."""
        return await self._act(request, lambda port: port.snooze)

    async def note(self, request: web.Request) -> web.Response:
        """Something is told to the others."""
        return await self._act(request, lambda port: port.note)

    async def _act(self, request: web.Request, deed: Callable[[Responses], Deed]) -> web.Response:
        identity, port = request.match_info["id"], self._view.responses
        if port is None:
            raise Problem(503, "This agent takes nothing of that kind.")
        asked = await asked_in(request, '{"by": "ann"}', may_be_empty=True)
        try:
            known = await deed(port)(identity, asked, request[TOKEN_NAME])
        except ValueError as error:
            raise Problem(400, f"Nothing was done: {error}.") from None
        played = self._view.world().drills.get(identity)
        incident = played.incident if played is not None else self._open().get(identity)
        if not known or incident is None:
            raise Problem(404, "No open incident has this id; /api/v1/incidents lists them.")
        return web.Response(body=dumps(self._item(incident)), content_type=JSON)

    def _item(self, incident: Incident) -> dict[str, Any]:
        view = self._view
        return incident_item(incident, view.world(), view.clock.now(), view.redact)

    def _open(self) -> dict[str, Incident]:
        return {identity: case.incident for identity, case in self._view.world().cases.items()}
