"""An incident as it is spoken of: with the services that it touches, and the judges of their checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Final

from monitor.core.judge import Judge
from monitor.core.model import Incident, State
from monitor.core.service import ServiceStatus

_SINCE: Final = attrgetter("since")


@dataclass(frozen=True, slots=True)
class Scene:
    """What is told of an incident, and to whom, is worked out from this."""

    incident: Incident
    statuses: Sequence[ServiceStatus]
    """The services to speak of, the first one before all."""
    members: Mapping[str, Judge]
    """The judges of their checks, by id."""

    @property
    def root(self) -> Judge | None:
        return self.members.get(self.incident.root)

    @property
    def leading(self) -> Judge | None:
        """The check to speak of now: the worst of the bad ones, the root first among equals. Of what is over: the
        root."""
        if self.incident.resolved:
            return self.root
        down, degraded = State.DOWN, State.DEGRADED  # there may be thousands
        worst = [judge for judge in self.members.values() if judge.state is down]
        worst = worst or [judge for judge in self.members.values() if judge.state is degraded]
        if not worst or (self.root is not None and self.root.state is worst[0].state):
            return self.root
        return min(worst, key=_SINCE)
