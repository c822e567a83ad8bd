"""What becomes of open incidents when a portion of the plan is taken over: they go on with the services and checks
that are there again, and lose those that have gone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from monitor.core.causes import lost
from monitor.core.following import shrink, tell, update
from monitor.core.homes import carry, withdraw
from monitor.core.incident import MOVED_AWAY, NO_LONGER_WATCHED, WENT, Case, withdrawn
from monitor.core.judge import Judge
from monitor.core.model import Change, EventType, Incident, Moment, Service, State, Verdict
from monitor.core.portions import Names
from monitor.core.service import ServiceStatus

if TYPE_CHECKING:
    from monitor.core.world import World


def in_trouble(world: World, judge: Judge) -> bool:
    """As far as that was told."""
    return world.calm.told(judge).bad or (lost(judge) and judge.check.id not in world.calm.held)


def handed_over(
    world: World, before: Mapping[str, ServiceStatus], names: Names, now: Moment
) -> Iterable[Change | None]:
    """The incidents of a portion's services go on with those that are there again; `before` are the services as they
    were. What is left over goes where its checks are now, or ends."""
    orphaned = []
    for case in {id(status.case): status.case for status in before.values() if status.case is not None}.values():
        was = case.incident
        if _with_heirs(world, case, before, names):
            orphaned.append(case)
        if case.incident != was:
            yield Change(incidents=(case.incident,))
    for case in orphaned:
        carried = _carried(world, case)
        yield carried
        if carried is None:
            yield shrink(world, case, now.at) if case.services else withdraw(world, case.incident, now.at)


def _with_heirs(world: World, case: Case, before: Mapping[str, ServiceStatus], names: Names) -> bool:
    """Give it to those of its services that are there again; whether one of them is not."""
    case.incident = names.incident(case.incident)
    case.known = {names.checks.get(name, name) for name in case.known}
    orphaned = False
    for name in [name for name in case.services if name in before]:
        del case.services[name]
        status = world.services.get(names.services.get(name, name))
        if status is None:
            orphaned = True
        else:
            status.case, case.services[status.service.id] = case, None
    return orphaned


def settled(
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
    moved = {name: _move(world, status, status.case) for name, status in part.items() if status.case is not None}
    yield from moved.values()
    for name, status in part.items():
        was = former.get(name)
        if moved.get(name) or _differs(was, status, names.checks):
            own = {names.checks.get(check, check) for check in was.service.checks} if was else troubled
            yield from _rejudged(world, status, troubled & own, now)


def _differs(before: ServiceStatus | None, now: ServiceStatus, names: Mapping[str, str]) -> bool:
    """Whether the service is judged by other checks or by another rule."""
    return before is None or _shape(before.service, names) != _shape(now.service, {})


def _shape(service: Service, names: Mapping[str, str]) -> tuple[object, ...]:
    def renamed(checks: Iterable[str]) -> set[str]:
        return {names.get(name, name) for name in checks}

    return renamed(service.checks), service.outage.needed, renamed(service.outage.checks)


def _move(world: World, status: ServiceStatus, case: Case) -> Change | None:
    """An incident goes with its checks where they are all that is bad."""
    if any(in_trouble(world, judge) for judge in world.members(status).values()):
        return None
    change = _carried(world, case)
    if change is not None:
        status.case = None
        del case.services[status.service.id]
        case.incident = replace(
            case.incident, services=tuple(name for name in case.incident.services if name != status.service.id)
        )
    return change


def _carried(world: World, case: Case) -> Change | None:
    """The incident, as that of the service where one of its checks is now: the root, if that is still watched."""
    for name in (case.incident.root, *case.incident.checks):
        judge = world.judges.get(name)
        if judge is not None and in_trouble(world, judge) and (change := carry(world, case, judge)):
            return change
    return None


def _rejudged(world: World, status: ServiceStatus, troubled: set[str], now: Moment) -> Iterable[Change | None]:
    """The service, under its other checks or its other rule; `troubled` of those that it had."""
    members, case = world.members(status), status.case
    states, new = world.believed(status), {name for name, judge in members.items() if not judge.seq}
    gone = [name for name in case.incident.checks if name in troubled and name not in members] if case else []
    bad = [members[name] for name, state in states.items() if state.bad]
    note = ""
    if gone and case is not None:
        note = " ".join(f"{name} {WENT[_went(name, world)]}." for name in gone)
        case.incident = _corrected(world, case, _went(gone[0], world))
    if len(new) < len(members):
        # What nobody has looked at yet makes no service unknown that was well.
        states |= dict.fromkeys(new, State.UP)
    elif not status.state.bad and case is None:
        return
    updates = case.incident.updates if case else 0
    yield world.settle(status, states, now.at, now.at, _verdict(bad), note)
    if gone and case is not None and status.case is case and case.incident.updates == updates:
        yield _told_of_loss(world, status, case, now.at, note)


def _went(name: str, world: World) -> str:
    return MOVED_AWAY if name in world.judges else NO_LONGER_WATCHED


def _bad(world: World, case: Case) -> list[Judge]:
    return [judge for name in case.services for judge in world.bad(world.services[name])]


def _corrected(world: World, case: Case, went: str) -> Incident:
    """With a root that is still there; where nothing is bad any more, how it `went` is why it ends."""
    incident, worst = case.incident, _worst(_bad(world, case))
    if worst is None:
        return replace(incident, why=went)
    root = world.judges.get(incident.root)
    if root is not None and root.check.service in case.services:
        return incident
    return replace(incident, root=worst.check.id, why=worst.verdict.why)


def _verdict(bad: Iterable[Judge]) -> Verdict:
    """Why a service is as it is after its checks or its rule were changed."""
    worst = _worst(bad)
    return worst.verdict if worst else Verdict(State.UP, why="the configuration was changed")


def _worst(bad: Iterable[Judge]) -> Judge | None:
    return min(bad, key=lambda judge: (judge.state is not State.DOWN, judge.since), default=None)


def _told_of_loss(world: World, status: ServiceStatus, case: Case, at: datetime, note: str) -> Change | None:
    """The incident has lost a check, and its service stays what it is. It ends where nothing else is in doubt."""
    incident = case.incident
    if _bad(world, case):
        return update(world, case, incident, at, note)
    if any(lost(judge) for judge in world.members(status).values()):
        return Change(incidents=(incident,))
    status.case = None
    del case.services[status.service.id]
    if case.services:
        return update(world, case, incident, at, note)
    return tell(
        world, case, withdrawn(incident, incident.why, at), EventType.INCIDENT_RESOLVED, at, statuses=(status,)
    )
