"""Who is on call: a rotation, overrides, a calendar; and who of them is awake.

All of it is worked out for a moment, and nothing is remembered: the same is said of a night last year, and of next
Christmas. A rota never names nobody: where nobody is on call, everybody who could be is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from monitor.core.hours import Hours

_SECOND = timedelta(seconds=1)
_MOST_EDGES = 100
"""At which turns begin or end that are gone through to find the next ones."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who can be on call. `ways` are the names of the sinks by what they are called there (``sms``), the
    first one being how the person is reached where no way is named."""

    id: str
    awake: Hours
    ways: Mapping[str, str] = field(default_factory=dict)
    known_as: tuple[str, ...] = ()
    """What a calendar calls them: a name, an address."""

    def sinks(self, way: str | None) -> tuple[str, ...]:
        """The one by that way; by the first one where there is none such: better by mail than not at all."""
        found = self.ways.get(way or "") or next(iter(self.ways.values()), None)
        return (found,) if found else ()


@dataclass(frozen=True, slots=True)
class Rotation:
    """People take turns of `days` days each; the first turn of the first one begins on the date `first`. It is handed
    over at the wall clock's `handover` in that zone."""

    people: tuple[str, ...]
    first: date
    days: int
    handover: time
    zone: str

    def shift(self, at: datetime) -> Shift | None:
        """The turn that holds `at`, which may lie before the first one. None: nobody takes turns."""
        if not self.people:
            return None
        turn = (at.astimezone(ZoneInfo(self.zone)).date() - self.first).days // self.days
        if at < self._begins(turn):
            turn -= 1
        return Shift(self._begins(turn), self._begins(turn + 1), self.people[turn % len(self.people)])

    def _begins(self, turn: int) -> datetime:
        return instant(
            datetime.combine(self.first + timedelta(days=turn * self.days), self.handover), ZoneInfo(self.zone)
        )


@dataclass(frozen=True, slots=True)
class Shift:
    """Somebody is on call from `begin` until `end` (aware)."""

    begin: datetime
    end: datetime
    who: str

    def holds(self, at: datetime) -> bool:
        return self.begin <= at < self.end


@dataclass(frozen=True, slots=True)
class Duty:
    """Who is on call at a moment, `who` first and the others who could be after it; until when that is so, and what
    says it: ``override``, ``calendar``, ``rotation``, ``awake`` (somebody else sleeps), ``nobody``."""

    who: tuple[str, ...]
    by: str
    until: datetime | None = None
    instead: str | None = None
    """Who sleeps meanwhile, though it would be their turn."""


@dataclass(frozen=True, slots=True)
class Rota:
    """Who is on call. Overrides count before the calendar, and that before the rotation; of overrides the one that is
    written last, of a calendar's entries the one that began last."""

    people: tuple[str, ...]
    """All who can be on call."""
    rotation: Rotation | None = None
    overrides: tuple[Shift, ...] = ()
    calendar: str | None = None
    """The name under which its shifts are kept."""
    prefer_awake: bool = False

    def duty(self, at: datetime, shifts: Sequence[Shift], persons: Mapping[str, Person]) -> Duty:
        """Who is on call at `at`; `shifts` are those of the calendar."""
        shifts = [shift for shift in shifts if shift.who in persons]
        found = self._turn(at, shifts)
        begins = [shift.begin for shift in (*self.overrides, *shifts) if shift.begin > at]
        if found is None:
            return Duty(self._woken(self.people, at, persons), "nobody", min(begins, default=None))
        shift, by = found
        until = min([shift.end, *begins])
        if not self.prefer_awake or _awake(persons, shift.who, at):
            return Duty((shift.who,), by, until)
        others = [name for name in self._after(shift.who) if _awake(persons, name, at)]
        if not others:
            return Duty((shift.who,), by, until)
        return Duty((others[0],), "awake", until, shift.who)

    def turns(
        self, at: datetime, shifts: Sequence[Shift], persons: Mapping[str, Person], most: int
    ) -> list[tuple[datetime, Duty]]:
        """Whose turn it is at `at` and after it, awake or not: when each begins, and what it is; so many at most."""
        plain, found = replace(self, prefer_awake=False), [(at, self.duty(at, shifts, persons))]
        for _ in range(_MOST_EDGES):
            begin, last = found[-1][0], found[-1][1]
            if last.until is None or len(found) == most + 1:
                break
            following = plain.duty(last.until, shifts, persons)
            if len(found) > 1 and (following.who, following.by) == (last.who, last.by):
                found[-1] = begin, replace(last, until=following.until)
            else:
                found.append((last.until, following))
        return found[:most]

    def _turn(self, at: datetime, shifts: Sequence[Shift]) -> tuple[Shift, str] | None:
        for shift in reversed(self.overrides):
            if shift.holds(at):
                return shift, "override"
        entered = [shift for shift in shifts if shift.holds(at)]
        if entered:
            return max(entered, key=lambda shift: (shift.begin, -shift.end.timestamp(), shift.who)), "calendar"
        turn = self.rotation.shift(at) if self.rotation is not None else None
        return (turn, "rotation") if turn is not None else None

    def _after(self, who: str) -> Iterable[str]:
        """The others, beginning with whoever comes next."""
        place = self.people.index(who) + 1 if who in self.people else 0
        return (name for name in (*self.people[place:], *self.people[:place]) if name != who)

    def _woken(self, people: Sequence[str], at: datetime, persons: Mapping[str, Person]) -> tuple[str, ...]:
        """All of them; with `prefer_awake` those who are awake, if any is."""
        awake = tuple(name for name in people if _awake(persons, name, at)) if self.prefer_awake else ()
        return awake or tuple(people)


