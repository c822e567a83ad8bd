"""What becomes of incidents when a service has been judged: opened, joined, merged, left, resolved.

Two bad services are one incident if a failing check of the one explains a failing check of the other
(`monitor.core.causes`), directly or through others. What has been joined stays together until all of it is well.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from monitor.core.agenda import AT_ONCE
from monitor.core.causes import first_sign
from monitor.core.handled import CHANGED, Update
from monitor.core.identity import incident_id
from monitor.core.impact import impact_of
from monitor.core.incident import Case, absorbed, outgrown
from monitor.core.judge import Judge
from monitor.core.model import Change, EventType, Impact, Incident, Moment, ServiceState, State, merged
from monitor.core.quiet import hold
from monitor.core.scene import Scene
from monitor.core.service import WORST_FIRST, ServiceStatus

if TYPE_CHECKING:
    from monitor.core.world import World

ROOT = "root"
"""The kind of an item on the agenda: an incident whose root may be another one, as it is well again."""

MERGE = "merge"
"""That of one with others that are to be merged into it."""

GRACE = 300.0
"""Seconds after the root is well again in which what hangs on it may follow it: what lasts has another cause."""


def follow(
    world: World,
    status: ServiceStatus,
    bad: Sequence[Judge],
    at: datetime,
    note: str = "",
    changed: Judge | None = None,
) -> Change | None:
    """After the service has been judged; `bad` are its bad checks, `changed` the one that was bad before already and
    is so otherwise now. None: no incident, or no change to it.

    `unknown` neither opens nor resolves: what was opened stays open until the service is known to be well.
    """
    if status.state is ServiceState.OPERATIONAL:
        return _leave(world, status, at, note)
    if not status.state.bad:
        return None
    if status.case is None and all(judge.waits for judge in bad):
        return None  # who is to blame is being asked; bounded
    kin = list(_kin(world, status, bad, changed))
    cases = {id(item.case): item.case for item in (status, *kin) if item.case is not None}
    if not cases:
        return _open(world, (status, *kin), bad, at, note)
    survivor, *others = sorted(cases.values(), key=_precedence)
    others.sort(key=lambda case: case is not status.case)
    if len(others) > AT_ONCE:
        _merge_later(world, survivor, others[AT_ONCE:])
    return _grow(world, survivor, others[:AT_ONCE], (status, *kin), bad, at, note)


def _kin(world: World, status: ServiceStatus, bad: Iterable[Judge], changed: Judge | None) -> Iterator[ServiceStatus]:
    """The other services whose trouble has to do with what is new in this one's."""
    case, causes = status.case, world.causes
    found = {status.service.id}
    for judge in bad:
        if case is not None and judge.check.id in case.known and judge is not changed:
            continue
        for other in (*causes.explaining(judge), *causes.explained(judge)):
            name = other.check.service
            item = world.services[name]
            if name in found or (item.case is None and (not item.state.bad or other.check.id in world.unseen)):
                continue
            found.add(name)
            yield item


def _precedence(case: Case) -> tuple[bool, datetime, str]:
    """The one that goes on is the worst, then the oldest: whoever was paged is not paged again."""
    incident = case.incident
    return incident.impact is not Impact.OUTAGE, incident.opened, incident.id


def _open(world: World, statuses: Sequence[ServiceStatus], bad: Sequence[Judge], at: datetime, note: str) -> Change:
    status = statuses[0]
    first = _first(world, status, bad)
    assert first is not None  # noqa: S101  (some are bad, or there would be no incident to open)
    root = world.causes.deepest(first)
    fresh = Incident(
        id=incident_id(world.origin, status.service.id, status.seq),
        services=(status.service.id,),
        root=root.check.id,
        checks=(),
        impact=Impact(status.state.value),
        opened=at,
        since=first_sign(root)[0],
        why=world.calm.why(root),
    )
    case = Case.of(fresh, ())
    _join(world, case, statuses, bad)
    incident = replace(case.incident, impact=impact_of(world, case))
    return tell(world, case, incident, EventType.INCIDENT_OPENED, at, note)


def _grow(
    world: World,
    case: Case,
    others: Sequence[Case],
    statuses: Sequence[ServiceStatus],
    bad: Sequence[Judge],
    at: datetime,
    note: str,
) -> Change | None:
    """The incident after a change of its checks. It keeps the cause it had at its worst: what is left of it on the
    way back explains nothing."""
    before = case.incident
    for other in others:
        _absorb(world, case, other)
    _join(world, case, statuses, bad)
    incident = replace(case.incident, impact=impact_of(world, case))
    worse = incident.impact is Impact.OUTAGE is not before.impact
    roots = [before.root, *(other.incident.root for other in others)]
    root = _first(world, statuses[0], bad) if worse else _standing(world, roots, bad if others else ())
    another = False
    if root is not None:
        cause = world.causes.deepest(root)
        another = cause.check.id != before.root and not worse
        if worse or another or world.calm.told(cause) is State.DOWN:
            incident = replace(incident, root=cause.check.id, why=world.calm.why(cause))
    told = others or another or incident.impact is not before.impact or outgrown(before, incident)
    if not (told or _is_news(world, case, before, incident, at)):
        case.incident = incident
        held = hold(world, EventType.INCIDENT_UPDATED, incident, partial(scene_of, world, case), at)
        return Change(incidents=(incident,), notes=held) if held or incident != before else None
    notes = (_not_as_told(before, incident), note) if another else (note,)
    return merged(
        [
            update(world, case, incident, at, " ".join(filter(None, notes))),
            *(_end(world, case, other, at) for other in others),
        ]
    )


