"""The windows that the conditions of one check compare, each with what was seen of its measurement."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from monitor.core.condition import Condition
from monitor.core.model import Check
from monitor.core.series import SAMPLES_LIMIT, Samples, Series
from monitor.core.slices import Slices


class Windows:
    """By measurement and length in seconds. Conditions on the same share one."""

    __slots__ = ("_samples",)

    def __init__(self, check: Check) -> None:
        every = check.every.total_seconds()
        self._samples: dict[tuple[str, float], Samples] = {}
        for condition in check.conditions:
            for name, span in _keys(condition):
                kind = Series if span / every < SAMPLES_LIMIT else Slices
                self._samples.setdefault((name, span), kind(span))

    def of(self, condition: Condition) -> Mapping[str, Samples]:
        """What the condition compares, by measurement; empty where it has no window."""
        if condition.window is None:
            return _NOTHING
        return {name: self._samples[name, span] for name, span in _keys(condition)}

    def see(self, tick: float, measurements: Mapping[str, float], unended: Collection[str], *, full: bool) -> None:
        """Take in a scheduled look. `unended` are the measurements whose end it has not seen; in its `full` time they
        count as what was waited, as is written. In less they might have ended within the time that others have."""
        for (name, _), samples in self._samples.items():
            samples.move(tick)
            value = measurements.get(name)
            if name in unended and (value is None or not full):
                samples.miss(tick)
            elif value is not None:
                samples.add(tick, value)

    def keep(self, before: Windows) -> None:
        """Go on with the samples that were seen under another definition of the check."""
        for key, samples in self._samples.items():
            known = before._samples.get(key)
            if known is not None and type(known) is type(samples):
                self._samples[key] = known
                continue
            of_name = [(span, other) for (name, span), other in before._samples.items() if name == key[0]]
            dumps = ((span, other.dump(0.0)) for span, other in of_name)
            _take_over(samples, dumps, 0.0)

    def dump(self, tick: float) -> dict[str, Any]:
        dumped: dict[str, dict[str, Any]] = {}
        for (name, span), samples in self._samples.items():
            dumped.setdefault(name, {})[str(span)] = samples.dump(tick)
        return dumped

    def load(self, dumped: Mapping[str, Any], tick: float) -> None:
        """Also what a version has dumped that kept the samples of a measurement once, for all lengths."""
        for (name, _), samples in self._samples.items():
            known = dumped.get(name, {})
            dumps = [(0.0, known)] if "ticks" in known else [(float(span), own) for span, own in known.items()]
            _take_over(samples, dumps, tick)


_NOTHING: Mapping[str, Samples] = {}


def _keys(condition: Condition) -> Iterable[tuple[str, float]]:
    if condition.window is None:
        return ()
    span = condition.window.total_seconds()
    return tuple((name, span) for name in condition.ratio_of or (condition.measurement,))


def _take_over(samples: Samples, dumps: Iterable[tuple[float, Mapping[str, Any]]], tick: float) -> None:
    """Load the fitting one of what windows of the same measurement have dumped, each with its length: of the same
    length, or else the longest. Slices cannot be told apart into samples again."""
    fitting = [(span, own) for span, own in dumps if isinstance(samples, Slices) or "slices" not in own]
    if fitting:
        _, own = max(fitting, key=lambda item: (item[0] == samples.horizon, item[0]))
        samples.load(own, tick)
