"""The outbox in virtual time: hours of retries run at once, and every order is exact."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from monitor.outbox import Outcome, Pace
from monitor.sinks.contract import SendFailed
from monitor.store.contract import Delivery
from tests.sending import FakeSink, accept, after, blow_up, hang, refuse, working
from tests.store.made import event
from tests.virtual_time import run

SCHEDULE = [0, 2, 7, 22, 52, 112, 232, *range(532, 86400, 300), *range(88132, 3 * 86400 + 1, 1800)]
"""When the attempts of an event begin, in seconds, while a sink is down."""


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
            await asyncio.sleep(60)
            assert sink.begun[9] == (SCHEDULE[8] + Pace().longest_trial, "other"), (
                "its breaker is open: one trial now and then"
            )

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
