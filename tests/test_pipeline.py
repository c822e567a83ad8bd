"""The pipeline in virtual time: what is decided becomes durable, in order, whatever the store does meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest
import structlog

from monitor.core.judge import Judge
from monitor.core.model import Change, CheckRecord, Event, Look
from monitor.core.world import World
from monitor.pipeline import Pipeline
from monitor.runner import Order, Runner
from monitor.store.contract import Fenced, StoreError, Unstorable
from monitor.store.memory import MemoryStore, Shelf
from monitor.writer import COMMIT_BATCH, FLUSH_EVERY, RETRY_COMMIT
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


def test_a_transition_is_committed_at_once_and_its_sinks_are_woken() -> None:
    async def test(here: Bench) -> None:
        here.begin()
        for _ in range(4):
            await asyncio.sleep(1)
            await here.look(fails=Reason.REFUSED)
        await asyncio.sleep(0.001)
        assert here.store.times("commit") == [3.0]
        assert here.shelf.checks["a"].state.value == "down"
        assert [incident.root for incident in here.shelf.incidents.values()] == ["a"]
        assert here.woken == [frozenset({"hook"})]
        assert here.notes.looks == 4
        assert here.pipeline.writer.uncommitted == 0

    in_bench(test)


def test_what_was_decided_is_entered_whatever_becomes_of_those_who_watch() -> None:
    async def test(here: Bench) -> None:
        def broken(*_: object) -> None:
            raise OverflowError("a counter that fits no array")

        here.notes.look = broken  # type: ignore[method-assign]
        for _ in range(4):
            await asyncio.sleep(1)
            with pytest.raises(OverflowError):
                await here.look(fails=Reason.REFUSED)
        assert here.pipeline.writer.uncommitted == 1

    in_bench(test)


def test_events_are_published_as_the_store_has_them() -> None:
    """While the journal cannot be written they are marked, and whoever follows them must be told so as well."""

    async def test(here: Bench) -> None:
        here.store.kept_as = lambda event: replace(event, body={**event.body, "durable": False})
        here.pipeline.writer.enter(news("e1"))
        await here.pipeline.writer.settle()
        assert [(event.id, event.body["durable"]) for event in here.published] == [("e1", False)]

    in_bench(test)


def test_looks_that_change_nothing_are_not_committed() -> None:
    async def test(here: Bench) -> None:
        here.begin()
        for _ in range(8):
            await here.look()
            await asyncio.sleep(1)
        assert here.store.sizes("commit") == [1], "unknown to up, and nothing since"
        assert here.woken == [], "a first good look is no news"

    in_bench(test)


def test_a_check_that_was_never_judged_is_logged_once() -> None:
    """A wrong password in the file: there is no transition that would tell of it."""

    async def test(here: Bench) -> None:
        here.begin()
        with structlog.testing.capture_logs() as logged:
            for _ in range(60):
                await here.look(fails=Reason.DENIED)
                await asyncio.sleep(1)
        told = [line for line in logged if line["event"] == "cannot_tell"]
        assert [(line["check"], line["reason"], line["log_level"]) for line in told] == [("a", "denied", "warning")]
        assert "the agent may not look there" in told[0]["why"]

    in_bench(test)


def test_a_failing_store_keeps_changes_retries_and_keeps_their_order() -> None:
    async def test(here: Bench) -> None:
        here.store.trouble = raising(StoreError("the disk is full: make room"), 1, 2, 3)
        here.begin()
        with structlog.testing.capture_logs() as logged:
            for number in range(4):
                here.pipeline.writer.enter(news(f"e{number}"))
                await asyncio.sleep(0.5)
            assert not here.well()
            assert here.pipeline.writer.uncommitted == 4
            assert here.kept == []
            await asyncio.sleep(2)
        assert here.store.times("commit") == [0, RETRY_COMMIT, 2 * RETRY_COMMIT, 3 * RETRY_COMMIT]
        assert here.kept == ["e0", "e1", "e2", "e3"]
        assert here.well()
        assert here.notes.failed == 3
        failures = [line for line in logged if line["event"] == "journal_failed"]
        assert len(failures) == 1, "said once, not with every attempt"
        assert "make room" in failures[0]["error"]

    in_bench(test)


def test_everything_is_told_only_when_nothing_waits_to_be_committed() -> None:
    async def test(here: Bench) -> None:
        here.pipeline.writer.enter(news("e0"))
        assert here.pipeline.writer.everything() is None
        here.begin()
        await asyncio.sleep(1)
        assert here.pipeline.writer.everything() is not None

    in_bench(test)


def test_looking_goes_on_while_the_store_hangs() -> None:
    async def test(here: Bench) -> None:
        gate = asyncio.Event()
        here.store.trouble = lambda call, number: cast(Awaitable[None], gate.wait()) if call == "commit" else None
        here.begin()
        for _ in range(60):
            await here.look(fails=Reason.REFUSED)
            await asyncio.sleep(1)
        assert here.notes.looks == 60
        assert here.watched.judges["a"].state.value == "down"
        assert here.kept == []
        gate.set()
        await asyncio.sleep(0.1)
        assert len(here.kept) == 3, "check, service and incident, as if nothing had been"

    in_bench(test)


def test_a_storm_is_committed_in_batches() -> None:
    async def test(here: Bench) -> None:
        for number in range(COMMIT_BATCH * 2 + 1):
            here.pipeline.writer.enter(news(f"e{number}"))
        here.begin()
        await asyncio.sleep(0.1)
        assert here.store.sizes("commit") == [COMMIT_BATCH, COMMIT_BATCH, 1]
        assert here.kept == [f"e{number}" for number in range(COMMIT_BATCH * 2 + 1)]

    in_bench(test)


@pytest.mark.parametrize("on", ["commit", "save"])
def test_fenced_ends_it_loudly(on: str) -> None:
    async def test(here: Bench) -> None:
        here.store.trouble = raising(Fenced("another agent has taken over"), on=on)
        here.begin()
        await here.look()
        assert here.running is not None
        with pytest.raises(Fenced):
            await asyncio.wait_for(here.running, FLUSH_EVERY + 1)

    in_bench(test)


def test_memory_is_flushed_now_and_then_and_only_of_checks_that_were_looked_at() -> None:
    async def test(here: Bench) -> None:
        here.begin()
        await here.look("a")
        await here.look("b")
        await asyncio.sleep(FLUSH_EVERY * 3 + 1)
        assert here.store.times("save") == [FLUSH_EVERY]
        assert here.store.sizes("save") == [2]
        assert set(here.shelf.checks) == {"a", "b"}

    in_bench(test)


def test_a_flush_never_runs_ahead_of_the_commits() -> None:
    """A saved state that is ahead of its events would, after a crash, never be told."""

    async def test(here: Bench) -> None:
        here.begin()
        await here.look()
        await asyncio.sleep(1)
        here.store.trouble = raising(StoreError("the disk is full"), on="commit")
        for _ in range(4):
            await here.look(fails=Reason.REFUSED)
            await asyncio.sleep(1)
        assert here.pipeline.writer.uncommitted == 1
        await asyncio.sleep(FLUSH_EVERY * 2)
        assert here.store.times("save") == []
        assert here.shelf.checks["a"].state.value == "up", "what is in the journal is what was told"
        here.store.trouble = lambda call, number: None
        await asyncio.sleep(RETRY_COMMIT + FLUSH_EVERY)
        assert here.shelf.checks["a"].state.value == "down"
        order = [call for call, *_ in here.store.calls]
        assert order.index("save") > len(order) - 1 - order[::-1].index("commit")

    in_bench(test)


def test_a_flush_that_fails_is_done_again_and_the_journal_is_well_again_afterwards() -> None:
    async def test(here: Bench) -> None:
        here.begin()
        await here.look()
        here.store.trouble = raising(StoreError("the disk is full"), 1, on="save")
        await asyncio.sleep(FLUSH_EVERY + 0.1)
        assert not here.well()
        await asyncio.sleep(FLUSH_EVERY + RETRY_COMMIT)
        assert here.store.sizes("save") == [1, 1]
        assert here.well()

    in_bench(test)


def test_a_change_that_cannot_be_stored_is_given_up_and_blocks_no_other() -> None:
    async def test(here: Bench) -> None:
        numbers = [n for n in range(40) if n not in (0, 17, 39)]
        for number in range(40):
            here.pipeline.writer.enter(news(f"e{number}") if number in numbers else poison(f"bad{number}"))
        with structlog.testing.capture_logs() as logged:
            here.begin()
            await asyncio.sleep(1)
        assert here.kept == [f"e{number}" for number in numbers], "all others, in their order"
        assert here.pipeline.writer.uncommitted == 0
        assert here.notes.lost == 3
        lost = [line for line in logged if line["event"] == "change_lost"]
        assert [line["events"] for line in lost] == [["bad0"], ["bad17"], ["bad39"]]
        assert lost[0]["transitions"] == ["check poisoned"]
        assert "bad0" in lost[0]["error"]
        assert {line["log_level"] for line in lost} == {"error"}
        assert here.well(), "the journal is fine, the change was not"
        assert sum(map(len, here.woken)) > 0

    in_bench(test)


def test_nothing_but_changes_that_cannot_be_stored() -> None:
    async def test(here: Bench) -> None:
        for number in range(600):
            here.pipeline.writer.enter(poison(f"bad{number}"))
        here.pipeline.writer.enter(news("good"))
        here.begin()
        await asyncio.sleep(1)
        assert here.kept == ["good"]
        assert len(here.store.calls) < 600 + 20

    in_bench(test)


def test_the_batches_grow_again_behind_a_change_that_cannot_be_stored() -> None:
    async def test(here: Bench) -> None:
        here.pipeline.writer.enter(poison())
        for number in range(COMMIT_BATCH * 2):
            here.pipeline.writer.enter(news(f"e{number}"))
        here.begin()
        await asyncio.sleep(0.1)
        assert len(here.kept) == COMMIT_BATCH * 2
        assert len(here.store.calls) < 25

    in_bench(test)


def test_a_memory_that_cannot_be_stored_keeps_no_other_from_being_saved() -> None:
    async def test(here: Bench) -> None:
        here.begin()
        for name in NAMES:
            await here.look(name)
        await asyncio.sleep(1)
        here.watched.judges["b"].memory["cursor"] = cast(str, object())
        for name in NAMES:
            await here.look(name)
        with structlog.testing.capture_logs() as logged:
            await asyncio.sleep(FLUSH_EVERY)
        assert here.store.sizes("save") == [3, 1, 1, 1]
        assert here.notes.lost == 1
        assert [line["check"] for line in logged if line["event"] == "memory_lost"] == ["b"]
        assert here.shelf.checks["b"].snapshot["memory"] == {}

    in_bench(test)


def test_settling_commits_and_flushes_what_is_left() -> None:
    async def test(here: Bench) -> None:
        here.begin()
        await here.end()
        for number in range(COMMIT_BATCH + 1):
            here.pipeline.writer.enter(news(f"e{number}"))
        here.pipeline.writer.enter(poison())
        await here.look()
        await here.pipeline.writer.settle()
        assert len(here.kept) == COMMIT_BATCH + 1
        assert here.shelf.checks["a"].state.value == "up"
        assert here.store.calls[-1][0] == "save"

    in_bench(test)


def test_settling_tries_once_and_does_not_hold_up_the_end() -> None:
    async def test(here: Bench) -> None:
        here.store.trouble = raising(StoreError("the disk is full"))
        here.pipeline.writer.enter(news("e1"))
        await here.pipeline.writer.settle()
        assert asyncio.get_running_loop().time() <= RETRY_COMMIT
        assert here.pipeline.writer.uncommitted == 1
        assert here.store.sizes("save") == []

    in_bench(test)


def test_stopping_in_the_middle_of_a_commit_stores_it_once() -> None:
    async def test(here: Bench) -> None:
        async def late(call: str) -> None:
            await asyncio.sleep(5)

        here.store.trouble = lambda call, number: late(call) if call == "commit" and number == 1 else None
        here.pipeline.writer.enter(news("e1"))
        here.begin()
        await asyncio.sleep(1)
        await here.end()
        await here.pipeline.writer.settle()
        assert here.kept == ["e1"]

    in_bench(test)


def test_unstorable_is_a_store_error() -> None:
    """Whoever only knows store errors tries again, which is harmless."""
    assert issubclass(Unstorable, StoreError)


def test_what_people_decide_is_waited_for_until_the_journal_has_it() -> None:
    async def test(here: Bench) -> None:
        here.pipeline.decide(lambda _world, _now: news("a"))
        assert not await here.pipeline.writer.committed(0.5), "nobody commits yet"
        here.begin()
        assert await here.pipeline.writer.committed(5)
        assert here.kept == ["a"]
        here.pipeline.decide(lambda _world, _now: None)
        assert await here.pipeline.writer.committed(1)

    in_bench(test)
