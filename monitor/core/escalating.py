"""Calling the next one: what becomes due of an incident that nobody has acknowledged.

Nobody is called while it is not known that it is still so: after a start until one of its checks was seen, while the
agent is blind, and while all that is bad is in maintenance.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from monitor.core.escalation import ESCALATE, Run
from monitor.core.following import scene_of, update
from monitor.core.handled import Kind, Update
from monitor.core.incident import Case
from monitor.core.model import Change, Moment
from monitor.core.roster import resolved
from monitor.core.routing import Policy
from monitor.core.wording import duration

if TYPE_CHECKING:
    from monitor.core.world import World

AGAIN = 5.0
"""Seconds until it is asked again whether an incident is still so."""


@dataclass(frozen=True, slots=True)
class Call:
    """What is due: the targets of a step, and the sinks that stand for them now; or of a reminder."""

    kind: Kind
    targets: tuple[str, ...]
    sinks: tuple[str, ...]
    waited: timedelta


@dataclass(frozen=True, slots=True)
class Ahead:
    """What is to come, if nobody acknowledges."""

    at: datetime
    kind: Kind
    to: tuple[str, ...]


def due(world: World, identity: str, now: Moment) -> Change | None:
    """Something may be due for an incident."""
    case = world.cases.get(identity)
    if case is None or world.handling.acknowledgement(identity) is not None:
        world.escalation.follow(identity, (), now)
        return noted(world)
    policies = world.teller.policies(scene_of(world, case), now.at)
    world.escalation.follow(identity, policies, now, world.teller.calls_again)
    if not policies:
        return noted(world)
    if not _still_so(world, case):
        world.agenda.enter(ESCALATE, identity, now.tick + AGAIN)
        return noted(world)
    calls = [call for policy, to in policies.items() for call in _calls(world, identity, policy, to, now)]
    return _told(world, case, calls, now) if calls else noted(world)


def take_up(world: World, now: Moment) -> Change | None:
    """At the start."""
    reconsider(world)
    for identity in world.escalation.incidents():
        if identity not in world.cases:
            world.escalation.follow(identity, (), now)
    return noted(world)


def reconsider(world: World) -> None:
    """Other routes may be in force: look at all incidents that are open as soon as possible."""
    for identity in world.cases:
        world.agenda.enter(ESCALATE, identity, world.calm.moment.tick)


def noted(world: World) -> Change | None:
    notes = world.escalation.written()
    return Change(notes=notes) if notes else None


def ahead(world: World, case: Case, now: Moment) -> list[Ahead]:
    """What comes next of each policy, the soonest first."""
    if world.handling.acknowledgement(case.incident.id) is not None:
        return []
    found = []
    for policy, to in world.teller.policies(scene_of(world, case), now.at).items():
        run = world.escalation.run(case.incident.id, policy) or Run(now.tick, now.tick)
        step, reminder = run.step_due(policy), run.reminder_due(policy)
        soonest = min(step, reminder)
        if soonest < float("inf"):
            targets = policy.steps[run.done].to if step <= reminder else (*to, *run.reached(policy))
            at = now.at + timedelta(seconds=max(soonest - now.tick, 0.0))
            found.append(Ahead(at, Kind.ESCALATED if step <= reminder else Kind.REMINDER, targets))
    return sorted(found, key=lambda item: item.at)


def _still_so(world: World, case: Case) -> bool:
    bad = (judge.check.id for name in case.services for judge in world.bad(world.services[name]))
    return any(name not in world.unseen and name not in world.calm.covered for name in bad)


def _calls(world: World, identity: str, policy: Policy, to: tuple[str, ...], now: Moment) -> Iterator[Call]:
    """Of one policy: the next step, or a reminder to all whom it has told. Behind a step that nobody stands for the
    next one is taken at once."""
    run = world.escalation.run(identity, policy)
    assert run is not None  # noqa: S101  (it was begun with the policy)
    waited = timedelta(seconds=round(now.tick - run.began))
    targets: list[str] = []
    sinks: tuple[str, ...] = ()
    if run.due(policy) > now.tick:
        return
    if run.step_due(policy) <= now.tick:
        while not sinks and run.done < len(policy.steps):
            step = policy.steps[run.done]
            targets += step.to
            sinks = resolved(world.plan.roster, step.to, now.at)
            run = run.stepped(policy, now.tick)
        yield Call(Kind.ESCALATED, tuple(targets), sinks, waited)
    else:
        everybody = (*to, *run.reached(policy))
        run = run.reminded(now.tick)
        yield Call(Kind.REMINDER, everybody, resolved(world.plan.roster, everybody, now.at), waited)
    world.escalation.advance(identity, policy, run, now)


def _told(world: World, case: Case, calls: Iterable[Call], now: Moment) -> Change:
    """One word of all that is due, to those who are called, and where others are called, to those whom the routes
    tell of it anyway."""
    calls = list(calls)
    steps = [call for call in calls if call.kind is Kind.ESCALATED]
    waited = max(call.waited for call in calls)
    words = f"Nobody has acknowledged it for {duration(waited)}"
    words += ": " + "; ".join(_who(call) for call in steps) + "." if steps else "."
    what = Update(Kind.ESCALATED if steps else Kind.REMINDER, "", words)
    routed = world.teller.routed(scene_of(world, case), now.at) if steps else ()
    told = (sink for sink in routed if sink not in world.plan.updates)
    to = tuple(dict.fromkeys((*told, *(sink for call in calls for sink in call.sinks))))
    return update(world, case, case.incident, now.at, words, what, to)


def _who(call: Call) -> str:
    """``oncall.sms (ann.sms) is told``"""
    if not call.sinks:
        return f"nobody stands for {' or '.join(call.targets)} now"
    others = [sink for sink in call.sinks if sink not in call.targets]
    behind = f" ({', '.join(others)})" if others else ""
    return f"{', '.join(call.targets)}{behind} {'is' if len(call.targets) == 1 else 'are'} told"
