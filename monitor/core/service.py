"""The state of a service from the states of its checks, in three-valued logic: what is unknown is not guessed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from monitor.core.incident import Case
from monitor.core.model import Incident, OutageRule, Service, ServiceRecord, ServiceState, State

WORST_FIRST = (ServiceState.OUTAGE, ServiceState.DEGRADATION, ServiceState.UNKNOWN, ServiceState.OPERATIONAL)
"""The order of whatever is shown to people."""


@dataclass(slots=True)
class ServiceStatus:
    """A service as it stands: its confirmed state, and the incident that it is part of."""

    service: Service
    state: ServiceState = ServiceState.UNKNOWN
    since: datetime | None = None
    seq: int = 0
    case: Case | None = None
    """Of the incident that it is part of."""

    @property
    def incident(self) -> Incident | None:
        """The open one."""
        return self.case.incident if self.case is not None else None

    def record(self) -> ServiceRecord:
        assert self.since is not None  # noqa: S101  (only a service that has changed is recorded)
        return ServiceRecord(self.service.id, self.state, self.since, self.seq)


def judge_service(status: ServiceStatus, states: Mapping[str, State]) -> ServiceState:
    """`states` by check id, for every check of the service.

    Outage: the rule is met by checks known to be down. Degradation: anything else is bad. Unknown: nothing is known
    to be bad, and the unknown ones could be an outage, or nothing is known at all.
    """
    members = [states[check] for check in status.service.checks]
    down, possible = _counted(status.service.outage, states)
    if down:
        return ServiceState.OUTAGE
    if State.DOWN in members or State.DEGRADED in members:
        return ServiceState.DEGRADATION
    if possible or members.count(State.UNKNOWN) == len(members):
        return ServiceState.UNKNOWN
    return ServiceState.OPERATIONAL


def doubt(rule: OutageRule, states: Mapping[str, State]) -> str:
    """What a rule over several checks counts while some of them are unknown, in words; empty where nothing hangs on
    them. `states` by check id."""
    count, needed = len(rule.checks), rule.needed
    down = sum(states[check] is State.DOWN for check in rule.checks)
    unknown = sum(states[check] is State.UNKNOWN for check in rule.checks)
    if count < 2 or not unknown or down >= needed:
        return ""
    known = f"{down} of {count} {'is' if down == 1 else 'are'} down, {unknown} cannot be judged"
    if down + unknown < needed:
        return f"{known}: no outage either way, as that takes {needed}"
    return f"{known}: it may be an outage, as that takes {needed}"


def _counted(rule: OutageRule, states: Mapping[str, State]) -> tuple[bool, bool]:
    """(met for certain, met if all unknown members were down)"""
    if not rule.checks:
        return False, False
    counted = [states[check] for check in rule.checks]
    down, unknown = counted.count(State.DOWN), counted.count(State.UNKNOWN)
    return down >= rule.needed, unknown > 0 and down + unknown >= rule.needed
