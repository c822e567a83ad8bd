"""The form in which looks at a check are judged and kept: how finely they are rounded, and which figures are kept.

All checks that are alike in this share one, and each remembers its own: working it out takes longer than judging.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from functools import lru_cache

from monitor.core.condition import Aggregate
from monitor.core.model import Check
from probes.contract import Measurement, Passive, Probe, Unit

FINEST, COARSEST = 1, 100
"""Milliseconds: the steps of time."""

_MILLISECOND = timedelta(milliseconds=1)
_LAYOUTS = 256
"""Combinations of phases and figures that are remembered of one form; a probe of a third party may have any."""


class Form:
    """What `form_of` has found out about checks."""

    __slots__ = ("_layouts", "_named", "counters", "every", "full", "passive", "plain", "ratios", "step")

    def __init__(
        self,
        step: int,
        every: timedelta,
        timeout: timedelta,
        named: frozenset[str],
        counters: frozenset[str],
        ratios: frozenset[str],
        *,
        passive: bool,
    ) -> None:
        self.step = step
        """That of the times of scheduled looks (ms); extra ones have the finest."""
        self.every = every // _MILLISECOND
        self.full = timeout.total_seconds()
        """Seconds that a look may take."""
        self.passive = passive
        """Whether nothing is looked at: what arrives is handed to the probe."""
        self.counters = counters
        """The figures that are kept exact."""
        self.ratios = ratios
        self.plain = not counters and not ratios
        self._named = named
        """The figures that a threshold names, or that are compared with their past."""
        self._layouts: dict[tuple[tuple[str, ...], tuple[str, ...]], tuple[str, ...]] = {}

    def kept(self, phases: Iterable[str], measurements: Iterable[str]) -> tuple[str, ...]:
        """The names of the figures of a look that the history keeps: those that are phases of it as well
        (``connect_time``, for the phase ``connect``) only where a threshold names them."""
        key = tuple(phases), tuple(measurements)
        kept = self._layouts.get(key)
        if kept is None:
            if len(self._layouts) >= _LAYOUTS:
                self._layouts.clear()
            kept = self._layouts[key] = tuple(
                name for name in key[1] if name in self._named or not (name.endswith("_time") and name[:-5] in key[0])
            )
        return kept


def form_of(check: Check) -> Form:
    form = check.form
    if not isinstance(form, Form):
        form = _form_of(check)
        object.__setattr__(check, "form", form)
    return form


def _form_of(check: Check) -> Form:
    conditions = check.conditions
    named = frozenset(name for item in conditions for name in item.names) | {check.usual or ""}
    counters = frozenset(item.measurement for item in conditions if item.aggregate is Aggregate.RATE)
    ratios, passive = _ratios(check.probe), isinstance(check.probe, Passive)
    return _shared(step_of(check), check.every, check.timeout, named, counters, ratios, passive=passive)


def step_of(check: Check) -> int:
    """The step of time for a scheduled look at this check, in milliseconds: 1, 10 or 100."""
    if isinstance(check.probe, Passive):
        return FINEST
    seconds = check.every.total_seconds()
    return COARSEST if seconds >= 10 else 10 if seconds >= 1 else FINEST


_shared = lru_cache(maxsize=1024)(Form)


def _ratios(probe: Probe) -> frozenset[str]:
    measured = probe.measured
    return _ratios_of_kind(type(probe)) if measured is probe.measurements else _ratios_among(measured)


@lru_cache(maxsize=128)
def _ratios_of_kind(kind: type[Probe]) -> frozenset[str]:
    return _ratios_among(kind.measurements)


def _ratios_among(measured: tuple[Measurement, ...]) -> frozenset[str]:
    return frozenset(item.name for item in measured if item.unit is Unit.RATIO)
