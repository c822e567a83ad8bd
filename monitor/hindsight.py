"""What a stretch of the past comes to, in figures: how often each check was called bad, how soon, and for nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import zip_longest
from statistics import median
from typing import Any

from monitor.core.model import Change, Event, EventType, State, Transition

SHORT_LIVED = timedelta(minutes=1)
"""Trouble that is over so soon after it was told was not worth waking anybody: counted as a false alarm. What was
really the matter is recorded nowhere."""

AGAIN = timedelta(minutes=30)
"""A change into a bad state so soon after the end of one is a flap."""

SAME = timedelta(milliseconds=250)
"""Two transitions so near to one another are the same: times of looks are cut."""


@dataclass
class Spells:
    """The bad times of one check, counted as its transitions come."""

    down: int = 0
    degraded: int = 0
    """Times it was called degraded while it was not bad: on the way back from down it is the same trouble."""
    false_alarms: int = 0
    flaps: int = 0
    pages: int = 0
    """Incidents that were opened with it as their root, and sent to somebody."""
    delays: list[float] = field(default_factory=list)
    """Seconds from the first failing look to the call, of each bad time."""
    _called: datetime | None = None
    _ended: datetime | None = None

    def take(self, item: Transition) -> None:
        """The next transition of the check."""
        new, old = State(item.new), State(item.old)
        if new is State.DOWN and old is not State.DOWN:
            self.down += 1
        if new is State.DEGRADED and not old.bad:
            self.degraded += 1
        if new.bad and self._called is None:
            self._called = item.at
            self.delays.append(max((item.at - item.since).total_seconds(), 0.0))
            self.flaps += self._ended is not None and item.since - self._ended < AGAIN
        elif new is State.UP and self._called is not None:
            self.false_alarms += item.since - self._called < SHORT_LIVED
            self._called, self._ended = None, item.since

    def as_json(self) -> dict[str, Any]:
        return {
            "down": self.down,
            "degraded": self.degraded,
            "pages": self.pages,
            "false_alarms": self.false_alarms,
            "flaps": self.flaps,
            "detected_after_seconds": {
                "median": round(median(self.delays), 1) if self.delays else None,
                "worst": round(max(self.delays), 1) if self.delays else None,
            },
        }


class Hindsight:
    """Sums of a stretch of the past, `since` a moment; what comes before that is only lived through."""

    def __init__(self, since: datetime) -> None:
        self.since = since
        self.checks: dict[str, Spells] = {}
        self.transitions: list[Transition] = []
        self.events: list[Event] = []
        """Those that would be sent to somebody."""
        self.sent: Counter[str] = Counter()
        """By sink."""

    def take(self, change: Change) -> None:
        self.take_transitions(change.transitions)
        for event in change.events:
            if event.at >= self.since and event.sinks:
                self._take_event(event)

    def take_transitions(self, items: Iterable[Transition]) -> None:
        """Also those of a journal, which has no events of them to count pages by."""
        for item in items:
            if item.at >= self.since and not item.was:
                self.transitions.append(item)
                if item.kind == "check":
                    self.spells(item.subject).take(item)

    def _take_event(self, event: Event) -> None:
        self.events.append(event)
        self.sent.update(event.sinks)
        if event.type is EventType.INCIDENT_OPENED:
            self.spells(event.body["incident"]["root"]).pages += 1

    def spells(self, check: str) -> Spells:
        return self.checks.setdefault(check, Spells())

    @property
    def pages(self) -> int:
        """Incidents that somebody was told of."""
        return sum(event.type is EventType.INCIDENT_OPENED for event in self.events)

    def as_json(self) -> Mapping[str, Any]:
        return {
            "pages": self.pages,
            "sent": dict(self.sent),
            "checks": {name: item.as_json() for name, item in sorted(self.checks.items())},
        }


def differing(
    one: Hindsight, other: Hindsight, since: datetime, until: datetime, kinds: Collection[str]
) -> dict[str, datetime]:
    """The subjects of these kinds whose transitions in that time are not the same in both, and from when on. A first
    sight is no difference: where the past begins there is always one."""
    stories = [_stories(hindsight, since, until, kinds) for hindsight in (one, other)]
    found: dict[str, datetime] = {}
    for kind, name in dict.fromkeys((*stories[0], *stories[1])):
        for pair in zip_longest(*(story.get((kind, name), ()) for story in stories)):
            known = [item for item in pair if item is not None]
            at = min(item.at for item in known)
            if len(known) < 2 or known[0].new != known[1].new or max(item.at for item in known) - at > SAME:
                found[name] = min(at, found.get(name, at))
                break
    return found


def _stories(
    hindsight: Hindsight, since: datetime, until: datetime, kinds: Collection[str]
) -> dict[tuple[str, str], list[Transition]]:
    found: dict[tuple[str, str], list[Transition]] = {}
    for item in hindsight.transitions:
        first_sight = item.seq == 1 and item.old == State.UNKNOWN
        if item.kind in kinds and since <= item.at <= until and not first_sight:
            found.setdefault((item.kind, item.subject), []).append(item)
    return found