def _is_news(world: World, case: Case, before: Incident, incident: Incident, at: datetime) -> bool:
    """Whether somebody is to be told of what has joined who has not heard of the incident yet: the team of the third
    service must not wait for the fourth one."""
    services = [world.services[name].service for name in incident.services[len(before.services) :]]
    checks = [world.judges[name].check for name in incident.checks[len(before.checks) :]]
    if not (services or checks):
        return False
    own = (world.services[check.service].service for check in checks)
    joined = {service.id: service for service in (*services, *own)}
    if not world.teller.is_news(incident, joined.values(), checks, at):
        return False
    return not incident.told.issuperset(world.teller.routed(replace(scene_of(world, case), incident=incident), at))


def update(
    world: World,
    case: Case,
    incident: Incident,
    at: datetime,
    note: str = "",
    what: Update = CHANGED,
    to: tuple[str, ...] | None = None,
) -> Change:
    """Tell of the case as it is now. `to`: the sinks, where it is not for all to whom it is owed."""
    incident = replace(incident, updates=incident.updates + 1)
    return tell(world, case, incident, EventType.INCIDENT_UPDATED, at, note, what=what, to=to)


def corrected(world: World, identity: str, now: Moment) -> Change | None:
    """The root of an incident has been well for a while: what still fails has another cause."""
    case = world.cases.get(identity)
    bad = [judge for name in case.services for judge in world.bad(world.services[name])] if case is not None else []
    root = world.judges.get(case.incident.root) if case is not None else None
    if case is None or not bad or (root is not None and world.calm.told(root) is not State.UP):
        return None
    worst = min(bad, key=lambda judge: (world.calm.told(judge) is not State.DOWN, first_sign(judge)))
    if now.at - first_sign(worst)[0] < timedelta(seconds=GRACE):
        world.agenda.enter(ROOT, identity, now.tick + GRACE)  # it has come since, and may go as soon
        return None
    cause = world.causes.deepest(worst)
    incident = replace(case.incident, root=cause.check.id, why=world.calm.why(cause))
    return update(world, case, incident, now.at, _not_as_told(case.incident, incident))


def _not_as_told(before: Incident, after: Incident) -> str:
    return f"The cause is {after.root}, not {before.root} as told before."


def _first(world: World, status: ServiceStatus, bad: Sequence[Judge]) -> Judge | None:
    """Of an outage the first that went down among those that make it one, else the first bad. None: what flaps keeps
    its service as it was."""
    rule, told = status.service.outage.checks, world.calm.told
    causes = [judge for judge in bad if told(judge) is State.DOWN and judge.check.id in rule]
    return min(causes if status.state is ServiceState.OUTAGE else bad, key=first_sign, default=None)


def _standing(world: World, roots: Iterable[str], bad: Iterable[Judge]) -> Judge | None:
    """Of roots that are still bad, and of `bad` checks, one that explains others; the first of those. None: nothing
    of it stands, on the way back."""
    known = (judge for name in roots if (judge := world.judges.get(name)) is not None)
    known = (judge for judge in known if world.calm.told(judge).bad)

    def order(judge: Judge) -> tuple[bool, tuple[datetime, str]]:
        return not any(world.causes.explained(judge)), first_sign(judge)

    return min((*known, *bad), key=order, default=None)


def _join(world: World, case: Case, statuses: Iterable[ServiceStatus], bad: Sequence[Judge]) -> None:
    """The first of the services with its bad checks, others with theirs, as far as they have no case yet."""
    joined, checks = [], list(bad)
    for place, status in enumerate(statuses):
        if place and status.case is not None:
            continue
        status.case = case
        case.services[status.service.id] = None
        joined.append(status.service.id)
        checks += world.bad(status) if place else ()
    case.grow(joined, (judge.check.id for judge in checks))
    began = min((first_sign(judge)[0] for judge in checks), default=case.incident.since)
    case.incident = replace(case.incident, since=min(case.incident.since, began))


def _absorb(world: World, case: Case, other: Case) -> None:
    """Whoever was told of the other is told how this one goes on."""
    for name in other.services:
        world.services[name].case = case
    world.handling.merge(case.incident.id, case.incident.impact, other.incident.id)
    case.services |= other.services
    if other.merging:
        _merge_later(world, case, other.merging)
    case.grow(other.incident.services, other.known)
    incident, gone = case.incident, other.incident
    worst = Impact.OUTAGE if Impact.OUTAGE in (incident.worst, gone.worst) else Impact.DEGRADATION
    since, told = min(incident.since, gone.since), incident.told.union(gone.told)
    case.incident = replace(incident, since=since, told=told, worst=worst)


