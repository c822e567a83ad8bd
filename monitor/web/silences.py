"""`/api/v1/silences`: what nobody hears of for a while; each has an end."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from monitor.core.calm import when
from monitor.core.silences import Silence
from monitor.core.wording import cut, iso
from monitor.web.access import TOKEN_NAME
from monitor.web.body import asked_in
from monitor.web.items import Redact
from monitor.web.problem import Problem
from monitor.web.stream import JSON, dumps
from monitor.web.view import View

_NOBODY = "This agent takes no silences."


class SilenceRoutes:
    """The routes of silences."""

    def __init__(self, view: View) -> None:
        self._view = view

    async def all(self, _request: web.Request) -> web.Response:
        """Those that hold, what ends first before the others."""
        at = self._view.clock.now().at.timestamp()
        known = sorted(self._view.world().silences.known.values(), key=lambda item: item.end)
        items = [_item(item, self._view.redact) for item in known if item.end > at]
        return web.Response(body=dumps({"count": len(items), "silences": items}), content_type=JSON)

    async def begin(self, request: web.Request) -> web.Response:
        """From now on. 201: it holds, and is in the journal unless that cannot be written."""
        if self._view.silencer is None:
            raise Problem(503, _NOBODY)
        asked = await asked_in(request, '{"when": "service = shop", "for": "2h", "why": "a move"}')
        try:
            made = await self._view.silencer.begin(asked, request[TOKEN_NAME])
        except ValueError as error:
            raise Problem(400, f"Nothing was silenced: {error}.") from None
        return web.Response(status=201, body=dumps(_item(made, self._view.redact)), content_type=JSON)

    async def end(self, request: web.Request) -> web.Response:
        """Before its time; what is still open of it is told now."""
        if self._view.silencer is None:
            raise Problem(503, _NOBODY)
        if not await self._view.silencer.end(request.match_info["id"]):
            raise Problem(404, "No silence has this id; /api/v1/silences lists them.")
        return web.Response(status=204)


def _item(item: Silence, redact: Redact) -> dict[str, Any]:
    text, why, by = redact([item.text, item.why, item.by])
    return {
        "id": item.id,
        "when": cut(text),
        "from": iso(when(item.begin)),
        "until": iso(when(item.end)),
        "why": cut(why),
        "by": by or None,
    }
