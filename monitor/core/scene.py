"""An incident as it is spoken of: with the services that it touches, and the judges of their checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from monitor.core.judge import Judge
from monitor.core.model import Incident, State
from monitor.core.service import ServiceStatus


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
        bad = [] if self.incident.resolved else [judge for judge in self.members.values() if judge.state.bad]
        order = [(judge.state is not State.DOWN, judge.check.id != self.incident.root, judge.since) for judge in bad]
        return bad[order.index(min(order))] if bad else self.root
