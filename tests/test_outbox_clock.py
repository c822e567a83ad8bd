"""The outbox while the wall clock is set: a wait is a wait, whatever time it is; in virtual time."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from random import Random

import httpx
import pytest

from monitor.core.model import Moment
from monitor.outbox import Outbox
from monitor.store.memory import MemoryStore, Shelf
from tests.sending import EXACT, FakeSink, accept, hang, refuse
from tests.store.made import NOBODY, event, told
from tests.virtual_time import VirtualClock, run

HOUR = 3600.0


class SteppingClock(VirtualClock):
    """A wall clock that is set: `ahead` seconds from the true time."""

    def __init__(self, ahead: float = 0.0) -> None:
        self.ahead = ahead

    def now(self) -> Moment:
        moment = super().now()
        return Moment(moment.at + timedelta(seconds=self.ahead), moment.tick)


@asynccontextmanager
async def working(clock: SteppingClock, sink: FakeSink, store: MemoryStore) -> AsyncIterator[Outbox]:
    await store.open()
    async with httpx.AsyncClient(trust_env=False) as client:
        outbox = Outbox(
            store, {"hook": sink}, client=client, terminal=io.StringIO(), clock=clock, random=Random(1), pace=EXACT
        )
        running = asyncio.create_task(outbox.run())
        yield outbox
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def ticks(sink: FakeSink, *steps: tuple[float, float]) -> list[float]:
    """When the attempts began in true seconds, after these steps of the clock: (at which attempt, ahead)."""
    return [
        round(at - sum(ahead for since, ahead in steps if number >= since))
        for number, (at, _) in enumerate(sink.begun)
    ]


@pytest.mark.parametrize("step", [HOUR, -HOUR, 24 * HOUR])
def test_a_step_holds_no_retry(step: float) -> None:
    async def scenario() -> None:
        clock, sink, store = SteppingClock(), FakeSink([refuse()] * 5 + [accept]), MemoryStore()
        async with working(clock, sink, store) as outbox:
            await store.commit([told(event("e1"))], NOBODY)
            outbox.wake({"hook"})
            await asyncio.sleep(40)
            assert len(sink.begun) == 4
            clock.ahead = step
            await asyncio.sleep(200)
        # The fifth attempt was due at 52 s: it comes then, or at once, when the step was noticed.
        assert ticks(sink, (4, step))[:5] == [0, 2, 7, 22, 52]
        assert len(sink.begun) == 6, "and then it was accepted"

    run(scenario())


@pytest.mark.parametrize("step", [HOUR, -HOUR, 24 * HOUR])
def test_a_step_does_not_end_the_lease_of_a_send_under_way(step: float) -> None:
    async def scenario() -> None:
        clock, sink, store = SteppingClock(), FakeSink([hang, accept]), MemoryStore()
        async with working(clock, sink, store) as outbox:
            await store.commit([told(event("slow"))], NOBODY)
            outbox.wake({"hook"})
            await asyncio.sleep(1)
            clock.ahead = step
            await store.commit([told(event("other", "elsewhere"))], NOBODY)
            outbox.wake({"hook"})
            await asyncio.sleep(5)
            assert sink.names == ["slow", "other"], "the one under way is not sent a second time beside itself"

    run(scenario())


def test_what_a_wrong_clock_wrote_before_the_start_does_not_wait_for_it() -> None:
    """An agent whose clock was a day ahead has planned a retry for tomorrow; the next one knows better."""

    async def scenario() -> None:
        shelf, sink = Shelf(), FakeSink([refuse(), accept])
        wrong, store = SteppingClock(24 * HOUR), MemoryStore(shelf)
        async with working(wrong, sink, store) as outbox:
            await store.commit([told(event("e1"))], NOBODY)
            outbox.wake({"hook"})
            await asyncio.sleep(1)
        async with working(SteppingClock(), sink, MemoryStore(shelf)):
            await asyncio.sleep(10)
        assert sink.names == ["e1", "e1"]

    run(scenario())


def test_a_clock_that_is_set_after_the_start_of_a_machine_releases_what_waits() -> None:
    """A machine without a clock of its own begins in the past, until the time server is asked."""

    async def scenario() -> None:
        shelf, sink = Shelf(), FakeSink([refuse(), accept])
        async with working(SteppingClock(), sink, store := MemoryStore(shelf)) as outbox:
            await store.commit([told(event("e1"))], NOBODY)
            outbox.wake({"hook"})
            await asyncio.sleep(1)
        clock = SteppingClock(-1000.0)
        async with working(clock, sink, MemoryStore(shelf)):
            await asyncio.sleep(30)
            assert sink.names == ["e1"]
            clock.ahead = 0.0
            await asyncio.sleep(61)
        assert sink.names == ["e1", "e1"]
        assert sink.begun[1][0] < 200

    run(scenario())
