"""Which looks are due when, and the passes of the loop that start them."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
from collections.abc import Callable

import uvloop

from monitor.clock import Clock
from monitor.grid import Turn

LONGEST_SLEEP = 1.0
"""Seconds: the loop passes at least as often, so that its progress can be watched."""
SHORTEST_SLEEP = 0.001
"""Seconds that the loop sleeps at least: the timers of uvloop count milliseconds, and a shorter sleep would be none,
but one turn after another until it is over."""
_STARTS_A_PASS = 100
"""Looks started before the loop gets a turn: a burst of due beats must not hold everything else."""


class Timetable:
    """Turns wait here for their tick. No task waits for that: waking one takes longer than a pass."""

    def __init__(
        self,
        clock: Clock,
        start: Callable[[Turn, float], None],
        *,
        progress: Callable[[], None],
        beside: Callable[[float], float],
        broken: Callable[[BaseException], None],
    ) -> None:
        """`start` is handed each turn that is due and wanted still, and the tick that it is. `progress` is called as
        each pass begins; `beside` at its end with the tick, and tells when (a tick) it is to be called again.
        `broken` is told of what any of them raises, and no pass follows."""
        self._clock = clock
        self._start = start
        self._progress = progress
        self._beside = beside
        self._broken = broken
        self._due: list[tuple[float, int, Turn]] = []
        self._order = itertools.count()
        self._pass: asyncio.Handle | None = None
        """The next pass, and its tick."""
        self._pass_at = -math.inf
        self._over = False

    def begin(self) -> None:
        """Make the first pass, in the running loop."""
        self._loop = asyncio.get_running_loop()
        self._shortest = SHORTEST_SLEEP if isinstance(self._loop, uvloop.Loop) else 0.0
        self._go_on()

    def end(self) -> None:
        self._over = True
        if self._pass is not None:
            self._pass.cancel()

    def plan(self, turn: Turn) -> None:
        heapq.heappush(self._due, (turn.tick, next(self._order), turn))
        self.pass_by(turn.tick)

    def pass_by(self, tick: float) -> None:
        """Have a pass at that tick at the latest."""
        if tick < self._pass_at:
            self._pass_soon()

    def _go_on(self) -> None:
        """One pass: start what is due, and have the next pass when there is more, or a second has passed."""
        try:
            self._progress()
            now = self._clock.now().tick
            more = self._start_due(now)
            until = min(self._beside(now), self._due[0][0] if self._due else math.inf, now + LONGEST_SLEEP)
        except BaseException as error:  # noqa: BLE001  (it ends the scheduler, not only this pass)
            self._broken(error)
            return
        if more:
            self._pass_soon()
            return
        self._pass_at = until
        self._pass = self._loop.call_later(max(until - now, self._shortest), self._go_on)

    def _pass_soon(self) -> None:
        """Have the next pass in the loop's next turn."""
        if self._over:
            return
        if self._pass is not None:
            self._pass.cancel()
        self._pass_at = -math.inf
        self._pass = self._loop.call_soon(self._go_on)

    def _start_due(self, now: float) -> bool:
        """Start what is due. True: there is more, after the loop had its turn."""
        for _ in range(_STARTS_A_PASS):
            if not self._due or self._due[0][0] > now:
                return False
            _, _, turn = heapq.heappop(self._due)
            if turn.wanted:
                self._start(turn, now)
        return True
