"""`/api/v1/config` and `/api/v1/reload`: what is in force, and having the file read again."""

from __future__ import annotations

import asyncio

from aiohttp import web

from monitor.web.guard import TIME_LIMIT
from monitor.web.problem import problem
from monitor.web.stream import JSON, dumps
from monitor.web.view import View

PATIENCE = 110.0
"""Seconds that a reload is waited for: 10,000 checks take about four, and it may stand behind another one. Shorter
than what `brownout reload` waits, so that it hears an answer."""


class Configuration:
    """Both answers tell of the last reload the same way."""

    def __init__(self, view: View) -> None:
        self._view = view

    async def show(self, _request: web.Request) -> web.Response:
        """Which file, since when, and what became of the last reload."""
        if self._view.steering is None:
            return _unknown()
        told = dict(self._view.steering.config())
        # The file's name is that of the command line, and `brownout reload` compares it.
        told["reload"] = self._view.redact(told["reload"])
        return web.Response(body=dumps(told), content_type=JSON)

    async def reload(self, request: web.Request) -> web.Response:
        """Read the file again, and wait for what becomes of it. 422: it was refused, and nothing has changed."""
        if self._view.steering is None:
            return _unknown()
        request[TIME_LIMIT].reschedule(None)
        try:
            async with asyncio.timeout(PATIENCE):
                outcome = await self._view.steering.reload()
        except TimeoutError:
            return problem(503, "The file is still being read; /api/v1/config tells what becomes of it.")
        if outcome is None:
            return problem(503, "The agent is stopping; it reads its file when it starts again.")
        status = 200 if outcome["accepted"] else 422
        return web.Response(status=status, body=dumps(self._view.redact(outcome)), content_type=JSON)


def _unknown() -> web.Response:
    return problem(503, "This agent has no file that could be read again.")
