"""What is usual for a measurement at this hour of the week: learned from good looks, slowly, in a few hundred bytes.

Figures are compared by their logarithm, since times vary by a factor and not by an amount. Before that, a *grain* is
added, the difference nobody minds: 0.4 ms that have become 0.9 ms are no trouble, whatever the factor.

Three things are learned. The *recent* level, over about an hour. The mean of each hour of the week (in UTC), as the
hours come by. And a *drift*, over about a day, by which all hours are off. Usual is then the mean of this hour with
the drift; while this hour of the week is not known yet, the higher of the recent level and the same hour of the day
before, since a level too high costs a little sensitivity and one too low wakes people.
"""

from __future__ import annotations

import base64
import math
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from monitor.core.moment import Moment
from monitor.core.snapshot import read_count, read_number
from probes.contract import Unit

GRAIN = {
    Unit.SECONDS: 0.01, Unit.RATIO: 0.001, Unit.BYTES: 1024.0, Unit.COUNT: 1.0, Unit.PER_SECOND: 0.1,
    Unit.BYTES_PER_SECOND: 1024.0,
}  # fmt: skip
"""What is added to a figure before it is compared, in its unit: differences of that size are nobody's trouble."""

FEWEST_LOOKS, SHORTEST = 30, 3600.0
"""A baseline says nothing before it has seen so many looks, and for so long (s)."""

_HOUR, _DAY, _WEEK = 3600.0, 24, 168
"""Seconds of an hour; hours of a day, and of a week."""
_MINUTE = 60_000_000
"""Microseconds."""
_EPOCHS_HOUR = 3 * _DAY
"""The hour of the week at which 1970 began: on a Thursday."""
_RECENT, _DRIFT = 3600.0, 86400.0
"""Seconds over which the recent level and the drift are averaged."""
_WEIGHT_OF_A_WEEK = 0.4
"""How much the newest week counts in the mean of an hour."""
_SPREAD_LOOKS = 500
"""Looks over which the spread is averaged."""
_FIRST_SPREAD, _FIRST_LOOKS = 0.2, 10
"""The spread before anything is known, and how many looks that guess is worth."""
_CLIP = 3.0
"""Spreads: by more than this, one look does not move the level or the spread up."""
_SMALLEST_SPREAD = 0.01
_SHARE_OF_HOUR = 0.3
"""An hour of which less than this was seen well is not learned."""
_LARGEST = 1e14
_SCALE, _MISSING = 1000.0, -32768
"""Means of hours are kept in thousandths of their logarithm: 0.1 %, from 1e-14 to 1e14."""


def hour_of(at: datetime) -> int:
    """The hour of the week, from 0: Monday's first, in UTC."""
    return at.weekday() * _DAY + at.hour


