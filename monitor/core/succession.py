"""From one plan to the next while the agent runs: what goes on, what begins, and the end of what has gone.

It is a restart without forgetting. A check that is there again, under its id or as what it `was`, keeps its judge;
what has gone is remembered by the number of its changes, so that no id of an event is ever used twice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from dataclasses import fields, replace
from typing import Any

from monitor.core.calming import noted
from monitor.core.escalating import reconsider
from monitor.core.handover import handed_over, in_trouble, settled
from monitor.core.incident import NO_LONGER_WATCHED
from monitor.core.judge import Judge
from monitor.core.model import (
    Change,
    Check,
    CheckRecord,
    EventType,
    Journal,
    Moment,
    ServiceState,
    State,
    Verdict,
    merged,
)
from monitor.core.naming import renamed_check, renamed_service
from monitor.core.plan import Plan
from monitor.core.portions import Names, Portion, portions
from monitor.core.service import ServiceStatus
from monitor.core.silences import follow
from monitor.core.suppression import resume
from monitor.core.world import Gone, World
from probes.contract import Probe, Secret


def same_target(before: Probe, after: Probe) -> bool:
    """Whether both look at the same: what was measured of the one is true of the other. Secrets may differ, as a
    password is changed without anything else."""
    if before == after:
        return True
    return type(before) is type(after) and before.target == after.target and shown(before) == shown(after)


def shown(probe: Probe) -> dict[str, Any]:
    """What it looks at, and how, without any secret."""
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
    reconsider(world)
    follow(world, world.calm.moment)
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
    troubled = {names.checks.get(name, name) for name, judge in judges.items() if in_trouble(world, judge)}
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
            world.waiting.forget(was)
    changes.append(_renamed(statuses, journal, heirs, names, now))
    part = World(after, journal, now, heirs)
    part.unseen |= {name for was, name in names.checks.items() if was in world.unseen}
    _put_in_place(world, portion, part)
    changes += handed_over(world, statuses, names, now)
    resume(world, part.judges, now)
    return merged([*changes, *settled(world, part.services, statuses, names, troubled, now), noted(world)])


def _as_it_was(world: World, old: Plan) -> World:
    """What goes is told as under the old plan."""
    earlier = copy(world)
    earlier.plan = old
    return earlier


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
    old.waiting.forget(judge.check.id)
    untold = judge.untold
    transition = judge.retire(now, NO_LONGER_WATCHED)
    if transition is None:
        return None
    service = old.services[judge.check.service].service
    told = (kept_back is None or kept_back.state.bad) and (untold is None or untold.told.bad)
    events = (old.teller.check(judge, transition, previous, service),) if told else ()
    change = Change(checks=(judge.record(now),), transitions=(transition,), events=events)
    return _told_to(change, plan)


def _close(old: World, status: ServiceStatus, plan: Plan, now: Moment) -> Change | None:
    old.calm.forget_bouts(f"service:{status.service.id}")
    if not status.state.bad:
        return None
    verdict = Verdict(State.UNKNOWN, why=NO_LONGER_WATCHED)
    return _told_to(old.change_service(status, ServiceState.UNKNOWN, now.at, now.at, verdict), plan)


def _told_to(change: Change, plan: Plan) -> Change:
    """By the routes that were, as it is to those who were told; as far as their sinks are still there. An end is owed
    to those that are not, too."""
    events = []
    for event in change.events:
        owed = event.type is EventType.INCIDENT_RESOLVED
        events.append(replace(event, sinks=tuple(name for name in event.sinks if owed or name in plan.sinks)))
    return replace(change, events=tuple(events))


def _handed_down(world: World, portion: Portion, removed: Iterable[Judge], names: Names) -> Journal:
    """What the portion begins with, but for the judges that live."""
    after = portion.after
    known = {*after.checks, *(name for check in after.checks.values() for name in check.was)}
    checks = {name: world.gone.checks[name] for name in known if name in world.gone.checks}
    checks |= {item.check.id: CheckRecord(item.check.id, item.state, item.since, item.seq, {}) for item in removed}
    services = {name: world.gone.services[name] for name in after.services if name in world.gone.services}
    for name in portion.before.services:
        status = world.services[name]
        if status.seq:
            services[name] = status.record()
            new = names.services.get(name, name)
            earlier = services[new].seq if new in services else 0  # of another service that had this name
            services[new] = replace(status.record(), service=new, seq=max(status.seq, earlier) + (new != name))
    return replace(world.journal, notes={}, checks=checks, services=services, incidents=())


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
    return merged(changes)
