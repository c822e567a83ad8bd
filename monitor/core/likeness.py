"""How alike the looks of one target are that come soon after one another, and what such a look is therefore worth.

Noise has a memory: a neighbour that is busy for a minute makes all looks of that minute slow, and ten of them two
seconds apart are then hardly more evidence than the first one. How much of it there is differs from target to target,
so it is learned from each: `alike` is how much of what the looks before were off comes back in the next one, on
average (the slope of a regression through nothing). It is 0 where each look's noise is its own, and 1 where all looks
of a few seconds are off alike. As with bursts of loss, what teaches is a doubt that came to nothing; in real trouble
all looks are high alike.

A look soon after another counts in full by the part that is its own (in a sum that adds up independent evidence,
correlated looks count for less: Johnson & Bagshaw, 1974; that the part is squared is fitted by simulation). The other
part counts only as far as it lies higher than noise would carry all looks of a while together (`_CARRIED`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from monitor.core.snapshot import read_count, read_number

NEAR = 4.0
"""Looks closer to one another than so many seconds are near."""

MOST = 3.0
"""Spreads above the drift: no look counts for more than that."""
_CARRIED = 1.5
"""Spreads above the drift to which noise may carry all looks of a while."""
_FULL = 2.0
"""Looks closer to one another than so many seconds count less in proportion."""

_ASSUMED, _ASSUMED_WEIGHT = 0.8, 20.0
"""How alike looks are as long as nothing is known, and how much that guess weighs, in squared spreads."""
_MEMORY = 1000.0
"""The weight of all that is remembered, in squared spreads: a week's doubts, or so."""

_BOUND = 3.0
"""Spreads: no look teaches by more than that."""
_LONE = 4.0
"""Spreads: what begins that high, and is not near another one, is a lone slow look perhaps, and says nothing of those
that follow."""


class Cluster:
    """The looks of one doubt, as far as they were near one another, by how far they were off (spreads)."""

    __slots__ = ("level", "looks", "repeated", "seen")

    def __init__(self) -> None:
        self.looks = 0
        """Those of the latest row of near looks."""
        self.level = 0.0
        """Their mean."""
        self.repeated = self.seen = 0.0
        """Sums over all rows: the mean of those before a look times the look, and the mean squared."""

    def add(self, off: float, *, near: bool) -> None:
        """`near`: soon after the look before."""
        if not near:
            self.looks, self.level = 0, 0.0
        if not self.looks and off > _LONE:
            return
        off = min(max(off, -_BOUND), _BOUND)
        if self.looks:
            self.repeated += self.level * off
            self.seen += self.level * self.level
        self.looks += 1
        self.level += (off - self.level) / self.looks

    def dump(self) -> list[float]:
        return [self.looks, self.level, self.repeated, self.seen]

    @classmethod
    def load(cls, dumped: Sequence[Any]) -> Cluster:
        made = cls()
        looks, level, repeated, seen = dumped
        made.looks, made.level = read_count(looks), read_number(level, _BOUND)
        made.repeated, made.seen = read_number(repeated), max(read_number(seen), 0.0)
        return made


class Likeness:
    """Of one measurement of one target."""

    __slots__ = ("_repeated", "_seen")

    def __init__(self) -> None:
        self._repeated = self._seen = 0.0

    @property
    def alike(self) -> float:
        """How much of what looks were off comes back in the next one that is near, 0 to 1."""
        found = (self._repeated + _ASSUMED * _ASSUMED_WEIGHT) / (self._seen + _ASSUMED_WEIGHT)
        return min(max(found, 0.0), 1.0)

    def learn(self, cluster: Cluster) -> None:
        """From a doubt that came to nothing."""
        self._repeated += cluster.repeated
        self._seen += cluster.seen
        if self._seen > _MEMORY:
            self._repeated *= _MEMORY / self._seen
            self._seen = _MEMORY

    def worth(self, above: float, gap: float) -> float:
        """What a look counts that is so many spreads (0 to `MOST`) above the drift, so many seconds after another."""
        own = (1.0 - self.alike) ** 2
        beyond = max(above - _CARRIED, 0.0) * (MOST / (MOST - _CARRIED))
        return (own * above + (1.0 - own) * beyond) * min(gap / _FULL, 1.0)

    def dump(self) -> list[float]:
        return [self._repeated, self._seen]

    def load(self, dumped: Sequence[Any]) -> None:
        repeated, seen = dumped
        self._repeated, self._seen = read_number(repeated), max(read_number(seen), 0.0)
