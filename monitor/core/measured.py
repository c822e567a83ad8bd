"""What the figures of a check say: its written thresholds, by single looks and over windows, and whether it is slower
than usual."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from monitor.core.condition import Condition, Level
from monitor.core.model import Check, Look, Moment, State, Verdict, in_seconds
from monitor.core.quantise import figure
from monitor.core.slowness import Slowness
from monitor.core.threshold import Threshold
from monitor.core.usuals import Usuals
from monitor.core.windows import Windows
from monitor.core.wording import describe_slowness, describe_threshold
from probes.contract import Measurement, Reason

PACE = 1.0
"""Seconds until a second look settles what the last one began."""

_NONE: frozenset[str] = frozenset()


class Measured:
    """The running thresholds of one check, and its own past. Not frozen: it owns its windows."""

    __slots__ = ("_compared", "_ends", "_every", "_full", "_last", "_usuals", "_windows", "slowness", "thresholds")

    def __init__(self, check: Check) -> None:
        self._every = in_seconds(check.every)
        self.thresholds = tuple(Threshold(condition) for condition in check.conditions)
        self._take(Windows(check), check)
        self.slowness = _slowness_for(check)
        """None: what is usual is not asked."""
        self._usuals = _usuals_for(check, self.slowness)
        """None: no condition compares with it."""
        self._last: Moment | None = None
        """When the latest look was begun."""

    @property
    def pending(self) -> bool:
        """Whether further looks could settle what the last one began."""
        return self.pace is not None

    @property
    def in_doubt(self) -> bool:
        """Whether it may be slower than usual."""
        return self.slowness is not None and self.slowness.in_doubt

    @property
    def pace(self) -> float | None:
        """Seconds between extra looks that would settle something; None: there is nothing to be settled."""
        for threshold in self.thresholds:
            if threshold.pending:
                return PACE
        return self.slowness.pace if self.slowness is not None else None

    @property
    def verdict(self) -> Verdict | None:
        """What they make of the check by themselves; None while none of them holds."""
        worst = self._worst
        if worst is not None:
            return _verdict(worst)
        if self.slowness is not None and self.slowness.high and self._last is not None:
            return _slow_verdict(self.slowness, self._last.at)
        return None

    @property
    def _worst(self) -> Threshold | None:
        worst = None
        for threshold in self.thresholds:
            if not threshold.active:
                continue
            if threshold.condition.level is Level.DOWN:
                return threshold
            worst = worst or threshold
        return worst

    def see(self, look: Look) -> None:
        """Take in the figures of a look, also of one that failed."""
        self._last = look.began
        if self.slowness is not None:
            self.slowness.see(look)
        if not self.thresholds:
            return
        measurements, tick = look.observation.measurements, look.ended.tick
        unended = unended_by(look.observation.reason, self._ends)
        if look.scheduled:
            self._windows.see(tick, measurements, unended, full=look.limit >= self._full)
        usuals = self._usuals
        for threshold, compared in zip(self.thresholds, self._compared, strict=True):
            condition, usual = threshold.condition, None
            if condition.window is None and condition.measurement not in measurements:
                continue  # nothing to compare; as of a certificate without TLS
            if usuals is not None and condition.compares_with_usual:
                usual = usuals.of(condition.measurement, look.began.at)
            threshold.update(
                measurements,
                compared,
                tick,
                scheduled=look.scheduled,
                every=self._every,
                usual=usual,
                unended=condition.measurement in unended,
            )
        if usuals is not None:
            usuals.see(look, frozenset(item.condition.measurement for item in self.thresholds if item.beyond))

    def redefine(self, check: Check, *, same_target: bool) -> None:
        """Go on under another definition; what was measured is kept where it is of the `same_target`."""
        self._every = in_seconds(check.every)
        kept = self.thresholds if same_target else ()
        self.thresholds = tuple(_continued(item, kept, self.thresholds) for item in check.conditions)
        windows = Windows(check)
        if same_target:
            windows.keep(self._windows)
        self._take(windows, check)
        slowness, self.slowness = self.slowness, _slowness_for(check)
        usuals, self._usuals = self._usuals, _usuals_for(check, self.slowness)
        if not same_target:
            return
        if self.slowness is not None and slowness is not None and self.slowness.measurement == slowness.measurement:
            slowness.redefine(self._every)
            self.slowness = slowness
            self._usuals = _usuals_for(check, slowness)
        if self._usuals is not None and usuals is not None:
            self._usuals.keep(usuals)

    def _take(self, windows: Windows, check: Check) -> None:
        """Compare these windows from now on."""
        self._windows, self._full = windows, in_seconds(check.timeout)
        self._compared = tuple(windows.of(condition) for condition in check.conditions)
        """By threshold."""
        compared = {condition.measurement for condition in check.conditions}
        self._ends = tuple(item for item in check.probe.measured if item.cut_by is not None and item.name in compared)
        """The measurements of the conditions whose end a look may not see."""

    def dump(self, tick: float) -> dict[str, Any]:
        dumped: dict[str, Any] = {
            "thresholds": {item.condition.text: item.dump(tick) for item in self.thresholds},
            "series": self._windows.dump(tick),
        }
        if self.slowness is not None:
            dumped["slowness"] = {self.slowness.measurement: self.slowness.dump(tick)}
        if self._usuals is not None:
            dumped["usuals"] = self._usuals.dump()
        return dumped

    def load(self, dumped: Mapping[str, Any], tick: float) -> None:
        for threshold in self.thresholds:
            if own := dumped["thresholds"].get(threshold.condition.text):
                threshold.load(own, tick)
        self._windows.load(dumped["series"], tick)
        if self.slowness is not None and (own := dumped.get("slowness", {}).get(self.slowness.measurement)):
            self.slowness.load(own, tick)
        if self._usuals is not None:
            self._usuals.load(dumped.get("usuals", {}))


def _continued(condition: Condition, kept: Iterable[Threshold], before: Iterable[Threshold]) -> Threshold:
    """The condition's threshold after the definition has changed: the one that was there, or a new one. That holds
    if one for the same measurement and level did: another limit alone shows nobody to be well."""
    for threshold in kept:
        if threshold.condition == condition:
            return threshold
    made = Threshold(condition)
    for threshold in before:
        other = threshold.condition
        if threshold.active and (other.level, other.measurement) == (condition.level, condition.measurement):
            made.stay_active(threshold.value)
    return made


def unended_by(reason: Reason | None, measured: Iterable[Measurement]) -> frozenset[str]:
    """Of these measurements, those whose end a look that ended for that reason has not seen."""
    if reason is None or not reason.timed_out:
        return _NONE
    return frozenset(item.name for item in measured if item.unended(reason))


def _slowness_for(check: Check) -> Slowness | None:
    if check.usual is None:
        return None
    unit = next(item.unit for item in check.probe.measured if item.name == check.usual)
    return Slowness(check.usual, unit, in_seconds(check.every))


def _usuals_for(check: Check, slowness: Slowness | None) -> Usuals | None:
    return Usuals(check, slowness) if any(item.compares_with_usual for item in check.conditions) else None


def _slow_verdict(slowness: Slowness, at: datetime) -> Verdict:
    usual, value = slowness.baseline.usual(at), figure(slowness.value(at))
    return Verdict(
        State.DEGRADED,
        Reason.SLOW,
        describe_slowness(slowness.measurement, slowness.unit, value, slowness.far, usual, at),
        measurement=slowness.measurement,
        value=value,
        limit=figure(usual.value),
        condition=f"{slowness.measurement} > usual",
    )


def _verdict(threshold: Threshold) -> Verdict:
    condition = threshold.condition
    return Verdict(
        State(condition.level.value),
        Reason.THRESHOLD,
        describe_threshold(condition, threshold.value, threshold.limit),
        measurement=condition.measurement,
        value=threshold.value,
        limit=threshold.limit,
        condition=condition.text,
    )
