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
from math import floor, log10

from monitor.core.form import FINEST, Form, form_of
from monitor.core.model import Check, Look, Moment
from probes.contract import Observation

_POWERS = tuple(10.0**exponent for exponent in range(13))
_SMALLEST, _LARGEST = 1e-9, 1e12
"""Between these a figure is rounded by arithmetic, in a third of the time that writing and reading it takes."""
_NEARLY_HALF = 0.499_999
"""Beyond this the product may have been rounded to the wrong side of a half; that is left to the decimals."""


def figure(value: float) -> float:
    """The value in three significant digits; what is not finite stays as it is."""
    if _SMALLEST < value < _LARGEST:
        exponent = floor(log10(value)) - 2
        # A product or quotient of floats is the nearest one there is, and digits and power are exact.
        if exponent < 0:
            power = _POWERS[-exponent]
            scaled = value * power
            digits = int(scaled + 0.5)
            if -_NEARLY_HALF < scaled - digits < _NEARLY_HALF:
                return digits / power
        else:
            power = _POWERS[exponent]
            scaled = value / power
            digits = int(scaled + 0.5)
            if -_NEARLY_HALF < scaled - digits < _NEARLY_HALF:
                return digits * power
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


def moment(now: Moment, step: int) -> Moment:
    """The moment, cut to whole `step` milliseconds of its tick; its name in wall time is cut likewise.

    The two clocks are apart by whole steps, so that the span between two moments is the same on both while nobody
    sets one.
    """
    ticks = now.tick * 1000
    tick = floor(ticks / step + 1e-6) * step
    apart = floor((now.micros / 1000 - ticks) / step + 1e-6) * step
    return Moment((tick + apart) * 1000, tick / 1000)


def _rounded(name: str, value: float, form: Form) -> float:
    if name in form.counters:
        return exact(value)
    return share(value) if name in form.ratios else figure(value)


def quantised(look: Look, check: Check) -> Look:
    """The look as it is judged and kept. Doing it twice changes nothing."""
    form = form_of(check)
    step = form.step if look.scheduled else FINEST
    seen = look.observation
    measured = seen.measurements
    if measured:
        if form.plain:
            figures = {name: figure(value) for name, value in measured.items()}
        else:
            figures = {name: _rounded(name, value, form) for name, value in measured.items()}
        seen = Observation(figures, seen.reason, seen.detail, seen.phases, seen.evidence)
    began, ended = moment(look.began, step), moment(look.ended, step)
    return Look(look.check, seen, began, ended, look.limit, look.scheduled, look.lateness)
