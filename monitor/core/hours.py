"""Hours of the week in a time zone: when a route counts, when a team is at rest, when somebody is awake."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
EVERY_DAY = tuple(range(7))
MIDNIGHT = 24 * 60
"""In minutes of the day."""


@dataclass(frozen=True, slots=True)
class Hours:
    """From `begin` to `end` (minutes of the day by the wall clock there; the end is not within) on some `days`.

    What ends at or before it begins goes on over midnight, and belongs to the day on which it began. Clocks that are
    set make it an hour longer or shorter, as they do for those who live by them."""

    begin: int
    end: int
    zone: str
    """Of the time zone database; the configuration has seen that it is there."""
    days: tuple[int, ...] = EVERY_DAY
    """Monday is 0."""

    def holds(self, at: datetime) -> bool:
        local = at.astimezone(ZoneInfo(self.zone))
        minute, day = local.hour * 60 + local.minute, local.weekday()
        if self.begin < self.end:
            return day in self.days and self.begin <= minute < self.end
        return day in self.days if minute >= self.begin else minute < self.end and (day - 1) % 7 in self.days

    @property
    def text(self) -> str:
        """``Mon-Fri 08:00-22:00 Europe/Berlin``"""
        days = "" if self.days == EVERY_DAY else f"{_days(self.days)} "
        return f"{days}{clock_time(self.begin)}-{clock_time(self.end)} {self.zone}"


def clock_time(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


def _days(days: tuple[int, ...]) -> str:
    if len(days) > 2 and days[-1] - days[0] == len(days) - 1:
        return f"{DAYS[days[0]]}-{DAYS[days[-1]]}"
    return ",".join(DAYS[day] for day in days)
