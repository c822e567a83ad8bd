"""`/api/v1/sinks`: how they stand; a test; dead letters, to be listed and sent again."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from monitor.store.contract import StoreError
from monitor.web.body import asked_in
from monitor.web.problem import Problem
from monitor.web.query import whole
from monitor.web.stream import JSON, dumps
from monitor.web.view import Mail, View

DEAD_LIMIT, DEAD_MOST = 50, 10_000


class SinkRoutes:
    """The routes of sinks."""

    def __init__(self, view: View) -> None:
        self._view = view

    async def all(self, _request: web.Request) -> web.Response:
        """In the order of the file; behind them those that only the journal remembers."""
        try:
            sinks = await self._mail.all()
        except StoreError as error:
            raise _unreadable(error) from None
        return self._answer({"count": len(sinks), "sinks": sinks})

    async def dead(self, request: web.Request) -> web.Response:
        """The newest first."""
        limit = whole(request, "limit", DEAD_LIMIT, DEAD_MOST)
        try:
            letters = await self._mail.dead(limit)
        except StoreError as error:
            raise _unreadable(error) from None
        return self._answer({"count": len(letters), "dead": letters})

    async def replay(self, request: web.Request) -> web.Response:
        """Send dead letters again. 200 tells how many: each goes its usual way from here."""
        asked = await asked_in(request, '{"event": "evt_..."} or {"all": true}')
        event, sink, everything = asked.get("event"), asked.get("sink"), asked.get("all", False)
        fine = all(item is None or isinstance(item, str) for item in (event, sink)) and isinstance(everything, bool)
        if asked.keys() - {"event", "sink", "all"} or not fine or (event is None) is not everything:
            raise Problem(400, 'Send {"event": "evt_..."}, or {"all": true}; with "sink" only what is for that one.')
        try:
            count = await self._mail.replay(event, sink)
        except StoreError as error:
            raise _unreadable(error) from None
        if not count and event is not None:
            raise Problem(404, "No dead letter of a sink in the file has this event; /api/v1/sinks/dead lists them.")
        return self._answer({"replayed": count})

    async def test(self, request: web.Request) -> web.Response:
        """Send a marked event, and tell what the other side answered: 200 also where it has refused."""
        try:
            outcome = await self._mail.test(request.match_info["name"])
        except LookupError as unknown:
            raise Problem(404, f"No sink has this name{unknown}; brownout sinks lists them.") from None
        return self._answer(outcome)

    @property
    def _mail(self) -> Mail:
        if self._view.mail is None:
            raise Problem(503, "This agent sends nothing.")
        return self._view.mail

    def _answer(self, document: dict[str, Any]) -> web.Response:
        return web.Response(body=dumps(self._view.redact(document)), content_type=JSON)


def _unreadable(error: StoreError) -> Problem:
    return Problem(503, f"The journal cannot be asked now: {error}")
