"""From one plan to the next while the agent runs: what goes on, what begins, and the end of what has gone.

It is a restart without forgetting. A check that is there again, under its id or as what it `was`, keeps its judge;
what has gone is remembered by the number of its changes, so that no id of an event is ever used twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

from monitor.core.incident import MOVED_AWAY, NO_LONGER_WATCHED, WENT, IncidentStep, withdraw
from monitor.core.judge import Judge
from monitor.core.model import (
    Change,
    Check,
    CheckRecord,
    EventType,
    Incident,
    Journal,
    Moment,
    Service,
    ServiceState,
    State,
    Verdict,
)
from monitor.core.naming import renamed_check, renamed_service
from monitor.core.service import ServiceStatus
from monitor.core.world import Plan, World, lost, merged
from probes.contract import Probe, Secret


def former_ids(before: Mapping[str, Check], after: Mapping[str, Check]) -> dict[str, str]:
    """Of each check that goes on, by its id: the id under which it was known."""
    known: dict[str, str] = {}
    for check in after.values():
        former = next((name for name in (check.id, *check.was) if name in before), None)
        if former is not None and (former == check.id or former not in after):
            known[check.id] = former
    return known


def same_target(before: Probe, after: Probe) -> bool:
    """Whether both look at the same: what was measured of the one is true of the other. Secrets may differ, as a
    password is changed without anything else."""
    if before == after:
        return True
    return type(before) is type(after) and before.target == after.target and _shown(before) == _shown(after)


def _shown(probe: Probe) -> dict[str, Any]:
    values = ((item.name, getattr(probe, item.name)) for item in fields(probe) if item.compare)
    return {name: _without_secrets(value) for name, value in values}


def _without_secrets(value: Any) -> Any:
    if isinstance(value, Secret):
        return None
    if isinstance(value, Mapping):
        return {key: _without_secrets(item) for key, item in value.items()}
    return value


@dataclass(frozen=True, slots=True)
class _Names:
    """New names by the former ones, of what is the same under both."""

    checks: Mapping[str, str]
    services: Mapping[str, str]
    """Only those whose name is another one now."""

    def incident(self, incident: Incident) -> Incident:
        def renamed(names: Iterable[str], to: Mapping[str, str]) -> tuple[str, ...]:
            return tuple(to.get(name, name) for name in names)

        root, *checks = renamed((incident.root, *incident.checks), self.checks)
        return replace(incident, root=root, checks=tuple(checks), services=renamed(incident.services, self.services))


def succeed(old: World, plan: Plan, now: Moment) -> tuple[World, Change | None]:
    """The world under another plan, and what the change of plan itself changes.

    The old world is not to be used any more: its judges live on in the new one.
    """
    former = former_ids(old.plan.checks, plan.checks)
    checks = {was: name for name, was in former.items()}
    services = {
        was: name
        for was, name in checks.items()
        if was != name and _stands_alone(old.plan, was) and _stands_alone(plan, name)
    }
    names = _Names(checks, services)
    troubled = {checks.get(name, name) for name, judge in old.judges.items() if judge.state.bad or lost(judge)}
    removed = [judge for name, judge in old.judges.items() if name not in checks]
    closed = [old.services[name] for name in old.services if names.services.get(name, name) not in plan.services]
    changes = [_retire(old, judge, plan, now) for judge in removed]
    changes += [_close(old, status, plan, now) for status in closed]
    journal = _handed_down(old, removed, names)
    heirs = {name: _heir(old.judges[was], plan.checks[name], journal) for name, was in former.items()}
    changes.append(_renamed(old, journal, heirs, names, now))
    at_home = tuple(incident for incident in journal.incidents if incident.services[0] in plan.services)
    world = World(plan, replace(journal, incidents=at_home), now, heirs)
    orphans = [incident for incident in journal.incidents if incident not in at_home]
    world.unseen |= {name for name, was in former.items() if was in old.unseen}
    changes += [_carried(world, incident, troubled) or world.withdraw(incident, now.at) for incident in orphans]
    return world, merged([*changes, *_settled(old, world, names, troubled, now)])


def _stands_alone(plan: Plan, check: str) -> bool:
    """Whether the check has a service of its own, which nobody has written: it has the check's name."""
    service = plan.services.get(check)
    return service is not None and service.implicit and plan.checks[check].service == service.id


