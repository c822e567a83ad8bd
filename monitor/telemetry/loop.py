"""How late the event loop wakes those who wait, and how many looks were begun or left out of late."""

from __future__ import annotations

import asyncio

from monitor.clock import Clock
from monitor.telemetry.agent import AgentFigures

LAG_EVERY = 0.1
"""Seconds between two measurements of the loop's lag."""
LAG_WINDOW = 15.0
"""Seconds; the worst lag shown is that of this window and the one before."""
BEATS_WINDOW = 30.0
"""Seconds; the missed beats told are those of this window and the one before."""


class LoopWatch:
    """Measures into `figures`, and remembers two windows of it."""

    def __init__(self, figures: AgentFigures, clock: Clock) -> None:
        self._figures = figures
        self._clock = clock
        self._lag_window = (0.0, 0.0, 0.0)
        self._beat_marks = [(clock.now().tick, 0, 0)] * 2

    async def watch(self) -> None:
        """Measure, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            before = loop.time()
            await asyncio.sleep(LAG_EVERY)
            now = loop.time()
            self.lagged(max(now - before - LAG_EVERY, 0.0), now)
            self._count_beats()

    def lagged(self, lag: float, now: float) -> None:
        """So late (s) at this time of the loop (s)."""
        self._figures.loop_lag.add(lag)
        began, worst, previous = self._lag_window
        if now - began >= LAG_WINDOW:
            self._lag_window = (now, lag, worst)
        else:
            self._lag_window = (began, max(worst, lag), previous)

    @property
    def lag(self) -> float:
        """The worst lag (s) of the last 15 to 30 s."""
        return max(self._lag_window[1:])

    def _count_beats(self) -> None:
        now = self._clock.now().tick
        if now - self._beat_marks[1][0] >= BEATS_WINDOW:
            self._beat_marks = [self._beat_marks[1], (now, *self._beats())]

    def _beats(self) -> tuple[int, int]:
        return sum(self._figures.lateness.counts), self._figures.missed

    @property
    def recent_beats(self) -> tuple[int, int]:
        """(looks begun, looks left out) in the last 30 to 60 s."""
        begun, missed = self._beats()
        _, begun_before, missed_before = self._beat_marks[0]
        return begun - begun_before, missed - missed_before
