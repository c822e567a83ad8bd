"""`/api/v1/deploys`: which deploys were marked, and marking one."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from monitor.core.deploys import Deploy
from monitor.web.access import TOKEN_NAME
from monitor.web.body import asked_in
from monitor.web.items import Redact
from monitor.web.problem import Problem
from monitor.web.stream import JSON, dumps
from monitor.web.view import View


class DeployRoutes:
    """The routes of deploys."""

    def __init__(self, view: View) -> None:
        self._view = view

    async def all(self, _request: web.Request) -> web.Response:
        """Those that are remembered, the newest first."""
        items = [deploy_item(deploy, self._view.redact) for deploy in self._view.world().deploys]
        return web.Response(body=dumps({"count": len(items), "deploys": items}), content_type=JSON)

    async def mark(self, request: web.Request) -> web.Response:
        """201: it is marked. 200: it was marked before."""
        if self._view.doors is None:
            raise Problem(503, "This agent takes no marks.")
        asked = await asked_in(request, '{"version": "v42", "services": ["shop"]}')
        try:
            deploy, new = await self._view.doors.mark(asked, request[TOKEN_NAME], "")
        except ValueError as error:
            raise Problem(400, f"Nothing was marked: {error}.") from None
        item = deploy_item(deploy, self._view.redact)
        return web.Response(status=201 if new else 200, body=dumps(item), content_type=JSON)


def deploy_item(deploy: Deploy, redact: Redact) -> dict[str, Any]:
    told: dict[str, Any] = redact(deploy.as_told())
    return told
