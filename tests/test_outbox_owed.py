"""What would end something that is open at a sink is never forgotten: not by a restart, a reload, an answer 410."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import structlog

from monitor.claiming import REMOVED
from monitor.sending import SinkCondition
from monitor.store.contract import Delivery
from monitor.store.memory import MemoryStore, Shelf
from tests.sending import FakeSink, Forgetful, People, accept, news, refuse, until, working
from tests.store.made import NOBODY, event, told
from tests.virtual_time import run

DAY = 86400.0


def dead(letters: list[Any]) -> list[str]:
    return sorted(letter.delivery.event_id for letter in letters)


@pytest.mark.parametrize("when", ["before", "after"])
def test_the_end_waits_for_a_sink_that_is_gone_at_the_restart_and_says_so(when: str) -> None:
    async def scenario() -> None:
        shelf, back, chat = Shelf(), FakeSink(), FakeSink()
        before = MemoryStore(shelf)
        await before.open()
        await before.commit([told(news(1), *([news(1, "resolved")] if when == "before" else []))], NOBODY)
        still = {} if when == "before" else {"hook": ["inc_1"], "chat": ["inc_2"]}
        async with working(MemoryStore(shelf), open_at=lambda: still, chat=chat) as bench:
            await asyncio.sleep(1)
            assert await bench.outbox.owed() == {"hook": ["inc_1"]}
            if when == "after":
                still.clear()
                await bench.tell(news(1, "resolved"))
            await asyncio.sleep(7 * DAY)
            assert dead(await bench.store.dead_letters(9)) == ["evt_1_outage"]
            assert await bench.outbox.owed() == {"hook": ["inc_1"]}
            bench.outbox.adopt({"chat": chat, "hook": back})
            await asyncio.sleep(0.1)
            assert back.names == ["evt_1_resolved"], "at once when it is back"
            assert await bench.outbox.owed() == {}
            assert await bench.store.backlog() == {"hook": (await bench.store.backlog())["hook"]}
            assert (await bench.store.backlog())["hook"].waiting == 0

    with structlog.testing.capture_logs() as logged:
        run(scenario())
    [line] = [line for line in logged if line["event"] == "outbox.end_owed"]
    assert (line["sink"], line["of"], line["log_level"]) == ("hook", ["inc_1"], "error")
    assert "put it back, or resolve them there by hand" in line["advice"]


def test_restarts_do_not_wear_it_out_and_after_a_month_it_is_a_dead_letter() -> None:
    async def scenario() -> None:
        attempts: list[int] = []

        async def counted(delivery: Delivery) -> None:
            attempts.append(delivery.attempt)

        shelf, back = Shelf(), FakeSink([counted])
        before = MemoryStore(shelf)
        await before.open()
        await before.commit([told(news(1), news(1, "resolved"))], NOBODY)
        for _ in range(4):
            async with working(MemoryStore(shelf)):
                await asyncio.sleep(1)
        async with working(MemoryStore(shelf), hook=back) as bench:
            await asyncio.sleep(1)
            assert attempts == [2], "it was leased once, along with what was given up"
            bench.outbox.adopt({})
            await asyncio.sleep(1)
            await bench.tell(news(3, "resolved"), news(4, "resolved", at=int(30 * DAY)))
            await asyncio.sleep(31 * DAY)
            assert dead(await bench.store.dead_letters(9)) == ["evt_1_outage", "evt_3_resolved"]
            assert await bench.outbox.owed() == {"hook": ["inc_4"]}

    run(scenario())


def test_a_removed_sink_is_told_an_end_that_waits_though_nothing_is_open_any_more() -> None:
    """Its other side was away when the incident ended; reloads, however many, change nothing."""

    async def scenario() -> None:
        pager, still = FakeSink([accept, *[refuse()] * 6, accept]), {"hook": ["inc_1"]}
        async with working(hook=pager, open_at=lambda: still) as bench:
            await bench.tell(news(1))
            await asyncio.sleep(1)
            still.clear()
            await bench.tell(news(1, "resolved"), event("e1"))
            await asyncio.sleep(1)
            for _ in range(2):
                bench.outbox.adopt({})
                await asyncio.sleep(1)
                assert bench.outbox.states["hook"].retired
            await asyncio.sleep(300)
            assert pager.names[-1] == "evt_1_resolved"
            assert dead(await bench.store.dead_letters(9)) == ["e1"]
            assert bench.outbox.states == {}, "then it is let go"

    run(scenario())


def test_a_sink_that_comes_back_while_its_lane_ends_has_one() -> None:
    async def scenario() -> None:
        first, again = Forgetful(), FakeSink()
        async with working(hook=first) as bench:
            await asyncio.sleep(1)
            for turns in range(12):
                bench.outbox.adopt({})
                for _ in range(turns):
                    await asyncio.sleep(0)
                bench.outbox.adopt({"hook": first})
                await asyncio.sleep(1)
            bench.outbox.adopt({"hook": again})
            await bench.tell(news(1))
            await asyncio.sleep(1)
            assert again.names == ["evt_1_outage"]

    run(scenario())


def test_a_disabled_sink_is_told_the_end_once_somebody_has_seen_to_it() -> None:
    async def scenario() -> None:
        gone, right = FakeSink([accept, refuse(gone=True)]), FakeSink()
        async with working(hook=gone) as bench:
            await bench.tell(news(1))
            await asyncio.sleep(1)
            await bench.tell(news(1, "resolved"), news(2))
            await asyncio.sleep(1)
            await bench.tell(news(3), news(2, "resolved"))
            await asyncio.sleep(10 * DAY)
            assert dead(await bench.store.dead_letters(9)) == ["evt_2_outage", "evt_3_outage"]
            assert gone.names == ["evt_1_outage", "evt_1_resolved", "evt_2_outage"], "two were under way"
            assert bench.outbox.states["hook"].condition is SinkCondition.DISABLED
            assert (await bench.store.backlog())["hook"].waiting == 2
            bench.outbox.adopt({"hook": right})
            await asyncio.sleep(0.1)
            assert sorted(right.names) == ["evt_1_resolved", "evt_2_resolved"]

    run(scenario())


def test_a_restart_tries_a_disabled_sink_again_with_the_end_that_waits() -> None:
    async def scenario() -> None:
        shelf, gone = Shelf(), FakeSink([refuse(gone=True)])
        async with working(MemoryStore(shelf), hook=gone) as bench:
            await bench.tell(news(1, "resolved"))
            await asyncio.sleep(100)
        assert len(gone.names) == 1
        async with working(MemoryStore(shelf), hook=gone) as bench:
            await asyncio.sleep(100)
            assert len(gone.names) == 2, "once, and it is disabled again"
            assert bench.outbox.states["hook"].condition is SinkCondition.DISABLED
            assert await bench.store.dead_letters(9) == []
        back = FakeSink()
        async with working(MemoryStore(shelf), hook=back):
            await asyncio.sleep(1)
            assert back.names == ["evt_1_resolved"]

    run(scenario())


@pytest.mark.parametrize("how", [{"permanent": True}, {"gone": True}, {}])
def test_an_answer_to_the_definition_before_says_nothing_of_the_one_now(how: dict[str, Any]) -> None:
    async def scenario() -> None:
        answered = asyncio.Event()
        wrong, right = FakeSink([until(answered, refuse(**how))]), FakeSink()
        async with working(hook=wrong) as bench:
            await bench.tell(news(1))
            await asyncio.sleep(1)
            bench.outbox.adopt({"hook": right})
            answered.set()
            await asyncio.sleep(0.1)
            assert right.names == ["evt_1_outage"]
            assert bench.outbox.states["hook"].condition is SinkCondition.FINE
            assert await bench.store.dead_letters(9) == []

    run(scenario())


def test_somebody_sees_to_a_sink_while_what_waits_is_given_up() -> None:
    class Slow(MemoryStore):
        between: Callable[[], None] | None = None

        async def claim(self, *given: Any, **more: Any) -> list[Delivery]:
            rows = await super().claim(*given, **more)
            if rows and self.between is not None:
                self.between()
            return rows

    async def scenario() -> None:
        store, gone, right = Slow(), FakeSink([refuse(gone=True)]), FakeSink()
        async with working(store, hook=gone) as bench:
            await bench.tell(event("e1"))
            await asyncio.sleep(1)
            store.between = lambda: bench.outbox.adopt({"hook": right})
            await bench.tell(event("e2"))
            await asyncio.sleep(1)
            assert right.names == ["e2"]

    run(scenario())


def test_what_is_no_end_is_given_up_at_once_and_one_that_came_back_meanwhile_loses_nothing() -> None:
    async def scenario() -> None:
        shelf, back = Shelf(), FakeSink()
        before = MemoryStore(shelf)
        await before.open()
        await before.commit([told(*(event(f"e{n}", f"s{n}") for n in range(3)), news(1, "resolved"))], NOBODY)
        async with working(MemoryStore(shelf)) as bench:
            await asyncio.sleep(1)
            letters = await bench.store.dead_letters(9)
            assert {letter.error for letter in letters} == {REMOVED}
            assert dead(letters) == ["e0", "e1", "e2"]
            bench.outbox.adopt({"hook": back})
            await asyncio.sleep(1)
            assert back.names == ["evt_1_resolved"]

    run(scenario())


def test_a_sink_that_wants_nothing_more_is_disabled_until_it_is_corrected() -> None:
    async def scenario() -> None:
        gone, right = People([refuse(gone=True)]), People()
        async with working(hook=gone) as bench:
            await bench.tell(news(1))
            await asyncio.sleep(100)
            await bench.tell(news(2), news(3))
            await asyncio.sleep(100_000)
            assert len(gone.bodies) == 1
            assert bench.outbox.states["hook"].condition is SinkCondition.DISABLED
            letters = await bench.store.dead_letters(9)
            assert {letter.error for letter in letters} == {"answered 503", "the sink is disabled: answered 503"}
            assert len(letters) == 3
            bench.outbox.adopt({"hook": right})
            await bench.tell(news(4, at=100_200))
            await asyncio.sleep(1)
            assert right.sentences == ["Service 4 has outage."]
            assert bench.outbox.states["hook"].condition is SinkCondition.FINE

    run(scenario())
