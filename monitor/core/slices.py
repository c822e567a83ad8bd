"""A long window in bounded memory: slices of time, each with a sum, extremes, and a histogram of its samples.

A day of looks, one each 5 seconds, is 17,280 samples: 400 KB. In slices it is some 50 KB, 110 at most. What it gives
up for that:

- It forgets a slice at a time, so it looks back up to a `SLICES`th (3 %) farther than is written.
- A percentile is that of the grades of the samples (`monitor.core.grades`): off by 1 % of itself at most, and no
  sample gets across a limit of two digits by that. The smallest and the largest sample, and counts, sums, means and
  rates, are exact.
- A slice tells `GRADES_LIMIT` grades apart; further ones count as the nearest of those. To fill them, a target would
  have to spread its samples evenly over some forty times its smallest one, within a few minutes.
"""

from __future__ import annotations

import base64
import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from monitor.core.grades import Grades, figure_of, grade_of
from monitor.core.series import Samples, feed
from monitor.core.snapshot import read_count, read_number, read_seconds

SLICES = 32
"""Slices of a window; a further one is being filled, and one may be about to go."""

GRADES_LIMIT = 256
"""Grades that one slice tells apart."""

_LARGEST = 1e290
"""What a target claims beyond that counts as that: sums of it are still figures."""


@dataclass(slots=True)
class _Slice:
    """The samples of a part of the window; looks that never came to the end of what is measured are only counted."""

    first: float
    """When it was begun (a tick)."""
    newest: float
    """When its last look ended."""
    missed: int = 0
    total: float = 0.0
    low: float = math.inf
    high: float = -math.inf
    begin: float = 0.0
    """Its first sample; `begun` is when it was taken. Likewise its last one."""
    begun: float = 0.0
    end: float = 0.0
    ended: float = 0.0
    gain: float = 0.0
    """What a counter has gained from its first sample to its last."""
    grades: Grades = field(default_factory=Grades)

    @property
    def count(self) -> int:
        return self.grades.count

    def add(self, tick: float, value: float) -> int:
        """Take a sample; the grade that it counts as."""
        if self.count:
            self.gain += _gained(self.end, value)
        else:
            self.begin, self.begun = value, tick
        self.end, self.ended, self.newest = value, tick, max(self.newest, tick)
        self.total += value
        self.low, self.high = min(self.low, value), max(self.high, value)
        grade = grade_of(value)
        if len(self.grades) >= GRADES_LIMIT:
            grade = self.grades.nearest(grade)
        self.grades.add(grade)
        return grade

    def dump(self) -> list[Any]:
        ticks = [self.first, self.newest, self.begun, self.ended]
        told = [self.total, self.low, self.high, self.begin, self.end, self.gain] if self.count else []
        return [ticks, self.missed, told, *(base64.b64encode(column).decode() for column in self.grades.columns())]

    @classmethod
    def load(cls, dumped: Any, shift: float) -> _Slice:
        ticks, missed, told, grades, times = dumped
        first, newest, begun, ended = (read_seconds(tick) + shift for tick in ticks)
        found = cls(first, newest, read_count(missed), begun=begun, ended=ended)
        found.grades = Grades.read(base64.b64decode(grades), base64.b64decode(times))
        if found.count:
            found.total, found.low, found.high, found.begin, found.end, found.gain = map(read_number, told)
        return found


class Slices(Samples):
    """The slices of a window, the oldest first."""

    __slots__ = ("_grades", "_high", "_low", "_missed", "_slices")

    def __init__(self, horizon: float, name: str = "") -> None:
        super().__init__(horizon, name)
        self._slices: deque[_Slice] = deque()
        self._grades = Grades()
        """Those of all slices together; so are the three below."""
        self._missed = 0
        self._low, self._high = math.inf, -math.inf

    @property
    def count(self) -> int:
        return self._grades.count

    @property
    def missed(self) -> int:
        return self._missed

    @property
    def total(self) -> float:
        return sum(part.total for part in self._slices)

    @property
    def last(self) -> float:
        return self._filled()[-1].end

    @property
    def rate(self) -> float | None:
        if self.count < 2:
            return None
        first, *others = self._filled()
        gained, newest = first.gain, first
        for part in others:
            gained += _gained(newest.end, part.begin) + part.gain
            newest = part
        span = newest.ended - first.begun
        return gained / span if span > 0 else None

    def at(self, rank: int) -> float:
        """Off by 1 % at most; the smallest and the largest are exact."""
        if rank in (0, self.count - 1):
            return self._high if rank else self._low
        return min(max(figure_of(self._grades.at(rank)), self._low), self._high)

    def add(self, tick: float, value: float) -> None:
        newest = next((part for part in reversed(self._slices) if part.count), None)
        if not math.isfinite(value) or (newest is not None and tick <= newest.ended):
            return
        value = min(max(value, -_LARGEST), _LARGEST)
        self._grades.add(self._open(tick).add(tick, value))
        self._low, self._high = min(self._low, value), max(self._high, value)

    def miss(self, tick: float) -> None:
        part = self._open(tick)
        part.missed, part.newest = part.missed + 1, max(part.newest, tick)
        self._missed += 1

    def move(self, tick: float) -> None:
        since = tick - self.horizon
        if not self._slices or self._slices[0].newest >= since:
            return
        while self._slices and self._slices[0].newest < since:
            gone = self._slices.popleft()
            self._grades.remove(gone.grades)
            self._missed -= gone.missed
        self._find_extremes()

    def reaches_back(self, since: float) -> bool:
        return any(part.begun <= since for part in self._filled())

    def dump(self, tick: float) -> dict[str, Any]:
        return {"now": tick, "slices": [part.dump() for part in self._slices]}

    def load(self, dumped: Mapping[str, Any], tick: float) -> None:
        if "slices" not in dumped:
            feed(self, dumped, tick)
            return
        shift = tick - read_seconds(dumped["now"])
        for part in (_Slice.load(item, shift) for item in dumped["slices"]):
            self._slices.append(part)
            self._missed += part.missed
            for grade, times in part.grades:
                self._grades.add(grade, times)
        self._find_extremes()
        self.move(tick)

    def _open(self, tick: float) -> _Slice:
        """The slice that is filled at that tick."""
        if not self._slices or tick - self._slices[-1].first >= self.horizon / SLICES:
            self._slices.append(_Slice(tick, tick))
        return self._slices[-1]

    def _filled(self) -> list[_Slice]:
        return [part for part in self._slices if part.count]

    def _find_extremes(self) -> None:
        self._low = min((part.low for part in self._slices), default=math.inf)
        self._high = max((part.high for part in self._slices), default=-math.inf)


def _gained(before: float, after: float) -> float:
    """What a counter has gained; one that fell was reset and began again at 0."""
    return after - before if after >= before else after
