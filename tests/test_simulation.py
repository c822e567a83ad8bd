"""Everything but sockets, in virtual time: scheduler, runner, core, journal and outbox over hours, in seconds."""

from __future__ import annotations

import asyncio
import io
import json
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from random import Random
from typing import Any, ClassVar

import httpx

from monitor.core.event import Source
from monitor.core.model import Check, Confirm, OutageRule, Recover, Service
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
from probes.contract import Address, Context, Measurement, Observation, Probe, Reason, Unit
from tests.core.builders import check
from tests.virtual_time import VirtualClock, run

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
class Neighbour(Simulated):
    """One of many at the same host and port."""

    kind: ClassVar[str] = "neighbour"

    @property
    def host(self) -> str | None:
        return "shared.example.com"

    async def look(self, context: Context) -> Observation:
        seen = await Simulated.look(self, context)
        return replace(seen, evidence={"address": "192.0.2.1:443"})


@dataclass(frozen=True, slots=True)
class Slowing(Simulated):
    """Twice as slow from the third to the fourth hour."""

    kind: ClassVar[str] = "slowing"

    async def look(self, context: Context) -> Observation:
        now = asyncio.get_running_loop().time()
        took = 0.2 * (2 if 7200 <= now < 10800 else 1) * Random(now).lognormvariate(0, 0.1)
        await asyncio.sleep(took)
        return Observation({"response_time": took})


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
    def get(self, *, verify: bool = True, ca_file: str | None = None) -> ssl.SSLContext:
        raise AssertionError("the simulation has no network")


class Counter:
    """An observer of the scheduler and the pipeline."""

    def __init__(self) -> None:
        self.looks = self.skipped = 0

    def look(self, look: object, judge: object) -> None:
        self.looks += 1

    def missed(self, beats: int) -> None:
        self.skipped += beats

    def late(self, seconds: float) -> None: ...

    def in_flight(self, looks: int) -> None: ...

    def extra_dropped(self) -> None: ...

    def committed(self, changes: int, seconds: float) -> None: ...

    def commit_failed(self) -> None:
        raise AssertionError("the memory store never fails")


def simulate(
    checks: list[Check], seconds: float, *, events: str = "incident.", witnesses: Asked | None = None
) -> tuple[Notebook, Counter]:
    """Watch the checks, each a service of its own; the notebook of what was told, and the number of looks.

    `witnesses` tell whether the agent's own network is there."""
    notebook, counter = Notebook(), Counter()

    async def main() -> None:
        clock, store = VirtualClock(), MemoryStore()
        services = {
            item.service: Service(item.service, item.name, (item.id,), OutageRule(1, (item.id,))) for item in checks
        }
        plan = Plan(
            {item.id: item for item in checks},
            services,
            (Route(("notebook",)),),
            Source("virtual"),
            frozenset(("notebook",)),
        )
        world = World(plan, await store.open(), clock.now())
        async with httpx.AsyncClient() as client:
            outbox = Outbox(
                store, {"notebook": notebook}, client=client, terminal=io.StringIO(), clock=clock, random=Random(1)
            )
            pipeline = Pipeline(
                world,
                Runner(clock, NoNames(), NoTls()),
                store,
                clock,
                level_sinks=frozenset(),
                wake=outbox.wake,
                observer=counter,
                follow=lambda name, judgement: scheduler.follow(name, judgement),
                vouch=(lambda look, check: lookout.vouch(look, check)) if witnesses is not None else None,
            )
            scheduler = Scheduler(
                checks,
                pipeline.take,
                pipeline.pass_over,
                lambda name: world.judges[name].extra_timeout,
                clock,
                limit=500,
                limit_per_host=8,
                observer=counter,
                soft_deadline=pipeline.soft_deadline,
                overdue=pipeline.overdue,
            )
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

    run(main())
    assert all(page["type"].startswith(events) for _, page in notebook.pages)
    return notebook, counter


def simulated(name: str, truth: Truth, **fields: Any) -> Check:
    return check(name, probe=Simulated(name, truth), confirm=Confirm(), recover=Recover(), **fields)


def test_a_day_of_forty_checks_with_lost_packets_wakes_nobody() -> None:
    chance = Random(7)

    def truth(name: str, at: float) -> Reason | None:
        return Reason.CONNECT_TIMEOUT if chance.random() < 0.001 else None

    every = timedelta(minutes=5)
    notebook, counter = simulate([simulated(f"c{n}", truth, every=every) for n in range(40)], 86400)
    assert notebook.told() == []
    assert 40 * 288 * 0.99 < counter.looks < 40 * 288 * 1.05
    assert counter.skipped == 0


def test_an_outage_is_told_within_seconds_of_its_first_failing_look_and_ends_once() -> None:
    def truth(name: str, at: float) -> Reason | None:
        return Reason.REFUSED if 600 <= at < 1200 else None

    notebook, _ = simulate([simulated("home", truth)], 1800)
    assert notebook.told() == [
        ("incident.opened", "outage"),
        ("incident.updated", "degradation"),
        ("incident.resolved", "resolved"),
    ]
    opened, _, resolved = (at for at, _ in notebook.pages)
    assert 605 <= opened <= 600 + 30 + 6
    assert 1210 <= resolved <= 1200 + 30 + 45


