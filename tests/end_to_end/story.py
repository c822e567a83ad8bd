"""One agent's life, as tests end it at any point: decisions, pipeline, journal and outbox are real, the target is a
script. A crash leaves the state directory as it is at that moment, and another agent goes on from there.
"""

from __future__ import annotations

import asyncio
import io
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import ClassVar, cast

import httpx

from monitor.core.judge import Judge
from monitor.core.model import Confirm, Impact, Look, Moment, Recover, State
from monitor.core.routing import Route, Term
from monitor.core.world import World
from monitor.outbox import Outbox, Pace
from monitor.pipeline import Pipeline
from monitor.runner import Order, Runner
from monitor.sinks.contract import Sink
from monitor.store.contract import Store
from monitor.store.sqlite import SqliteStore
from probes.contract import Context, Measurement, Observation, Probe, Reason, Resolver, TlsContexts, Unit
from tests.core.builders import check, moment, world
from tests.end_to_end.crashes import Crash, Fate, MortalSink, MortalStore, Point, Recording

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
    names: tuple[str, ...] = ("home", "jobs")
    """Of the checks."""
    routes: tuple[Route, ...] = EVERYTHING
    level_sinks: frozenset[str] = frozenset()
    pace: Pace = field(default_factory=Pace)

    def now(self) -> Moment:
        return moment(self.seconds)

    def sinks(self, fate: Fate) -> Mapping[str, Sink]:
        """Those of one life."""
        return {"hook": MortalSink(self.sink, fate)}

    def waits(self, life: int) -> bool:
        """Whether that life goes on only when all is told, where lives are patient."""
        return True

    def transport(self, fate: Fate) -> httpx.AsyncBaseTransport | None:
        """By which the sinks of one life ask; None: as ever."""
        return None


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
            for name in outside.names
        ]
        watched = world(*checks, routes=outside.routes, journal=journal, at=outside.seconds)
        async with httpx.AsyncClient(transport=outside.transport(self.fate), verify=False) as client:
            outbox = Outbox(
                self.store,
                outside.sinks(self.fate),
                client=client,
                terminal=io.StringIO(),
                clock=outside,
                random=Random(1),
                notes=journal.notes,
                pace=outside.pace,
            )
            runner = Runner(outside, cast(Resolver, None), cast(TlsContexts, None))
            pipeline = Pipeline(
                watched,
                runner,
                self.store,
                outside,
                level_sinks=outside.level_sinks,
                wake=outbox.wake,
                observer=Deaf(),
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


def once(point: Point) -> Callable[[int], Fate]:
    """The first life ends at the point, the others do not."""
    return lambda life: Fate(Point() if life else point)


async def tell_story(outside: Outside, folder: Path, fates: Callable[[int], Fate], *, patient: bool) -> Path:
    """Live until a life has told all of it. Returns the last state directory."""
    for number in range(200):
        place, fate = folder / str(number), fates(number)
        life = Life(place, outside, fate, patient=patient and outside.waits(number))
        try:
            await life.live()
        except BaseExceptionGroup as group:
            if other := group.split(Crash)[1]:
                raise other from None
        except Crash:
            pass
        else:
            await life.inner.close()
            return place
        outside.crashes += 1
        await life.abandon(folder / str(number + 1))
        shutil.rmtree(place)
    raise AssertionError("no life has told the whole story")