def hour_and_minute(moment: Moment) -> tuple[int, int]:
    """The hour of the week (`hour_of`), and the minute in it."""
    minutes = moment.micros // _MINUTE
    return (minutes // 60 + _EPOCHS_HOUR) % _WEEK, minutes % 60


@dataclass(frozen=True, slots=True)
class Usual:
    """What is usual at a moment, in the unit of the measurement, for people and for conditions."""

    value: float
    spread: float
    """One standard deviation around it."""
    weekly: bool
    """Whether this hour of the week has been seen before."""


class Baseline:
    """What is usual for one measurement of one check."""

    __slots__ = ("_count", "_drift", "_first", "_hour", "_hours", "_recent", "_seen", "_sum", "grain", "spread")

    def __init__(self, unit: Unit) -> None:
        self.grain = GRAIN[unit]
        self._count = 0
        """Looks that were learned from, as far as it matters how many."""
        self._recent = self._drift = 0.0
        self.spread = _FIRST_SPREAD
        """The standard deviation of levels around what is usual; next to nothing is not believed."""
        self._first = 0
        """The hour of the week that stands first in `_hours`."""
        self._hours: array[int] | None = None
        """Means of hours of the week, one after the other from `_first` on, as far as they have been seen."""
        self._hour = -1
        """The hour of the week that is being gathered; the sum and the number of its looks."""
        self._sum = 0.0
        self._seen = 0

    def level_of(self, value: float) -> float:
        """The figure as it is compared here: the logarithm of it and the grain together. It is not below zero."""
        return math.log((value if value < _LARGEST else _LARGEST) + self.grain)

    def value_of(self, level: float) -> float:
        """The reverse of `level_of`."""
        return max(math.exp(level) - self.grain, 0.0)

    def ripe(self, every: float) -> bool:
        """Whether it has seen enough to say anything. `every` are seconds between looks."""
        return self._count >= FEWEST_LOOKS and self._count * every >= SHORTEST

    def expected(self, hour: int, minute: int) -> tuple[float, bool]:
        """The level that is usual at that minute of an hour of the week (`hour_of`), and whether that hour has been
        seen before. It is led over into that of the neighbour: levels have no steps at full hours."""
        hours = self._hours
        if hours is None:
            return self._recent, False
        place, seen = (hour - self._first) % _WEEK, len(hours)
        if place >= seen or (own := hours[place]) == _MISSING:
            before = self._mean(hour - _DAY)
            return (self._recent if before is None else max(before, self._recent)), False
        beside = (place - 1 if minute < 30 else place + 1) % _WEEK
        if beside < seen and (other := hours[beside]) != _MISSING:
            return (own + (other - own) * abs(minute - 30) / 60) / _SCALE + self._drift, True
        return own / _SCALE + self._drift, True

    def usual(self, at: datetime) -> Usual:
        level, weekly = self.expected(hour_of(at), at.minute)
        return Usual(self.value_of(level), math.exp(level) * self.spread, weekly)

    def learn(self, level: float, hour: int, every: float, expected: float, *, weekly: bool) -> None:
        """Take in a good look that was begun in that hour of the week, when so much was `expected`."""
        count = self._count
        if not count:
            self._recent = expected = level
        most = _CLIP * self.spread
        off = level - expected
        if off > most:
            off, level = most, expected + most
        moved = off if off > -most else -most
        if count < _SPREAD_LOOKS or count * every < SHORTEST:
            self._count = count = count + 1
        looks = count + _FIRST_LOOKS if count < _SPREAD_LOOKS - _FIRST_LOOKS else _SPREAD_LOOKS
        variance = self.spread * self.spread
        self.spread = max(math.sqrt(variance + (moved * moved - variance) / looks), _SMALLEST_SPREAD)
        step = every / _RECENT if every < _RECENT / 10 else 0.1
        if step * count < 1:
            step = 1 / count
        ahead = level - self._recent
        self._recent += step * (ahead if ahead < most else most)
        if weekly:
            self._drift += off * (every / _DRIFT if every < _DRIFT / 10 else 0.1)
        if hour != self._hour:
            self._begin(hour, every)
        self._sum += level
        self._seen += 1

    def adopt(self, off: float) -> None:
        """What has been off by so much for so long is what is usual from now on."""
        self._drift += off
        self._recent += off
        self._seen, self._sum = 0, 0.0

    def _begin(self, hour: int, every: float) -> None:
        """Another hour: what was gathered in the one before is entered."""
        if self._seen and self._seen >= _SHARE_OF_HOUR * _HOUR / every:
            self._keep(self._sum / self._seen)
        self._hour, self._sum, self._seen = hour, 0.0, 0

    def _keep(self, mean: float) -> None:
        """Enter the mean of the hour that has ended."""
        if self._hours is None:
            self._hours, self._first = array("h"), self._hour
        place = (self._hour - self._first) % _WEEK
        while len(self._hours) <= place:
            self._hours.append(_MISSING)
        before = self._hours[place]
        if before != _MISSING:
            mean = before / _SCALE + _WEIGHT_OF_A_WEEK * (mean - before / _SCALE)
        self._hours[place] = round(min(max(mean * _SCALE, _MISSING + 1), -_MISSING - 1))

    def _mean(self, hour: int) -> float | None:
        hours = self._hours
        place = (hour - self._first) % _WEEK
        if hours is None or place >= len(hours) or (found := hours[place]) == _MISSING:
            return None
        return found / _SCALE

    def dump(self) -> dict[str, Any]:
        hours = base64.b64encode(self._hours.tobytes()).decode() if self._hours is not None else ""
        return {
            "count": self._count, "recent": self._recent, "drift": self._drift, "spread": self.spread,
            "first": self._first, "hours": hours, "hour": self._hour, "sum": self._sum, "seen": self._seen,
        }  # fmt: skip

    def load(self, dumped: Mapping[str, Any]) -> None:
        hours = array("h")
        hours.frombytes(base64.b64decode(dumped["hours"]))
        if len(hours) > _WEEK:
            raise ValueError("a week has no more hours than that")
        self._hours = hours if hours else None
        self._count, self._seen = read_count(dumped["count"]), read_count(dumped["seen"])
        self._recent, self._drift = read_number(dumped["recent"], 100.0), read_number(dumped["drift"], 100.0)
        self.spread = max(read_number(dumped["spread"], 100.0), _SMALLEST_SPREAD)
        self._first, self._sum = read_count(dumped["first"]) % _WEEK, read_number(dumped["sum"])
        self._hour = int(read_number(dumped["hour"], _WEEK))
