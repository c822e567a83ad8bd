"""The clock as a port: one reading a turn, carried along as a `Moment`."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

from monitor.core.model import Moment

TRUSTED_STEP, BELIEVED_AFTER = timedelta(hours=1), 86400.0
"""What a clock may be set forward without being doubted, and seconds after which more than that is believed."""


class Clock(Protocol):
    def now(self) -> Moment: ...


class SystemClock:
    """Wall time for naming moments, monotonic time for measuring spans."""

    def now(self) -> Moment:
        return Moment(time.time_ns() // 1000, time.monotonic())


class SteadyClock:
    """Instants for what must wait so and so long: the wall time of the beginning and what has passed since, as if
    nobody had set the clock meanwhile. A wait that began before a step ends as if there had been none."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._anchor = clock.now()

    def now(self) -> datetime:
        return self._anchor.at + timedelta(seconds=self._clock.now().tick - self._anchor.tick)

    @property
    def ahead(self) -> float:
        """Seconds by which the wall clock is ahead of this one: it was set, or the machine slept."""
        return (self._clock.now().at - self.now()).total_seconds()


class CautiousClock:
    """Wall time for whoever removes things by their age. A clock that was set forward is believed after a day, when
    somebody has had time to notice: a year in the future would be the end of all that was kept."""

    def __init__(self, clock: Clock, uptime: Callable[[], float]) -> None:
        """`uptime` tells seconds on a clock that nobody sets."""
        self._clock, self._uptime = clock, uptime
        self._believed: tuple[datetime, float] | None = None
        self._doubted: float | None = None
        """Since when the clock is ahead of what has passed."""

    def now(self) -> datetime:
        at, tick = self._clock.now().at, self._uptime()
        before, then = self._believed or (at, tick)
        due = before + timedelta(seconds=tick - then)
        if at - due <= TRUSTED_STEP:
            self._doubted = None
        else:
            self._doubted = tick if self._doubted is None else self._doubted
            if tick - self._doubted < BELIEVED_AFTER:
                return due
        self._believed = at, tick
        return at
