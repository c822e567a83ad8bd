"""All of the agent but sockets, in virtual time: checks that find what the truth of a test says, hours in seconds."""

from __future__ import annotations

import asyncio
import io
import json
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, ClassVar

import httpx

from monitor.core.event import Source
from monitor.core.judge import Judge
from monitor.core.model import Check, Confirm, Look, OutageRule, Recover, Service
from monitor.core.plan import Plan
from monitor.core.routing import Route
from monitor.core.world import World
from monitor.outbox import Outbox
from monitor.pipeline import Pipeline
from monitor.runner import Runner
from monitor.scheduler import Scheduler
from monitor.sinks.contract import Nature, Sink, SinkContext
from monitor.store.contract import Delivery
from monitor.store.memory import MemoryStore
from monitor.vantage import Lookout
from monitor.witnesses import LIMIT, Asked
from probes.contract import Address, Context, Measurement, Observation, Probe, Reason, TlsWanted, Unit
from tests.core.builders import check
from tests.virtual_time import VirtualClock, run

SINK = "notebook"
Truth = Callable[[str, float], Reason | None]
"""What a look at the check of that name finds, so many seconds after the start."""


@dataclass(frozen=True, slots=True)
class Simulated(Probe):
    """Finds what the truth of the test says, after a fiftieth of a second, or after its time limit."""

    kind: ClassVar[str] = "simulated"
    measurements: ClassVar[tuple[Measurement, ...]] = (Measurement("response_time", Unit.SECONDS, "how long"),)

    name: str
    truth: Truth = field(compare=False)

    @property
    def target(self) -> str:
        return self.name

    @property
    def host(self) -> str | None:
        return f"{self.name}.example.com"

    async def look(self, context: Context) -> Observation:
        reason = self.truth(self.name, asyncio.get_running_loop().time())
        took = context.timeout if reason is Reason.CONNECT_TIMEOUT else 0.02
        await asyncio.sleep(took)
        return Observation({"response_time": took}, reason)


@dataclass(frozen=True, slots=True)
class Notebook(Sink):
    """Writes down what it is sent, and when."""

    kind: ClassVar[str] = "notebook"
    nature: ClassVar[Nature] = Nature.LOG

    pages: list[tuple[float, dict[str, Any]]] = field(default_factory=list)

    async def send(self, delivery: Delivery, context: SinkContext) -> None:
        self.pages.append((asyncio.get_running_loop().time(), json.loads(delivery.body)))

    def told(self) -> list[tuple[str, str]]:
        return [(page["type"], page["state"]["new"]) for _, page in self.pages]


class NoNames:
    async def resolve(self, host: str, port: int, timeout: float) -> tuple[Address, ...]:
        raise AssertionError("the simulation has no network")


class NoTls:
    async def get(self, wanted: TlsWanted) -> ssl.SSLContext:
        raise AssertionError("the simulation has no network")


class Counter:
    """An observer of the scheduler and the pipeline."""

    def __init__(self) -> None:
        self.looks = self.skipped = 0

    def look(self, look: Look, judge: Judge) -> None:
        self.looks += 1

    def missed(self, beats: int) -> None:
        self.skipped += beats

    def late(self, seconds: float) -> None: ...

    def in_flight(self, looks: int) -> None: ...

    def extra_dropped(self) -> None: ...

    def committed(self, changes: int, seconds: float) -> None: ...

    def commit_failed(self) -> None:
        raise AssertionError("the memory store never fails")

    def unstorable(self) -> None:
        raise AssertionError("the memory store takes whatever comes")


@dataclass
class Witness:
    """The only one, which does not answer while the network is gone."""

    gone: tuple[float, float] = (0.0, 0.0)

    async def reference(self, host: str, port: int) -> bool | None:
        since, until = self.gone
        answers = not since <= asyncio.get_running_loop().time() < until
        await asyncio.sleep(0.15 if answers else LIMIT)
        return answers

    async def gateway(self) -> bool | None:
        return None

    async def resolvers(self) -> bool | None:
        return None

    def link(self) -> str:
        return ""


def live(plan: Plan, seconds: float, observer: Counter, *, witnesses: Asked | None = None) -> Notebook:
    """Watch what the plan says for so long; what was told to its one sink, `SINK`.

    `witnesses` tell whether the agent's own network is there; without any, every failed look is the target's."""
    notebook = Notebook()
    run(_live(plan, seconds, observer, witnesses, notebook))
    return notebook


async def _live(plan: Plan, seconds: float, observer: Counter, witnesses: Asked | None, notebook: Notebook) -> None:
    clock, store = VirtualClock(), MemoryStore()
    world = World(plan, await store.open(), clock.now())
    async with httpx.AsyncClient() as client:
        outbox = Outbox(store, {SINK: notebook}, client=client, terminal=io.StringIO(), clock=clock, random=Random(1))
        pipeline = Pipeline(
            world,
            Runner(clock, NoNames(), NoTls()),
            store,
            clock,
            level_sinks=frozenset(),
            wake=outbox.wake,
            observer=observer,
            ask=lambda name: scheduler.ask(name),
            follow=lambda name, judgement: scheduler.follow(name, judgement),
            vouch=(lambda look, check: lookout.vouch(look, check)) if witnesses is not None else None,
        )
        scheduler = Scheduler(
            plan.checks.values(),
            pipeline.look,
            pipeline.pass_over,
            lambda name: world.judges[name].extra_timeout,
            clock,
            limit=500,
            limit_per_host=8,
            observer=observer,
            soft_deadline=pipeline.soft_deadline,
            overdue=pipeline.overdue,
        )
        pipeline.decide(World.start)
        parts = [asyncio.create_task(part.run()) for part in (scheduler, pipeline.writer, outbox)]
        parts.append(asyncio.create_task(pipeline.keep_time()))
        if witnesses is not None:
            lookout = Lookout(
                [("192.0.2.1", 53)], witnesses, clock, pipeline.sighted, world.sight,
                uptime=asyncio.get_running_loop().time,
            )  # fmt: skip
            parts.append(asyncio.create_task(lookout.run()))
        await asyncio.wait(parts, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
        for part in parts:
            assert not part.done()
            part.cancel()
        await asyncio.wait(parts)


def simulate(
    checks: list[Check], seconds: float, *, events: str = "incident.", witnesses: Asked | None = None
) -> tuple[Notebook, Counter]:
    """Watch the checks, each a service of its own; the notebook of what was told, and the number of looks.

    `witnesses` tell whether the agent's own network is there."""
    services = {
        item.service: Service(item.service, item.name, (item.id,), OutageRule(1, (item.id,))) for item in checks
    }
    known = {item.id: item for item in checks}
    counter = Counter()
    plan = Plan(known, services, (Route((SINK,)),), Source("virtual"), frozenset((SINK,)))
    notebook = live(plan, seconds, counter, witnesses=witnesses)
    assert all(page["type"].startswith(events) for _, page in notebook.pages)
    return notebook, counter


def simulated(name: str, truth: Truth, **fields: Any) -> Check:
    return check(name, probe=Simulated(name, truth), confirm=Confirm(), recover=Recover(), **fields)
