"""A real server on a loopback port, and a client that talks to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import aiohttp
import pytest

from monitor.config.redact import Redactor
from monitor.core.history import Past, Point, Sample, Span
from monitor.core.model import Incident
from monitor.core.world import World
from monitor.store.contract import StoreError
from monitor.store.memory import MemoryStore
from monitor.telemetry import Telemetry
from monitor.web import Health, Site, View, application, bind
from tests.web.made import PASSWORD, StillClock, at, troubled

WELL = Health(
    scheduler_progress_age=0.2,
    loop_lag=0.001,
    outbox_oldest_age=None,
    refusing_sinks=(),
    beats_begun=400,
    beats_missed=0,
    ready=True,
    stopping=False,
    config_ok=True,
)


class Journal:
    """Stands in for a store: what it was told to remember, or an error."""

    def __init__(self) -> None:
        self.kept: list[Incident] = []
        self.bodies: list[Mapping[str, Any]] = []
        self.broken = False
        self.history = MemoryStore()

    async def incidents(self, limit: int) -> list[Incident]:
        if self.broken:
            raise StoreError("the disk is gone")
        return self.kept[:limit]

    async def events(self, limit: int) -> list[Mapping[str, Any]]:
        if self.broken:
            raise StoreError("the disk is gone")
        return self.bodies[:limit]

    async def incident(self, identity: str) -> Incident | None:
        return next((incident for incident in await self.incidents(999) if incident.id == identity), None)

    async def incident_events(self, identity: str, limit: int) -> list[Mapping[str, Any]]:
        """Bodies are the newest first, as `events` tells them; these are the oldest first."""
        bodies = reversed(await self.events(9999))
        return [body for body in bodies if body.get("incident", {}).get("id") == identity][:limit]

    async def events_after(self, event: str, limit: int) -> list[Mapping[str, Any]] | None:
        bodies = list(reversed(await self.events(9999)))
        names = [body["id"] for body in bodies]
        return bodies[names.index(event) + 1 :][:limit] if event in names else None

    async def transitions(self, kind: str, subject: str, limit: int, before: int | None = None) -> list[Past]:
        return await (await self._history()).transitions(kind, subject, limit, before)

    async def states(self, kind: str, subject: str, since: datetime, until: datetime) -> list[Span]:
        return await (await self._history()).states(kind, subject, since, until)

    async def samples(self, check: str, since: datetime, until: datetime) -> list[Sample]:
        return await (await self._history()).samples(check, since, until)

    async def rollup(
        self, check: str, since: datetime, until: datetime, step: timedelta | None = None
    ) -> list[Point]:
        return await (await self._history()).rollup(check, since, until, step)

    async def _history(self) -> MemoryStore:
        if self.broken:
            raise StoreError("the disk is gone")
        return self.history


class Agent:
    """What the app is to the web: a world, a journal, a health, and the page that is served of them."""

    def __init__(self, client: aiohttp.ClientSession) -> None:
        self.client = client
        self.world = troubled()
        self.journal = Journal()
        self.health = WELL
        self.clock = StillClock(60.0)
        self.base = ""

    def view(self, **fields: Any) -> View:
        redact = Redactor([PASSWORD]).value
        telemetry = Telemetry(self.world, clock=self.clock, version="0.1.0", vantage="fra1", redact=redact)
        defaults: dict[str, Any] = {
            "world": lambda: self.world,
            "records": self.journal,
            "telemetry": telemetry,
            "health": lambda: self.health,
            "clock": self.clock,
            "version": "0.1.0",
            "vantage": "fra1",
            "started": at(-3600),
            "listen_host": "127.0.0.1",
            "redact": redact,
        }
        return View(**(defaults | fields))

    async def get(self, path: str, **fields: Any) -> tuple[int, Mapping[str, str], str]:
        async with self.client.request(fields.pop("method", "GET"), self.base + path, **fields) as answer:
            return answer.status, answer.headers, await answer.text()

    async def json(self, path: str) -> Any:
        async with self.client.get(self.base + path) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()


Serve = Callable[..., Awaitable[Agent]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Starts an agent's page; `world` and fields of the view may be given."""
    sites: list[Site] = []
    async with aiohttp.ClientSession() as client:

        async def start(world: World | None = None, **fields: Any) -> Agent:
            agent = Agent(client)
            agent.world = world or agent.world
            site = Site(application(agent.view(**fields)), bind("127.0.0.1", 0))
            await site.start()
            sites.append(site)
            agent.base = f"http://127.0.0.1:{site.port}"
            return agent

        yield start
    for site in sites:
        await site.stop()


@pytest.fixture
async def agent(serve: Serve) -> Agent:
    return await serve()
