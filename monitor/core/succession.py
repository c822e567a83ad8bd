"""From one plan to the next while the agent runs: what goes on, what begins, and the end of what has gone.

It is a restart without forgetting. A check that is there again, under its id or as what it `was`, keeps its judge;
what has gone is remembered by the number of its changes, so that no id of an event is ever used twice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from dataclasses import fields, replace
from datetime import datetime
from typing import Any

from monitor.core.calming import noted
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
    merged,
)
from monitor.core.naming import renamed_check, renamed_service
from monitor.core.plan import Plan
from monitor.core.portions import Names, Portion, portions
from monitor.core.service import ServiceStatus
from monitor.core.world import Gone, World, lost
from probes.contract import Probe, Secret


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


def succeed(old: World, plan: Plan, now: Moment) -> tuple[World, Change | None]:
    """The world under another plan, and what the change of plan itself changes: all portions at once."""
    world = under(old, plan)
    changes = [take_over(world, portion, old.plan, now) for portion in portions(old.plan, plan)]
    deque(arranging(world, len(plan.checks) + 1), maxlen=0)
    return world, merged(changes)


def under(old: World, plan: Plan) -> World:
    """A world as it stands, about to be taken over to another plan; `old` is not changed by that, but its judges live
    on in the new one."""
    world = copy(old)
    world.plan, world.unseen = plan, set(old.unseen)
    world.calm.reconsider()
    world.judges, world.services = dict(old.judges), dict(old.services)
    world.gone = Gone(dict(old.gone.checks), dict(old.gone.services))
    return world


def arranging(world: World, at_once: int) -> Iterator[None]:
    """Put a world in the order of its plan, so many names between two turns; to be run to its end when all portions
    have been taken over."""
    judges, services = {}, {}
    for place, name in enumerate(world.plan.checks, 1):
        judges[name] = world.judges[name]
        if place % at_once == 0:
            yield
    for place, name in enumerate(world.plan.services, 1):
        services[name] = world.services[name]
        if place % at_once == 0:
            yield
    world.judges, world.services = judges, services


def take_over(world: World, portion: Portion, old: Plan, now: Moment) -> Change | None:
    """Go on with a portion as it is in the world's plan, and what that changes. Of what goes it is told by the `old`
    plan's routes."""
    before, after = portion.before, replace(world.plan, checks=portion.after.checks, services=portion.after.services)
    names = portion.names
    judges = {name: world.judges[name] for name in before.checks}
    statuses = {name: world.services[name] for name in before.services}
    calm, calm.moment = world.calm, now
    troubled = {names.checks.get(name, name) for name, judge in judges.items() if _in_trouble(world, judge)}
    removed = [judge for name, judge in judges.items() if name not in names.checks]
    closed = [status for name, status in statuses.items() if names.services.get(name, name) not in after.services]
    earlier = _as_it_was(world, old)
    changes = [_retire(earlier, judge, after, now) for judge in removed]
    changes += [_close(earlier, status, after, now) for status in closed]
    journal = _handed_down(world, portion, removed, names)
    heirs = {name: _heir(judges[was], after.checks[name], journal) for was, name in names.checks.items()}
    for was, name in names.checks.items():
        if was != name:
            calm.renamed(was, heirs[name])
    changes.append(_renamed(statuses, journal, heirs, names, now))
    at_home = tuple(incident for incident in journal.incidents if incident.services[0] in after.services)
    part = World(after, replace(journal, incidents=at_home), now, heirs)
    part.unseen |= {name for was, name in names.checks.items() if was in world.unseen}
    _put_in_place(world, portion, part)
    orphans = [incident for incident in journal.incidents if incident not in at_home]
    changes += [_carried(world, incident) or world.withdraw(incident, now.at) for incident in orphans]
    return merged([*changes, *_settled(world, part.services, statuses, names, troubled, now), noted(world)])


def _as_it_was(world: World, old: Plan) -> World:
    """What goes is told as under the old plan."""
    earlier = copy(world)
    earlier.plan = old
    return earlier


def _in_trouble(world: World, judge: Judge) -> bool:
    """As far as that was told."""
    return world.calm.told(judge).bad or (lost(judge) and judge.check.id not in world.calm.held)


def _put_in_place(world: World, portion: Portion, part: World) -> None:
    """The part of the world that a portion is, in the place of what it was."""
    for name in portion.before.checks:
        del world.judges[name]
    for name in portion.before.services:
        del world.services[name]
    world.unseen -= portion.before.checks.keys()
    world.unseen |= part.unseen
    world.judges |= part.judges
    world.services |= part.services
    for name in portion.after.checks:
        world.gone.checks.pop(name, None)
    for name in portion.after.services:
        world.gone.services.pop(name, None)
    world.gone.checks.update(part.gone.checks)
    world.gone.services.update(part.gone.services)


