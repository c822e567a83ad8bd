"""Incidents: opened when a service leaves `operational`, updated as the trouble grows or shrinks, resolved with it.

One cause per service for now; dependencies between checks and merging join here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from monitor.core.identity import incident_id
from monitor.core.model import EventType, Impact, Incident, ServiceState, State
from monitor.core.service import ServiceStatus

NO_LONGER_WATCHED = "no longer watched"
MOVED_AWAY = "belongs to another service now"
WENT = {NO_LONGER_WATCHED: f"is {NO_LONGER_WATCHED}", MOVED_AWAY: MOVED_AWAY}
"""Why an incident ends that did not end well: its check has gone. The words as they follow the check's name."""


@dataclass(frozen=True, slots=True)
class BadCheck:
    """A check that is bad now: what an incident is made of."""

    check: str
    state: State
    since: datetime
    why: str


@dataclass(frozen=True, slots=True)
class IncidentStep:
    """What became of the service's incident. `told` is None where it grew, but not by enough to tell anybody."""

    incident: Incident
    told: EventType | None


def follow(status: ServiceStatus, bad: Sequence[BadCheck], origin: str, now: datetime) -> IncidentStep | None:
    """The incident's next step, after the service has been judged. None: there is no incident, or no change to it.

    `unknown` neither opens nor resolves: what was opened stays open until the service is known to be well.
    """
    incident = status.incident
    if incident is None:
        return _open(status, bad, origin, now) if status.state.bad else None
    if status.state is ServiceState.OPERATIONAL:
        # Dated back to when the trouble ended, not to when we were sure of it.
        return IncidentStep(replace(incident, resolved=status.since or now), EventType.INCIDENT_RESOLVED)
    if not status.state.bad:
        return None
    return _update(incident, status, bad)


def withdraw(incident: Incident, why: str, now: datetime) -> IncidentStep:
    """End an incident whose service or checks are no longer watched: whoever was told is owed the end."""
    return IncidentStep(replace(incident, resolved=now, why=why), EventType.INCIDENT_RESOLVED)


def _open(status: ServiceStatus, bad: Sequence[BadCheck], origin: str, now: datetime) -> IncidentStep:
    root = _root(bad, status)
    incident = Incident(
        id=incident_id(origin, status.service.id, status.seq),
        services=(status.service.id,),
        root=root.check,
        checks=tuple(item.check for item in bad),
        impact=Impact(status.state.value),
        opened=now,
        since=min(item.since for item in bad),
        why=root.why,
    )
    return IncidentStep(incident, EventType.INCIDENT_OPENED)


def _update(incident: Incident, status: ServiceStatus, bad: Sequence[BadCheck]) -> IncidentStep | None:
    """The incident after a change of its checks. It keeps the cause it had at its worst: what is left of it on the
    way back explains nothing."""
    impact = Impact(status.state.value)
    known = set(incident.checks)
    grown = replace(incident, checks=incident.checks + tuple(item.check for item in bad if item.check not in known))
    if impact is not incident.impact:
        if impact is Impact.OUTAGE:
            root = _root(bad, status)
            grown = replace(grown, root=root.check, why=root.why)
        return IncidentStep(replace(grown, impact=impact, updates=incident.updates + 1), EventType.INCIDENT_UPDATED)
    down = next((item for item in bad if item.check == incident.root and item.state is State.DOWN), None)
    if down is not None:
        grown = replace(grown, why=down.why)
    if len(incident.checks).bit_length() != len(grown.checks).bit_length():
        # Told when it has doubled, not a thousand times: a dead host takes its checks down one by one.
        return IncidentStep(replace(grown, updates=incident.updates + 1), EventType.INCIDENT_UPDATED)
    return IncidentStep(grown, None) if grown != incident else None


def _root(bad: Sequence[BadCheck], status: ServiceStatus) -> BadCheck:
    """Probably the cause: of an outage the first that went down among those that make it one, else the first bad."""
    causes = [item for item in bad if item.state is State.DOWN and item.check in status.service.outage.checks]
    return min(causes if status.state is ServiceState.OUTAGE else bad, key=lambda item: item.since)
