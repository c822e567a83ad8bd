"""What the figures of a check say: its written thresholds, and the windows of samples that they compare."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from monitor.core.condition import Condition, Level
from monitor.core.model import Check, Look, State, Verdict
from monitor.core.series import Series
from monitor.core.threshold import Threshold
from monitor.core.wording import describe_threshold
from probes.contract import Reason


class Measured:
    """The running thresholds of one check. Not frozen: it owns its windows."""

    __slots__ = ("_every", "_series", "thresholds")

    def __init__(self, check: Check) -> None:
        self._every = check.every.total_seconds()
        self.thresholds = tuple(Threshold(condition) for condition in check.conditions)
        self._series = _series_for(check)

    @property
    def pending(self) -> bool:
        """Whether one more look could settle what the last one began."""
        return any(threshold.pending for threshold in self.thresholds)

    @property
    def verdict(self) -> Verdict | None:
        """What they make of the check by themselves; None while none of them holds."""
        worst = self._worst
        return _verdict(worst) if worst is not None else None

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
        if not self.thresholds:
            return
        measurements, tick = look.observation.measurements, look.ended.tick
        if look.scheduled:
            for name, series in self._series.items():
                if (value := measurements.get(name)) is not None:
                    series.add(tick, value)
        for threshold in self.thresholds:
            threshold.update(measurements, self._series, tick, scheduled=look.scheduled, every=self._every)

    def redefine(self, check: Check, *, same_target: bool) -> None:
        """Go on under another definition; what was measured is kept where it is of the `same_target`."""
        self._every = check.every.total_seconds()
        kept = self.thresholds if same_target else ()
        self.thresholds = tuple(_continued(item, kept, self.thresholds) for item in check.conditions)
        series, self._series = self._series, _series_for(check)
        if not same_target:
            return
        for name in self._series.keys() & series.keys():
            series[name].horizon = self._series[name].horizon
            self._series[name] = series[name]

    def dump(self, tick: float) -> dict[str, Any]:
        return {
            "thresholds": {item.condition.text: item.dump(tick) for item in self.thresholds},
            "series": {name: series.dump(tick) for name, series in self._series.items()},
        }

    def load(self, dumped: Mapping[str, Any], tick: float) -> None:
        for threshold in self.thresholds:
            if own := dumped["thresholds"].get(threshold.condition.text):
                threshold.load(own, tick)
        for name, series in self._series.items():
            if own := dumped["series"].get(name):
                series.load(own, tick)


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


def _series_for(check: Check) -> dict[str, Series]:
    horizons: dict[str, float] = {}
    for condition in check.conditions:
        if condition.window is None:
            continue
        for name in condition.ratio_of or (condition.measurement,):
            horizons[name] = max(horizons.get(name, 0.0), condition.window.total_seconds())
    return {name: Series(horizon) for name, horizon in horizons.items()}


def _verdict(threshold: Threshold) -> Verdict:
    condition = threshold.condition
    return Verdict(
        State(condition.level.value),
        Reason.THRESHOLD,
        describe_threshold(condition, threshold.value),
        measurement=condition.measurement,
        value=threshold.value,
        limit=condition.bound.limit,
        condition=condition.text,
    )
