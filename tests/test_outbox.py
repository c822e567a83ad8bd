"""The outbox in virtual time: hours of retries run at once, and every order is exact."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import Any, ClassVar

import httpx
import pytest

from monitor.core.model import Event
from monitor.outbox import Observer, Outbox, Outcome, Pace
from monitor.sinks.contract import Nature, SendFailed, Sink, SinkContext
from monitor.store.contract import Delivery, Fenced, StoreError
from monitor.store.memory import MemoryStore, Shelf
from tests.store.made import NOBODY, event, told
from tests.virtual_time import START, VirtualClock, run

EXACT = Pace(jitter=0.0)
SCHEDULE = [0, 2, 7, 22, 52, 112, 232, *range(532, 86400, 300), *range(88132, 3 * 86400 + 1, 1800)]
"""When the attempts of an event begin, in seconds, while a sink is down."""

Behaviour = Callable[[Delivery], Awaitable[None]]


async def accept(delivery: Delivery) -> None: ...


async def hang(delivery: Delivery) -> None:
    await asyncio.Event().wait()


def refuse(**facts: Any) -> Behaviour:
    async def send(delivery: Delivery) -> None:
        raise SendFailed("answered 503", **facts)

    return send


def blow_up(error: BaseException) -> Behaviour:
    async def send(delivery: Delivery) -> None:
        raise error

    return send


@dataclass(frozen=True, slots=True)
class FakeSink(Sink):
    kind: ClassVar[str] = "fake"
    nature: ClassVar[Nature] = Nature.LOG

    behaviour: list[Behaviour] = field(default_factory=lambda: [accept])
    """What it does to the first attempt, the second, ... and to all after the last."""
    begun: list[tuple[float, str]] = field(default_factory=list)
    """When each attempt began, in seconds since the start, and of which event."""

    async def send(self, delivery: Delivery, context: SinkContext) -> None:
        number = len(self.begun)
        self.begun.append(((context.now - START).total_seconds(), delivery.event_id))
        await self.behaviour[min(number, len(self.behaviour) - 1)](delivery)

    @property
    def names(self) -> list[str]:
        return [name for _, name in self.begun]

    @property
    def times(self) -> list[float]:
        return [round(at, 1) for at, _ in self.begun]


@dataclass
class Bench:
    """An outbox at work, and what is needed to feed and watch it."""

    store: MemoryStore
    outbox: Outbox
    running: asyncio.Task[None]
    results: list[tuple[str, Outcome, float]]

    async def tell(self, *events: Event) -> None:
        await self.store.commit([told(*events)], NOBODY)
        self.outbox.wake({sink for event in events for sink in event.sinks})


@asynccontextmanager
async def working(
    store: MemoryStore | None = None, pace: Pace = EXACT, observer: Observer | None = None, **sinks: Sink
) -> AsyncIterator[Bench]:
    store = store or MemoryStore()
    await store.open()
    results: list[tuple[str, Outcome, float]] = []
    async with httpx.AsyncClient(trust_env=False) as client:
        outbox = Outbox(
            store,
            sinks,
            client=client,
            terminal=io.StringIO(),
            clock=VirtualClock(),
            random=Random(1),
            on_result=observer or (lambda *result: results.append(result)),
            pace=pace,
        )
        running = asyncio.create_task(outbox.run())
        yield Bench(store, outbox, running, results)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def after(seconds: float, *sinks: FakeSink, events: tuple[Event, ...], pace: Pace = EXACT) -> Bench:
    """Tell `events` to the sinks (named hook, chat in this order) and let `seconds` go by."""

    async def scenario() -> Bench:
        named = dict(zip(("hook", "chat"), sinks, strict=False))
        async with working(pace=pace, **named) as bench:
            await bench.tell(*events)
            await asyncio.sleep(seconds)
            return bench

    return run(scenario())


def test_an_event_is_sent_at_once_and_once() -> None:
    sink = FakeSink()
    bench = after(3600, sink, events=(event("e1"),))
    assert sink.begun == [(0.0, "e1")]
    assert bench.results == [("hook", Outcome.ACCEPTED, 0.0)]


def test_the_schedule_then_a_dead_letter() -> None:
    sink = FakeSink([refuse()])
    bench = after(40 * 86400, sink, events=(event("e1"),))
    assert sink.times == SCHEDULE
    assert len(sink.times) == 390
    assert [outcome for _, outcome, _ in bench.results] == [Outcome.RETRIED] * 389 + [Outcome.DEAD]
    [letter] = run(bench.store.dead_letters(9))
    assert (letter.delivery.event_id, letter.error) == ("e1", "answered 503")


@pytest.mark.parametrize("down", [60.0, 480.0, 3600.0, 80_000.0])
def test_a_receiver_that_is_back_gets_its_page_within_minutes(down: float) -> None:
    async def answer(delivery: Delivery) -> None:
        if asyncio.get_running_loop().time() < down:
            raise SendFailed("answered 503")

    sink = FakeSink([answer])
    after(90_000, sink, events=(event("e1"),), pace=Pace())
    assert down <= sink.times[-1] <= down + 300 * 1.2


def test_jitter_only_lengthens_and_stays_small() -> None:
    sink = FakeSink([refuse()])
    after(120, sink, events=(event("e1"),), pace=Pace(jitter=0.2))
    waits = [b - a for a, b in zip(sink.times, sink.times[1:], strict=False)]
    for wait, planned in zip(waits, Pace().backoff, strict=False):
        assert planned <= wait <= planned * 1.2 + 0.1
    assert waits[:3] != [2, 5, 15]


def test_a_permanent_failure_is_a_dead_letter_at_once_and_the_stream_goes_on() -> None:
    sink = FakeSink([refuse(permanent=True), accept])
    bench = after(1, sink, events=(event("e1"), event("e2")))
    assert sink.begun == [(0.0, "e1"), (0.0, "e2")]
    assert [outcome for _, outcome, _ in bench.results] == [Outcome.DEAD, Outcome.ACCEPTED]


@pytest.mark.parametrize(
    ("asked", "second"),
    [(90.0, 90.0), (0.5, 2.0), (1e9, 86400.0), (float("nan"), 2.0), (-5.0, 2.0), (float("inf"), 2.0)],
)
def test_retry_after_lengthens_the_wait(asked: float, second: float) -> None:
    sink = FakeSink([refuse(retry_after=asked), accept])
    after(90_000, sink, events=(event("e1"),))
    assert sink.times == [0.0, second]


def test_a_stream_keeps_its_order_and_others_do_not_wait() -> None:
    sink = FakeSink([refuse(), accept])
    after(10, sink, events=(event("a1", "a"), event("a2", "a"), event("b1", "b")))
    assert sink.names == ["a1", "b1", "a1", "a2"]
    assert sink.times == [0.0, 0.0, 2.0, 2.0]


def test_a_sink_that_hangs_delays_no_other() -> None:
    stuck, fine = FakeSink([hang]), FakeSink()
    both = ("hook", "chat")
    bench = after(19, stuck, fine, events=tuple(event(f"e{n}", f"s{n}", both) for n in range(50)))
    assert len(fine.names) == 50
    assert max(fine.times) == 0.0
    assert len(stuck.names) == Pace().streams, "and no more than that at a time"
    assert {name for name, _, _ in bench.results} == {"chat"}


def test_a_send_that_hangs_is_a_failed_one_after_its_limit() -> None:
    sink = FakeSink([hang, accept])
    bench = after(60, sink, events=(event("e1"),))
    assert sink.times == [0.0, 22.0]
    assert bench.results == [("hook", Outcome.RETRIED, 20.0), ("hook", Outcome.ACCEPTED, 0.0)]


@pytest.mark.parametrize(
    "error",
    [
        ValueError("https://hooks.example.com/SECRET"),
        KeyError("x"),
        TimeoutError(),
        asyncio.CancelledError(),
        SystemExit(3),
        ExceptionGroup("g", [ValueError()]),
        RecursionError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_bug_in_a_sink_is_a_failed_send(error: BaseException, capsys: pytest.CaptureFixture[str]) -> None:
    broken, fine = FakeSink([blow_up(error), accept]), FakeSink()
    after(60, broken, fine, events=(event("e1", sinks=("hook", "chat")),))
    assert broken.times == [0.0, 2.0]
    assert fine.times == [0.0]
    printed = capsys.readouterr().out
    assert "SECRET" not in printed
    assert type(error).__name__ in printed


def test_what_waited_goes_when_a_sink_is_back() -> None:
    """An incident's end must not wait out a backoff of hours behind its beginning."""

    async def scenario() -> None:
        sink = FakeSink([refuse()] * 10 + [accept])
        async with working(hook=sink) as bench:
            await bench.tell(event("opened", "incident"), event("resolved", "incident"))
            await asyncio.sleep(SCHEDULE[9] + 60)
            assert len(sink.names) == 10
            await bench.tell(event("other", "elsewhere"))
            await asyncio.sleep(1)
            assert sink.names[10:] == ["other", "opened", "resolved"]

    run(scenario())


