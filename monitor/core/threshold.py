"""One condition at work: keeps what it needs to know whether the condition holds, with hysteresis."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from monitor.core.condition import USUAL, Aggregate, Bound, Condition
from monitor.core.series import Samples
from monitor.core.snapshot import LARGEST, read_count, read_number, read_seconds

FEWEST_SAMPLES = 3
"""An aggregate over time says nothing before it has seen as many looks, unless its window never holds that many."""

SETTLE_LOOKS = 2
"""A condition without window or `for` becomes true, or false, by as many looks in a row: one is an accident."""

GAP_LOOKS = 3
"""A gap of more intervals than this between two looks, and what came before it is not counted on: the agent was off,
paused or blind, and nobody knows what the target did meanwhile."""


_COUNT: Final = Aggregate.COUNT
_RATE: Final = Aggregate.RATE
_PERCENTILE: Final = Aggregate.PERCENTILE
"""As `monitor.core.model.UP`."""


class Threshold:
    """The running state of one `Condition`.

    A look is *bad* while it breaches the bound; once the condition is active, while it has not reached `clear`.
    Missing figures change nothing: a condition is neither raised nor cleared by silence.
    """

    __slots__ = ("_bad_since", "_last", "_recent", "_seen", "active", "condition", "limit", "value")

    def __init__(self, condition: Condition) -> None:
        self.condition = condition
        self.active = False
        self.value: float | None = None
        """The figure that was last compared, in the condition's unit."""
        self.limit: float | None = condition.bound.limit if condition.bound.of is None else None
        """What it was compared with, in the condition's unit; None: nothing yet."""
        self._recent = 0
        """The last looks as bits, the newest lowest; 1 is bad."""
        self._seen = 0
        self._bad_since: float | None = None
        self._last: float | None = None
        """The tick of the last look that counted."""

    @property
    def pending(self) -> bool:
        """Whether one more look could settle what the last one began."""
        if self.condition.window is not None or not self._seen or not self._settles:
            return False
        return bool(self._recent & 1) is not self.active

    @property
    def beyond(self) -> bool:
        """Whether it holds, or the last look would have it so."""
        return self.active or bool(self._recent & 1)

    @property
    def _settles(self) -> bool:
        condition = self.condition
        return condition.window is None and condition.for_looks is None and condition.for_span is None

    def stay_active(self, value: float | None) -> None:
        """Hold from the start, as the condition that this one stands for did: until looks have cleared it."""
        self.active, self.value = True, value

    def breached_at(self, tick: float) -> bool:
        """Whether the condition holds, and the look that ended then has itself shown it."""
        return self.active and self._last == tick and bool(self._recent & 1)

    def update(
        self,
        measurements: Mapping[str, float],
        windows: Mapping[str, Samples],
        tick: float,
        *,
        scheduled: bool,
        every: float,
        usual: float | None = None,
        unended: bool = False,
    ) -> None:
        """Take in a look. `every` (s) tells how many samples the window can hold; `usual` is the measurement's figure
        by its own past, if it is known. `unended`: the look has not seen the end of the measurement, which is as much
        as is told at least.

        Extra looks cluster where trouble is; counting them in windows and in `for` would weigh bad minutes double.
        They count only where a condition merely needs a second opinion.
        """
        if not scheduled and not self._settles:
            return
        condition = self.condition
        value = _kept(figure(condition, measurements, windows, tick, every))
        if value is None:
            return
        if self._last is not None and (tick < self._last or (tick == self._last and value == self.value)):
            return  # late, so it speaks of an earlier time; or told twice
        own = limit = limit_of(condition.bound, measurements, usual)
        if self.active and condition.clear is not None:
            limit = limit_of(condition.clear, measurements, usual)
        if own is None or limit is None:
            return
        bad, longest = self._bad(value, limit, windows), most(condition, value, windows, unended=unended)
        if longest != value and bad is not self._bad(longest, limit, windows):
            return  # it hangs on what nobody saw the end of
        self.value, self.limit = value, own
        if self._last is not None and tick - self._last > GAP_LOOKS * every:
            self._bad_since = None
        self._last = tick
        self._count(bad=bad, tick=tick)
        self.active = self._holds(tick)

    def _bad(self, value: float, limit: float, windows: Mapping[str, Samples]) -> bool:
        condition = self.condition
        if self.active and condition.clear is not None:
            return not condition.clear.operator.holds(value, limit)
        if not condition.bound.operator.holds(value, limit):
            return False
        return self.active or self._supported(limit, windows)

    def _supported(self, limit: float, windows: Mapping[str, Samples]) -> bool:
        """Whether a percentile rests on more than one look. In a small window the 95th is nearly the largest, and
        one slow look would speak for the whole window as long as it stays in it."""
        condition = self.condition
        if condition.aggregate is not _PERCENTILE:
            return True
        samples, operator = windows[condition.measurement], condition.bound.operator
        return operator.holds(samples.outmost(min(SETTLE_LOOKS, samples.count), operator), limit)

    def _count(self, *, bad: bool, tick: float) -> None:
        keep = max(self.condition.for_looks[1] if self.condition.for_looks else 0, SETTLE_LOOKS)
        self._recent = (self._recent << 1 | bad) & ((1 << keep) - 1)
        self._seen = min(self._seen + 1, keep)
        if not bad:
            self._bad_since = None
        elif self._bad_since is None:
            self._bad_since = tick

    def _holds(self, tick: float) -> bool:
        condition = self.condition
        if condition.for_looks is not None:
            return self._recent.bit_count() >= condition.for_looks[0]
        if condition.for_span is not None and not self.active:
            return self._bad_since is not None and tick - self._bad_since >= condition.for_span.total_seconds()
        if condition.window is not None and condition.for_span is None:
            return bool(self._recent & 1)
        return self._settled()

    def _settled(self) -> bool:
        if self._seen < SETTLE_LOOKS:
            return self.active
        last = self._recent & ((1 << SETTLE_LOOKS) - 1)
        if self.active:
            return last != 0
        return last == (1 << SETTLE_LOOKS) - 1

    def dump(self, tick: float) -> dict[str, Any]:
        return {
            "active": self.active,
            "value": self.value,
            "limit": self.limit if self.condition.bound.of is not None else None,
            "recent": self._recent,
            "seen": self._seen,
            "bad": _age(self._bad_since, tick),
            "last": _age(self._last, tick),
        }

    def load(self, dumped: Mapping[str, Any], tick: float) -> None:
        self.active = bool(dumped["active"])
        self.value = None if dumped["value"] is None else read_number(dumped["value"])
        if self.condition.bound.of is not None and dumped.get("limit") is not None:
            self.limit = read_number(dumped["limit"])
        self._recent, self._seen = read_count(dumped["recent"]), read_count(dumped["seen"])
        self._bad_since = None if dumped["bad"] is None else tick - read_seconds(dumped["bad"])
        self._last = None if dumped["last"] is None else tick - read_seconds(dumped["last"])


