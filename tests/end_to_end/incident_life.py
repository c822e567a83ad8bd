"""One incident's life, with real processes that are gone at a point of it: it opens, nobody answers and another is
called, it grows, somebody acknowledges it, it ends. Two webhooks and PagerDuty are told.

The outside does not go back: each act begins when all have heard of the one before, whoever was alive to tell them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from aiohttp import web

from tests.end_to_end.crashes import Point, Side
from tests.end_to_end.crashing_agent import KILLED, MODULE
from tests.end_to_end.ledger import all_sent, check_journal, check_ledger
from tests.end_to_end.rig import (
    PATIENCE,
    Agent,
    Receiver,
    Target,
    agent,
    answering,
    check_status,
    listening,
)
from tests.end_to_end.stage import QUICK, page, write_checks
from tests.faults.peer import Peer, peering
from tests.sinks.test_pagerduty import KEY, Service

OPERATIONS = ("commit", "claim", "delivered", "save", "request")
"""What leaves a trace: in the journal, or, a `request`, at a sink's other side (one send to PagerDuty may be two)."""
_TOKEN = "operate-operate-operate"
_AGENT = f"  tokens: {{ops: {{token: {_TOKEN}, scopes: [operate]}}}}\n"
_PACE = QUICK.replace("every: 500ms\n  timeout: 500ms", "every: 2s\n  timeout: 2s")
"""No look is to fail because the machine is busy: that would be an incident of another story."""
_SERVICES = "services: {shop: {title: Web shop, outage: any of home}}\n"
_SINKS = """\
sinks:
  pager: {{type: pagerduty, routing_key: {key}, url: "{pager}"}}
  call: {{type: webhook, url: "{call}", secret: "${{HOOK_SECRET}}"}}
"""
_ROUTES = """\
routes:
  - {when: event = check.changed, to: [hook]}
  - escalate: [{to: [hook, pager]}, {after: 1s, to: call}]
"""


@dataclass
class Reaper:
    """Kills the agent before the n-th request is taken, or behind it, when it has no answer yet."""

    point: Point
    running: Agent | None = None
    requests: int = 0

    @contextmanager
    def taking(self) -> Iterator[None]:
        self.requests += 1
        number = self.requests
        self._meet(Point("request", Side.BEFORE, number))
        yield
        self._meet(Point("request", Side.AFTER, number))

    def _meet(self, point: Point) -> None:
        if point == self.point and self.running is not None:
            self.running.process.kill()
            raise httpx.ReadError("")


@dataclass
class Mortal(Receiver):
    """One whose requests are points."""

    reaper: Reaper = field(default_factory=lambda: Reaper(Point()))

    async def take(self, request: web.Request) -> web.Response:
        try:
            with self.reaper.taking():
                return await super().take(request)
        except httpx.ReadError:
            return web.Response(status=500)  # to nobody

    @property
    def kinds(self) -> list[str]:
        """What happened to the incident, as it was told."""
        told = [webhook.event for webhook in self.told if "incident" in webhook.event]
        return [event["update"]["kind"] if "update" in event else event["type"].split(".")[1] for event in told]


