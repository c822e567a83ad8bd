"""`/api/v1/actions`: what is done about incidents by itself, what became of it, and the switch for all at once."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from monitor.core.wording import iso
from monitor.web.access import TOKEN_NAME
from monitor.web.problem import Problem
from monitor.web.stream import JSON, dumps
from monitor.web.view import View

SHOWN = 20
"""Runs of each, the newest."""
_NOBODY = "This agent takes no actions."


class ActionRoutes:
    """The routes of actions."""

    def __init__(self, view: View) -> None:
        self._view = view

    async def all(self, _request: web.Request) -> web.Response:
        """Those in force, with their newest runs."""
        return web.Response(body=dumps(self._known()), content_type=JSON)

    async def stop(self, request: web.Request) -> web.Response:
        """None is taken any more; what runs is ended."""
        if self._view.acting is None:
            raise Problem(503, _NOBODY)
        await self._view.acting.stop(request[TOKEN_NAME])
        return await self.all(request)

    async def start(self, request: web.Request) -> web.Response:
        """They are taken again, for what happens from now on."""
        if self._view.acting is None:
            raise Problem(503, _NOBODY)
        await self._view.acting.start(request[TOKEN_NAME])
        return await self.all(request)

    def _known(self) -> dict[str, Any]:
        world = self._view.world()
        stopped, runs = world.actions.stopped, world.actions.runs
        return {
            "on": world.plan.acts,
            "stopped": {"by": stopped.by, "at": iso(stopped.at)} if stopped is not None else None,
            "actions": [
                {
                    "name": name,
                    "dry_run": rule.dry_run,
                    "runs": self._view.redact([run.as_json() for run in reversed(runs.get(name, ())[-SHOWN:])]),
                }
                for name, rule in world.plan.actions.items()
            ],
        }
