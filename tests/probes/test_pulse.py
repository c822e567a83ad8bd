"""The pulse of a loop that stands still: what was under way is suspect, what begins behind it is not."""

from __future__ import annotations

import asyncio
import time
from time import perf_counter

from probes._pulse import BEAT, Pulse

STALL = 0.3


async def test_what_was_under_way_is_suspect_and_what_begins_afterwards_is_not() -> None:
    pulse = Pulse(asyncio.get_running_loop())
    pulse.enter()
    before = perf_counter()
    await asyncio.sleep(2 * BEAT)
    assert pulse.lateness(perf_counter(), before) < STALL / 2
    time.sleep(STALL)  # noqa: ASYNC251  (the stall itself)
    pulse.enter()  # with the first breath, before the pulse's own timer has noticed
    since = perf_counter()
    assert pulse.lateness(perf_counter(), before) >= STALL - 2 * BEAT
    assert pulse.lateness(perf_counter(), since) <= BEAT
    await asyncio.sleep(2 * BEAT)
    assert pulse.lateness(perf_counter(), before) >= STALL - 2 * BEAT, "the backlog is still being worked off"
    assert pulse.lateness(perf_counter(), since) < STALL / 2
    for _ in range(2):
        pulse.leave()
    await asyncio.sleep(2 * BEAT)
