"""The writer in virtual time: what is decided becomes durable, in order, whatever the store does meanwhile."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest
import structlog

from monitor.store.contract import Fenced, StoreError, Unstorable
from monitor.writer import COMMIT_BATCH, FLUSH_EVERY, RETRY_COMMIT
from probes.contract import Reason
from tests.pipelines import NAMES, Bench, in_bench, news, poison, raising


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
