"""`/api/v1/config` and `/api/v1/reload`: what is in force, and having the file read again."""

from __future__ import annotations

from aiohttp import web

from monitor.web.pages import JSON
from monitor.web.problem import problem
from monitor.web.stream import dumps
from monitor.web.view import View


class Configuration:
    """Both answers tell of the last reload the same way."""

    def __init__(self, view: View) -> None:
        self._view = view

    async def show(self, _request: web.Request) -> web.Response:
        """Which file, since when, and what became of the last reload."""
        if self._view.steering is None:
            return _unknown()
        return web.Response(body=dumps(self._view.steering.config()), content_type=JSON)

    async def reload(self, _request: web.Request) -> web.Response:
        """Read the file again, and wait for what becomes of it. 422: it was refused, and nothing has changed."""
        if self._view.steering is None:
            return _unknown()
        outcome = await self._view.steering.reload()
        if outcome is None:
            return problem(503, "The agent is stopping; it reads its file when it starts again.")
        return web.Response(status=200 if outcome["accepted"] else 422, body=dumps(outcome), content_type=JSON)


def _unknown() -> web.Response:
    return problem(503, "This agent has no file that could be read again.")
