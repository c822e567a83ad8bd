"""The clock as a port: one reading a turn, carried along as a `Moment`."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol

from monitor.core.model import Moment


class Clock(Protocol):
    def now(self) -> Moment: ...


class SystemClock:
    """Wall time for naming moments, monotonic time for measuring spans."""

    def now(self) -> Moment:
        return Moment(datetime.now(UTC), time.monotonic())
