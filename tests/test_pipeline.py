"""The pipeline in virtual time: looks are judged, and what was decided goes to the writer, whatever a store does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from typing import cast

import pytest
import structlog

from probes.contract import Reason
from tests.pipelines import Bench, in_bench, news


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
        assert "the agent cannot look there" in told[0]["why"]

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
