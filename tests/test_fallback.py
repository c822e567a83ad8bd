"""What a sink does not accept in time, or refuses for good, goes to its fallback: the end of it, too, and once."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from monitor.claiming import REMOVED
from monitor.sinks.contract import Fallback
from monitor.store.memory import MemoryStore, Shelf
from tests.sending import FakeSink, accept, news, refuse, working
from tests.virtual_time import run

TO = Fallback("chat", timedelta(minutes=10))


def test_after_its_time_the_other_one_is_told_and_told_the_end_too() -> None:
    async def scenario() -> None:
        async def back(delivery: Any) -> None:
            if asyncio.get_running_loop().time() < 1000:
                await refuse()(delivery)

        pager, chat = FakeSink([back], fallback=TO), FakeSink()
        async with working(hook=pager, chat=chat) as bench:
            await bench.tell(news(1))
            await asyncio.sleep(590)
            assert chat.names == [], "not before its time"
            await asyncio.sleep(30)
            assert chat.names == ["evt_1_outage"]
            await asyncio.sleep(1500)
            assert pager.names[-1] == "evt_1_outage", "it is told all the same"
            await bench.tell(news(1, "resolved", at=2200))
            await asyncio.sleep(60)
            assert (pager.names[-1], chat.names[1:]) == ("evt_1_resolved", ["evt_1_resolved"])
            await bench.tell(news(2, at=2300))
            await asyncio.sleep(2000)
            assert chat.names[2:] == [], "what is accepted in time is nobody else's"
            assert bench.outbox.states["hook"].handed_over == 2

    run(scenario())


def test_what_is_refused_for_good_goes_there_at_once() -> None:
    async def scenario() -> None:
        pager, chat = FakeSink([refuse(permanent=True), refuse(gone=True), accept], fallback=TO), FakeSink()
        async with working(hook=pager, chat=chat) as bench:
            for number in range(3):
                await bench.tell(news(number))
                await asyncio.sleep(1)
            assert len(pager.names) == 2, "disabled by then"
            assert chat.names == [f"evt_{number}_outage" for number in range(3)]
            assert chat.times == [0.0, 1.0, 2.0]

    run(scenario())


@pytest.mark.parametrize("again", [1, 3])
def test_a_restart_neither_forgets_nor_repeats(again: int) -> None:
    async def scenario() -> None:
        shelf, told = Shelf(), []
        for number in range(again + 1):
            pager, chat = FakeSink([refuse()], fallback=TO), FakeSink()
            async with working(MemoryStore(shelf), notes=dict(shelf.notes), hook=pager, chat=chat) as bench:
                if number == 0:
                    await bench.tell(news(1))
                await asyncio.sleep(700)
                if number == again:
                    await bench.tell(news(1, "resolved", at=700))
                    await asyncio.sleep(60)
            told += chat.names
        assert told == ["evt_1_outage", "evt_1_resolved"]

    run(scenario())


def test_a_removed_sink_is_told_the_end_of_what_it_holds_and_nothing_else() -> None:
    async def scenario() -> None:
        pager, still = FakeSink(), {"hook": ["inc_1"], "chat": ["inc_1"]}
        async with working(hook=pager, open_at=lambda: still) as bench:
            await bench.tell(news(1))
            await asyncio.sleep(1)
            bench.outbox.adopt({})
            await bench.tell(news(2), news(1, "resolved"))
            await asyncio.sleep(60)
            assert pager.names == ["evt_1_outage", "evt_1_resolved"]
            [letter] = await bench.store.dead_letters(9)
            assert (letter.delivery.event_id, letter.error) == (
                "evt_2_outage",
                REMOVED,
            )
            assert bench.outbox.states["hook"].retired
            still.clear()
            bench.outbox.adopt({})
            await asyncio.sleep(1)
            assert bench.outbox.states == {}

    run(scenario())


@pytest.mark.parametrize("how", ["another", "none", "removed", "restarted"])
def test_a_fallback_that_was_told_the_beginning_is_told_the_end_whatever_the_file_says_by_then(how: str) -> None:
    async def scenario() -> None:
        shelf, chat, other = Shelf(), FakeSink(), FakeSink()
        still = {"hook": ["inc_1"]}
        pager = FakeSink([refuse()], fallback=TO)
        async with working(MemoryStore(shelf), open_at=lambda: still, hook=pager, chat=chat, other=other) as bench:
            await bench.tell(news(1))
            await asyncio.sleep(700)
            assert chat.names == ["evt_1_outage"]
            after = {
                "another": {"hook": FakeSink(fallback=Fallback("other"))},
                "none": {"hook": FakeSink()},
                "removed": {},
                "restarted": {},
            }[how]
            if how != "restarted":
                bench.outbox.adopt({**after, "chat": chat, "other": other})
                await asyncio.sleep(60)
                still.clear()
                await bench.tell(news(1, "resolved", at=800))
                await asyncio.sleep(700)
        async with working(MemoryStore(shelf), open_at=lambda: still, chat=chat, other=other, **after) as bench:
            if how == "restarted":
                await bench.tell(news(1, "resolved", at=800))
            await asyncio.sleep(60)
        assert chat.names == ["evt_1_outage", "evt_1_resolved"]
        assert other.names == []

    run(scenario())


def test_a_fallback_that_is_removed_is_told_the_end_too() -> None:
    async def scenario() -> None:
        pager, chat = FakeSink([refuse()], fallback=TO), FakeSink()
        async with working(hook=pager, chat=chat) as bench:
            await bench.tell(news(1))
            await asyncio.sleep(700)
            bench.outbox.adopt({"hook": FakeSink()})
            await asyncio.sleep(60)
            await bench.tell(news(1, "resolved", at=800))
            await asyncio.sleep(60)
            assert chat.names == ["evt_1_outage", "evt_1_resolved"]

    run(scenario())