def test_retry_after_holds_all_streams_of_the_sink_and_no_other_sink() -> None:
    async def scenario() -> None:
        sink, fine = FakeSink([refuse(), refuse(), refuse(retry_after=600.0), accept]), FakeSink()
        async with working(hook=sink, chat=fine) as bench:
            await bench.tell(event("e1"))
            await asyncio.sleep(30)
            await bench.tell(event("other", "elsewhere", ("hook", "chat")))
            await asyncio.sleep(1000)
            assert sink.begun[3:] == [(607.0, "other"), (607.0, "e1")]
            assert fine.begun == [(30.0, "other")]

    run(scenario())


def test_retry_after_is_kept_even_when_what_was_under_way_is_accepted() -> None:
    async def slow(delivery: Delivery) -> None:
        await asyncio.sleep(5)

    async def scenario() -> None:
        sink = FakeSink([refuse(retry_after=600.0), slow, accept])
        async with working(hook=sink) as bench:
            await bench.tell(event("e1"), event("other", "elsewhere"))
            await asyncio.sleep(1000)
            assert sink.begun == [(0.0, "e1"), (0.0, "other"), (600.0, "e1")]

    run(scenario())


def test_a_long_backoff_of_one_stream_holds_no_other() -> None:
    """What is asked for holds the sink; what we wait of our own accord holds the stream."""

    async def scenario() -> None:
        sink = FakeSink([*[refuse()] * 8, refuse(retry_after=1.0), accept])
        async with working(hook=sink) as bench:
            await bench.tell(event("e1"))
            await asyncio.sleep(SCHEDULE[8] + 2)
            await bench.tell(event("other", "elsewhere"))
            await asyncio.sleep(1)
            assert sink.begun[9] == (SCHEDULE[8] + 2, "other")

    run(scenario())


