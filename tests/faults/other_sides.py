"""The other sides of many sinks of one real agent, each with a trouble of its own."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx

from tests.end_to_end.rig import (
    PATIENCE,
    Agent,
    Receiver,
    Target,
    agent,
    answering,
    check_status,
    look_times,
    until,
    until_state,
)
from tests.end_to_end.stage import page, write_checks
from tests.faults.peer import Answer, Peer, peering
from tests.faults.wall_clock import WallClock

_ROUTES = "routes: [{{when: event = incident.*, to: [fine, {}]}}]\n"
"""Not of the agent itself: to it, hours that pass at once are a pause."""


@dataclass
class Side:
    """The other side of a sink: it takes requests in, or answers with a status instead."""

    sink: str
    """Its YAML, but for the address: ``type: webhook, url``, to which that is added."""
    behind: Answer = lambda _request: httpx.Response(200)
    """What it does with a request that it takes."""
    refuses: httpx.Response | None = None
    tls: ssl.SSLContext | None = None
    host: str = "127.0.0.1"
    taken: list[httpx.Request] = field(default_factory=list)
    refused: int = 0
    at: list[float] = field(default_factory=list)

    def answer(self, request: httpx.Request) -> httpx.Response:
        if self.refuses is not None:
            self.refused += 1
            return self.refuses
        self.taken.append(request)
        return self.behind(request)

    @property
    def told(self) -> list[dict[str, Any]]:
        """The events that a webhook has taken, whatever came twice but once."""
        return list({request.headers["webhook-id"]: json.loads(request.content) for request in self.taken}.values())

    @property
    def kinds(self) -> list[str]:
        return [event["type"].removeprefix("incident.") for event in self.told]


@dataclass
class Telling:
    """A real agent that watches a shop and tells all `sides` of its incidents; `fine` has no trouble."""

    url: str
    running: Agent
    clock: WallClock
    shop: Target
    fine: Side
    sides: Mapping[str, Side]

    async def pass_(self, span: timedelta, holds: Callable[[], bool] = lambda: True, what: str = "") -> None:
        """So much time passes at once, and more of it until that holds: what was under way is given up, and begun
        again when a lease has ended."""
        self.clock.pass_(span)
        await self.looked()
        give_up = time.monotonic() + 2 * PATIENCE
        while not holds():
            assert time.monotonic() < give_up, f"waited in vain for {what}: {self.running.log}"
            self.clock.pass_(timedelta(minutes=1))
            await self.looked()

    async def outage(self) -> None:
        told = self.fine.kinds.count("opened")
        self.shop.status = 500
        await until(lambda: self.fine.kinds.count("opened") > told, "an outage", 2 * PATIENCE)

    async def recovery(self) -> None:
        told = self.fine.kinds.count("resolved")
        self.shop.status = 200
        await until(lambda: self.fine.kinds.count("resolved") > told, "its end", 2 * PATIENCE)
        await until_state(self.url, "shop", "up")

    async def sinks(self) -> dict[str, dict[str, Any]]:
        """How they stand, by name."""
        async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
            answer = await client.get(f"{self.url}/api/v1/sinks")
        return {item["name"]: item for item in answer.json()["sinks"]}

    async def looked(self) -> None:
        await look_times(self.url, "shop", 2)

    async def state(self) -> str:
        return str((await check_status(self.url, "shop"))["state"])


@asynccontextmanager
async def telling(folder: Path, sides: Mapping[str, Side], before: tuple[str, ...] = ()) -> AsyncIterator[Telling]:
    fine, clock = Side("type: webhook, url"), WallClock(folder)
    async with AsyncExitStack() as stack:
        sinks = ""
        for name, side in {"fine": fine, **sides}.items():
            peer = await stack.enter_async_context(peering(Peer(side.answer), side.tls))
            peer.url = peer.url.replace("127.0.0.1", side.host)
            sinks += f"  {name}: {{{side.sink}: {peer.url!r}}}\n"
        shop = await stack.enter_async_context(answering(Target()))
        file = write_checks(folder, Receiver(url="http://127.0.0.1:1"), page("shop", shop.url))
        head, _, rest = file.read_text("utf-8").partition("sinks:\n")
        checks = rest[rest.index("checks:") : rest.index("routes:")]
        file.write_text(f"{head}sinks:\n{sinks}{checks}{_ROUTES.format(', '.join(sides))}", "utf-8")
        running = stack.enter_context(agent(folder, "run", file, before=before, env=clock.env))
        url = await running.started()
        await until_state(url, "shop", "up")
        yield Telling(url, running, clock, shop, fine, sides)
        assert await running.stop() == 0
