"""When something is expected again: after a span, or by a cron expression in a time zone.

A cron expression is read as Debian's cron reads it (by cronsim): a time that the clocks skip in spring is due at the
end of the gap, one that comes twice in autumn is due once, and ``*/15`` goes on through both.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from probes.contract import BadField

_LONGEST = 200
"""Characters of a cron expression: one with thousands of minutes takes tenths of a second each time it is asked."""
_EARLY_AT_MOST = 30.0
"""Seconds by which a ping may come before its time: the sender's clock is not ours."""
_EARLY_SHARE = 0.25
"""... and never more than this part of the time between two runs."""


class Schedule(Protocol):
    """Times are Unix times, spans seconds."""

    @property
    def text(self) -> str:
        """For people; two schedules with one text are the same."""

    @property
    def fixed(self) -> bool:
        """Whether it goes by the wall clock, whatever has been before."""

    @property
    def early(self) -> float:
        """How much before its time a ping still is that of the coming run."""

    def after(self, at: float) -> float:
        """The first time that something is due after `at`."""

    def answered(self, at: float) -> float:
        """What is due next once a ping came `at`."""

    def unheard(self, low: float, begun: float, ended: float) -> tuple[float, float]:
        """Of the ping after one that came while nobody was there, from `begun` to `ended`, though not long before
        `low`: about when it comes at the earliest, and when it is due."""


@dataclass(frozen=True, slots=True)
class Every:
    """Once in each span, counted from the last time. `early` is how uneven it may be."""

    period: float
    early: float
    fixed: bool = False

    @property
    def text(self) -> str:
        return f"every {span(self.period)}"

    def after(self, at: float) -> float:
        return at + self.period

    def answered(self, at: float) -> float:
        return at + self.period

    def unheard(self, low: float, begun: float, ended: float) -> tuple[float, float]:
        return max(begun, low - self.early) + self.period, ended + self.period


@dataclass(frozen=True, slots=True)
class Cron:
    """At the times of a cron expression of five fields."""

    expression: str
    zone: ZoneInfo
    fixed: bool = True

    @property
    def text(self) -> str:
        return f"{self.expression} {self.zone.key}"

    @property
    def early(self) -> float:
        return _EARLY_AT_MOST

    def after(self, at: float) -> float:
        runs = CronSim(self.expression, datetime.fromtimestamp(at, self.zone))
        due = next(runs).timestamp()
        while due <= at:  # asked within the hour that comes twice, it begins with the first of the two
            due = next(runs).timestamp()
        return due

    def answered(self, at: float) -> float:
        due = self.after(at)
        early = min(_EARLY_AT_MOST, (self.after(due) - due) * _EARLY_SHARE)
        return due if due - at > early else self.after(due)

    def unheard(self, low: float, begun: float, ended: float) -> tuple[float, float]:  # noqa: ARG002
        following = self.after(ended)
        return following, following


def cron(expression: str, zone: str, near: float) -> Cron:
    """The schedule, of which a run near that time (Unix) is known to exist. Raises `BadField`."""
    found = time_zone(zone)
    fields = expression.split()
    if len(expression) > _LONGEST:
        raise BadField("schedule", f"is {len(expression)} characters long: shorten it to {_LONGEST}")
    if len(fields) != 5:
        advice = "write minute, hour, day, month and weekday, such as 0 3 * * *"
        raise BadField("schedule", f"{expression[:60]!r} has {len(fields)} fields, not five: {advice}")
    made = Cron(" ".join(fields), found)
    try:
        made.after(near)
    except (CronSimError, StopIteration) as error:
        why = str(error) or "it names a day that never comes"
        raise BadField("schedule", f"{expression[:60]!r} is not a cron expression such as 0 3 * * *: {why}") from None
    return made


def time_zone(name: str) -> ZoneInfo:
    """Raises `BadField`."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise BadField(
            "timezone", f"{name[:60]!r} is not known here: write one such as Europe/Berlin (Debian: package tzdata)"
        ) from None


def span(seconds: float) -> str:
    """``90s`` as people write it: ``1h30m``, ``45s``."""
    left, parts = round(seconds, 3), []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count:.0f}{unit}")
    if left or not parts:
        parts.append(f"{left:g}s")
    return "".join(parts)
