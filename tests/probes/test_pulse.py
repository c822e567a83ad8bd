"""The pulse of a loop that stands still: what was under way is suspect, what begins behind it is not; and what comes
while a loop has other things to do is read all the same."""

from __future__ import annotations

import asyncio
import select
import socket
import time
from contextlib import ExitStack
from functools import partial
from time import perf_counter

import pytest

from probes._wire.pulse import _MOST, BEAT, Pulse

STALL = 0.3


class Looks:
    """Those that measure."""

    def __init__(self) -> None:
        self.open: list[Measures] = []

    def enter(self, pulse: Pulse, limit: float = 60.0) -> Measures:
        self.open.append(Measures())
        pulse.enter(self.open[-1], limit)
        return self.open[-1]

    def leave(self, pulse: Pulse) -> None:
        pulse.leave(self.open.pop())


class Measures:
    def __init__(self) -> None:
        self.expired = asyncio.Event()
        self.times = 0

    def expire(self) -> None:
        self.times += 1
        self.expired.set()


async def test_what_was_under_way_is_suspect_and_what_begins_afterwards_is_not() -> None:
    pulse, looks = Pulse(asyncio.get_running_loop()), Looks()
    looks.enter(pulse)
    before = perf_counter()
    await asyncio.sleep(2 * BEAT)
    assert pulse.lateness(perf_counter(), before) < STALL / 2
    time.sleep(STALL)  # noqa: ASYNC251  (the stall itself)
    looks.enter(pulse)  # with the first breath, before the pulse's own timer has noticed
    since = perf_counter()
    assert pulse.lateness(perf_counter(), before) >= STALL - 2 * BEAT
    assert pulse.lateness(perf_counter(), since) <= BEAT
    await asyncio.sleep(2 * BEAT)
    assert pulse.lateness(perf_counter(), before) >= STALL - 2 * BEAT, "the backlog is still being worked off"
    assert pulse.lateness(perf_counter(), since) < STALL / 2
    for _ in range(2):
        looks.leave(pulse)
    await asyncio.sleep(2 * BEAT)


async def test_what_comes_while_the_loop_has_other_things_to_do_is_read_at_a_glance() -> None:
    pulse, looks = Pulse(asyncio.get_running_loop()), Looks()
    looks.enter(pulse)
    here, there = socket.socketpair()
    seen: list[bytes] = []
    with here, there:
        pulse.watch(here.fileno(), lambda events: seen.append(here.recv(10)) if events & select.EPOLLIN else None)
        before = pulse.glanced
        for data in (b"one", b"two"):
            there.send(data)
            time.sleep(0.002)  # noqa: ASYNC251  (a look that is gone on with, before the loop has its turn)
            looks.enter(pulse)
        assert seen == [b"one", b"two"], "not merged"
        assert pulse.glanced > before
        pulse.unwatch(here.fileno(), closing=False)
        pulse.unwatch(here.fileno())
        there.send(b"three")
        time.sleep(0.002)  # noqa: ASYNC251
        looks.leave(pulse)
        assert len(seen) == 2
    for _ in range(2):
        looks.leave(pulse)


async def test_what_cannot_be_watched_is_told() -> None:
    pulse, looks = Pulse(asyncio.get_running_loop()), Looks()
    with pytest.raises(OSError, match="Bad file descriptor"):
        pulse.watch(10**6, lambda _: None)
    looks.enter(pulse)
    looks.leave(pulse)
    await asyncio.sleep(3 * BEAT)
    assert pulse.turned > 0


async def test_the_loop_watches_as_long_as_anybody_measures() -> None:
    pulse, looks = Pulse(asyncio.get_running_loop()), Looks()
    here, there = socket.socketpair()
    told = asyncio.Event()
    with here, there:
        for _ in range(2):
            looks.enter(pulse)
            if not told.is_set():
                pulse.watch(here.fileno(), lambda events: told.set() if events & select.EPOLLIN else None)
            told.clear()
            there.send(b"one")
            async with asyncio.timeout(5):
                await told.wait()
            looks.leave(pulse)
            await asyncio.sleep(3 * BEAT)
            assert not pulse._listening
        pulse.unwatch(here.fileno())


def _note(seen: list[int], number: int, _events: int) -> None:
    seen.append(number)


async def test_a_glance_leaves_nobody_out() -> None:
    pulse, looks = Pulse(asyncio.get_running_loop()), Looks()
    seen: list[int] = []
    with ExitStack() as stack:
        for number in range(2 * _MOST + 1):
            here, there = (stack.enter_context(each) for each in socket.socketpair())
            pulse.watch(here.fileno(), partial(_note, seen, number))
            there.send(b"one")
        looks.enter(pulse)
        time.sleep(0.002)  # noqa: ASYNC251  (as above)
        looks.leave(pulse)
    assert sorted(seen) == list(range(2 * _MOST + 1))
    await asyncio.sleep(2 * BEAT)


async def test_limits_end_when_they_are_over_whoever_began_first() -> None:
    pulse, looks = Pulse(asyncio.get_running_loop()), Looks()
    began = perf_counter()
    long, late, soon = (looks.enter(pulse, limit) for limit in (60.0, 0.06, 0.03))
    async with asyncio.timeout(5):
        await soon.expired.wait()
        assert perf_counter() - began >= 0.03
        assert not late.expired.is_set()
        await late.expired.wait()
        assert perf_counter() - began >= 0.06
        later = looks.enter(pulse, 0.01)
        await later.expired.wait()
    assert not long.expired.is_set()
    await asyncio.sleep(3 * BEAT)
    assert (soon.times, late.times, later.times) == (1, 1, 1)
    for _ in range(4):
        looks.leave(pulse)
