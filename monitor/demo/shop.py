"""The sample shop: a small web server on loopback whose mood the demo sets."""

from __future__ import annotations

import asyncio
import itertools
from enum import StrEnum

from aiohttp import web

SLOW = 0.6
"""Seconds a slow answer takes."""


class Mood(StrEnum):
    HEALTHY = "healthy"
    SLOW = "slow"
    FAILING = "failing"
    DEAD = "dead"


class Shop:
    """Answers on `/` and `/checkout` as its mood says; dead means that nothing listens any more."""

    def __init__(self) -> None:
        self.mood = Mood.HEALTHY
        self.port = 0
        self._requests = itertools.count(1)
        self._runner: web.AppRunner | None = None

    async def open(self) -> None:
        """Listen on a free port of the loopback interface, the first time; on the same one afterwards."""
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def turn(self, mood: Mood) -> None:
        """Take on another mood at once."""
        self.mood = mood
        if mood is Mood.DEAD:
            await self.close()
        elif self._runner is None:
            await self.open()

    async def _answer(self, request: web.Request) -> web.Response:
        if self.mood is Mood.SLOW:
            await asyncio.sleep(SLOW)
        if self.mood is Mood.FAILING and next(self._requests) % 3 == 0:
            return web.Response(status=500, text="database: too many connections")
        return web.Response(text=f"<h1>The shop</h1><p>{request.path}: Add to cart</p>", content_type="text/html")
