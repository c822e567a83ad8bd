"""Hours as people write them: ``Mon-Fri 08:00-22:00 Europe/Berlin``."""

from __future__ import annotations

import re
from datetime import date, datetime, time
from typing import Annotated

from monitor.config.fields import TEXT_JSON, Leaf
from monitor.config.suggest import shorten
from monitor.core.hours import DAYS, EVERY_DAY, MIDNIGHT, Hours
from probes._passive.schedule import time_zone
from probes.contract import BadField

EXAMPLE = "Mon-Fri 08:00-22:00 Europe/Berlin"
_HOURS = re.compile(
    r"(?:(?P<days>[A-Za-z][A-Za-z,-]*)\s+)?(?P<begin>\d\d?:\d\d)\s*-\s*(?P<end>\d\d?:\d\d)(?:\s+(?P<zone>\S+))?"
)
_TIME = re.compile(r"(\d\d?):(\d\d)")
_HANDOVER = re.compile(r"(?:([A-Za-z]+)\s+)?(\d\d?:\d\d)")


def parse_hours(text: str) -> Hours:
    """Days may be left out, and so may the zone (UTC). Raises `ValueError`."""
    found = _HOURS.fullmatch(text.strip())
    if found is None:
        raise ValueError(f'"{shorten(text)}" are no hours such as {EXAMPLE}')
    days = _days(found["days"]) if found["days"] else EVERY_DAY
    return Hours(_minutes(found["begin"]), _minutes(found["end"]) or MIDNIGHT, zone_of(found["zone"] or "UTC"), days)


def parse_awake(text: str) -> tuple[int, int]:
    """``08:00-22:00``, in minutes of the day. Raises `ValueError`."""
    found = _HOURS.fullmatch(text.strip())
    if found is None or found["days"] or found["zone"]:
        raise ValueError(f'"{shorten(text)}" are no hours such as 08:00-22:00; the zone stands under timezone')
    return _minutes(found["begin"]), _minutes(found["end"]) or MIDNIGHT


def parse_handover(text: str) -> tuple[int | None, time]:
    """``09:00``, or with a day of the week: ``Mon 09:00`` (Monday is 0). Raises `ValueError`."""
    found = _HANDOVER.fullmatch(text.strip())
    if found is None:
        raise ValueError(f'"{shorten(text)}" is no time such as 09:00, or Mon 09:00')
    minutes = _minutes(found[2])
    if minutes == MIDNIGHT:
        raise ValueError("24:00 is 00:00 of the next day: write that")
    return _day(found[1]) if found[1] else None, time(*divmod(minutes, 60))


def parse_date(text: str) -> date:
    """Raises `ValueError`."""
    try:
        return datetime.strptime(text.strip(), "%Y-%m-%d").date()  # noqa: DTZ007  (of a calendar, in no zone yet)
    except ValueError:
        raise ValueError(f'"{shorten(text)}" is no date such as 2026-11-23') from None


def zone_of(name: str) -> str:
    """Raises `ValueError` for one that is not known here."""
    try:
        return time_zone(name).key
    except BadField as error:
        raise ValueError(str(error)) from None


def _minutes(text: str) -> int:
    found = _TIME.fullmatch(text)
    hours, minutes = (int(found[1]), int(found[2])) if found else (99, 99)
    if minutes > 59 or hours * 60 + minutes > MIDNIGHT:
        raise ValueError(f'"{text}" is no time of the day: write one from 00:00 to 24:00')
    return hours * 60 + minutes


def _days(text: str) -> tuple[int, ...]:
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        begin = _day(first)
        end = _day(last) if dash else begin
        found.update((begin + step) % 7 for step in range((end - begin) % 7 + 1))
    return tuple(sorted(found))


def _day(text: str) -> int:
    short = text[:3].capitalize()
    if short not in DAYS:
        raise ValueError(f'"{shorten(text)}" is no day of the week: write {", ".join(DAYS)}')
    return DAYS.index(short)


HoursText = Annotated[Hours, Leaf(parse_hours, f"hours such as {EXAMPLE}", TEXT_JSON)]
AwakeText = Annotated[tuple[int, int], Leaf(parse_awake, "hours such as 08:00-22:00", TEXT_JSON)]
HandoverText = Annotated[
    tuple[int | None, time], Leaf(parse_handover, "a time such as 09:00, or Mon 09:00", TEXT_JSON)
]
DateText = Annotated[date, Leaf(parse_date, "a date such as 2026-11-23", TEXT_JSON)]
ZoneText = Annotated[str, Leaf(zone_of, "a time zone such as Europe/Berlin", TEXT_JSON)]
