"""What people have done about open incidents: acknowledged them, put them off for a while, noted something."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from monitor.core.model import Impact, Note
from monitor.core.snapshot import read_count, read_given_instant, read_instant, read_notes
from monitor.core.wording import cut, iso

PREFIX = "handling:"
"""The beginning of the names of notes; what follows is an incident's id."""
MOST_REMARKS = 20
"""Of one incident that are remembered, the newest; all that were told are in its events."""
MOST_ACTS = 200
"""Of one incident. Each is told to everybody and kept for ever, and a script that runs wild knows no end."""
LONGEST_BY, LONGEST_TEXT = 100, 300
"""Characters."""


class Kind(StrEnum):
    """What an ``incident.updated`` tells."""

    CHANGED = "changed"
    """It is another than told: worse, better, larger, of another cause."""
    ESCALATED = "escalated"
    """Nobody has acknowledged it in time, and others are told."""
    REMINDER = "reminder"
    """It is still so."""
    ACKNOWLEDGED = "acknowledged"
    SNOOZED = "snoozed"
    NOTE = "note"
    ACTION = "action"
    """Something was done about it, by a person's rule."""


class Updates(StrEnum):
    """What a sink is told of an incident besides what asks somebody to act: that it begins, gets worse, and that
    nobody has acknowledged it."""

    ALL = "all"
    END = "end"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Update:
    """Why an incident is told of again; `by` whom, if by somebody, and in which words."""

    kind: Kind = Kind.CHANGED
    by: str = ""
    text: str = ""


CHANGED = Update()


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """That somebody has it: nobody else is called for it, and nobody is reminded."""

    by: str
    at: datetime
    impact: Impact
    """What it meant to customers then: who has taken on a degradation knows nothing of the outage that follows."""
    until: datetime | None = None
    """A snooze: when it is told anew. None: it holds until the incident ends."""

    def covers(self, impact: Impact) -> bool:
        return not (impact is Impact.OUTAGE and self.impact is Impact.DEGRADATION)


@dataclass(frozen=True, slots=True)
class Remark:
    """A note that somebody has left."""

    by: str
    at: datetime
    text: str


@dataclass(frozen=True, slots=True)
class Handled:
    """What was done about one incident. `acts` counts all of it, from 1."""

    acknowledged: Acknowledgement | None = None
    remarks: tuple[Remark, ...] = ()
    acts: int = 0


NOTHING = Handled()


class Handling:
    """Part of the world."""

    def __init__(self, notes: Mapping[str, Any]) -> None:
        self._known, unreadable = read_notes(notes, PREFIX, lambda _incident, value: _load(value))
        """By the id of the incident."""
        self._news = {name: Note(name, None) for name in unreadable}

    def of(self, incident: str) -> Handled:
        return self._known.get(incident, NOTHING)

    def acknowledgement(self, incident: str) -> Acknowledgement | None:
        return self.of(incident).acknowledged

    def keep(self, incident: str, handled: Handled) -> None:
        self._known[incident] = handled
        self._news[PREFIX + incident] = Note(PREFIX + incident, _dump(handled))

    def lift(self, incident: str) -> None:
        """It is as if nobody had acknowledged it."""
        self.keep(incident, replace(self.of(incident), acknowledged=None))

    def merge(self, incident: str, impact: Impact, gone: str) -> None:
        """One that goes on takes over what was done about another, which has the same cause. Who has acknowledged
        that one has this one, unless it means more."""
        one, other = self.of(incident), self.of(gone)
        if other is NOTHING:
            return
        theirs = other.acknowledged if other.acknowledged and other.acknowledged.covers(impact) else None
        remarks = sorted((*one.remarks, *other.remarks), key=lambda item: item.at)[-MOST_REMARKS:]
        self.keep(incident, Handled(one.acknowledged or theirs, tuple(remarks), one.acts))

    def forget(self, incident: str) -> None:
        if self._known.pop(incident, None) is not None:
            self._news[PREFIX + incident] = Note(PREFIX + incident, None)

    def incidents(self) -> list[str]:
        """The ids of those that something was done about."""
        return list(self._known)

    def notes(self) -> Iterator[Note]:
        """All that is remembered: for a journal that has lost it."""
        return (Note(PREFIX + name, _dump(handled)) for name, handled in self._known.items())

    def written(self) -> tuple[Note, ...]:
        """What is to be noted since this was last asked."""
        news, self._news = tuple(self._news.values()), {}
        return news


def plain(text: str, longest: int) -> str:
    """As one line, without what does not show."""
    return cut(" ".join("".join(sign if sign.isprintable() else " " for sign in text).split()), longest)


def acknowledged_json(given: Acknowledgement | None) -> dict[str, Any] | None:
    """As events and the API tell it."""
    return {"by": given.by, "at": iso(given.at), "until": iso(given.until)} if given else None


def _dump(handled: Handled) -> dict[str, Any]:
    given = handled.acknowledged
    return {
        "acknowledged": {
            "by": given.by,
            "at": given.at.isoformat(),
            "impact": given.impact.value,
            "until": given.until.isoformat() if given.until else None,
        }
        if given
        else None,
        "remarks": [[item.by, item.at.isoformat(), item.text] for item in handled.remarks],
        "acts": handled.acts,
    }


def _load(value: Any) -> Handled:
    return Handled(
        _acknowledgement(value["acknowledged"]),
        tuple(Remark(str(by), read_given_instant(at), str(text)) for by, at, text in value["remarks"]),
        read_count(value["acts"]),
    )


def _acknowledgement(value: Any) -> Acknowledgement | None:
    if not value:
        return None
    at, until = read_given_instant(value["at"]), read_instant(value["until"])
    return Acknowledgement(str(value["by"]), at, Impact(value["impact"]), until)