def _merge_later(world: World, case: Case, others: Iterable[Case]) -> None:
    """As soon as looks have had their turn."""
    case.merging |= dict.fromkeys(others)
    world.agenda.enter(MERGE, case.incident.id, world.calm.moment.tick)


def merge(world: World, identity: str, now: Moment) -> Change | None:
    """Of thousands of incidents that have turned out to have one cause the next ones. It is told of as it grows, and
    when they are all in it."""
    case = world.cases.get(identity)
    if case is None or not case.merging:
        return None
    waiting, case.merging, before = list(case.merging), {}, case.incident
    others, rest = waiting[:AT_ONCE], waiting[AT_ONCE:]
    others = [other for other in others if other is not case and world.cases.get(other.incident.id) is other]
    for other in others:
        _absorb(world, case, other)
    if rest:
        _merge_later(world, case, rest)
    incident = replace(case.incident, impact=impact_of(world, case))
    ends = [_end(world, case, other, now.at) for other in others]
    if case.merging and not outgrown(before, incident):
        case.incident = incident
        return merged([Change(incidents=(incident,)), *ends])
    return merged([update(world, case, incident, now.at), *ends])


def _end(world: World, case: Case, other: Case, at: datetime) -> Change:
    """Of one that was absorbed."""
    incident = absorbed(other.incident, case.incident, at)
    statuses = [world.services[name] for name in incident.services if name in world.services]
    return tell(world, other, incident, EventType.INCIDENT_RESOLVED, at, statuses=statuses)


def _leave(world: World, status: ServiceStatus, at: datetime, note: str) -> Change | None:
    """A service is well. The end is dated back to when the trouble ended, not to when we were sure of it."""
    case, status.case = status.case, None
    if case is None:
        return None
    case.services.pop(status.service.id, None)
    ended = status.since or at
    case.ended = max(case.ended or ended, ended)
    if not case.services:
        incident = replace(case.incident, resolved=case.ended)
        others = (world.services.get(name) for name in incident.services if name != status.service.id)
        whole = [status, *(item for item in others if item is not None)]
        statuses = sorted(whole, key=lambda item: item.service.implicit)
        return tell(world, case, incident, EventType.INCIDENT_RESOLVED, at, note, statuses)
    return shrink(world, case, at, note)


def shrink(world: World, case: Case, at: datetime, note: str = "") -> Change | None:
    """One of several services has left the case; that is told where the others have less than that one had."""
    incident = replace(case.incident, impact=impact_of(world, case))
    return update(world, case, incident, at, note) if incident != case.incident else None


def tell(
    world: World,
    case: Case,
    incident: Incident,
    told: EventType,
    at: datetime,
    note: str = "",
    statuses: Sequence[ServiceStatus] = (),
    what: Update = CHANGED,
    to: tuple[str, ...] | None = None,
) -> Change:
    """Make it the case's incident, and tell of it. `statuses`: the services to speak of, the first one before all; if
    there is none, those that are not well, the worst first. `what`: why it is told of again. `to`: the sinks, where
    it is not for all to whom it is owed."""
    given = world.handling.acknowledgement(incident.id)
    if given is not None and not given.covers(incident.impact):
        world.handling.lift(incident.id)
        note = f"{note} {given.by} has acknowledged the degradation, not this.".strip()
    old = None if told is EventType.INCIDENT_OPENED else case.incident.impact
    scene = replace(scene_of(world, case, statuses), incident=incident)
    event = world.teller.incident(told, scene, old, at, note, what, to)
    case.incident = replace(incident, told=incident.told.union(event.sinks))
    if incident.resolved is not None:
        world.cases.pop(incident.id, None)
        world.handling.forget(incident.id)
    else:
        world.cases[incident.id] = case
    calling = incident.resolved is None and world.handling.acknowledgement(incident.id) is None
    policies = world.teller.policies(scene, at) if calling else ()
    again = world.teller.calls_again if calling else math.inf
    world.escalation.follow(incident.id, policies, world.calm.moment, again)
    held = hold(world, told, case.incident, lambda: replace(scene, incident=case.incident), at)
    notes = (*world.handling.written(), *world.escalation.written(), *held)
    return Change(incidents=(case.incident,), events=(event,), notes=notes)


def scene_of(world: World, case: Case, statuses: Sequence[ServiceStatus] = ()) -> Scene:
    """`statuses`: the services to speak of; if there is none, those that are not well, the worst first."""
    if not statuses:
        live = (world.services[name] for name in case.services)
        # Among equals those first that somebody has written down: they are what customers know.
        statuses = sorted(live, key=lambda status: (WORST_FIRST.index(status.state), status.service.implicit))
    return Scene(case.incident, statuses, world.members(statuses[0]) | world.bad_among(statuses[1:]))