def figure(
    condition: Condition, measurements: Mapping[str, float], windows: Mapping[str, Samples], tick: float, every: float
) -> float | None:
    """What the condition compares, or None where nothing can be said: no sample, too few, too little traffic."""
    if condition.window is None:
        return _last(condition, measurements)
    span = condition.window.total_seconds()
    if condition.ratio_of is not None:
        return _ratio(condition, windows)
    samples = windows[condition.measurement]
    aggregate = condition.aggregate
    if aggregate is _COUNT:
        return float(samples.count) if samples.reaches_back(tick - span + every) else None
    if aggregate is _RATE:
        return samples.rate
    if samples.count < max(1, min(FEWEST_SAMPLES, int(span / every)), condition.at_least or 0):
        return None
    return _aggregate(condition, samples)


def most(condition: Condition, value: float, windows: Mapping[str, Samples], *, unended: bool) -> float:
    """What the figure would be if all that nobody has seen the end of had taken for ever; `value` is what it is at
    least."""
    if condition.window is None:
        return math.inf if unended else value
    samples = windows.get(condition.measurement)
    if samples is None or not samples.missed:
        return value
    if condition.aggregate is Aggregate.PERCENTILE:
        return samples.percentile(condition.percentile or 50, missed=samples.missed)
    return math.inf if condition.aggregate in (Aggregate.MEAN, Aggregate.MAX) else value


def limit_of(bound: Bound, measurements: Mapping[str, float], usual: float | None = None) -> float | None:
    """What the bound compares with, or None where that is not known: it is measured, or learned, like the figure."""
    if bound.of is None:
        return bound.limit
    reference = usual if bound.of == USUAL else measurements.get(bound.of)
    return _kept(bound.limit * reference) if reference is not None and math.isfinite(reference) else None


def _kept(value: float | None) -> float | None:
    """Within what can be written down and read again: a target may claim what it likes, and the sum of two claims
    is infinite. None for what is no number."""
    if value is None or -LARGEST <= value <= LARGEST:
        return value
    return None if math.isnan(value) else math.copysign(LARGEST, value)


def _age(then: float | None, tick: float) -> float | None:
    return None if then is None else round(tick - then, 3)


def _last(condition: Condition, measurements: Mapping[str, float]) -> float | None:
    value = measurements.get(condition.measurement)
    if value is None or not math.isfinite(value):
        return None
    if condition.ratio_of is not None and condition.at_least is not None:
        traffic = measurements.get(condition.ratio_of[1])
        return value if traffic is not None and traffic >= condition.at_least else None
    return value


def _ratio(condition: Condition, windows: Mapping[str, Samples]) -> float | None:
    assert condition.ratio_of is not None  # noqa: S101  (the caller asked)
    part, whole = condition.ratio_of
    traffic = windows[whole].total
    if traffic <= 0 or traffic < (condition.at_least or 0):
        return None
    return windows[part].total / traffic


def _aggregate(condition: Condition, samples: Samples) -> float:
    if condition.aggregate is _PERCENTILE:
        return samples.percentile(condition.percentile or 50)
    match condition.aggregate:
        case Aggregate.MIN:
            return samples.at(0)
        case Aggregate.MAX:
            return samples.at(samples.count - 1)
        case Aggregate.LAST:
            return samples.last
        case _:
            return samples.total / samples.count