def test_an_observer_that_fails_changes_nothing() -> None:
    def fail(*result: Any) -> None:
        raise RuntimeError("a bug in telemetry")

    async def scenario() -> None:
        sink = FakeSink()
        async with working(observer=fail, hook=sink) as bench:
            await bench.tell(event("e1"), event("e2"))
            await asyncio.sleep(1)
        assert sink.names == ["e1", "e2"]

    run(scenario())


class TroubledStore(MemoryStore):
    """Fails the calls whose names are in `failing`, and counts all."""

    def __init__(self, shelf: Shelf | None = None) -> None:
        super().__init__(shelf)
        self.failing: dict[str, StoreError] = {}
        self.calls: list[str] = []

    def _check(self, name: str) -> None:
        self.calls.append(name)
        if name in self.failing:
            raise self.failing[name]

    async def claim(self, sink: str, now: datetime, lease_until: datetime, limit: int) -> list[Delivery]:
        self._check("claim")
        return await super().claim(sink, now, lease_until, limit)

    async def delivered(self, delivery: Delivery, now: datetime) -> None:
        self._check("delivered")
        await super().delivered(delivery, now)

    async def dead(self, delivery: Delivery, now: datetime, error: str) -> None:
        self._check("dead")
        await super().dead(delivery, now, error)


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
        await before.failed(first, datetime.max.replace(tzinfo=now.tzinfo), "answered 503")
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
