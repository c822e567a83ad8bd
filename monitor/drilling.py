"""Drills that people ask for: checked, opened by the world, and watched until each sink was reached."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from monitor.asked import must_know
from monitor.clock import Clock
from monitor.config.suggest import Vocabulary
from monitor.config.units import parse_duration
from monitor.core import drill
from monitor.core.handled import Kind
from monitor.core.model import Change, Event, EventType, Impact, Moment
from monitor.core.wording import iso
from monitor.core.world import World
from monitor.deciding import decided
from monitor.pipeline import Pipeline
from monitor.sending import Outcome
from monitor.store.contract import Delivery

KEPT = 20
"""Drills that can be asked about, the newest."""
MOST_LINES = 1000
"""Events, and attempts, that are kept of each."""
MOST_SINKS = 100
SHORTEST = "1m"


@dataclass(slots=True)
class Course:
    """How a drill goes. What was told, and each attempt at a sink, as JSON, in order."""

    drill: drill.Drill
    told: list[dict[str, Any]] = field(default_factory=list)
    attempts: list[dict[str, Any]] = field(default_factory=list)
    owed: dict[tuple[str, str], None] = field(default_factory=dict)
    """Of each event that was told the sinks that have neither taken nor refused it."""
    over: datetime | None = None
    """When its end was told."""
    acknowledged: Mapping[str, Any] | None = None
    """By whom, and when: from then on no further step was taken."""


class Drills:
    """`begin` and `course` are for the API, `told` and `settled` for whoever publishes and sends."""

    def __init__(self, pipeline: Pipeline, clock: Clock) -> None:
        self._pipeline = pipeline
        self._clock = clock
        self._courses: OrderedDict[str, Course] = OrderedDict()

    async def begin(self, asked: Mapping[str, Any], by: str) -> dict[str, Any]:
        """`asked`: ``service``, ``impact``, ``for``, ``sinks``. Raises `ValueError`, whose text repeats nothing of
        what was sent."""
        service, impact, lasts, only = _checked(asked)

        def decide(world: World, now: Moment) -> tuple[drill.Drill, Change | None]:
            if service not in (known := world.plan.services):
                raise ValueError(f"no service has this name{Vocabulary('service', known).meant(service)}")
            played, change = drill.begin(world, service, impact, lasts, now, by, only)
            self._courses[played.incident.id] = Course(played)
            while len(self._courses) > KEPT:
                self._courses.popitem(last=False)
            return played, change

        played = await decided(self._pipeline, decide)
        return self.course(played.incident.id) or {}

    def course(self, identity: str) -> dict[str, Any] | None:
        """How it goes, as JSON; None: no such drill since the start."""
        course = self._courses.get(identity)
        if course is None:
            return None
        incident = course.drill.incident
        return {
            "id": identity,
            "service": incident.services[0],
            "impact": incident.impact.value,
            "opened": iso(incident.opened),
            "by": course.drill.by or None,
            "over": iso(course.over),
            "only": list(course.drill.only),
            "acknowledged": course.acknowledged,
            "told": list(course.told),
            "attempts": list(course.attempts),
            "owed": [{"event": event, "sink": sink} for event, sink in course.owed],
        }

    def told(self, events: Iterable[Event]) -> None:
        """These were committed."""
        for event in events:
            course = self._courses.get(event.stream)
            if course is None or len(course.told) >= MOST_LINES:
                continue
            body = event.body
            course.told.append(
                {
                    "event": event.id,
                    "type": event.type.value,
                    "at": iso(event.at),
                    "update": body.get("update"),
                    "sentence": body.get("sentence"),
                    "sinks": list(event.sinks),
                }
            )
            course.owed.update(dict.fromkeys((event.id, sink) for sink in event.sinks))
            update = body.get("update") or {}
            if update.get("kind") == Kind.ACKNOWLEDGED:
                course.acknowledged = {"by": update.get("by"), "at": iso(event.at)}
            if event.type is EventType.INCIDENT_RESOLVED:
                course.over = event.at

    def settled(self, delivery: Delivery, outcome: Outcome, seconds: float, error: str) -> None:
        """An attempt has ended so."""
        course = self._courses.get(delivery.stream)
        if course is None or len(course.attempts) >= MOST_LINES:
            return
        course.attempts.append(
            {
                "event": delivery.event_id,
                "sink": delivery.sink,
                "attempt": delivery.attempt,
                "at": iso(self._clock.now().at),
                "outcome": outcome.value,
                "seconds": round(seconds, 4),
                "error": error or None,
            }
        )
        if outcome is not Outcome.RETRIED:
            course.owed.pop((delivery.event_id, delivery.sink), None)


def _checked(asked: Mapping[str, Any]) -> tuple[str, Impact, float, tuple[str, ...]]:
    must_know(asked, "service", "impact", "for", "sinks")
    service = asked.get("service")
    if not isinstance(service, str) or not service:
        raise ValueError("service must be the name of a service")
    try:
        impact = Impact(asked.get("impact", Impact.OUTAGE.value))
    except ValueError:
        raise ValueError("impact must be outage or degradation") from None
    lasts = asked.get("for", SHORTEST)
    try:
        span = parse_duration(lasts if isinstance(lasts, str) else "").total_seconds()
    except ValueError:
        raise ValueError("for must be a duration with a unit, such as 30s or 10m") from None
    sinks = asked.get("sinks") or []
    if not isinstance(sinks, list) or len(sinks) > MOST_SINKS or not all(isinstance(name, str) for name in sinks):
        raise ValueError("sinks must be a list of names of sinks")
    return service, impact, span, tuple(dict.fromkeys(sinks))
