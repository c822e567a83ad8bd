"""`/api/v1/maintenance`: which windows there are, and windows announced by hand: they always end."""

from __future__ import annotations

from itertools import islice
from typing import Any

from aiohttp import web

from monitor.core.calm import when
from monitor.core.maintenance import Span, Window
from monitor.core.wording import cut, iso
from monitor.core.world import World
from monitor.web.access import TOKEN_NAME
from monitor.web.body import asked_in
from monitor.web.items import Redact
from monitor.web.problem import Problem
from monitor.web.stream import JSON, dumps
from monitor.web.view import View

_MEMBERS_LIMIT = 100
_NOBODY = "This agent takes no announcements."


class MaintenanceRoutes:
    """The routes of windows."""

    def __init__(self, view: View) -> None:
        self._view = view

    async def all(self, _request: web.Request) -> web.Response:
        """Those that are not over, what goes on first, then by time."""
        world, at = self._view.world(), self._view.clock.now().at.timestamp()
        known = sorted(world.calm.windows(world.plan.maintenance, at), key=lambda pair: pair[1].begin)
        items = [window_item(window, span, world, at, self._view.redact) for window, span in known]
        return web.Response(body=dumps({"count": len(items), "maintenance": items}), content_type=JSON)

    async def begin(self, request: web.Request) -> web.Response:
        """From now on. 201: it is in force, and in the journal unless that cannot be written."""
        if self._view.announcements is None:
            raise Problem(503, _NOBODY)
        asked = await asked_in(request, '{"what": "shop", "for": "2h", "why": "a deploy"}')
        try:
            window = await self._view.announcements.begin(asked, request[TOKEN_NAME])
        except ValueError as error:
            raise Problem(400, f"Nothing was announced: {error}.") from None
        assert window.once is not None  # noqa: S101  (one by hand comes once)
        item = window_item(window, window.once, self._view.world(), window.once.begin, self._view.redact)
        return web.Response(status=201, body=dumps(item), content_type=JSON)

    async def end(self, request: web.Request) -> web.Response:
        """Before its time; what is otherwise than before is told now."""
        if self._view.announcements is None:
            raise Problem(503, _NOBODY)
        name, world = request.match_info["id"], self._view.world()
        if any(window.id == name for window in world.plan.maintenance):
            raise Problem(409, "This window is written in the file: change it there, and reload.")
        if not await self._view.announcements.end(name):
            raise Problem(404, "No window has this id; /api/v1/maintenance lists them.")
        return web.Response(status=204)


def window_item(window: Window, span: Span, world: World, at: float, redact: Redact) -> dict[str, Any]:
    members = dict.fromkeys(window.scope.members(world.plan))
    some = list(islice(members, _MEMBERS_LIMIT))
    name, what, why, by, checks = redact([window.id, window.scope.text, window.why, window.by, some])
    return {
        "id": name,
        "what": cut(what),
        "checks": checks,
        "covers": len(members),
        "from": iso(when(span.begin)),
        "until": iso(when(span.end)),
        "active": span.holds(at),
        "schedule": window.schedule.text if window.schedule else None,
        "why": cut(why),
        "by": by or None,
    }
