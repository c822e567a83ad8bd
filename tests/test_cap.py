"""No more messages than people have asked for, through restarts and reloads, in virtual time."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from itertools import pairwise

import pytest

from monitor.sinks.contract import Most
from monitor.store.memory import MemoryStore, Shelf
from tests.sending import People, news, working
from tests.virtual_time import run


def test_caps_hold_and_are_never_silent_for_long() -> None:
    async def scenario() -> None:
        chat = People(most=Most(30, timedelta(hours=1)))
        async with working(hook=chat) as bench:
            for number in range(4 * 3600 // 31):
                await bench.tell(news(number, at=asyncio.get_running_loop().time()))
                await asyncio.sleep(31)
            await asyncio.sleep(600)
            assert await bench.store.backlog() == {}
        times = chat.times
        assert max(sum(begin <= at < begin + 3600 for at in times) for begin in times) <= 30
        assert max(later - sooner for sooner, later in pairwise(times)) <= 300
        assert len(times) > 70

    run(scenario())


@pytest.mark.parametrize("how", ["restart", "reload"])
def test_a_cap_holds_through_restarts_and_reloads(how: str) -> None:
    async def scenario() -> None:
        shelf, most = Shelf(), Most(4, timedelta(hours=1))
        times: list[float] = []
        chat = People(most=most)
        for number in range(12):
            async with working(MemoryStore(shelf), hook=chat) as bench:
                await bench.tell(news(number, at=asyncio.get_running_loop().time()))
                await asyncio.sleep(300)
                if how == "reload":
                    bench.outbox.adopt({"hook": People(most=most, begun=chat.begun)})
                await asyncio.sleep(300)
        times = chat.times
        assert max(sum(begin <= at < begin + 3600 for at in times) for begin in times) <= 4
        assert max(later - sooner for sooner, later in pairwise(times)) <= 2400, "and nobody waits for long"
        async with working(MemoryStore(shelf), hook=People()) as bench:
            await bench.tell(news(99))
            await asyncio.sleep(1)
            assert not [name for name in shelf.notes if name.startswith("most:")]

    run(scenario())


def test_a_cap_of_a_clock_that_was_ahead_holds_nothing_back() -> None:
    async def scenario() -> None:
        chat = People(most=Most(1, timedelta(hours=1)))
        async with working(hook=chat, notes={"most:hook": [4e9, 4e9 + 1]}) as bench:
            await bench.tell(news(1))
            await asyncio.sleep(1)
            assert len(chat.bodies) == 1

    run(scenario())
