"""An incident's life, with a crash before and after each commit and each send: nothing lost, nothing told twice.

One agent's decisions, pipeline, journal and outbox are real; the target is a script, the receiver a list. A crash
leaves the state directory as it is at that moment, and another agent goes on from there until the story is told.
"""

from __future__ import annotations

import asyncio
import io
import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import ClassVar, cast

import httpx
import pytest

from monitor.core.judge import Judge
from monitor.core.model import Confirm, Impact, Look, Moment, Recover, State
from monitor.core.routing import Route, Term
from monitor.core.world import World
from monitor.outbox import Outbox
from monitor.pipeline import Pipeline
from monitor.runner import Order, Runner
from monitor.store.contract import Delivery, Store
from monitor.store.sqlite import SqliteStore
from probes.contract import Context, Measurement, Observation, Probe, Reason, Resolver, TlsContexts, Unit
from tests.core.builders import check, moment, world
from tests.end_to_end.crashes import OPERATIONS, Crash, Fate, MortalSink, MortalStore, Point, Recording, Side
from tests.end_to_end.ledger import check_journal, rows

EVERYTHING = (Route(("hook",), Term("event", "*")),)
MOST_LOOKS = 400
PATIENCE = 30.0


@dataclass
class Outside:
    """The world outside the agent: it does not go back when the agent crashes."""

    act: int = 0
    seconds: float = 0.0
    fails: Reason | None = None
    sink: Recording = field(default_factory=Recording)
    crashes: int = 0

    def now(self) -> Moment:
        return moment(self.seconds)


@dataclass(frozen=True, slots=True)
class Page(Probe):
    """Answers as the outside says."""

    kind: ClassVar[str] = "page"
    measurements: ClassVar[tuple[Measurement, ...]] = (Measurement("response_time", Unit.SECONDS, "how long"),)

    outside: Outside

    @property
    def target(self) -> str:
        return "the page"

    async def look(self, context: Context) -> Observation:
        return Observation({"response_time": 0.1}, self.outside.fails, evidence={"address": "192.0.2.1"})


class Deaf:
    """An observer that does not care."""

    def look(self, look: Look, judge: Judge) -> None: ...

    def committed(self, changes: int, seconds: float) -> None: ...

    def commit_failed(self) -> None: ...

    def unstorable(self) -> None:
        raise AssertionError("everything here can be stored")


@dataclass(frozen=True, slots=True)
class Act:
    """What the target does, until the agent has found out."""

    fails: Reason | None
    found: Callable[[World], bool]


def _stands(state: State) -> Callable[[World], bool]:
    return lambda watched: all(judge.state is state for judge in watched.judges.values())


STORY = (
    Act(None, _stands(State.UP)),
    Act(Reason.REFUSED, _stands(State.DOWN)),
    Act(None, _stands(State.UP)),
)


class Life:
    """One process: from opening the journal to the end of the story, or to the crash."""

    def __init__(self, folder: Path, outside: Outside, fate: Fate, *, patient: bool) -> None:
        self.folder = folder
        self.inner = SqliteStore(folder)
        self.store: Store = MortalStore(self.inner, fate)
        self.outside = outside
        self.fate = fate
        self.patient = patient

    async def live(self) -> None:
        """Raises `Crash`."""
        journal = await self.store.open()
        outside = self.outside
        checks = [
            check(
                name,
                service="shop" if name == "home" else name,
                probe=Page(outside),
                confirm=Confirm(looks=3, span=timedelta(seconds=2)),
                recover=Recover(looks=8, every=timedelta(seconds=1)),
                impact=Impact.OUTAGE,
            )
            for name in ("home", "jobs")
        ]
        watched = world(*checks, routes=EVERYTHING, journal=journal, at=outside.seconds)
        async with httpx.AsyncClient() as client:
            outbox = Outbox(
                self.store,
                {"hook": MortalSink(outside.sink, self.fate)},
                client=client,
                terminal=io.StringIO(),
                clock=outside,
                random=Random(1),
            )
            runner = Runner(outside, cast(Resolver, None), cast(TlsContexts, None))
            pipeline = Pipeline(
                watched, runner, self.store, outside, level_sinks=frozenset(), wake=outbox.wake, observer=Deaf()
            )
            async with asyncio.TaskGroup() as parts:
                running = [parts.create_task(outbox.run()), parts.create_task(pipeline.writer.run())]
                await self._play(watched, pipeline)
                await self._told(pipeline)
                for task in running:
                    task.cancel()

    async def _play(self, watched: World, pipeline: Pipeline) -> None:
        outside = self.outside
        for _ in range(MOST_LOOKS):
            if outside.act == len(STORY):
                return
            act = STORY[outside.act]
            if act.found(watched):
                if self.patient:
                    await self._told(pipeline)
                outside.act += 1
                continue
            outside.fails = act.fails
            outside.seconds += 1.0
            for judge in watched.judges.values():
                await pipeline.take(Order(judge.check, outside.now().tick, 5.0, scheduled=True))
                if self.patient:
                    await self._told(pipeline)
            if not (outside.seconds % 3 or pipeline.writer.uncommitted):
                # As the pipeline flushes; its own timer runs in real seconds, which the story does not.
                await self.store.save([judge.record(outside.now()) for judge in watched.judges.values()])
        raise AssertionError("the story does not end")

    async def _told(self, pipeline: Pipeline) -> None:
        """Until all that was decided is in the journal, and told."""
        async with asyncio.timeout(PATIENCE):
            while pipeline.writer.uncommitted or await self.store.backlog():  # noqa: ASYNC110  (a store tells nobody)
                await asyncio.sleep(0.001)

    async def abandon(self, image: Path) -> None:
        """The process is gone: what it left on the disk, as a reboot would find it."""
        await self.inner.events(1)  # its thread has ended what it was doing
        shutil.copytree(self.folder, image, ignore=shutil.ignore_patterns("agent.lock"))
        await self.inner.close()