@dataclass
class Outside:
    """The world outside the agent."""

    folder: Path
    reaper: Reaper
    hook: Mortal
    call: Mortal
    service: Service
    cart: Target
    home: Target
    file: Path
    act: int = 0

    def answer(self, request: httpx.Request) -> httpx.Response:
        with self.reaper.taking():
            return self.service.take(request)

    @property
    def paged(self) -> dict[str, str]:
        """PagerDuty's open alerts, by class."""
        return {key.rpartition("/")[2]: state for key, state in self.service.open.items()}

    async def play(self, url: str) -> None:
        """From where the story is to its end. Raises `TransportError` when the agent is gone."""
        acts = (self.all_well, self.opens, self.nobody_answers, self.grows, self.acknowledged, self.ends)
        while self.act < len(acts):
            await acts[self.act](url)
            self.act += 1

    async def all_well(self, url: str) -> None:
        for name in ("cart", "home"):
            await self._until(url, lambda name=name: _is_up(url, name), f"{name} to be up")

    async def opens(self, url: str) -> None:
        self.cart.status = 500
        await self._heard(url, "the degradation", "opened", {"degraded": "triggered"})

    async def nobody_answers(self, url: str) -> None:
        await self._heard(url, "the call", "escalated", {"degraded": "triggered"}, self.call)

    async def grows(self, url: str) -> None:
        self.home.status = 500
        await self._heard(url, "the outage", "changed", {"outage": "triggered"}, self.hook, self.call)

    async def acknowledged(self, url: str) -> None:
        incident = next(hook.stream for hook in self.hook.told if hook.stream.startswith("inc_"))
        async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
            answer = await client.post(
                f"{url}/api/v1/incidents/{incident}/acknowledge", headers={"Authorization": f"Bearer {_TOKEN}"}
            )
        assert answer.status_code == 200, answer.text
        await self._heard(url, "Ann", "acknowledged", {"outage": "acknowledged"}, self.hook, self.call)

    async def ends(self, url: str) -> None:
        self.cart.status = self.home.status = 200
        await self._heard(url, "the end", "resolved", {}, self.hook, self.call)

    async def _heard(self, url: str, what: str, kind: str, paged: dict[str, str], *receivers: Mortal) -> None:
        async def heard() -> bool:
            return self.paged == paged and all(kind in receiver.kinds for receiver in receivers or (self.hook,))

        await self._until(url, heard, what)

    async def _until(self, url: str, holds: Callable[[], Awaitable[bool]], what: str) -> None:
        loop = asyncio.get_running_loop()
        give_up = loop.time() + 2 * PATIENCE
        while not await holds():
            running = self.reaper.running
            assert running is not None
            if running.process.poll() is not None:
                raise httpx.ReadError(f"the agent ended before {what}")
            told = f"hook {self.hook.kinds}, call {self.call.kinds}, PagerDuty {self.service.taken}"
            assert loop.time() < give_up, f"waited in vain for {what}: {told}; {running.log}"
            await asyncio.sleep(0.02)

    def check(self) -> None:
        """Nothing lost, no second id, every opened key closed, and nobody called twice for the same."""
        check_ledger(self.hook)
        assert self.call.forged == []
        told = {webhook.id for webhook in (*self.hook.told, *self.call.told)}
        check_journal(self.folder / "state", told)
        assert len({hook.stream for hook in self.hook.told if hook.stream.startswith("inc_")}) == 1
        kinds = self.hook.kinds
        assert (kinds[0], kinds[-1], self.call.kinds[-1]) == ("opened", "resolved", "resolved")
        assert [kinds.count(kind) for kind in ("escalated", "acknowledged")] == [1, 1], kinds
        assert self.call.kinds == kinds[kinds.index("escalated") :], "whoever was called is told how it goes on"
        assert self.service.open == {}
        assert self.service.paged == ["warning", "critical"]


async def _is_up(url: str, name: str) -> bool:
    return bool((await check_status(url, name))["state"] == "up")


@asynccontextmanager
async def outside(folder: Path, point: Point) -> AsyncIterator[Outside]:
    reaper, service = Reaper(point), Service()
    peer = Peer()
    async with (
        listening(Mortal(reaper=reaper)) as hook,
        listening(Mortal(reaper=reaper)) as call,
        answering(Target()) as cart,
        answering(Target()) as home,
        peering(peer),
    ):
        checks = (page(name, target.url, "    service: shop\n") for name, target in (("cart", cart), ("home", home)))
        file = write_checks(folder, hook, *checks, pace=_PACE, services=_SERVICES, agent=_AGENT)
        sinks = _SINKS.format(key=KEY, pager=peer.url, call=call.url)
        text = file.read_text("utf-8").partition("routes:\n")[0].replace("sinks:\n", sinks, 1)
        file.write_text(text + _ROUTES, "utf-8")
        found = Outside(folder, reaper, hook, call, service, cart, home, file)
        peer.answer = found.answer
        yield found


async def live(outside: Outside, point: Point) -> int:
    """One process: the rest of the story, or as much of it as it lives to see. Its exit code."""
    with agent(outside.folder, outside.file, str(point), module=MODULE) as running:
        outside.reaper.running = running
        try:
            await outside.play(await running.started())
            await all_sent(outside.folder / "state")
            return await running.stop()
        except httpx.TransportError:
            return await running.ended()
        except AssertionError:
            if running.process.poll() is None:
                raise
            return await running.ended()


async def die_once(folder: Path, point: Point) -> bool:
    """Live through the story with one death at the point. Whether it was reached; raises `AssertionError`, with the
    point, where something was lost, doubled or left open."""
    async with outside(folder, point) as world:
        try:
            codes = [await live(world, point)]
            if codes == [KILLED]:
                codes.append(await live(world, Point()))
            assert codes[-1] == 0, codes
            world.check()
        except AssertionError as error:
            raise AssertionError(f"after an end at {point}: {error}") from error
        return len(codes) == 2
