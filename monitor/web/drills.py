"""`/api/v1/drills`: begin a drill, and see how it goes. It is told like an incident, and changes nothing."""

from __future__ import annotations

from aiohttp import web

from monitor.web.access import TOKEN_NAME
from monitor.web.body import asked_in
from monitor.web.problem import Problem
from monitor.web.stream import JSON, dumps
from monitor.web.view import Playing, View


class DrillRoutes:
    """The routes of drills."""

    def __init__(self, view: View) -> None:
        self._view = view

    async def begin(self, request: web.Request) -> web.Response:
        """From now on. 201: it has been opened."""
        if (drills := self._view.drills) is None:
            raise Problem(503, "This agent plays no drills.")
        asked = await asked_in(request, '{"service": "shop", "impact": "outage", "for": "1m"}')
        try:
            course = await drills.begin(asked, request[TOKEN_NAME])
        except ValueError as error:
            raise Problem(400, f"No drill was begun: {error}.") from None
        return web.Response(status=201, body=dumps(self._view.redact(course)), content_type=JSON)

    async def one(self, request: web.Request) -> web.Response:
        """What was told of it, and which sinks took it."""
        drills: Playing | None = self._view.drills
        course = drills.course(request.match_info["id"]) if drills is not None else None
        if course is None:
            raise Problem(404, "No drill since the agent's start has this id.")
        return web.Response(body=dumps(self._view.redact(course)), content_type=JSON)
