"""What was judged is what is kept: looks read back from history.db and judged again make the transitions kept."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any, ClassVar

import structlog

from monitor import replay
from monitor.core.condition import Aggregate, Bound, Level, Operator
from monitor.core.event import Source
from monitor.core.form import COARSEST
from monitor.core.history import Past, Sample
from monitor.core.lived import always
from monitor.core.model import Change, Check, Confirm, Event, OutageRule, Recover, Service, Transition
from monitor.core.plan import Plan
from monitor.core.rows import Rows
from monitor.core.sight import Ailment, Trouble
from monitor.core.world import World
from monitor.pipeline import Pipeline
from monitor.replay import Replay, look_of
from monitor.runner import Runner
from monitor.scheduler import Scheduler
from monitor.store.memory import MemoryStore, Shelf
from monitor.store.sqlite import SqliteStore
from probes.contract import Context, Measurement, Observation, Probe, Reason, Unit
from tests.core.builders import above, check
from tests.simulation import Counter, NoNames, NoTls
from tests.store.made import NOBODY
from tests.virtual_time import START, VirtualClock, run

HOURS = 2
FAR = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class Moody(Probe):
    """A target with all that can be judged: noise close to its limits, slow times, outages, blindness."""

    kind: ClassVar[str] = "moody"
    measurements: ClassVar[tuple[Measurement, ...]] = (Measurement("response_time", Unit.SECONDS, "how long"),)

    name: str
    draw: Random = field(compare=False)

    @property
    def target(self) -> str:
        return self.name

    async def look(self, context: Context) -> Observation:
        hour = asyncio.get_running_loop().time() / 3600 % 1
        reason = self._reason(hour)
        slow = 2.2 if 0.55 < hour < 0.7 else 1.0
        took = 0.123 * slow * self.draw.lognormvariate(0, 0.4)
        if reason is Reason.CONNECT_TIMEOUT:
            took = context.timeout
        await asyncio.sleep(took)
        return Observation({} if reason else {"response_time": took}, reason)

    def _reason(self, hour: float) -> Reason | None:
        if 0.2 < hour < 0.23 and self.draw.random() < 0.9:
            return Reason.REFUSED
        if 0.4 < hour < 0.44:
            return Reason.CONNECT_TIMEOUT
        if 0.8 < hour < 0.83:
            return Reason.DNS_SERVFAIL
        if hour > 0.9 and self.draw.random() < 0.35:
            return Reason.STATUS
        return Reason.REFUSED if self.draw.random() < 0.01 else None


def moody(name: str, seconds: float, *parents: str) -> Check:
    slow = above(0.25, window=timedelta(minutes=3), clear=Bound(Operator.BELOW, 0.2))
    conditions = (slow, above(0.5, Level.DOWN, aggregate=Aggregate.MEAN, window=timedelta(minutes=2)))
    return check(
        name, *conditions, probe=Moody(name, Random(name)), every=timedelta(seconds=seconds),
        timeout=timedelta(seconds=5), confirm=Confirm(), recover=Recover(), depends_on=parents,
    )  # fmt: skip


CHECKS = {item.id: item for item in (moody("fast", 5, "usual"), moody("usual", 15), moody("odd", 7.3))}
PLAN = Plan(
    CHECKS,
    {name: Service(name, name, (name,), OutageRule(1, (name,)), implicit=True) for name in CHECKS},
    (),
    Source("virtual"),
    frozenset(),
)


def test_stored_looks_judged_again_make_the_stored_transitions(tmp_path: Path) -> None:
    rows, lived, told_live = live()
    assert len(rows) > 3_000
    assert {item.new for item in lived if item.kind == "check"} == {"up", "degraded", "down", "unknown"}
    asyncio.run(write_down(tmp_path, rows, lived))
    looks, stored = asyncio.run(read_back(tmp_path))
    assert sum(map(len, looks.values())) == len(rows)
    assert len(stored) == len(lived) > 30
    changes = judged_again(looks, stored)
    again = in_order(item for change in changes for item in change.transitions)
    assert [told(item) for item in again] == [told(item) for item in stored]
    # A look is kept with its begin and how long it took: where the two clocks were read apart, its end by the wall
    # clock may be another step.
    step = timedelta(milliseconds=COARSEST)
    assert all(abs(one.at - other.at) <= step for one, other in zip(again, stored, strict=True))
    assert [said(event) for change in changes for event in change.events] == [said(event) for event in told_live]
    assert len(told_live) > 30


def live() -> tuple[Rows[str], list[Transition], list[Event]]:
    """Hours of a scheduler, a runner and a pipeline: the looks as they went to the history, the transitions, and the
    events."""
    rows, shelf, events = Rows[str](), Shelf(), list[Event]()

    async def main() -> None:
        clock, store = VirtualClock(), MemoryStore(shelf)
        world = World(PLAN, await store.open(), clock.now())
        pipeline = Pipeline(
            world, Runner(clock, NoNames(), NoTls()), store, clock,
            level_sinks=frozenset(), wake=lambda _: None, observer=Counter(),
            record=lambda of, look, state: rows.add(of.id, of, look, state), publish=events.extend,
        )  # fmt: skip
        scheduler = Scheduler(
            CHECKS.values(), pipeline.look, pipeline.pass_over, lambda name: world.judges[name].extra_timeout, clock,
            limit=500, limit_per_host=8, observer=Counter(),
            soft_deadline=pipeline.soft_deadline, overdue=pipeline.overdue,
        )  # fmt: skip
        running = (scheduler.run(), pipeline.writer.run(), pipeline.keep_time(), blinded(pipeline, clock))
        parts = [asyncio.create_task(part) for part in running]
        await asyncio.wait(parts, timeout=HOURS * 3600, return_when=asyncio.FIRST_EXCEPTION)
        for part in parts:
            assert not part.done()
            part.cancel()
        await asyncio.wait(parts)
        await pipeline.writer.settle()

    with structlog.testing.capture_logs():
        run(main())
    return rows, list(shelf.transitions.values()), events


async def blinded(pipeline: Pipeline, clock: VirtualClock) -> None:
    """The agent loses its own network while a target is down, and while one is being confirmed."""
    for at in (0.222 * 3600, 0.4002 * 3600, 1.35 * 3600):
        await asyncio.sleep(at - clock.now().tick)
        pipeline.sighted([Ailment(Trouble.NETWORK, clock.now(), "nobody answers")])
        await asyncio.sleep(45)
        pipeline.sighted([])
    await asyncio.sleep(HOURS * 3600)


async def write_down(folder: Path, rows: Rows[str], lived: list[Transition]) -> None:
    store = SqliteStore(folder)
    await store.open()
    half = START + timedelta(hours=HOURS / 2)
    for part in rows.cut(round(half.timestamp() * 1000)):
        await store.record(part, half)
        while await store.tend(half):
            pass
    await store.commit([Change(transitions=tuple(lived))], NOBODY)
    await store.close()


async def read_back(folder: Path) -> tuple[dict[str, list[Sample]], list[Transition]]:
    store = SqliteStore(folder)
    await store.open()
    looks = {name: await store.samples(name, START, START + FAR) for name in CHECKS}
    kinds = {"check": CHECKS, "service": CHECKS, "vantage": ("virtual",)}
    found = [past for kind, names in kinds.items() for name in names for past in await past_of(store, kind, name)]
    await store.close()
    return looks, in_order(past.transition for past in found)


async def past_of(store: SqliteStore, kind: str, name: str) -> list[Past]:
    return await store.transitions(kind, name, 99_999)


def judged_again(looks: Mapping[str, list[Sample]], stored: Iterable[Transition]) -> list[Change]:
    again = Replay(always(PLAN), sights=[item for item in stored if item.kind == "vantage"])
    recorded = (iter([look_of(CHECKS[name], sample) for sample in samples]) for name, samples in looks.items())
    changes = [happened.change for look in replay.in_order(recorded) for happened in again.take(look)]
    return changes + [happened.change for happened in again.finish(START + timedelta(hours=HOURS))]


def said(event: Event) -> tuple[str, str]:
    return event.type.value, event.body["sentence"]


def in_order(found: Iterator[Transition]) -> list[Transition]:
    return sorted(found, key=lambda item: (item.subject, item.kind, item.seq))


def told(item: Transition) -> tuple[Any, ...]:
    """All but the moment, and the words: details of a failure are in no history."""
    verdict = item.verdict
    return (
        item.subject, item.kind, item.seq, item.since, item.old, item.new, verdict.state, verdict.reason,
        verdict.measurement, verdict.value, verdict.limit, verdict.condition,
    )  # fmt: skip
