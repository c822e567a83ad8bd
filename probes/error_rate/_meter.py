"""Two figures, all and bad, made into what came since the last look, whatever they count."""

from __future__ import annotations

import time
from collections.abc import Mapping, MutableMapping
from time import perf_counter
from typing import TYPE_CHECKING
from zlib import crc32

from probes.contract import BadField
from probes.error_rate.source import Tally

if TYPE_CHECKING:
    from probes.error_rate.probe import ErrorRate

_RATE_SPEAKS_FOR = 300.0
"""Seconds at most: of what range a rate is the mean is not told, but hardly of a longer one."""


class Meter:
    """`counts` as the probe's key of that name has it: counters, figures of an interval, or rates.

    What must survive a restart of the agent stands in the check's memory, by names that begin with the source's.
    """

    def __init__(self, check: ErrorRate, source: str, default: str) -> None:
        """Raises `BadField`."""
        self._counts = check.counts or default
        self._interval = check.interval.total_seconds() if check.interval is not None else 0.0
        if (self._counts == "interval") != (check.interval is not None):
            said = "is missing: the span that the figures count over, such as 60s"
            raise BadField("interval", said if check.interval is None else "belongs to counts: interval")
        if check.interval is not None and self._interval <= 0:
            raise BadField("interval", "write a span such as 60s")
        self._name = source
        self._of = crc32(f"{getattr(check, source)}\n{check.total}\n{check.bad}\n{self._counts}".encode())
        self._tick: float | None = None

    def now(self) -> tuple[float, float]:
        """The moment of asking, by the wall clock and the monotonic one: to be handed to `take`."""
        return time.time(), perf_counter()

    def take(
        self,
        memory: MutableMapping[str, float | str],
        asked: tuple[float, float],
        total: float,
        bad: float,
        latency: Mapping[str, float],
    ) -> Tally | None:
        """What came since the last look; None when nothing can be told yet, or a later look has told it."""
        wall, tick = asked
        if self._tick is not None and tick <= self._tick:
            return None
        before = self._known(memory)
        # The wall clock only where there is no other: between two processes of the agent.
        since = before[0] if before is not None else wall
        seconds = tick - self._tick if self._tick is not None else wall - since
        self._tick = tick
        memory[self._name] = f"{self._of} {wall!r} {total!r} {bad!r}"
        if before is None or seconds <= 0:
            return None
        if self._counts == "total":
            total, bad = _risen(before[1:], (total, bad))
        else:
            # What was not looked at for longer than a figure speaks for is not known, and not made up.
            seconds = min(seconds, self._interval or _RATE_SPEAKS_FOR)
            share = seconds / (self._interval or 1.0)
            total, bad = total * share, bad * share
        return Tally(total, bad, seconds, latency)

    def _known(self, memory: MutableMapping[str, float | str]) -> tuple[float, float, float] | None:
        try:
            of, wall, total, bad = map(float, str(memory[self._name]).split())
        except (KeyError, ValueError):
            return None
        return (wall, total, bad) if of == self._of else None


def _risen(before: tuple[float, float], now: tuple[float, float]) -> tuple[float, float]:
    """The increase of the two counters. One that fell began again at 0, and so did the other, even if it is beyond
    what it was: all errors of a table that was cleaned, against its newest rows alone, would be an outage made up."""
    if now[0] < before[0] or now[1] < before[1]:
        return now
    return now[0] - before[0], now[1] - before[1]
