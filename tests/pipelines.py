"""A pipeline on a bench, in virtual time: its store meets the trouble, and its looks find what the test says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, cast

from monitor.core.judge import Judge
from monitor.core.model import Change, CheckRecord, Event, Look
from monitor.core.world import World
from monitor.pipeline import Pipeline
from monitor.runner import Order, Runner
from monitor.store.memory import MemoryStore, Shelf
from probes.contract import Observation, Reason
from tests.core.builders import check, world
from tests.store.made import event, told, transition
from tests.virtual_time import VirtualClock, run

NAMES = ("a", "b", "c")


@dataclass
class Notes:
    """An observer that counts."""

    looks: int = 0
    committed_changes: list[int] = field(default_factory=list)
    failed: int = 0
    lost: int = 0

    def look(self, look: Look, judge: Judge) -> None:
        self.looks += 1

    def committed(self, changes: int, seconds: float) -> None:
        self.committed_changes.append(changes)

    def commit_failed(self) -> None:
        self.failed += 1

    def unstorable(self) -> None:
        self.lost += 1


class Troubled(MemoryStore):
    """A store that does as it is told before it does its work; `calls` says what it was asked for, and when."""

    def __init__(self, shelf: Shelf) -> None:
        super().__init__(shelf)
        self.calls: list[tuple[str, float, int]] = []
        self.trouble: Callable[[str, int], Awaitable[None] | None] = lambda call, number: None
        self.kept_as: Callable[[Event], Event] = lambda event: event

    async def _meet(self, call: str, items: int) -> None:
        self.calls.append((call, asyncio.get_running_loop().time(), items))
        waited = self.trouble(call, sum(1 for name, *_ in self.calls if name == call))
        if waited is not None:
            await waited

    async def commit(self, changes: Sequence[Change], supersedes: frozenset[str]) -> Sequence[Event]:
        await self._meet("commit", len(changes))
        return [self.kept_as(event) for event in await super().commit(changes, supersedes)]

    async def save(self, checks: Sequence[CheckRecord]) -> None:
        await self._meet("save", len(checks))
        await super().save(checks)

    def times(self, call: str) -> list[float]:
        return [round(at, 3) for name, at, _ in self.calls if name == call]

    def sizes(self, call: str) -> list[int]:
        return [items for name, _, items in self.calls if name == call]


class Scripted:
    """Stands in for the runner: a look fails, or succeeds, as the test says."""

    def __init__(self) -> None:
        self.fails: Reason | None = None

    async def look(self, order: Order, memory: Any) -> Look:
        began = VirtualClock().now()
        await asyncio.sleep(0)
        return Look(order.check.id, Observation({"response_time": 0.1}, self.fails), began, VirtualClock().now())


@dataclass
class Bench:
    pipeline: Pipeline
    store: Troubled
    shelf: Shelf
    notes: Notes
    watched: World
    script: Scripted
    woken: list[frozenset[str]]
    published: list[Event]
    running: asyncio.Task[None] | None = None

    def begin(self) -> None:
        self.running = asyncio.create_task(self.pipeline.writer.run())

    async def end(self) -> None:
        """Stop committing as the agent does."""
        assert self.running is not None
        self.running.cancel()
        with suppress(asyncio.CancelledError):
            await self.running

    async def look(self, name: str = "a", *, fails: Reason | None = None) -> None:
        self.script.fails = fails
        order = Order(self.watched.judges[name].check, 0.0, 5.0, scheduled=True)
        await self.pipeline.take(order)

    def well(self) -> bool:
        return self.pipeline.writer.journal_ok

    @property
    def kept(self) -> list[str]:
        """The ids of the events in the journal, in their order."""
        return list(self.shelf.bodies)


async def bench() -> Bench:
    shelf = Shelf()
    store, notes, script, woken = Troubled(shelf), Notes(), Scripted(), list[frozenset[str]]()
    published = list[Event]()
    journal = await store.open()
    watched = world(*(check(name) for name in NAMES), journal=journal)
    pipeline = Pipeline(
        watched,
        cast(Runner, script),
        store,
        VirtualClock(),
        level_sinks=frozenset(),
        wake=woken.append,
        observer=notes,
        publish=published.extend,
    )
    return Bench(pipeline, store, shelf, notes, watched, script, woken, published)


def in_bench(test: Callable[[Bench], Awaitable[None]]) -> None:
    async def main() -> None:
        await test(await bench())

    run(main())


def news(name: str, **body: Any) -> Change:
    return told(event(name, f"stream {name}", **body))


def poison(name: str = "bad") -> Change:
    return replace(news(name, what=object()), transitions=(transition("poisoned"),))


def raising(error: Exception, *numbers: int, on: str = "commit") -> Callable[[str, int], None]:
    """Fail the calls with these numbers (from 1); with none, all of them."""

    def trouble(call: str, number: int) -> None:
        if call == on and (not numbers or number in numbers):
            raise error

    return trouble
