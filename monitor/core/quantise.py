"""What is judged is rounded first, and what was judged is what is kept: so stored looks, judged again, say the same.

Three digits of a figure are kept, and of a time as much as a check's interval deserves. That is less than a target's
own noise, and it is what makes a week of every look fit on the disk.

- A figure has **three significant digits**: 0.123456 s is 0.123 s, 8,765,432 bytes are 8,770,000. It is off by 0.5 %
  at most. Limits that people write (`300ms`, `1.5s`, `20MB`) mostly have three digits themselves, and are met
  exactly; whole numbers below 1,000 stay what they are.
- A **ratio above a half** is rounded by what it lacks to one: 0.99951 stays apart from 1, since 0.049 % of failures
  and none are not nearly the same.
- A measurement that a **`rate()`** of the check names is a counter: its differences count, and it is kept exact.
- A **time** is cut to a step that is a hundredth of the interval or less (0.1 s at most, 1 ms at least), on the clock
  that never steps; an extra look's, and a passive check's, to 1 ms. Never up: nothing lies in the future.

Counts of a ratio (`error_rate` of 123,456 requests) are rounded like all else: the ratio of the sums is off by 1 % at
most, of itself.
"""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from monitor.core.condition import Aggregate
from monitor.core.model import Check, Look, Moment
from probes.contract import Measurement, Passive, Probe, Unit

FINEST, COARSEST = 1, 100
"""Milliseconds: the steps of time."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def figure(value: float) -> float:
    """The value in three significant digits; what is not finite stays as it is."""
    return float(f"{exact(value):.2e}")


def exact(value: float) -> float:
    """As it is; a whole number beyond all floats is infinite."""
    try:
        return float(value)
    except OverflowError:
        return math.copysign(math.inf, value > 0 or -1)


def share(value: float) -> float:
    """A ratio in three significant digits of itself, or of what it lacks to one where that is less."""
    if 0.5 < value <= 1:
        return float(f"{1 - figure(1 - value):.12g}")
    return figure(value)


def step_of(check: Check, *, scheduled: bool) -> int:
    """The step of time for a look at this check, in milliseconds: 1, 10 or 100."""
    if not scheduled or isinstance(check.probe, Passive):
        return FINEST
    seconds = check.every.total_seconds()
    return COARSEST if seconds >= 10 else 10 if seconds >= 1 else FINEST


def moment(now: Moment, step: int) -> Moment:
    """The moment, cut to whole `step` milliseconds of its tick; its name in wall time is cut likewise.

    The two clocks are apart by whole steps, so that the span between two moments is the same on both while nobody
    sets one.
    """
    micros = (now.at - _EPOCH) // _MICROSECOND
    tick = math.floor(now.tick * 1000 / step + 1e-6) * step
    apart = math.floor((micros / 1000 - now.tick * 1000) / step + 1e-6) * step
    return Moment(_EPOCH + timedelta(milliseconds=tick + apart), tick / 1000)


def quantised(look: Look, check: Check) -> Look:
    """The look as it is judged and kept. Doing it twice changes nothing."""
    step = step_of(check, scheduled=look.scheduled)
    began, ended = moment(look.began, step), moment(look.ended, step)
    observation = look.observation
    if observation.measurements:
        observation = replace(observation, measurements=_figures(look, check))
    return replace(look, observation=observation, began=began, ended=ended)


def _figures(look: Look, check: Check) -> dict[str, float]:
    counters = {item.measurement for item in check.conditions if item.aggregate is Aggregate.RATE}
    ratios = _ratios(check.probe)
    return {
        name: exact(value) if name in counters else share(value) if name in ratios else figure(value)
        for name, value in look.observation.measurements.items()
    }


def _ratios(probe: Probe) -> frozenset[str]:
    measured = probe.measured
    return _ratios_of_kind(type(probe)) if measured is probe.measurements else _ratios_among(measured)


@lru_cache(maxsize=128)
def _ratios_of_kind(kind: type[Probe]) -> frozenset[str]:
    return _ratios_among(kind.measurements)


def _ratios_among(measured: tuple[Measurement, ...]) -> frozenset[str]:
    return frozenset(item.name for item in measured if item.unit is Unit.RATIO)
