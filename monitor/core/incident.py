"""Incidents: one for a cause, across services. Opened when a service leaves `operational`, joined by every service
that fails for the same reason, merged where two turn out to be one, resolved when the last of them is well."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from monitor.core.model import Incident

NO_LONGER_WATCHED = "no longer watched"
MOVED_AWAY = "belongs to another service now"
WENT = {NO_LONGER_WATCHED: f"is {NO_LONGER_WATCHED}", MOVED_AWAY: MOVED_AWAY}
"""Why an incident ends that did not end well: its check has gone. The words as they follow the check's name."""

NAMES_LIMIT = 1000
"""Checks, and services, that an incident has by name: it is written down with each that joins."""


@dataclass(slots=True, eq=False)
class Case:
    """An open incident as all the services share it that it touches. Not frozen: it lives as long as it is open."""

    incident: Incident
    services: dict[str, None]
    """Those that are not well again, in the order in which they joined."""
    known: set[str]
    """The checks that have been part of it, also those beyond the limit of names."""
    ended: datetime | None = None
    """When the last service that has left it was well again."""
    merging: dict[Case, None] = field(default_factory=dict)
    """Those that have turned out to be part of it, and still stand by themselves: they were too many at once."""

    @classmethod
    def of(cls, incident: Incident, services: Iterable[str]) -> Case:
        return cls(incident, dict.fromkeys(services), set(incident.checks))

    def grow(self, services: Iterable[str], checks: Iterable[str]) -> None:
        """Take in services and checks; those it knows change nothing."""
        fresh = tuple(name for name in checks if name not in self.known)
        self.known.update(fresh)
        known = set(self.incident.services)
        joined = tuple(name for name in services if name not in known)
        if fresh or joined:
            self.incident = replace(
                self.incident,
                checks=(self.incident.checks + fresh)[:NAMES_LIMIT],
                services=(self.incident.services + joined)[:NAMES_LIMIT],
            )


def outgrown(before: Incident, after: Incident) -> bool:
    """Whether it has doubled: that is told, and not each of a thousand times when a dead host takes its checks down
    one by one."""
    return any(
        len(old).bit_length() != len(new).bit_length()
        for old, new in ((before.checks, after.checks), (before.services, after.services))
    )


def withdrawn(incident: Incident, why: str, now: datetime) -> Incident:
    """End an incident whose services or checks are no longer watched: whoever was told is owed the end."""
    return replace(incident, resolved=now, why=why)


def absorbed(incident: Incident, by: Incident, now: datetime) -> Incident:
    """It has turned out to be the same as another, and goes on as that."""
    return replace(incident, resolved=now, merged_into=by.id, why=f"part of a larger incident, {by.id}")
