"""Who is reached by a name that a route or an escalation gives: a sink, a person, a group, whoever is on call.

``oncall.sms`` is another sink on Monday than on Tuesday, so a name is resolved when something is told, and not when
the file is read. Whoever is told is told the end as well: what was resolved is kept with the incident.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Protocol


class Roster(Protocol):
    """Resolves the targets of routes and escalations."""

    def sinks(self, target: str, now: datetime) -> tuple[str, ...]:
        """The names of the sinks that stand for `target` at the time `now` (aware), each once, in order. A sink's own
        name stands for itself; nothing stands for a name that nobody knows."""


def resolved(roster: Roster, targets: Iterable[str], now: datetime) -> tuple[str, ...]:
    """The sinks of several targets, each once."""
    return tuple(dict.fromkeys(sink for target in targets for sink in roster.sinks(target, now)))
