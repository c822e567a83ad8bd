"""What quiet hours hold back: remembered until they are over. `monitor.core.quiet_over` tells it then."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from monitor.core.model import EventType, Impact, Incident, Note
from monitor.core.scene import Scene
from monitor.core.sentences import who
from monitor.core.snapshot import UNREADABLE, read_count, read_given_instant, read_instant, read_notes

if TYPE_CHECKING:
    from monitor.core.world import World

PREFIX = "quiet:"
"""The beginning of the names of notes; what follows is an incident's id."""
BEYOND = "quiet-beyond"
"""The name of the note of how many were too many to be remembered."""
MOST = 200
"""Incidents that are remembered; of others it is told how many they were."""

Kept = tuple[str, str]
"""From whom, and by which hours: a target, and the text of the quiet hours."""


@dataclass(frozen=True, slots=True)
class Held:
    """An incident that was not told to some."""

    incident: str
    who: str
    several: bool
    """Of services."""
    impact: Impact
    """The worst that it was."""
    since: datetime
    why: str
    kept: tuple[Kept, ...]
    told: frozenset[str]
    """The sinks that were told of it all the same, by other routes or as it became an outage."""
    ended: datetime | None = None
    """None while it is open."""

    def as_json(self) -> dict[str, Any]:
        """For its note."""
        return {
            "who": self.who,
            "several": self.several,
            "impact": self.impact.value,
            "since": self.since.isoformat(),
            "why": self.why,
            "kept": [list(item) for item in self.kept],
            "told": sorted(self.told),
            "ended": self.ended.isoformat() if self.ended else None,
        }


class Quiet:
    """Part of the world: what is held back, by the incident's id."""

    def __init__(self, notes: Mapping[str, Any]) -> None:
        self.held, self.unreadable = read_notes(notes, PREFIX, read_held)
        self.beyond: Counter[Kept] = Counter()
        try:
            self.beyond.update(
                {(str(to), str(hours)): read_count(count) for to, hours, count in notes.get(BEYOND, ())}
            )
        except UNREADABLE:
            self.unreadable.append(BEYOND)

    def notes(self) -> Iterator[Note]:
        """All that is remembered: for a journal that has lost it."""
        yield from (Note(PREFIX + name, item.as_json()) for name, item in self.held.items())
        if self.beyond:
            yield self._beyond_note()

    def put(self, item: Held) -> Iterator[Note]:
        """What is to be noted because of it: it, and what is forgotten for it."""
        if self.held.get(item.incident) == item:
            return
        self.held[item.incident] = item
        yield Note(PREFIX + item.incident, item.as_json())
        while len(self.held) > MOST:
            least = min(self.held.values(), key=lambda other: (other.ended is None, other.impact.value, other.since))
            del self.held[least.incident]
            self.beyond.update(least.kept)
            yield from (Note(PREFIX + least.incident, None), self._beyond_note())

    def let_go(self, due: frozenset[Kept]) -> Iterator[Note]:
        """What was kept from these has been told."""
        for item in list(self.held.values()):
            left = tuple(kept for kept in item.kept if kept not in due)
            if left:
                yield from self.put(replace(item, kept=left))
            else:
                del self.held[item.incident]
                yield Note(PREFIX + item.incident, None)
        if due.intersection(self.beyond):
            self.beyond = Counter({kept: count for kept, count in self.beyond.items() if kept not in due})
            yield self._beyond_note()

    def _beyond_note(self) -> Note:
        return Note(BEYOND, [[*kept, count] for kept, count in self.beyond.items()] or None)


def hold(
    world: World, told: EventType, incident: Incident, scene: Callable[[], Scene], at: datetime
) -> tuple[Note, ...]:
    """Remember what is not told of the incident now because it is quiet, and how goes on what is remembered. The
    `scene` is asked for only where it matters: it may be of thousands of services."""
    quiet = world.quiet
    before = quiet.held.get(incident.id)
    if before is None and (incident.resolved or not world.teller.is_quiet(incident.impact, at)):
        return ()
    spoken = scene()
    kept = () if incident.resolved else world.teller.hushed(told, spoken, at)
    if before is not None:
        kept = tuple(dict.fromkeys((*before.kept, *kept)))
    if not kept:
        return ()
    if incident.merged_into is not None and incident.merged_into in quiet.held:
        other = quiet.held[incident.merged_into]  # which tells the same, and began as early
        del quiet.held[incident.id]
        gone = Note(PREFIX + incident.id, None)
        return (gone, *quiet.put(replace(other, kept=tuple(dict.fromkeys((*other.kept, *kept))))))
    title, several = who(spoken.statuses)
    worst = Impact.OUTAGE if before and before.impact is Impact.OUTAGE else incident.impact
    why = before.why if before and incident.resolved else f"{incident.root}: {incident.why}"
    item = Held(incident.id, title, several, worst, incident.since, why, kept, incident.told, ended=incident.resolved)
    return tuple(quiet.put(item))


def read_held(identity: str, value: Mapping[str, Any]) -> Held:
    """Of its note. Raises one of `UNREADABLE` for what nobody has written."""
    return Held(
        identity,
        str(value["who"]),
        value["several"] is True,
        Impact(value["impact"]),
        read_given_instant(value["since"]),
        str(value["why"]),
        tuple((str(target), str(hours)) for target, hours in value["kept"]),
        frozenset(str(sink) for sink in value["told"]),
        read_instant(value["ended"]),
    )
