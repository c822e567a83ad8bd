"""A window over time: the samples of one measurement in the last `horizon` seconds, each of them, and in order."""

from __future__ import annotations

import base64
import math
from abc import ABC, abstractmethod
from array import array
from bisect import bisect_left, insort
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from monitor.core.condition import Operator
from monitor.core.snapshot import read_seconds

SAMPLES_LIMIT = 1024
"""Samples that a window keeps one by one. One that is to hold more is kept in slices (`monitor.core.slices`)."""
_FEW = 32
"""So many samples are sorted when they are asked for; that takes no longer than to keep them in order."""


class Samples(ABC):
    """What a condition may ask of a window of `horizon` seconds; `name` is that of the measurement. Ticks are
    those of the monotonic clock (s)."""

    __slots__ = ("horizon", "name")

    def __init__(self, horizon: float, name: str = "") -> None:
        self.horizon, self.name = horizon, name

    @property
    @abstractmethod
    def count(self) -> int:
        """Samples in the window."""

    @property
    @abstractmethod
    def missed(self) -> int:
        """Looks in the window that never came to the end of what is measured (`miss`)."""

    @property
    @abstractmethod
    def total(self) -> float:
        """The sum of the samples."""

    @property
    @abstractmethod
    def last(self) -> float:
        """The newest sample; there must be one."""

    @property
    @abstractmethod
    def rate(self) -> float | None:
        """Increase a second of a counter; one that fell was reset and began again at 0. None with fewer than two."""

    @abstractmethod
    def at(self, rank: int) -> float:
        """The sample that has so many smaller ones before it: 0 the smallest, `count` - 1 the largest."""

    @abstractmethod
    def add(self, tick: float, value: float) -> None:
        """Take a sample. One that is not finite, or not newer than the last, says nothing and is left out."""

    @abstractmethod
    def miss(self, tick: float) -> None:
        """A look has not seen the end of what is measured: that would have taken longer, nobody knows how much."""

    @abstractmethod
    def move(self, tick: float) -> None:
        """It is `tick`: what is older than the window goes."""

    @abstractmethod
    def reaches_back(self, since: float) -> bool:
        """Whether samples were taken already at or before that tick."""

    @abstractmethod
    def dump(self, tick: float) -> dict[str, Any]:
        """All that is known, at the tick that is now."""

    @abstractmethod
    def load(self, dumped: Mapping[str, Any], tick: float) -> None:
        """The reverse of `dump`, for a process in which that moment was at `tick`. May raise `ValueError`."""

    def percentile(self, percent: int, *, missed: int = 0) -> float:
        """Linear interpolation between closest ranks (method 7 of Hyndman and Fan, 1996; numpy's default). There must
        be a sample. `missed` stands for so many more that are larger than all: infinite where they decide."""
        return _interpolated(self.at, self.count, percent, missed)

    def outmost(self, rank: int, operator: Operator) -> float:
        """The sample that would meet a bound with that operator first, second, ...: `rank` is 1, 2, ..."""
        return self.at(self.count - rank if operator in (Operator.ABOVE, Operator.AT_LEAST) else rank - 1)