def _retire(old: World, judge: Judge, plan: Plan, now: Moment) -> Change | None:
    previous = judge.trouble_since or judge.since
    transition = judge.retire(now, NO_LONGER_WATCHED)
    if transition is None:
        return None
    event = old.check_event(judge, transition, previous)
    change = Change(checks=(judge.record(now),), transitions=(transition,), events=(event,))
    return _told_to(change, plan.sinks)


def _close(old: World, status: ServiceStatus, plan: Plan, now: Moment) -> Change | None:
    if not status.state.bad:
        return None
    verdict = Verdict(State.UNKNOWN, why=NO_LONGER_WATCHED)
    return _told_to(old.change_service(status, ServiceState.UNKNOWN, now.at, now.at, verdict), plan.sinks)


def _told_to(change: Change, sinks: frozenset[str]) -> Change:
    """By the routes that were, as it is to those who were told; as far as their sinks are still there."""
    events = (replace(event, sinks=tuple(name for name in event.sinks if name in sinks)) for event in change.events)
    return replace(change, events=tuple(events))


def _handed_down(old: World, removed: Iterable[Judge], names: _Names) -> Journal:
    """What the new world begins with, but for the judges that live."""
    checks = dict(old.journal.checks)
    checks |= {item.check.id: CheckRecord(item.check.id, item.state, item.since, item.seq, {}) for item in removed}
    services = dict(old.journal.services)
    for name, status in old.services.items():
        if status.seq:
            services[name] = status.record()
            new = names.services.get(name, name)
            earlier = services[new].seq if new in services else 0  # of another service that had this name
            services[new] = replace(status.record(), service=new, seq=max(status.seq, earlier) + (new != name))
    incidents = [status.incident for status in old.services.values() if status.incident is not None]
    return replace(old.journal, checks=checks, services=services, incidents=tuple(map(names.incident, incidents)))


def _heir(judge: Judge, check: Check, journal: Journal) -> Judge:
    if check is not judge.check and check != judge.check:
        judge.redefine(check, same_target=same_target(judge.check.probe, check.probe))
    # A check that takes the name of an earlier one goes on counting where that one stopped.
    earlier = journal.checks.get(check.id)
    judge.seq = max(judge.seq, earlier.seq if earlier else 0)
    return judge


def _renamed(old: World, journal: Journal, heirs: Mapping[str, Judge], names: _Names, now: Moment) -> Change | None:
    """The state of what has a new name, under that name, and where its past is."""
    renamed = {name: was for was, name in names.checks.items() if was != name}
    if not renamed:
        return None
    changes = [renamed_check(heirs[name], was, now) for name, was in renamed.items()]
    for was, name in names.services.items():
        if old.services[was].seq:
            changes.append(renamed_service(journal.services[name], was, now, heirs[name].verdict))
    known = {status.incident for status in old.services.values()}
    incidents = tuple(incident for incident in journal.incidents if incident not in known)
    return merged([*changes, Change(incidents=incidents)])


def _settled(old: World, world: World, names: _Names, troubled: set[str], now: Moment) -> Iterable[Change | None]:
    """What becomes of services and incidents. `troubled` are the checks that were bad or lost from sight before, by
    their new ids."""
    former = {names.services.get(name, name): status for name, status in old.services.items()}
    moved = {
        name: _move(world, status, troubled) for name, status in world.services.items() if status.incident is not None
    }
    yield from moved.values()
    for name, status in world.services.items():
        if moved.get(name) or _differs(former.get(name), status, names.checks):
            yield from _rejudged(world, status, troubled, now)


def _differs(before: ServiceStatus | None, now: ServiceStatus, names: Mapping[str, str]) -> bool:
    """Whether the service is judged by other checks or by another rule."""
    if before is not None and before.service is now.service:
        return False
    return before is None or _shape(before.service, names) != _shape(now.service, {})


