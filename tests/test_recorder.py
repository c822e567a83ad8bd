"""The recorder in virtual time: looks reach the history in batches, and its trouble costs looks and nothing else."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime, timedelta

import structlog

from monitor.clock import CautiousClock
from monitor.core.model import Look, Moment, State
from monitor.core.rows import Rows
from monitor.recorder import FLUSH_EVERY, Recorder
from monitor.store.contract import StoreError
from monitor.store.memory import MemoryStore
from probes.contract import Observation
from tests.core.builders import check
from tests.virtual_time import START, VirtualClock, run


class Past(MemoryStore):
    """A store that notes its batches, and can be told to fail."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []
        self.slices = 0
        self.failing = False

    async def record(self, looks: Rows[str], now: datetime) -> None:
        if self.failing:
            raise StoreError("the history: the disk is full")
        self.batches.append(len(looks))

    async def tend(self, now: datetime) -> bool:
        self.slices += 1
        return self.slices % 3 != 0


def take(into: Recorder, looks: int = 1) -> None:
    now = VirtualClock().now()
    for _ in range(looks):
        into.take(check(), Look("home", Observation({"response_time": 0.1}), now, now), State.UP)


async def during(recording: Recorder, seconds: float, looks: int) -> None:
    task = asyncio.create_task(recording.run())
    for _ in range(round(seconds / FLUSH_EVERY)):
        take(recording, looks)
        await asyncio.sleep(FLUSH_EVERY)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def lost_by(store: Past, seconds: float, looks: int, **bounds: int) -> list[int]:
    lost: list[int] = []
    run(during(Recorder(store, VirtualClock(), lost.append, **bounds), seconds, looks))
    return lost


def test_looks_are_written_in_batches_and_the_past_is_tended() -> None:
    store = Past()
    assert lost_by(store, 60, 7) == []
    assert sum(store.batches) == 28
    assert store.batches[1:] == [7, 7, 7] or store.batches == [7, 7, 7, 7]
    assert store.slices >= 9


def test_what_is_left_is_written_at_the_end() -> None:
    async def end() -> list[int]:
        store = Past()
        recording = Recorder(store, VirtualClock(), lambda looks: None)
        take(recording, 3)
        await recording.settle()
        return store.batches

    assert run(end()) == [3]


def test_whoever_settles_meanwhile_waits_and_nothing_is_written_twice() -> None:
    class Slow(Past):
        async def record(self, looks: Rows[str], now: datetime) -> None:
            await asyncio.sleep(5)
            await super().record(looks, now)

    async def both() -> list[int]:
        store = Slow()
        recording = Recorder(store, VirtualClock(), lambda looks: None)
        take(recording, 3)
        first = asyncio.create_task(recording.settle())
        await asyncio.sleep(1)
        take(recording, 2)
        await recording.settle()
        assert first.done()
        return store.batches

    assert run(both()) == [3, 2]


def test_a_history_in_trouble_costs_looks_only_when_they_are_too_many() -> None:
    store = Past()
    store.failing = True
    with structlog.testing.capture_logs() as logs:
        assert lost_by(store, 75, 7, limit=20) != []
    assert [line["event"] for line in logs] == ["history_failed"], "said once"


def test_what_waited_is_written_when_it_works_again() -> None:
    async def play() -> tuple[list[int], int]:
        store, lost = Past(), list[int]()
        recording = Recorder(store, VirtualClock(), lost.append)
        store.failing = True
        take(recording, 2)
        await recording.settle()
        take(recording, 3)
        await recording.settle()
        store.failing = False
        await recording.settle()
        return store.batches, sum(lost)

    assert run(play()) == ([2, 3, 0], 0)


class SetClock:
    """A clock that somebody sets."""

    def __init__(self) -> None:
        self.tick, self.ahead = 1000.0, timedelta(0)

    def now(self) -> Moment:
        return Moment(START + timedelta(seconds=self.tick) + self.ahead, self.tick)


def test_what_is_kept_is_not_removed_because_the_clock_was_set_forward() -> None:
    clock = SetClock()
    cautious = CautiousClock(clock, lambda: clock.tick)
    right = cautious.now()
    clock.tick += 60
    clock.ahead = timedelta(minutes=50)
    assert cautious.now() - right == timedelta(minutes=51), "as in summer, or after a sleep"
    for set_to in (timedelta(days=3650), timedelta(minutes=50), timedelta(days=3650)):
        clock.ahead = set_to
        clock.tick += 80_000
        assert cautious.now() - right == timedelta(seconds=clock.tick - 1000, minutes=50)
    clock.tick += 80_000
    assert cautious.now() - right < timedelta(days=10)
    clock.tick += 10_000
    assert cautious.now() - right > timedelta(days=3650), "nobody has set it right for a day"
    clock.ahead = timedelta(0)
    assert cautious.now() - right == timedelta(seconds=clock.tick - 1000)
