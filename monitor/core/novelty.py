"""Figures that are where they have not been: found in what the history keeps, shown, and never paged.

It is for measurements that nobody has written a threshold for. Each is seen in three ways: by its extremes, by the
median of some hours, which one spike does not move, and by how far it is from the same hour of the weeks before. For
each a range is kept that grows with what it sees, by a quarter of its width at most, and slowly forgets. What lies
well outside is novel; what stays there is not for long.

Nothing of this is kept between two questions: it is worked out from hourly roll-ups whenever somebody looks.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from monitor.core.baseline import GRAIN
from monitor.core.history import Figures, Point
from monitor.core.model import Check
from monitor.core.wording import duration, quantity
from probes.contract import Unit

SPAN = timedelta(days=28)
"""So much of the past is looked at."""
FEWEST_POINTS = 24
"""Hours in which something was measured, before anything is novel."""
FINDINGS_LIMIT = 16
RECENT = timedelta(hours=2)
"""What lies further back is no news."""

_BEYOND = 0.5
"""Widths of its range by which a novel figure lies outside."""
_GROWTH = 0.25
_FORGETS = 7 * 24.0
"""Points over which a range forgets what does not come again."""
_MEDIAN_OF = 9
_FLOOR = 0.05
"""A range is at least that part of its largest figure wide."""
_WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Finding:
    """A figure that is where it has not been. `low` and `high` are the range in which it was before."""

    measurement: str
    unit: Unit
    value: float
    low: float
    high: float
    since: datetime
    """When the first period of the novel ones began."""
    why: str


class _Range:
    """Where a series has been."""

    __slots__ = ("_before", "_floor", "_seen", "high", "low", "since")

    def __init__(self, floor: float) -> None:
        self._floor = floor
        self._seen = 0
        self.low, self.high = math.inf, -math.inf
        self.since: datetime | None = None
        """When the run of novel figures began that goes on."""
        self._before = (self.low, self.high)
        """The range before that run."""

    def see(self, low: float, high: float, at: datetime) -> tuple[float, float, float] | None:
        """Take in the extremes of a period: the one that is novel, and the range before that; None if none is."""
        self._seen += 1
        if self._seen <= FEWEST_POINTS:
            self.low, self.high = min(self.low, low), max(self.high, high)
            return None
        width = max(self.high - self.low, self._floor, _FLOOR * max(abs(self.low), abs(self.high)))
        above, below = high - self.high, self.low - low
        novel = max(above, below) > _BEYOND * width
        if not novel:
            self.since = None
        elif self.since is None:
            self.since, self._before = at, (self.low, self.high)
        self._grow(low, high, _GROWTH * width)
        return (high if above >= below else low, *self._before) if novel else None

    def _grow(self, low: float, high: float, most: float) -> None:
        """Towards what was seen. While one edge grows the other forgets nothing, or the range would not get wider."""
        if high > self.high or low < self.low:
            self.high = max(min(high, self.high + most), self.high)
            self.low = min(max(low, self.low - most), self.low)
        else:
            self.high += (high - self.high) / _FORGETS
            self.low += (low - self.low) / _FORGETS


def findings(points: Sequence[Point], check: Check, now: datetime) -> list[Finding]:
    """What is novel in the last hours of `points`, which are hourly and in the order of time; the oddest first."""
    odd: list[tuple[float, Finding]] = []
    for item in check.probe.measured:
        if item.name == check.usual or any(condition.needs(item.name) for condition in check.conditions):
            continue
        series = [(point.at, it) for point in points if (it := point.figures.get(item.name)) and it.count]
        if len(series) <= FEWEST_POINTS or series[-1][0] < now - RECENT:
            continue
        found = _newest(item.name, item.unit, series)
        if found is not None:
            odd.append(found)
    odd.sort(key=lambda pair: -pair[0])
    return [finding for _, finding in odd[:FINDINGS_LIMIT]]


def _newest(name: str, unit: Unit, series: Sequence[tuple[datetime, Figures]]) -> tuple[float, Finding] | None:
    """What the newest period shows, in the first of the three ways that shows anything; and how odd that is."""
    floor = GRAIN[unit]
    extremes, middles, weekly = _Range(floor), _Range(floor), _Range(floor)
    means: dict[datetime, float] = {}
    last: deque[float] = deque(maxlen=_MEDIAN_OF)
    seen: list[tuple[_Range, tuple[float, float, float] | None, str]] = []
    for at, figures in series:
        last.append(figures.mean)
        middle, usual = median(last), _weeks_before(means, at)
        means[at] = figures.mean
        seen = [
            (extremes, extremes.see(figures.min, figures.max, at), ""),
            (middles, middles.see(middle, middle, at), f"the median of {len(last)} hours"),
        ]
        if usual is not None:
            off = figures.mean - usual
            seen.append((weekly, weekly.see(off, off, at), "from what it was at this hour of the weeks before"))
    for kept, found, how in seen:
        if found is None or kept.since is None:
            continue
        value, low, high = found
        odd = max(value - high, low - value) / max(high - low, floor)
        why = _told(name, unit, found, how, series[-1][0] - series[0][0])
        return odd, Finding(name, unit, value, low, high, kept.since, why)
    return None


def _weeks_before(means: Mapping[datetime, float], at: datetime) -> float | None:
    """The mean of the same hour in the weeks before, of which there must be two."""
    before = [means[at - weeks * _WEEK] for weeks in (1, 2, 3) if at - weeks * _WEEK in means]
    return sum(before) / len(before) if len(before) >= 2 else None


def _told(name: str, unit: Unit, found: tuple[float, float, float], how: str, span: timedelta) -> str:
    """``queue depth 420; in 13 d it was between 0 and 130``"""
    value, low, high = (quantity(figure, unit) for figure in found)
    words = name.replace("_", " ")
    if how.startswith("from"):
        return f"{words} is {value} {how}; it has been between {low} and {high}"
    return f"{words} {value}{f' ({how})' if how else ''}; in {duration(span)} it was between {low} and {high}"