def _shape(service: Service, names: Mapping[str, str]) -> tuple[object, ...]:
    def renamed(checks: Iterable[str]) -> set[str]:
        return {names.get(name, name) for name in checks}

    return renamed(service.checks), service.outage.needed, renamed(service.outage.checks)


def _move(world: World, status: ServiceStatus, troubled: set[str]) -> Change | None:
    """An incident goes with its checks where they are all that is bad."""
    incident = status.incident
    assert incident is not None  # noqa: S101  (the caller has asked)
    if any(judge.state.bad or lost(judge) for judge in world.members(status).values()):
        return None
    change = _carried(world, incident, troubled)
    if change is not None:
        status.incident = None
    return change


def _carried(world: World, incident: Incident, troubled: set[str]) -> Change | None:
    """The incident, as that of the service where one of its checks is now: the root, if that is still watched."""
    for name in (incident.root, *incident.checks):
        if name in troubled and name in world.judges and (change := world.carry(incident, world.judges[name])):
            return change
    return None


def _rejudged(world: World, status: ServiceStatus, troubled: set[str], now: Moment) -> Iterable[Change | None]:
    members = world.members(status)
    states, new = world.believed(status), {name for name, judge in members.items() if not judge.seq}
    gone = _gone(status, members, troubled)
    bad = [members[name] for name, state in states.items() if state.bad]
    note = ""
    if gone and status.incident is not None:
        note = " ".join(f"{name} {WENT[_went(name, world)]}." for name in gone)
        status.incident = _corrected(status.incident, bad, members, _went(gone[0], world))
    if len(new) < len(members):
        # What nobody has looked at yet makes no service unknown that was well.
        states |= dict.fromkeys(new, State.UP)
    elif not status.state.bad and status.incident is None:
        return
    before = status.incident
    yield world.settle(status, states, now.at, now.at, _verdict(bad), note)
    if gone and status.incident is not None and before is not None and status.incident.updates == before.updates:
        yield _told_of_loss(world, status, members, bad, now.at, note)


def _gone(status: ServiceStatus, members: Mapping[str, Judge], troubled: set[str]) -> list[str]:
    """The checks that were bad, made the incident, and are not in the service any more."""
    incident = status.incident
    return [name for name in incident.checks if name in troubled and name not in members] if incident else []


def _went(name: str, world: World) -> str:
    return MOVED_AWAY if name in world.judges else NO_LONGER_WATCHED


def _corrected(incident: Incident, bad: Iterable[Judge], members: Mapping[str, Judge], went: str) -> Incident:
    """With a root that is still there; where nothing is bad any more, how it `went` is why it ends."""
    worst = min(bad, key=lambda judge: (judge.state is not State.DOWN, judge.since), default=None)
    if worst is None:
        return replace(incident, why=went)
    if incident.root in members:
        return incident
    return replace(incident, root=worst.check.id, why=worst.verdict.why)


def _verdict(bad: Iterable[Judge]) -> Verdict:
    """Why a service is as it is after its checks or its rule were changed."""
    worst = min(bad, key=lambda judge: (judge.state is not State.DOWN, judge.since), default=None)
    return worst.verdict if worst else Verdict(State.UP, why="the configuration was changed")


def _told_of_loss(
    world: World, status: ServiceStatus, members: Mapping[str, Judge], bad: Iterable[Judge], at: datetime, note: str
) -> Change | None:
    """The incident has lost a check, and its service stays what it is. It ends where nothing else is in doubt."""
    incident = status.incident
    assert incident is not None  # noqa: S101  (the caller has asked)
    if list(bad):
        step = IncidentStep(replace(incident, updates=incident.updates + 1), EventType.INCIDENT_UPDATED)
    elif any(lost(judge) for judge in members.values()):
        return Change(incidents=(incident,))
    else:
        step = withdraw(incident, incident.why, at)
    return world.change_incident(step, status, members, at, note)
