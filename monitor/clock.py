"""The clock as a port: one reading a turn, carried along as a `Moment`."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

from monitor.core.model import Moment


class Clock(Protocol):
    def now(self) -> Moment: ...


class SystemClock:
    """Wall time for naming moments, monotonic time for measuring spans."""

    def now(self) -> Moment:
        return Moment(datetime.now(UTC), time.monotonic())


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
