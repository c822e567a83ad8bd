"""Which services an open incident belongs to: those that a journal names, those where its checks are now, or none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from monitor.core.following import tell
from monitor.core.incident import NO_LONGER_WATCHED, Case, withdrawn
from monitor.core.judge import Judge
from monitor.core.model import Change, EventType, Incident, OutageRule, Service, ServiceRecord, ServiceState
from monitor.core.service import ServiceStatus

if TYPE_CHECKING:
    from monitor.core.world import World

_NO_RULE = OutageRule(needed=1, checks=())


def status_of(service: Service, records: Mapping[str, ServiceRecord]) -> ServiceStatus:
    """A service as a journal has it."""
    status = ServiceStatus(service)
    if record := records.get(service.id):
        status.state, status.since, status.seq = record.state, record.since, record.seq
    return status


def take_up(services: Mapping[str, ServiceStatus], incident: Incident) -> None:
    """Go on with an incident of the journal: that of the services that are not known to be well again."""
    known = (services.get(name) for name in incident.services)
    there = [status for status in known if status is not None and status.case is None]
    part = [status for status in there if status.state is not ServiceState.OPERATIONAL] or there[:1]
    case = Case.of(incident, (status.service.id for status in part))
    for status in part:
        status.case = case


def adopted(world: World, incident: Incident) -> Change | None:
    """The incident, carried over to where its root check is now."""
    for judge in world.judges.values():
        if incident.root in (judge.check.id, *judge.check.was):
            names = {incident.root: judge.check.id}
            checks = tuple(names.get(name, name) for name in incident.checks)
            return carry(world, Case.of(replace(incident, checks=checks), ()), judge)
    return None


def carry(world: World, case: Case, judge: Judge) -> Change | None:
    """Make it the incident of the service that this check belongs to, unless that has one of its own."""
    status = world.services[judge.check.service]
    if status.case is not None:
        return None
    status.case, case.services[status.service.id] = case, None
    left = tuple(name for name in case.incident.services if name in world.services)
    services = tuple(dict.fromkeys((*left, status.service.id)))
    case.incident = replace(case.incident, services=services, root=judge.check.id)
    world.cases[case.incident.id] = case
    return Change(incidents=(case.incident,))


def withdraw(world: World, incident: Incident, at: datetime) -> Change:
    """End the incident of services that are not there any more."""
    name = next((name for name in incident.services if name not in world.services), incident.services[0])
    case, status = Case.of(incident, ()), world.services.get(name)
    gone = status or status_of(Service(id=name, title=name, checks=(), outage=_NO_RULE), world.gone.services)
    ended = withdrawn(incident, NO_LONGER_WATCHED, at)
    change = tell(world, case, ended, EventType.INCIDENT_RESOLVED, at, statuses=(gone,))
    if status is not None:
        return change
    # Should the service come back, its next incident must not have the id of this one.
    gone.state, gone.since, gone.seq = ServiceState.UNKNOWN, at, gone.seq + 1
    world.gone.services[name] = gone.record()
    return replace(change, services=(gone.record(),))