def _once(point: Point) -> Callable[[int], Fate]:
    """The first life ends at the point, the others do not."""
    return lambda life: Fate(Point() if life else point)


async def tell_story(folder: Path, fates: Callable[[int], Fate], *, patient: bool) -> tuple[Outside, Path]:
    """Live until a life has told all of it. Returns what the outside saw, and the last state directory."""
    outside = Outside()
    for number in range(200):
        place, fate = folder / str(number), fates(number)
        life = Life(place, outside, fate, patient=patient)
        try:
            await life.live()
        except BaseExceptionGroup as group:
            if other := group.split(Crash)[1]:
                raise other from None
        except Crash:
            pass
        else:
            await life.inner.close()
            return outside, place
        outside.crashes += 1
        await life.abandon(folder / str(number + 1))
        shutil.rmtree(place)
    raise AssertionError("no life has told the whole story")


def check_told(outside: Outside, place: Path, *, whole: bool) -> None:
    """What must hold, wherever it crashed. `whole`: each act was told before the next began."""
    accepted = outside.sink.accepted
    check_journal(place, _first(accepted), unrouted="")
    _same_bytes(accepted)
    _in_order(accepted, place)
    if whole:
        chain = [("unknown", "up"), ("up", "down"), ("down", "degraded"), ("degraded", "up")]
        for name in ("home", "jobs"):
            query = f"SELECT old, new FROM transitions WHERE kind = 'check' AND subject = '{name}' ORDER BY seq"
            assert rows(place, query) == chain
        assert len(_first(accepted)) == 2 * 9


def _first(accepted: list[Delivery]) -> dict[str, Delivery]:
    first: dict[str, Delivery] = {}
    for delivery in accepted:
        first.setdefault(delivery.event_id, delivery)
    return first


def _same_bytes(accepted: list[Delivery]) -> None:
    first = _first(accepted)
    for delivery in accepted:
        assert delivery.body == first[delivery.event_id].body
        assert json.loads(delivery.body)["id"] == delivery.event_id


def _in_order(accepted: list[Delivery], place: Path) -> None:
    """Within a stream, each event is first told before the next one is; a repetition is that of the latest."""
    numbers = dict(rows(place, "SELECT id, number FROM events"))
    latest: dict[str, int] = {}
    for delivery in accepted:
        number = numbers[delivery.event_id]
        assert number >= latest.get(delivery.stream, 0)
        latest[delivery.stream] = number


async def test_the_story_without_a_crash(tmp_path: Path) -> None:
    fate = Fate()
    outside, place = await tell_story(tmp_path, lambda _number: fate, patient=True)
    check_told(outside, place, whole=True)
    assert len(outside.sink.accepted) == 18, "and nothing twice"
    assert fate.counts["commit"] == 8
    assert fate.counts["send"] == fate.counts["delivered"] == 18
    assert fate.counts["save"] > 0


@pytest.mark.timeout(240)
@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize(
    ("operation", "patient"),
    [(operation, patient) for operation in OPERATIONS for patient in (True, False) if patient or operation != "save"],
)
async def test_a_crash_at_each_point(tmp_path: Path, operation: str, side: Side, *, patient: bool) -> None:
    """`patient`: each change is told before the next look; otherwise all looks come at once, without a flush."""
    number, crashes = 0, 1
    while crashes:
        number += 1
        point = Point(operation, side, number)
        folder = tmp_path / str(number)
        outside, place = await tell_story(folder, _once(point), patient=patient)
        try:
            check_told(outside, place, whole=patient)
        except AssertionError as error:
            raise AssertionError(f"after a crash at {point}") from error
        crashes = outside.crashes
        shutil.rmtree(folder)
    assert number > 1, "there was a point to crash at"


@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", range(12))
async def test_crash_after_crash(tmp_path: Path, seed: int) -> None:
    """Each life ends after a few calls, wherever that is."""
    random = Random(seed)
    outside, place = await tell_story(
        tmp_path,
        lambda life: Fate(any_call=random.randint(1, 8 + life) if life < 60 else None),
        patient=seed % 2 == 0,
    )
    check_told(outside, place, whole=seed % 2 == 0)
    assert outside.crashes > 2
    with suppress(FileNotFoundError):
        shutil.rmtree(place)
