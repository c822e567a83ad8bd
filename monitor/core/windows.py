"""The windows that the conditions of one check compare, each with what was seen of its measurement."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from monitor.core.condition import Condition
from monitor.core.model import Check, in_seconds
from monitor.core.series import SAMPLES_LIMIT, Samples, Series
from monitor.core.slices import Slices


class Windows:
    """By measurement and length in seconds. Conditions on the same share one."""

    __slots__ = ("_samples",)

    def __init__(self, check: Check) -> None:
        every = in_seconds(check.every)
        keys = dict.fromkeys(key for condition in check.conditions for key in _keys(condition))
        self._samples: tuple[Samples, ...] = tuple(
            (Series if span / every < SAMPLES_LIMIT else Slices)(span, name) for name, span in keys
        )

    def of(self, condition: Condition) -> Mapping[str, Samples]:
        """What the condition compares, by measurement; empty where it has no window."""
        if condition.window is None:
            return _NOTHING
        keys = _keys(condition)
        return _Named(tuple(item for key in keys for item in self._samples if (item.name, item.horizon) == key))

    def see(self, tick: float, measurements: Mapping[str, float], unended: Collection[str], *, full: bool) -> None:
        """Take in a scheduled look. `unended` are the measurements whose end it has not seen; in its `full` time they
        count as what was waited, as is written. In less they might have ended within the time that others have."""
        for samples in self._samples:
            samples.move(tick)
            name = samples.name
            value = measurements.get(name)
            if name in unended and (value is None or not full):
                samples.miss(tick)
            elif value is not None:
                samples.add(tick, value)

    def keep(self, before: Windows) -> None:
        """Go on with the samples that were seen under another definition of the check."""
        self._samples = tuple(_continued(item, before._samples) for item in self._samples)

    def dump(self, tick: float) -> dict[str, Any]:
        dumped: dict[str, dict[str, Any]] = {}
        for samples in self._samples:
            dumped.setdefault(samples.name, {})[str(samples.horizon)] = samples.dump(tick)
        return dumped

    def load(self, dumped: Mapping[str, Any], tick: float) -> None:
        """Also what a version has dumped that kept the samples of a measurement once, for all lengths."""
        for samples in self._samples:
            known = dumped.get(samples.name, {})
            dumps = [(0.0, known)] if "ticks" in known else [(float(span), own) for span, own in known.items()]
            _take_over(samples, dumps, tick)


class _Named(Mapping[str, Samples]):
    """A few windows by the names of their measurements, in less memory than a dict takes."""

    __slots__ = ("_samples",)

    def __init__(self, samples: tuple[Samples, ...]) -> None:
        self._samples = samples

    def __getitem__(self, name: str) -> Samples:
        for samples in self._samples:
            if samples.name == name:
                return samples
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return (samples.name for samples in self._samples)

    def __len__(self) -> int:
        return len(self._samples)


_NOTHING: Mapping[str, Samples] = {}


def _keys(condition: Condition) -> Iterable[tuple[str, float]]:
    if condition.window is None:
        return ()
    span = in_seconds(condition.window)
    return tuple((name, span) for name in condition.ratio_of or (condition.measurement,))


def _continued(samples: Samples, before: Iterable[Samples]) -> Samples:
    of_name = [other for other in before if other.name == samples.name]
    for other in of_name:
        if other.horizon == samples.horizon and type(other) is type(samples):
            return other
    _take_over(samples, ((other.horizon, other.dump(0.0)) for other in of_name), 0.0)
    return samples


def _take_over(samples: Samples, dumps: Iterable[tuple[float, Mapping[str, Any]]], tick: float) -> None:
    """Load the fitting one of what windows of the same measurement have dumped, each with its length: of the same
    length, or else the longest. Slices cannot be told apart into samples again."""
    fitting = [(span, own) for span, own in dumps if isinstance(samples, Slices) or "slices" not in own]
    if fitting:
        _, own = max(fitting, key=lambda item: (item[0] == samples.horizon, item[0]))
        samples.load(own, tick)
