"""What is usual for the measurements whose conditions ask for it: ``queue_depth > 3x usual``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from monitor.core.baseline import Baseline, hour_of
from monitor.core.model import Check, Look, in_seconds
from monitor.core.slowness import ADOPTED_AFTER, Slowness


class Usuals:
    """One baseline for each of these measurements; that of a `Slowness` is shared, and learns there."""

    __slots__ = ("_baselines", "_every", "_held", "_shared")

    def __init__(self, check: Check, slowness: Slowness | None) -> None:
        units = {item.name: item.unit for item in check.probe.measured}
        names = {item.measurement for item in check.conditions if item.compares_with_usual}
        self._every = in_seconds(check.every)
        self._shared = slowness if slowness is not None and slowness.measurement in names else None
        if self._shared is not None:
            names.discard(self._shared.measurement)
        self._baselines = {name: Baseline(units[name]) for name in sorted(names)}
        self._held: dict[str, float] = {}
        """Since which tick a measurement has been beyond its limit, by its name."""

    def of(self, measurement: str, at: datetime) -> float | None:
        """The usual figure at that moment; None while it is not known."""
        if self._shared is not None and self._shared.measurement == measurement:
            usual = self._shared.usual(at)
            return usual.value if usual is not None else None
        baseline = self._baselines[measurement]
        return baseline.usual(at).value if baseline.ripe(self._every) else None

    def see(self, look: Look, beyond: frozenset[str]) -> None:
        """Learn from a look, but not from measurements that are `beyond` their limits, as they would become usual
        while the trouble lasts; after a day they may."""
        if not look.scheduled or look.observation.reason is not None:
            return
        hour = hour_of(look.began.at)
        for name, baseline in self._baselines.items():
            value = look.observation.measurements.get(name)
            if value is None or not 0 <= value < math.inf:
                continue
            if name not in beyond:
                self._held.pop(name, None)
            elif look.began.tick - self._held.setdefault(name, look.began.tick) < ADOPTED_AFTER:
                continue
            expected, weekly = baseline.expected(hour, look.began.at.minute)
            baseline.learn(baseline.level_of(value), hour, self._every, expected, weekly=weekly)

    def keep(self, before: Usuals) -> None:
        """Go on with what was learned under another definition of the check."""
        for name in self._baselines.keys() & before._baselines.keys():
            self._baselines[name] = before._baselines[name]

    def dump(self) -> dict[str, Any]:
        return {name: baseline.dump() for name, baseline in self._baselines.items()}

    def load(self, dumped: Mapping[str, Any]) -> None:
        for name, baseline in self._baselines.items():
            if name in dumped:
                baseline.load(dumped[name])
