"""Figures and states in words that a person understands at 3 a.m."""

from __future__ import annotations

from datetime import datetime, timedelta

from monitor.core.baseline import Usual
from monitor.core.bursts import Confirmation
from monitor.core.condition import Condition
from monitor.core.model import State
from probes.contract import Observation, Reason, Unit

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

TEXT_LIMIT = 500
"""Characters of any one text in an event or an answer of the API."""

_AGES = 1e12
"""Seconds that are not told in days."""
_COUNTED = 1e15
"""What is larger is not written digit by digit: a target may claim 300 of them."""


def describe_failure(observation: Observation, state: State, share: float) -> str:
    """Why a look failed, in one sentence without a full stop."""
    reason = observation.reason or Reason.FAILING
    told = f"{reason.meaning} ({observation.detail})" if observation.detail else reason.meaning
    if state is State.DEGRADED:
        return f"{share:.0%} of the latest looks failed, last: {told}"
    return told


def describe_threshold(condition: Condition, value: float | None, limited: float | None = None) -> str:
    """``response time 2.4 s, limit 800 ms (p95 over 5 min)``; `limited`: what a limit that moves has come to."""
    words, bound = condition.measurement.replace("_", " "), condition.bound
    moved = bound.limit if bound.of is None else limited
    limit = "unknown" if moved is None else quantity(moved, condition.unit)
    if bound.of is not None:
        limit += f" ({bound.limit:g}x {bound.of.replace('_', ' ')})"
    shown = "unknown" if value is None else quantity(value, condition.unit)
    if condition.for_looks is not None:
        bad, of = condition.for_looks
        return f"{words} beyond its limit of {limit} in {bad} of the last {of} looks (last: {shown})"
    held = f" for {duration(condition.for_span)}" if condition.for_span is not None else ""
    told = f"{words} {shown}, limit {limit}{held}"
    return f"{told} ({_aggregated(condition)})" if condition.window is not None else told


def describe_usual(usual: Usual, unit: Unit, at: datetime) -> str:
    """``usual for Tuesday 14:00 UTC is 300 ms ± 50 ms``"""
    when = f" for {_DAYS[at.weekday()]} {at.hour:02}:00 UTC" if usual.weekly else ""
    return f"usual{when} is {quantity(usual.value, unit)} ± {quantity(_rounded(usual.spread), unit)}"


def describe_slowness(
    measurement: str, unit: Unit, value: float, far: tuple[int, int], usual: Usual, at: datetime
) -> str:
    """``response time 2.4 s; usual for Tuesday 14:00 UTC is 300 ms ± 50 ms``; `far`: how many looks of how many were
    far above, where that is what was found."""
    words = measurement.replace("_", " ")
    some = f" or far above in {far[0]} of the last {far[1]} looks" if 0 < far[0] < far[1] / 2 else ""
    return f"{words} {quantity(value, unit)}{some}; {describe_usual(usual, unit, at)}"


def _rounded(value: float) -> float:
    """In two digits: nobody knows a spread better."""
    return float(f"{value:.2g}")


def _aggregated(condition: Condition) -> str:
    """How the samples became one figure: ``p95 over 5 min``; a ratio is that of its sums, which needs no word."""
    assert condition.window is not None  # noqa: S101  (the caller asked)
    over = f"over {duration(condition.window)}"
    if condition.ratio_of is not None:
        return over
    return f"p{condition.percentile} {over}" if condition.percentile else f"{condition.aggregate.value} {over}"


def describe_confirmation(needed: Confirmation) -> str:
    """``after 24 s of failures: 43 short ones were seen lately, on average of 1.9 s``"""
    told = f"after {seconds(needed.span)} of failures"
    seen = round(needed.bursts)
    if not seen:
        return told
    lately = "a short one was seen lately, of" if seen == 1 else f"{seen} short ones were seen lately, on average of"
    return f"{told}: {lately} {seconds(float(f'{needed.mean:.2g}'))}"


def quantity(value: float, unit: Unit) -> str:
    """A figure with its unit, to about three digits."""
    match unit:
        case Unit.SECONDS:
            return seconds(value)
        case Unit.RATIO:
            return f"{value * 100:.3g} %" if not 0 < value < 1e-6 else "< 0.0001 %"
        case Unit.BYTES:
            return size(value)
        case Unit.BYTES_PER_SECOND:
            return f"{size(value)}/s"
        case Unit.PER_SECOND:
            return f"{value:.3g}/s"
        case _:
            return f"{value:.0f}" if float(value).is_integer() and abs(value) < _COUNTED else f"{value:.3g}"


def seconds(value: float) -> str:
    """``230 ms``, ``2.4 s``, ``3 min 20 s``, ``2 h 5 min``, ``13 d 4 h``; negative values keep their sign."""
    if value < 0:
        return f"-{seconds(-value)}"
    if value < 0.001:
        return f"{value * 1e6:.0f} µs" if value else "0 s"
    if value < 1:
        return f"{value * 1000:.3g} ms"
    if value < 60:
        return f"{value:.3g} s"
    if value < 3600:
        return _two(value, "min", "s", 60, 1)
    if value < 86400:
        return _two(value, "h", "min", 3600, 60)
    if not value <= _AGES:
        return f"{value:.3g} s"  # a target may claim what it likes
    return _two(value, "d", "h", 86400, 3600)


def duration(span: timedelta) -> str:
    return seconds(span.total_seconds())


def _two(value: float, large: str, small: str, size_of_large: int, size_of_small: int) -> str:
    whole, rest = divmod(int(value), size_of_large)
    rest //= size_of_small
    return f"{whole} {large} {rest} {small}" if rest else f"{whole} {large}"


def size(value: float) -> str:
    """Bytes in binary units: ``1.5 GiB``."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if abs(value) < 1024:
            return f"{value:.3g} {unit}"
        value /= 1024
    return f"{value:.3g} PiB"


def cut(text: str, limit: int = TEXT_LIMIT) -> str:
    """At most `limit` characters; an ellipsis says that there was more."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def iso(moment: datetime | None) -> str | None:
    """``2026-03-02T14:02:07.123Z``, as events and the JSON API write an instant (RFC 3339, UTC); None stays None."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z") if moment else None


def clock(moment: datetime) -> str:
    """``14:02:07 UTC``: events of one incident are close together, so the day is left to `at`."""
    return moment.strftime("%H:%M:%S UTC")
