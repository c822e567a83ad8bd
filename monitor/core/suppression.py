"""Whom the trouble of a check is told to, where it depends on others: nobody, while a failing one explains it.

Only what is told waits or is left out: looks, states and recovery go on as ever, and what was told of trouble is told
of its end.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

from monitor.core.agenda import AT_ONCE
from monitor.core.following import GRACE, ROOT
from monitor.core.judge import Judge
from monitor.core.model import Change, Event, Incident, Look, Moment, State, Transition, Verdict, merged
from monitor.core.telling import worth_telling
from monitor.core.untold import Untold
from probes.contract import Blame

if TYPE_CHECKING:
    from monitor.core.world import World

PATIENCE = 10.0
"""Seconds that trouble waits, at most, for word of what the check depends on."""

ASKED_AT_MOST = 20
"""Dependencies of a check that are looked at at once."""

UNTOLD, HEARD, RELEASED = "untold", "heard", "released"
"""The kinds of items on the agenda: a check whose trouble has waited long enough, one for which there is word of what
it waits for, and one that a dependency explains no longer."""

_SEVERITY = {State.UNKNOWN: 0, State.UP: 0, State.DEGRADED: 1, State.DOWN: 2}


@dataclass(slots=True)
class Waiting:
    """Who waits for whom. What must survive a restart is in the judges (`Judge.untold`)."""

    failing: dict[str, tuple[float, bool]] = field(default_factory=dict)
    """Of checks with dependencies, by id: when the first of their failed looks in a row ended (a tick), and whether
    their dependencies have been asked since."""
    heard: dict[str, set[str]] = field(default_factory=dict)
    """By the id of a dependency: the checks that wait for what looks at it show."""

    def forget(self, check: str) -> None:
        """It is watched no longer, or under another id."""
        self.failing.pop(check, None)
        self.heard.pop(check, None)


def asked(world: World, judge: Judge, look: Look, *, moved: bool) -> tuple[str, ...]:
    """The dependencies to look at right now, after a look at a check that has some: at its second failure in a row,
    as one lost packet moves nobody, and again when it has turned bad; those that fail, when it answers again."""
    name, reason, failing = judge.check.id, look.observation.reason, world.waiting.failing
    if reason is None and name in failing:
        del failing[name]
        return (
            ()
            if judge.suppressed_by is None
            else tuple(parent.check.id for parent in world.causes.explaining(judge)[:ASKED_AT_MOST])
        )
    if moved and judge.waits and judge.untold is not None:
        return _silent(world, judge, judge.untold.asked)
    if reason is None or reason.blame is not Blame.TARGET:
        return ()
    first = failing.setdefault(name, (look.ended.tick, False))
    if first[1] or first[0] == look.ended.tick or judge.state is State.DOWN:
        return ()
    failing[name] = (first[0], True)
    return _silent(world, judge, first[0])


def _silent(world: World, judge: Judge, tick: float) -> tuple[str, ...]:
    return tuple(parent.check.id for parent in world.causes.undecided(judge, tick)[:ASKED_AT_MOST])


def told_at_once(
    world: World,
    judge: Judge,
    transition: Transition,
    previous: datetime,
    now: Moment,
    note: str = "",
    began: float | None = None,
) -> tuple[Event, ...]:
    """What is told of a change at once. `previous`: since when what ends now was so; `note` is a further sentence;
    `began`: when the look began that brought it about (a tick)."""
    untold, name = judge.untold, judge.check.id
    old, new = State(transition.old), State(transition.new)
    if untold is None:
        if not judge.check.depends_on or _SEVERITY[new] <= _SEVERITY[old]:
            return _event(world, judge, transition, previous, note)
        first, _ = world.waiting.failing.get(name, (now.tick if began is None else began, False))
        untold = Untold(old, previous, asked=first)
    elif new is State.UP:
        return _end_wait(world, judge, transition, untold, note)
    elif old is State.UNKNOWN or _SEVERITY[new] <= _SEVERITY[old]:
        resume(world, (name,), now)
        return ()
    return _weigh(world, judge, untold, transition, now.tick, note)


def _weigh(
    world: World,
    judge: Judge,
    untold: Untold,
    transition: Transition,
    tick: float,
    note: str = "",
    *,
    patient: bool = True,
) -> tuple[Event, ...]:
    """Suppress trouble, have it wait, or tell it."""
    name, causes = judge.check.id, world.causes
    cause = causes.deepest(judge)
    if cause is not judge and not (patient and cause.waits):
        judge.untold = replace(untold, by=cause.check.id)
        world.agenda.drop(UNTOLD, name)
        return ()
    silent = [cause] if cause is not judge else causes.undecided(judge, untold.asked)
    if patient and silent:
        judge.untold = replace(untold, by=None)
        if not world.agenda.holds(UNTOLD, name):
            world.agenda.enter(UNTOLD, name, tick + PATIENCE)
        for parent in silent:
            world.waiting.heard.setdefault(parent.check.id, set()).add(name)
        return ()
    return _end_wait(world, judge, transition, untold, note)


def _end_wait(world: World, judge: Judge, transition: Transition, untold: Untold, note: str) -> tuple[Event, ...]:
    """Tell what is new since people were told last."""
    judge.untold = None
    world.agenda.drop(UNTOLD, judge.check.id)
    if untold.told.value == transition.new:
        return ()
    return _event(world, judge, replace(transition, old=untold.told.value), untold.previous, note)


def _event(world: World, judge: Judge, transition: Transition, previous: datetime, note: str) -> tuple[Event, ...]:
    if not worth_telling(transition):
        return ()
    service = world.services[judge.check.service].service
    mark = () if transition.new == judge.state.value else ("as told",)  # no transition's own: it flaps
    return (world.teller.check(judge, transition, previous, service, note, mark),)


def news_of(world: World, parent: Judge, now: Moment) -> Change | None:
    """After a look at a dependency that checks wait for: those that need to wait no longer. Of thousands the first,
    and the others as soon as looks have had their turn."""
    names = sorted(world.waiting.heard.pop(parent.check.id, ()))
    for name in names[AT_ONCE:]:
        world.agenda.enter(HEARD, name, now.tick)
    return merged([heard(world, name, now) for name in names[:AT_ONCE]])


def heard(world: World, name: str, now: Moment) -> Change | None:
    """There is word of a dependency that this check waits for."""
    judge = world.judges.get(name)
    return reconsider(world, judge, now) if judge is not None and judge.waits else None


def elapsed(world: World, name: str, now: Moment) -> Change | None:
    """Trouble has waited long enough, for word of a dependency or to end with it."""
    judge = world.judges.get(name)
    return reconsider(world, judge, now, patient=False) if judge is not None else None


def reconsider(world: World, judge: Judge, now: Moment, *, patient: bool = True) -> Change | None:
    """Whether trouble that was not told is to be told now."""
    untold = judge.untold
    if untold is None or not world.calm.told(judge).bad:
        return None
    state, verdict, note = world.calm.told(judge), judge.verdict, ""
    if state is not judge.state:  # it counts as what was told
        verdict = Verdict(state, why=world.calm.why(judge))
        note = f"{judge.check.name} is flapping." if world.calm.is_flapping(f"check:{judge.check.id}") else ""
    present = Transition(
        "check", judge.check.id, judge.seq, now.at, judge.since, untold.told.value, state.value, verdict
    )
    events = _weigh(world, judge, untold, present, now.tick, note, patient=patient)
    if judge.untold == untold:
        return None
    own = Change(checks=(judge.record(now),), events=events)
    return merged([own, world.judge_again(judge, now.at), news_of(world, judge, now)])


def released(world: World, parent: Judge, now: Moment, root_of: Incident | None = None) -> None:
    """A dependency fails no longer: what it has suppressed is told if it lasts, unless another one explains it, and
    what is left of the incident that it was the root of has another."""
    names = [child.check.id for child in world.causes.children(parent) if child.untold and child.untold.by]
    for name in names[:AT_ONCE]:
        let_go(world, name, now)
    for name in names[AT_ONCE:]:
        world.agenda.enter(RELEASED, name, now.tick)
    if root_of is not None:
        world.agenda.enter(ROOT, root_of.id, now.tick + GRACE)


def let_go(world: World, name: str, now: Moment) -> None:
    """A dependency of the check fails no longer."""
    child, causes = world.judges.get(name), world.causes
    if child is None or child.untold is None or child.untold.by is None:
        return
    if not causes.is_explained(child):
        world.agenda.enter(UNTOLD, name, now.tick + GRACE)
    elif (by := world.judges.get(child.untold.by)) is None or not world.calm.told(by).bad:
        child.untold = replace(child.untold, by=causes.deepest(child).check.id)


def resume(world: World, names: Iterable[str], now: Moment) -> None:
    """After a start or a reload: what was not told of these checks may have to be, or they may be the root of
    nothing any more."""
    for name in names:
        judge = world.judges[name]
        if judge.untold is not None and not world.agenda.holds(UNTOLD, name):
            world.agenda.enter(UNTOLD, name, now.tick + (PATIENCE if judge.waits else GRACE))
        incident = world.services[judge.check.service].incident
        if incident is not None and incident.root == name and not judge.state.bad:
            world.agenda.enter(ROOT, incident.id, now.tick + GRACE)