class Series(Samples):
    """Every sample of the window, bounded in number: the oldest go."""

    __slots__ = ("_missed", "_ordered", "_ticks", "_values")

    def __init__(self, horizon: float, name: str = "") -> None:
        super().__init__(horizon, name)
        self._ticks = array("d")
        self._values = array("d")
        self._ordered: array[float] | None = None
        """The values by size: kept so, as sorting them at each look is ten times as dear. None while they are few."""
        self._missed: array[float] | None = None
        """The ticks of the looks that have missed the end; None before the first one."""

    @property
    def count(self) -> int:
        return len(self._ticks)

    @property
    def missed(self) -> int:
        return len(self._missed) if self._missed is not None else 0

    @property
    def total(self) -> float:
        return float(sum(self._values))

    @property
    def last(self) -> float:
        return self._values[-1]

    @property
    def rate(self) -> float | None:
        if len(self._values) < 2:
            return None
        increase = sum(after - before if after >= before else after for before, after in pairwise(self._values))
        return increase / (self._ticks[-1] - self._ticks[0])

    def at(self, rank: int) -> float:
        return (self._ordered or sorted(self._values))[rank]

    def percentile(self, percent: int, *, missed: int = 0) -> float:
        ordered = self._ordered or sorted(self._values)  # once for both of its ranks
        return _interpolated(ordered.__getitem__, len(ordered), percent, missed)

    def add(self, tick: float, value: float) -> None:
        if not math.isfinite(value) or (self._ticks and tick <= self._ticks[-1]):
            return
        self._ticks.append(tick)
        self._values.append(value)
        if self._ordered is not None:
            insort(self._ordered, value)
        elif len(self._values) > _FEW:
            self._ordered = array("d", sorted(self._values))
        self._drop(len(self._ticks) - SAMPLES_LIMIT)

    def miss(self, tick: float) -> None:
        if self._missed is None:
            self._missed = array("d")
        if not self._missed or tick > self._missed[-1]:
            self._missed.append(tick)
            del self._missed[:-SAMPLES_LIMIT]

    def move(self, tick: float) -> None:
        since = tick - self.horizon
        if self._ticks and self._ticks[0] < since:
            self._drop(bisect_left(self._ticks, since))
        if self._missed and self._missed[0] < since:
            del self._missed[: bisect_left(self._missed, since)]

    def _drop(self, stale: int) -> None:
        if stale <= 0:
            return
        ordered = self._ordered
        if ordered is not None:
            for value in self._values[:stale]:
                del ordered[bisect_left(ordered, value)]
        del self._ticks[:stale], self._values[:stale]

    def reaches_back(self, since: float) -> bool:
        return bool(self._ticks) and self._ticks[0] <= since

    def dump(self, tick: float) -> dict[str, Any]:
        """All samples as two columns: 5 µs where a list of 300 ages took 300 µs of JSON."""
        dumped = {"now": tick, "ticks": _packed(self._ticks), "values": _packed(self._values)}
        return dumped | {"missed": _packed(self._missed)} if self._missed else dumped

    def load(self, dumped: Mapping[str, Any], tick: float) -> None:
        feed(self, dumped, tick)


def _interpolated(at: Callable[[int], float], count: int, percent: int, missed: int) -> float:
    position = (count + missed - 1) * percent / 100
    rank = int(position)
    part = position - rank
    low = at(rank) if rank < count else math.inf
    if not part:
        return low
    high = at(rank + 1) if rank + 1 < count else math.inf
    return between(low, high, part) if high < math.inf else high


def feed(samples: Samples, dumped: Mapping[str, Any], tick: float) -> None:
    """Give to a window what a `Series` has dumped; what is too old stays out."""
    shift = tick - read_seconds(dumped["now"])
    for taken, value in zip(_unpacked(dumped["ticks"]), _unpacked(dumped["values"]), strict=True):
        samples.add(read_seconds(taken) + shift, value)
    for taken in _unpacked(dumped.get("missed", "")):
        samples.miss(read_seconds(taken) + shift)
    samples.move(tick)


def _packed(column: array[float]) -> str:
    return base64.b64encode(column.tobytes()).decode()


def _unpacked(text: str) -> array[float]:
    column = array("d")
    column.frombytes(base64.b64decode(text))
    return column


def percentile(values: Sequence[float], percent: int) -> float:
    """That of a handful of figures; as `Samples.percentile`."""
    ordered = sorted(values)
    position = (len(ordered) - 1) * percent / 100
    low = int(position)
    high = min(low + 1, len(ordered) - 1)
    return between(ordered[low], ordered[high], position - low)


def between(low: float, high: float, part: float) -> float:
    """The value at that part of the way, 0 to 1. Two figures of a target may be farther apart than any float."""
    way = high - low
    return low + way * part if math.isfinite(way) else low * (1 - part) + high * part
