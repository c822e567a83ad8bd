"""What an iCalendar says about who is on call: entries of so many weeks as shifts of people.

A calendar is a stranger's file. What is too large, or repeats too often, is refused before it is gone through; and as
a single entry may take minutes to go through, agents have it read by a process of its own, which ends in time.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from monitor.core.rota import Person, Shift, instant
from probes._system.hang import Hung
from probes._system.spawn import CannotStart, Endless, clean_environment, run
from probes.contract import LookFailed

MOST_BYTES = 5_000_000
MOST_ENTRIES, MOST_SERIES = 5_000, 200
"""Of those that are written; of the latter each day of the time that is looked at may hold one."""
BEFORE, AHEAD = timedelta(days=40), timedelta(days=100)
"""How much is looked at: who wants to know more asks later."""
TIME_LIMIT = 20.0
"""Seconds that reading one may take. Calendars of real rotas take less than one, most of it to load the libraries."""
_MOST_TOLD = 8_000_000
"""Bytes of what the process that reads one may write."""
_NICE = 5
_TOO_OFTEN = ("SECONDLY", "MINUTELY", "HOURLY")
_DAY = timedelta(days=1)


class Unreadable(ValueError):
    """Why a file is no calendar, in words that repeat nothing of it."""


@dataclass(frozen=True, slots=True)
class Page:
    """What was read: shifts in the order of time, and how many entries name nobody we know."""

    shifts: tuple[Shift, ...]
    strange: int


class Laborious(Unreadable):
    """It would take too long."""


def known_names(people: Mapping[str, Person]) -> dict[str, str]:
    """Who each name is, in lower case: people's names here, and what a calendar calls them."""
    return {name.casefold(): person.id for person in people.values() for name in (person.id, *person.known_as)}


async def read_apart(
    text: bytes, names: Mapping[str, str], zone: str, now: datetime, *, limit: float = TIME_LIMIT
) -> Page:
    """As `read`, by a process of its own: what goes on for ever holds neither the loop nor the agent's end. Raises
    `Unreadable`, `Laborious` after `limit` seconds."""
    given = os.memfd_create("calendar", os.MFD_CLOEXEC)
    try:
        await asyncio.to_thread(_hand_over, given, text, names, zone, now)
        ended = await run(
            [sys.executable, "-m", __name__],
            timeout=limit,
            most=_MOST_TOLD,
            endless=_MOST_TOLD,
            environment=clean_environment(PYTHONPATH=os.pathsep.join(filter(None, sys.path))),
            nice=_NICE,
            given=given,
        )
    except TimeoutError:
        raise Laborious(f"reading it takes longer than {limit:.0f} s: do entries repeat since long ago?") from None
    except (OSError, CannotStart, Endless, Hung, LookFailed) as error:
        raise Unreadable(f"no process could read it ({type(error).__name__})") from None
    finally:
        os.close(given)
    if ended.code != 0:
        raise Unreadable(f"the process that was to read it has ended with {ended.code}")
    return await asyncio.to_thread(_taken_over, ended.output)


def _hand_over(descriptor: int, text: bytes, names: Mapping[str, str], zone: str, now: datetime) -> None:
    head = json.dumps({"names": dict(names), "zone": zone, "now": now.isoformat()})
    with os.fdopen(descriptor, "wb", closefd=False) as file:
        file.write(head.encode() + b"\n" + text)
        file.seek(0)


def _taken_over(output: bytes) -> Page:
    told = json.loads(output)
    if why := told.get("unreadable"):
        raise Unreadable(why)
    at = datetime.fromisoformat
    return Page(tuple(Shift(at(begin), at(end), who) for begin, end, who in told["shifts"]), told["strange"])


def _read_given() -> None:
    """What the process does. It ends in time also where the agent, which would see to it, was killed."""
    signal.alarm(int(2 * TIME_LIMIT))
    asked = json.loads(sys.stdin.buffer.readline())
    try:
        text, now = sys.stdin.buffer.read(), datetime.fromisoformat(asked["now"])
        page = read(text, asked["names"], asked["zone"], now)
    except Unreadable as error:
        told: dict[str, Any] = {"unreadable": str(error)}
    else:
        shifts = [(item.begin.isoformat(), item.end.isoformat(), item.who) for item in page.shifts]
        told = {"shifts": shifts, "strange": page.strange}
    sys.stdout.write(json.dumps(told))


def read(text: bytes, names: Mapping[str, str], zone: str, now: datetime) -> Page:
    """The shifts of those in `names` (`known_names`) from some weeks before `now` (aware) to some months after it.
    Raises `Unreadable` for what is no calendar, or too much of one."""
    import recurring_ical_events
    from icalendar import Calendar

    if len(text) > MOST_BYTES:
        raise Unreadable(f"it is larger than {MOST_BYTES // 1_000_000} MB")
    try:
        calendar = Calendar.from_ical(text)
        entries = calendar.walk("VEVENT")
        _refuse_too_much(entries)
        found = recurring_ical_events.of(calendar, components=["VEVENT"]).between(now - BEFORE, now + AHEAD)
        known = _Names(names)
        shifts, strange = [], 0
        for entry in found:
            begin, end = _span(entry, ZoneInfo(zone))
            who = None if str(entry.get("STATUS", "")).upper() == "CANCELLED" else known.of(entry)
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

    def __init__(self, known: Mapping[str, str]) -> None:
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


if __name__ == "__main__":
    _read_given()