def test_a_target_that_swallows_packets_is_told_too() -> None:
    def truth(name: str, at: float) -> Reason | None:
        return Reason.CONNECT_TIMEOUT if at >= 600 else None

    notebook, _ = simulate([simulated("home", truth)], 900)
    assert notebook.told() == [("incident.opened", "outage")]
    assert notebook.pages[0][0] <= 600 + 30 + 8, "extra looks overlap the one that hangs"


def test_fifty_checks_of_one_silent_host_are_all_called_down_in_the_time_of_one() -> None:
    def truth(name: str, at: float) -> Reason | None:
        return Reason.CONNECT_TIMEOUT if at >= 600 else None

    checks = [replace(simulated(f"c{n}", truth), probe=Neighbour(f"c{n}", truth)) for n in range(50)]
    notebook, counter = simulate(checks, 700)
    assert notebook.told() == [("incident.opened", "outage")] * 50
    assert notebook.pages[-1][0] <= 600 + 30 + 8, "the last one, as any of them alone"
    assert counter.looks < 50 * 24 + 50 * 60, "what is told counts as a look; nobody waits for a run of his own"


def test_a_host_that_takes_most_connections_is_not_dead_for_its_many_checks() -> None:
    chance = Random(5)

    def truth(name: str, at: float) -> Reason | None:
        return Reason.REFUSED if 600 <= at < 900 and chance.random() < 0.4 else None

    checks = [replace(simulated(f"c{n}", truth), probe=Neighbour(f"c{n}", truth)) for n in range(20)]
    notebook, _ = simulate(checks, 1000)
    outages = [page for _, page in notebook.pages if page["state"]["new"] == "outage"]
    assert not outages
    assert len(notebook.pages) >= 20


def test_a_third_of_requests_failing_is_a_degradation_and_no_outage() -> None:
    chance = Random(3)

    def truth(name: str, at: float) -> Reason | None:
        return Reason.STATUS if 600 <= at < 4200 and chance.random() < 1 / 3 else None

    notebook, _ = simulate([simulated("home", truth)], 6000)
    assert set(notebook.told()) == {("incident.opened", "degradation"), ("incident.resolved", "resolved")}
    assert notebook.pages[0][0] < 600 + 300
    assert len(notebook.pages) <= 6


def test_twice_as_slow_as_usual_is_a_degradation_within_seconds_and_ends_once() -> None:
    slowing = check("home", probe=Slowing("home", lambda name, at: None), usual="response_time")
    notebook, counter = simulate([slowing], 4 * 3600)
    assert notebook.told() == [("incident.opened", "degradation"), ("incident.resolved", "resolved")]
    (opened, event), (resolved, _) = notebook.pages
    assert opened <= 7200 + 30 + 20
    assert resolved <= 10800 + 30 + 45
    assert "usual is 200 ms ± " in event["sentence"]
    assert counter.looks < 4 * 120 * 1.2


def test_our_own_trouble_is_never_told_as_theirs() -> None:
    def truth(name: str, at: float) -> Reason | None:
        return Reason.NO_ROUTE if 600 <= at < 1200 else None

    notebook, _ = simulate([simulated(f"c{n}", truth) for n in range(20)], 1800)
    assert notebook.told() == []


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


def test_to_ask_a_witness_first_delays_no_outage() -> None:
    def truth(name: str, at: float) -> Reason | None:
        return Reason.REFUSED if at >= 600 else None

    told = []
    for number in range(4):
        notebook, _ = simulate([simulated(f"c{number}", truth)], 700, witnesses=Witness())
        assert notebook.told() == [("incident.opened", "outage")]
        told.append(notebook.pages[0][0] - 600)
    assert max(told) <= 30 + 5.5


def test_our_own_network_is_told_once_and_its_targets_never() -> None:
    def truth(name: str, at: float) -> Reason | None:
        return Reason.CONNECT_TIMEOUT if 600 <= at < 900 else None

    notebook, _ = simulate(
        [simulated(f"c{n}", truth) for n in range(6)], 1800, events="agent.", witnesses=Witness((600, 900))
    )
    assert notebook.told() == [("agent.impaired", "impaired"), ("agent.recovered", "well")]


def test_a_real_outage_right_behind_our_own_is_told() -> None:
    def truth(name: str, at: float) -> Reason | None:
        return Reason.CONNECT_TIMEOUT if 600 <= at < 900 or (name == "c0" and at >= 600) else None

    notebook, _ = simulate(
        [simulated(f"c{n}", truth) for n in range(5)], 1200, events="", witnesses=Witness((600, 900))
    )
    assert notebook.told() == [
        ("agent.impaired", "impaired"),
        ("agent.recovered", "well"),
        ("incident.opened", "outage"),
    ]
    assert notebook.pages[-1][0] <= 900 + 30 + 20


def test_a_blip_of_our_own_network_is_told_to_nobody() -> None:
    def truth(name: str, at: float) -> Reason | None:
        return Reason.CONNECT_TIMEOUT if 600 <= at < 605 else None

    notebook, _ = simulate(
        [simulated(f"c{n}", truth) for n in range(10)], 900, events="", witnesses=Witness((600, 605))
    )
    assert notebook.told() == []
