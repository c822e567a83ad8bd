"""A threshold's condition as a value: which measurement, aggregated how, against which limit, held how long.

The text form (``p95(response_time, 5m) > 800ms, clear < 600ms``) is parsed by `monitor.config.conditions`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from probes.contract import Unit


class Level(StrEnum):
    """What a condition that holds makes of a check."""

    DEGRADED = "degraded"
    DOWN = "down"


class Aggregate(StrEnum):
    """How the samples of a window become one figure. `RATE` is the increase a second, `COUNT` the samples."""

    LAST = "last"
    MEAN = "mean"
    MIN = "min"
    MAX = "max"
    RATE = "rate"
    COUNT = "count"
    PERCENTILE = "percentile"


class Operator(StrEnum):
    ABOVE = ">"
    AT_LEAST = ">="
    BELOW = "<"
    AT_MOST = "<="

    def holds(self, value: float, limit: float) -> bool:
        if self is _ABOVE:
            return value > limit
        if self is _AT_LEAST:
            return value >= limit
        if self is _BELOW:
            return value < limit
        return value <= limit


_ABOVE: Final = Operator.ABOVE
_AT_LEAST: Final = Operator.AT_LEAST
_BELOW: Final = Operator.BELOW
"""As `monitor.core.model.UP`."""


USUAL = "usual"
"""What a bound is a multiple of where that is not a measurement: the measurement's own past."""


@dataclass(frozen=True, slots=True)
class Bound:
    """``> 800ms``: an operator and a limit in the measurement's base unit. ``> 2x workers``, ``> 3x usual``: `limit`
    times another figure, which is `of`: a measurement of the same look, or `USUAL`."""

    operator: Operator
    limit: float
    of: str | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    """One threshold. `text` is what the user wrote, and what events and pages show."""

    text: str
    level: Level
    measurement: str
    unit: Unit
    """The unit of the compared figure: that of the measurement, except for `RATE` and `COUNT`."""
    bound: Bound
    aggregate: Aggregate = Aggregate.LAST
    percentile: int | None = None
    """1 to 99, with `Aggregate.PERCENTILE`."""
    window: timedelta | None = None
    """None only with `Aggregate.LAST`."""
    clear: Bound | None = None
    """Once true, the condition stays true until this holds. None: until `bound` no longer holds."""
    for_looks: tuple[int, int] | None = None
    """``for 3 of 5``: true in at least 3 of the last 5 looks."""
    for_span: timedelta | None = None
    """``for 2m``: true in every look for that long."""
    at_least: float | None = None
    """``at least 50 requests``: below this traffic in the window the condition cannot become true."""
    ratio_of: tuple[str, str] | None = None
    """(part, whole), from the probe's `Measurement`: aggregated as sum(part) / sum(whole)."""

    @property
    def compares_with_usual(self) -> bool:
        return any(bound is not None and bound.of == USUAL for bound in (self.bound, self.clear))

    @property
    def names(self) -> frozenset[str]:
        """The measurements that are in the figure or in a limit."""
        others = (self.bound.of, self.clear.of if self.clear is not None else None)
        return frozenset((self.measurement, *(self.ratio_of or ()), *(name for name in others if name is not None)))

    def needs(self, name: str) -> bool:
        """Whether that measurement is in the figure or in a limit."""
        return name in self.names