def _retire(old: World, judge: Judge, plan: Plan, now: Moment) -> Change | None:
    previous, kept_back = judge.trouble_since or judge.since, old.calm.forget(judge.check.id)
    transition = judge.retire(now, NO_LONGER_WATCHED)
    if transition is None:
        return None
    service = old.services[judge.check.service].service
    told = kept_back is None or kept_back.state.bad
    events = (old.teller.check(judge, transition, previous, service),) if told else ()
    change = Change(checks=(judge.record(now),), transitions=(transition,), events=events)
    return _told_to(change, plan.sinks)


def _close(old: World, status: ServiceStatus, plan: Plan, now: Moment) -> Change | None:
    old.calm.forget_bouts(f"service:{status.service.id}")
    if not status.state.bad:
        return None
    verdict = Verdict(State.UNKNOWN, why=NO_LONGER_WATCHED)
    return _told_to(old.change_service(status, ServiceState.UNKNOWN, now.at, now.at, verdict), plan.sinks)


def _told_to(change: Change, sinks: frozenset[str]) -> Change:
    """By the routes that were, as it is to those who were told; as far as their sinks are still there."""
    events = (replace(event, sinks=tuple(name for name in event.sinks if name in sinks)) for event in change.events)
    return replace(change, events=tuple(events))


def _handed_down(world: World, portion: Portion, removed: Iterable[Judge], names: Names) -> Journal:
    """What the portion begins with, but for the judges that live."""
    after = portion.after
    known = {*after.checks, *(name for check in after.checks.values() for name in check.was)}
    checks = {name: world.gone.checks[name] for name in known if name in world.gone.checks}
    checks |= {item.check.id: CheckRecord(item.check.id, item.state, item.since, item.seq, {}) for item in removed}
    services = {name: world.gone.services[name] for name in after.services if name in world.gone.services}
    incidents = []
    for name in portion.before.services:
        status = world.services[name]
        if status.incident is not None:
            incidents.append(status.incident)
        if status.seq:
            services[name] = status.record()
            new = names.services.get(name, name)
            earlier = services[new].seq if new in services else 0  # of another service that had this name
            services[new] = replace(status.record(), service=new, seq=max(status.seq, earlier) + (new != name))
    return replace(
        world.journal, notes={}, checks=checks, services=services, incidents=tuple(map(names.incident, incidents))
    )


def _heir(judge: Judge, check: Check, journal: Journal) -> Judge:
    if check is not judge.check and check != judge.check:
        judge.redefine(check, same_target=same_target(judge.check.probe, check.probe))
    # A check that takes the name of an earlier one goes on counting where that one stopped.
    earlier = journal.checks.get(check.id)
    judge.seq = max(judge.seq, earlier.seq if earlier else 0)
    return judge


def _renamed(
    statuses: Mapping[str, ServiceStatus], journal: Journal, heirs: Mapping[str, Judge], names: Names, now: Moment
) -> Change | None:
    """The state of what has a new name, under that name, and where its past is."""
    renamed = {name: was for was, name in names.checks.items() if was != name}
    if not renamed:
        return None
    changes = [renamed_check(heirs[name], was, now) for name, was in renamed.items()]
    for was, name in names.services.items():
        if statuses[was].seq:
            changes.append(renamed_service(journal.services[name], was, now, heirs[name].verdict))
    known = {status.incident for status in statuses.values()}
    incidents = tuple(incident for incident in journal.incidents if incident not in known)
    return merged([*changes, Change(incidents=incidents)])


def _settled(
    world: World,
    part: Mapping[str, ServiceStatus],
    before: Mapping[str, ServiceStatus],
    names: Names,
    troubled: set[str],
    now: Moment,
) -> Iterable[Change | None]:
    """What becomes of the services of a portion, and of their incidents. `troubled` are its checks that were bad or
    lost from sight before, by their new ids."""
    former = {names.services.get(name, name): status for name, status in before.items()}
    moved = {name: _move(world, status) for name, status in part.items() if status.incident is not None}
    yield from moved.values()
    for name, status in part.items():
        if moved.get(name) or _differs(former.get(name), status, names.checks):
            yield from _rejudged(world, status, troubled, now)


def _differs(before: ServiceStatus | None, now: ServiceStatus, names: Mapping[str, str]) -> bool:
    """Whether the service is judged by other checks or by another rule."""
    return before is None or _shape(before.service, names) != _shape(now.service, {})


def _shape(service: Service, names: Mapping[str, str]) -> tuple[object, ...]:
    def renamed(checks: Iterable[str]) -> set[str]:
        return {names.get(name, name) for name in checks}

    return renamed(service.checks), service.outage.needed, renamed(service.outage.checks)


def _move(world: World, status: ServiceStatus) -> Change | None:
    """An incident goes with its checks where they are all that is bad."""
    incident = status.incident
    assert incident is not None  # noqa: S101  (the caller has asked)
    if any(_in_trouble(world, judge) for judge in world.members(status).values()):
        return None
    change = _carried(world, incident)
    if change is not None:
        status.incident = None
    return change


def _carried(world: World, incident: Incident) -> Change | None:
    """The incident, as that of the service where one of its checks is now: the root, if that is still watched."""
    for name in (incident.root, *incident.checks):
        judge = world.judges.get(name)
        if judge is not None and _in_trouble(world, judge) and (change := world.carry(incident, judge)):
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