def _awake(persons: Mapping[str, Person], name: str, at: datetime) -> bool:
    person = persons.get(name)
    return person is not None and person.awake.holds(at)


def instant(local: datetime, zone: ZoneInfo, *, last: bool = False) -> datetime:
    """When the wall clock there shows `local` (naive), in UTC. A time that is skipped is the end of the gap, as it is
    for cron; of one that comes twice it is the first, or the `last`."""
    found = local.replace(tzinfo=zone, fold=int(last)).astimezone(UTC)
    back = found.astimezone(zone).replace(tzinfo=None)
    if back == local:
        return found
    after = local.replace(tzinfo=zone, fold=0).astimezone(UTC)  # as far beyond the gap as it lies within
    before = local.replace(tzinfo=zone, fold=1).astimezone(UTC)
    while after - before > _SECOND:
        middle = before + (after - before) / 2
        if middle.astimezone(zone).utcoffset() == after.astimezone(zone).utcoffset():
            after = middle
        else:
            before = middle
    return after.replace(microsecond=0)


@dataclass(frozen=True, slots=True)
class Directory:
    """A `Roster`: sinks, people, groups, rotas. `shifts` are those of calendars, by the rota's name; whoever fetches
    them puts them there."""

    names: frozenset[str]
    """Of sinks."""
    people: Mapping[str, Person] = field(default_factory=dict)
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    rotas: Mapping[str, Rota] = field(default_factory=dict)
    shifts: Mapping[str, Sequence[Shift]] = field(default_factory=dict)

    def sinks(self, target: str, now: datetime) -> tuple[str, ...]:
        found: dict[str, None] = {}
        self._collect(target, None, now, found, set())
        return tuple(found)

    def duty(self, rota: str, at: datetime) -> Duty:
        """Who is on call. Raises `KeyError` for a rota that is not there."""
        one = self.rotas[rota]
        return one.duty(at, self.shifts.get(one.calendar or "", ()), self.people)

    def turns(self, rota: str, at: datetime, most: int) -> list[tuple[datetime, Duty]]:
        """Whose turn it is, and whose it will be: see `Rota.turns`. Raises `KeyError`."""
        one = self.rotas[rota]
        return one.turns(at, self.shifts.get(one.calendar or "", ()), self.people, most)

    def _collect(self, target: str, way: str | None, now: datetime, found: dict[str, None], seen: set[str]) -> None:
        if target in seen:  # groups may name groups, and so themselves
            return
        seen.add(target)
        if target in self.names:
            found[target] = None
        elif target in self.people:
            found |= dict.fromkeys(self.people[target].sinks(way))
        elif target in self.rotas:
            for name in self.duty(target, now).who:
                found |= dict.fromkeys(self.people[name].sinks(way))
        elif target in self.groups:
            for member in self.groups[target]:
                self._collect(member, way, now, found, seen)
        elif way is None and "." in target:
            name, _, own = target.rpartition(".")
            self._collect(name, own, now, found, seen)
