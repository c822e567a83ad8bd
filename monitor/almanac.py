"""What an iCalendar says about who is on call: entries of so many weeks as shifts of people.

A calendar is a stranger's file. What is too large, or repeats too often, is refused before it is gone through.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from monitor.core.rota import Person, Shift, instant

MOST_BYTES = 5_000_000
MOST_ENTRIES, MOST_SERIES = 5_000, 200
"""Of those that are written; of the latter each day of the time that is looked at may hold one."""
BEFORE, AHEAD = timedelta(days=40), timedelta(days=100)
"""How much is looked at: who wants to know more asks later."""
_TOO_OFTEN = ("SECONDLY", "MINUTELY", "HOURLY")
_DAY = timedelta(days=1)


class Unreadable(ValueError):
    """Why a file is no calendar, in words that repeat nothing of it."""


@dataclass(frozen=True, slots=True)
class Page:
    """What was read: shifts in the order of time, and how many entries name nobody we know."""

    shifts: tuple[Shift, ...]
    strange: int


def read(text: bytes, people: Mapping[str, Person], zone: str, now: datetime) -> Page:
    """The shifts from some weeks before `now` (aware) to some months after it. Raises `Unreadable` for what is no
    calendar, or too much of one."""
    import recurring_ical_events
    from icalendar import Calendar

    if len(text) > MOST_BYTES:
        raise Unreadable(f"it is larger than {MOST_BYTES // 1_000_000} MB")
    try:
        calendar = Calendar.from_ical(text)
        entries = calendar.walk("VEVENT")
        _refuse_too_much(entries)
        found = recurring_ical_events.of(calendar, components=["VEVENT"]).between(now - BEFORE, now + AHEAD)
        names = _Names(people)
        shifts, strange = [], 0
        for entry in found:
            begin, end = _span(entry, ZoneInfo(zone))
            who = None if str(entry.get("STATUS", "")).upper() == "CANCELLED" else names.of(entry)
            strange += who is None
            if who is not None and begin < end:
                shifts.append(Shift(begin, end, who))
    except Unreadable:
        raise
    except Exception as error:  # noqa: BLE001  (the libraries raise whatever a strange file leads them to)
        raise Unreadable(f"it is no calendar that can be read ({type(error).__name__})") from None
    return Page(tuple(sorted(shifts, key=lambda shift: shift.begin)), strange)


def _refuse_too_much(entries: list[Any]) -> None:
    if len(entries) > MOST_ENTRIES:
        raise Unreadable(f"it has more than {MOST_ENTRIES:,} entries")
    if sum("RRULE" in entry for entry in entries) > MOST_SERIES:
        raise Unreadable(f"it has more than {MOST_SERIES} series")
    for entry in entries:
        rules = entry.get("RRULE", [])
        for rule in rules if isinstance(rules, list) else [rules]:
            often = set(map(str, rule.get("FREQ", []))) & set(_TOO_OFTEN)
            if often or any(len(rule.get(part, [])) > 1 for part in ("BYHOUR", "BYMINUTE", "BYSECOND")):
                raise Unreadable("it has an entry that repeats more often than daily")


def _span(entry: Any, zone: ZoneInfo) -> tuple[datetime, datetime]:
    begin, end = entry.start, entry.end
    return _at(begin, zone, last=False), _at(end, zone, last=True)


def _at(when: date | datetime, zone: ZoneInfo, *, last: bool) -> datetime:
    """Whole days, and times without a zone, are by the rota's clock."""
    if not isinstance(when, datetime):
        return instant(datetime.combine(when, time()), zone)
    return instant(when, zone, last=last) if when.tzinfo is None else when.astimezone(UTC)


class _Names:
    """Finds people in entries: by their name here, or by what a calendar calls them."""

    def __init__(self, people: Mapping[str, Person]) -> None:
        known = {name.casefold(): person.id for person in people.values() for name in (person.id, *person.known_as)}
        self._known = known
        longest = sorted(map(re.escape, known), key=len, reverse=True)
        self._pattern = re.compile(rf"(?<!\w)(?:{'|'.join(longest)})(?!\w)")

    def of(self, entry: Any) -> str | None:
        """Whoever the summary names first, else the first attendee who has not declined."""
        for text in (str(entry.get("SUMMARY", "")), *_attendees(entry)):
            found = self._pattern.search(text.casefold())
            if found is not None:
                return self._known[found[0]]
        return None


def _attendees(entry: Any) -> Iterator[str]:
    given = entry.get("ATTENDEE", [])
    for item in _listed(given):
        if str(item.params.get("PARTSTAT", "")).upper() != "DECLINED":
            yield f"{item.params.get('CN', '')} {str(item).removeprefix('mailto:').removeprefix('MAILTO:')}"


def _listed(given: Any) -> Iterable[Any]:
    return given if isinstance(given, list) else [given]
