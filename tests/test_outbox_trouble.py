"""The outbox with a store in trouble, at its end, and with rows for sinks that are gone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import pytest

from monitor.core.model import Change, Event
from monitor.outbox import Outcome
from monitor.sinks.contract import SendFailed, SinkContext
from monitor.store._peek import Known
from monitor.store._rescue import Rescue
from monitor.store.contract import Account, Delivery, Fenced, Row, StoreError
from monitor.store.lasting import LastingStore
from monitor.store.memory import MemoryStore, Shelf
from tests.sending import FakeSink, accept, hang, refuse, working
from tests.store.made import NOBODY, event, told
from tests.virtual_time import START, VirtualClock, run


class TroubledStore(MemoryStore):
    """Fails the calls whose names are in `failing`, and counts those of the outbox."""

    def __init__(self, shelf: Shelf | None = None) -> None:
        super().__init__(shelf)
        self.failing: dict[str, StoreError] = {}
        self.calls: list[str] = []

    def _check(self, name: str) -> None:
        self.calls.append(name)
        if name in self.failing:
            raise self.failing[name]

    async def commit(self, changes: Sequence[Change], supersedes: frozenset[str]) -> Sequence[Event]:
        if "commit" in self.failing:
            raise self.failing["commit"]
        return await super().commit(changes, supersedes)

    async def claim(
        self, sink: str, now: datetime, lease_until: datetime, limit: int, *, deep: bool = False
    ) -> list[Delivery]:
        self._check("claim")
        return await super().claim(sink, now, lease_until, limit, deep=deep)

    async def delivered(self, deliveries: Sequence[Delivery], now: datetime) -> None:
        self._check("delivered")
        await super().delivered(deliveries, now)

    async def dead(self, deliveries: Sequence[Delivery], now: datetime, error: str) -> None:
        self._check("dead")
        await super().dead(deliveries, now, error)


def test_a_store_in_trouble_is_asked_again_but_not_hammered() -> None:
    async def scenario() -> None:
        sink, store = FakeSink(), TroubledStore()
        store.failing["claim"] = StoreError("disk is full")
        async with working(store, hook=sink) as bench:
            for number in range(100):
                await bench.tell(event(f"e{number}"))
                await asyncio.sleep(1)
            assert len(store.calls) < 12
            store.failing.clear()
            await asyncio.sleep(60)
            assert len(sink.names) == 100

    run(scenario())


def test_what_was_accepted_is_not_sent_again_because_the_disk_was_full() -> None:
    async def scenario() -> None:
        sink, store = FakeSink(), TroubledStore()
        store.failing["delivered"] = StoreError("disk is full")
        async with working(store, hook=sink) as bench:
            await bench.tell(event("e1"), event("e2"))
            await asyncio.sleep(3600)
            assert sink.names == ["e1"]
            store.failing.clear()
            await asyncio.sleep(60)
            assert sink.names == ["e1", "e2"]
            assert await store.backlog() == {}

    run(scenario())


@dataclass(frozen=True, slots=True)
class Opener(FakeSink):
    """Has kept what it opens before it asks for it."""

    journal: TroubledStore = field(default_factory=lambda: TroubledStore())
    known: list[bool] = field(default_factory=list)
    """Whether it was durable when it was asked for."""

    async def send(self, delivery: Delivery, context: SinkContext) -> None:
        context.memory["opened"] = [delivery.event_id]
        await context.keep()
        self.known.append("sink:hook:check:a" in self.journal._shelf.notes)
        context.memory["opened"].append("answered")
        await super(Opener, self).send(delivery, context)


@pytest.mark.parametrize("full", [False, True])
def test_what_is_about_to_be_opened_is_kept_first_but_a_full_disk_silences_nobody(*, full: bool) -> None:
    async def scenario() -> None:
        store = TroubledStore()
        sink = Opener(journal=store)
        async with working(store, hook=sink) as bench:
            await store.commit([told(event("e1"))], NOBODY)
            if full:
                store.failing["commit"] = StoreError("disk is full")
            bench.outbox.wake(["hook"])
            await asyncio.sleep(10)
            assert (sink.names, sink.known) == (["e1"], [not full])
            store.failing.clear()
            await asyncio.sleep(60)
            assert store._shelf.notes["sink:hook:check:a"] == {"opened": ["e1", "answered"]}
            assert sink.names == ["e1"]
            assert await store.backlog() == {}

    run(scenario())


class HangingDisk(MemoryStore):
    """A journal on a disk that may not answer."""

    rescues: Sequence[Rescue] = ()
    unfamiliar = False

    def __init__(self) -> None:
        super().__init__()
        self.answers = asyncio.Event()
        self.answers.set()

    async def failed(self, deliveries: Sequence[Delivery], retry_at: datetime, error: str) -> None:
        await self.answers.wait()
        await super().failed(deliveries, retry_at, error)

    async def peek(self, limit: int) -> Known | None:
        return None

    async def unfinished(self, limit: int) -> list[Row]:
        return []

    async def revive(self, origin: str) -> str:
        await self.answers.wait()
        return origin

    async def catch_up(self, changes: Sequence[Change], accounts: Sequence[Account]) -> None: ...


def test_what_waits_in_a_journal_whose_disk_hung_is_sent_again_without_any_news() -> None:
    """Memory stands in for it, and knows of nothing that waits."""

    async def scenario() -> None:
        disk, sink = HangingDisk(), FakeSink([refuse()] * 2 + [accept])
        store = LastingStore(disk)
        async with working(store, hook=sink) as bench:
            store.written_again = bench.outbox.wake_all
            mending = asyncio.create_task(store.run())
            disk.answers.clear()
            await bench.tell(event("e1"))
            await asyncio.sleep(30)
            assert store.condition.trouble
            assert sink.names == ["e1"]
            disk.answers.set()
            await asyncio.sleep(120)
            assert sink.names == ["e1", "e1", "e1"]
            assert await store.backlog() == {}
            mending.cancel()

    run(scenario())


@pytest.mark.parametrize("call", ["claim", "delivered"])
def test_being_fenced_ends_the_outbox(call: str) -> None:
    async def scenario() -> None:
        store = TroubledStore()
        store.failing[call] = Fenced("another agent has taken over")
        async with working(store, hook=FakeSink()) as bench:
            await bench.tell(event("e1"))
            await asyncio.wait([bench.running], timeout=5)
            assert bench.running.done()
            with pytest.raises(ExceptionGroup) as raised:
                await bench.running
            assert raised.value.subgroup(Fenced)

    run(scenario())


def test_it_stops_at_once_and_the_next_agent_sends_again_with_the_same_id() -> None:
    async def scenario() -> None:
        shelf, stuck, fine = Shelf(), FakeSink([hang]), FakeSink()
        loop = asyncio.get_running_loop()
        async with working(MemoryStore(shelf), hook=stuck) as bench:
            await bench.tell(event("e1"))
            await asyncio.sleep(1)
            bench.running.cancel()
            await asyncio.wait([bench.running])
            assert loop.time() == 1
        async with working(MemoryStore(shelf), hook=fine):
            await asyncio.sleep(1)
        assert fine.names == stuck.names == ["e1"]

    run(scenario())


def test_drain_lets_a_send_finish_and_begins_no_other() -> None:
    async def slow(delivery: Delivery) -> None:
        await asyncio.sleep(3)

    async def scenario() -> None:
        sink = FakeSink([slow])
        async with working(hook=sink) as bench:
            assert await bench.outbox.drain(1)
        async with working(hook=sink) as bench:
            await bench.tell(event("e1"), event("e2"))
            await asyncio.sleep(1)
            assert not await bench.outbox.drain(1)
            assert await bench.outbox.drain(5)
            await asyncio.sleep(50)
            assert sink.names == ["e1"]
            assert bench.results[0][1] is Outcome.ACCEPTED

    run(scenario())


def test_waking_strangers_is_fine_and_what_lies_there_is_sent_without_a_wake() -> None:
    async def scenario() -> None:
        shelf, sink = Shelf(), FakeSink()
        before = MemoryStore(shelf)
        await before.open()
        await before.commit([told(event("e1"))], NOBODY)
        async with working(MemoryStore(shelf), hook=sink) as bench:
            bench.outbox.wake(["removed from the config"])
            await asyncio.sleep(1)
        assert sink.names == ["e1"]

    run(scenario())


def test_what_waits_for_a_sink_that_is_gone_is_given_up_and_not_told_weeks_later(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def scenario() -> None:
        shelf, later, fine = Shelf(), FakeSink(), FakeSink()
        before = MemoryStore(shelf)
        await before.open()
        streams = [event(f"e{n}", f"s{n % 120}", ("old", "chat")) for n in range(360)]
        await before.commit([told(*streams)], NOBODY)
        now = START
        [first] = await before.claim("old", now, now, 1)
        await before.failed([first], datetime.max.replace(tzinfo=now.tzinfo), "answered 503")
        async with working(MemoryStore(shelf), chat=fine) as bench:
            await asyncio.sleep(1)
            assert (await bench.store.backlog())["old"].waiting == 0
            letters = [letter for letter in await bench.store.dead_letters(999) if letter.delivery.sink == "old"]
            assert {letter.error for letter in letters} == {"the sink was removed from the configuration"}
            assert len(letters) == 360
            assert len(fine.names) == 360
            assert all(sink == "chat" for sink, _, _ in bench.results)
        async with working(MemoryStore(shelf), old=later, chat=fine):
            await asyncio.sleep(86400)
        assert later.names == []

    run(scenario())
    told_of = [line for line in capsys.readouterr().out.splitlines() if "outbox.sink_removed" in line]
    assert len(told_of) == 1
    assert "360" in told_of[0]


def test_strays_of_a_store_in_trouble_stop_no_lane() -> None:
    async def scenario() -> None:
        shelf, sink = Shelf(), FakeSink()
        before = MemoryStore(shelf)
        await before.open()
        await before.commit([told(event("e1"), event("e2", sinks=("old",)))], NOBODY)
        store = TroubledStore(shelf)
        store.failing["dead"] = StoreError("disk is full")
        async with working(store, hook=sink) as bench:
            await asyncio.sleep(1)
            assert not bench.running.done()
        assert sink.names == ["e1"]

    run(scenario())


def test_an_outbox_without_sinks_buries_too_and_lives() -> None:
    async def scenario() -> None:
        shelf = Shelf()
        before = MemoryStore(shelf)
        await before.open()
        await before.commit([told(event("e1"))], NOBODY)
        async with working(MemoryStore(shelf)) as bench:
            await asyncio.sleep(1)
            assert not bench.running.done()
            assert len(await bench.store.dead_letters(9)) == 1

    run(scenario())


def test_after_a_day_of_500_a_log_gets_all_in_order() -> None:
    """Each stream in its order, every event once, and soon after it is back."""

    async def back(delivery: Delivery) -> None:
        if asyncio.get_running_loop().time() < 86_400:
            raise SendFailed("answered 500")

    async def scenario() -> None:
        sink = FakeSink([back])
        async with working(hook=sink) as bench:
            for number in range(1400):
                await bench.tell(replace(event(f"e{number}", f"check:{number % 50}"), at=VirtualClock().now().at))
                await asyncio.sleep(60)
            await asyncio.sleep(86_400 - asyncio.get_running_loop().time() + 600)
            taken = [name for at, name in sink.begun if at >= 86_400]
            assert await bench.store.backlog() == {}
            assert await bench.store.dead_letters(9) == []
        numbers = [int(name[1:]) for name in taken]
        assert sorted(numbers) == list(range(1400))
        for stream in range(50):
            told_of_it = [number for number in numbers if number % 50 == stream]
            assert told_of_it == sorted(told_of_it)
        assert len(sink.begun) < 4_500, "and its breaker kept the load from it"

    run(scenario())
