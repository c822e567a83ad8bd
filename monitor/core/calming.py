"""What time and people bring about for the calm: windows begin and end, flapping is summed up and ends.

Functions over the world; it calls them when they are due.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from monitor.core.agenda import AT_ONCE
from monitor.core.calm import BOUTS, RECONSIDER, Told
from monitor.core.flapping import Bouts
from monitor.core.following import update
from monitor.core.judge import Judge
from monitor.core.maintenance import Window, read_window
from monitor.core.model import Change, Flapping, Moment, State, Transition, Verdict, merged
from monitor.core.service import ServiceStatus
from monitor.core.shelter import keeps, kept_no_longer
from monitor.core.suppression import released, told_at_once
from monitor.core.wording import clock, cut, duration

if TYPE_CHECKING:
    from monitor.core.world import World

OVER = "The maintenance is over."

FREE = "free"
"""The kind of an item on the agenda: a check of which nothing is kept back any more, one of many."""

_BELOW = 0.001
"""Seconds by which what depends on others comes after them."""

KIND, ANNOUNCED, ENDED = "maintenance", "announced", "ended"
"""Of the transitions that keep what people have announced: what was decided can be decided again."""


def maintain(world: World, window: Window, now: Moment) -> Change | None:
    """Announce a window by hand; one that is there under its id is replaced."""
    world.calm.announce(window)
    return merged([_kept(window, ANNOUNCED, now), windows(world, "", now)])


def end_maintenance(world: World, identity: str, now: Moment) -> Change | None:
    """End a window that was announced by hand before its time. None: there is none."""
    window = world.calm.call_off(identity)
    return None if window is None else merged([_kept(window, ENDED, now), windows(world, "", now)])


def again(world: World, kept: Transition, now: Moment) -> Change | None:
    """Do what was done then. Raises what `read_window` does where the journal does not know any more what it was."""
    if kept.new == ANNOUNCED:
        return maintain(world, read_window(kept.subject, kept.evidence), now)
    return end_maintenance(world, kept.subject, now)


def _kept(window: Window, new: str, now: Moment) -> Change:
    old, seq, known = ("", 1, window.as_json()) if new == ANNOUNCED else (ANNOUNCED, 2, {})
    verdict = Verdict(State.UNKNOWN, why=": ".join(filter(None, (cut(window.scope.text), window.why))))
    return Change(transitions=(Transition(KIND, window.id, seq, now.at, now.at, old, new, verdict, known),))


def windows(world: World, _subject: str, now: Moment) -> Change | None:
    """What is in maintenance now, and what is told at last of what is no longer."""
    calm = world.calm
    calm.moment = now
    calm.cover(world.plan.maintenance, world.plan)
    free = sorted((_depth(world, name), name) for name in kept_no_longer(world, now.tick))
    for depth, name in free[AT_ONCE:]:  # looks go on in between; what is below others comes after them
        world.agenda.enter(FREE, name, now.tick + depth * _BELOW)
    return merged([*let_go(world, [name for _, name in free[:AT_ONCE]], now), noted(world)])


def freed(world: World, name: str, now: Moment) -> Change | None:
    """What was kept back of one of many checks."""
    there = name in world.calm.held and name in world.judges
    return merged(let_go(world, [name], now)) if there and not keeps(world, world.judges[name], now.tick) else None


def _depth(world: World, name: str) -> int:
    judge = world.judges[name]
    return sum(1 for _ in world.causes.parents(judge)) if judge.check.depends_on else 0


def _why_now(world: World, told: Told) -> str:
    """Why it is told at last what has become of a check."""
    if told.by is None or told.by not in world.calm.covered:
        return OVER
    return f"{told.by}, which it depends on, is in maintenance, and is well."


def noted(world: World) -> Change | None:
    """What the calm has to remember since it was last asked."""
    notes = world.calm.written()
    return Change(notes=notes) if notes else None


def let_go(world: World, checks: Iterable[str], now: Moment, note: str | None = None) -> list[Change | None]:
    """Tell what was kept back of checks, where it is still so, with a sentence (None: why it is told now); of each
    service once. What others depend on comes first, so that it is the cause of what is told of them."""
    changes: list[Change | None] = []
    services: dict[str, tuple[Judge, str]] = {}
    for name in checks:
        judge, was = world.judges[name], world.calm.release(name)
        if was is None or was.state is judge.state:
            continue
        words = _why_now(world, was) if note is None else note
        changes.append(_told(world, judge, was.state, now, words))
        if was.state.bad and not judge.state.bad:
            released(world, judge, now)
        services.setdefault(judge.check.service, (judge, words))
    for name, (judge, words) in services.items():
        status = world.services[name]
        since = min(judge.since, now.at)
        changes.append(world.settle(status, world.believed(status), now.at, since, judge.verdict, words))
    return changes


def _told(
    world: World, judge: Judge, old: State, now: Moment, note: str, mark: tuple[object, ...] = ()
) -> Change | None:
    """``check.changed``, without a transition: that is long in the journal, or there is none."""
    check, state = judge.check, world.calm.told(judge)
    late = Transition("check", check.id, judge.seq, now.at, judge.since, old.value, state.value, judge.verdict)
    status = world.services[check.service]
    began = min(status.incident.since if status.incident else judge.since, now.at)
    if not mark:
        return Change(checks=(judge.record(now),), events=told_at_once(world, judge, late, began, now, note))
    if judge.untold is not None:
        return None
    return Change(events=(world.teller.check(judge, late, began, status.service, note, mark),))


def flapping(world: World, subject: str, now: Moment) -> Change | None:
    """A subject has held still for long enough, or a digest is due, or old bouts count no more."""
    calm = world.calm
    calm.moment = now
    kind, _, name = subject.partition(":")
    bouts, policy = calm.bouts.get(subject), _policy(world, kind, name)
    if bouts is None or policy is None:
        calm.forget_bouts(subject)
        changes = _steady(world, kind, name, now, "") if bouts is not None and bouts.flapping else []
        return merged([*changes, noted(world)])
    if name in world.unseen:  # how it is now is not known yet
        world.agenda.enter(BOUTS, subject, now.tick + RECONSIDER)
        return None
    changes = []
    if bouts.flapping and now.tick >= bouts.last + policy.quiet.total_seconds():
        words = f"holds still since {_clock(bouts.last, now)}, after {_sum(bouts, now)}"
        bouts.steady()
        changes = _steady(world, kind, name, now, words)
    elif bouts.flapping and now.tick >= bouts.next_digest:
        bouts.digests += 1
        changes = _sum_up(world, kind, name, now, f"is still flapping: {_sum(bouts, now)}", bouts.digests)
    bouts.forget(now.tick, policy)
    if bouts.flapping or bouts.count:
        calm.rewrite(subject, policy)
    else:
        calm.forget_bouts(subject)
    return merged([*changes, noted(world)])


def _policy(world: World, kind: str, name: str) -> Flapping | None:
    if kind == "check":
        return world.judges[name].check.flapping if name in world.judges else None
    return world.services[name].service.flapping if name in world.services else None


def _sum(bouts: Bouts, now: Moment) -> str:
    """``14 changes within 2 h, bad for 22 % of it``"""
    within = timedelta(seconds=round(now.tick - (bouts.since or now.tick)))
    return f"{bouts.changes + 1} changes within {duration(within)}, bad for {bouts.bad_share(now.tick):.0%} of it"


def _clock(tick: float, now: Moment) -> str:
    return clock(now.at - timedelta(seconds=now.tick - tick))


def _steady(world: World, kind: str, name: str, now: Moment, words: str) -> list[Change | None]:
    """Tell how it is, now that it holds still. Of several checks of a service, incidents tell with the last one."""
    if name not in (world.judges if kind == "check" else world.services):
        return []
    status = world.services[world.judges[name].check.service if kind == "check" else name]
    title = world.judges[name].check.name if kind == "check" else status.service.title
    note = f"{title} {words}." if words else ""
    if kind == "service":
        last = max(world.members(status).values(), key=lambda judge: judge.since)
        since = min(last.since, now.at)
        changes = [world.settle(status, world.believed(status), now.at, since, last.verdict, note)]
    elif name in world.calm.covered:
        return []
    else:
        changes = let_go(world, [name], now, note)
        if not changes and note:
            changes = [_told(world, world.judges[name], world.judges[name].state, now, note, ("flapping", 0))]
    others = any(world.calm.is_flapping(f"check:{check}") for check in status.service.checks)
    return [*changes, *([] if others else say_once(world, status, now.at, note, changes))]


def _sum_up(world: World, kind: str, name: str, now: Moment, words: str, number: int) -> list[Change | None]:
    """A digest; of several checks of a service, incidents tell that of the first one. `number` counts them."""
    if kind == "service":
        status = world.services[name]
        return [say_of_incident(world, status, now.at, f"{status.service.title} {words}.")]
    if name in world.calm.covered:
        return []
    judge = world.judges[name]
    note, state = f"{judge.check.name} {words}.", world.calm.told(judge)
    own, status = _told(world, judge, state, now, note, ("flapping", number)), world.services[judge.check.service]
    return [own, say_of_incident(world, status, now.at, note)] if world.calm.leads(name, status.service) else [own]


def say_once(
    world: World, status: ServiceStatus, at: datetime, note: str, changes: Iterable[Change | None]
) -> list[Change | None]:
    """Tell a sentence with the incident, if there is something to say that `changes` have not said."""
    said = any(event.type.value.startswith("incident.") for change in changes if change for event in change.events)
    return [] if said or not note else [say_of_incident(world, status, at, note)]


def say_of_incident(world: World, status: ServiceStatus, at: datetime, note: str) -> Change | None:
    """Tell a sentence with the incident that is open, if there is one."""
    case = status.case
    if case is None:
        return None
    return update(world, case, case.incident, at, note)


def begin(world: World, renamed: Mapping[str, str], now: Moment) -> Change | None:
    """At the start: what is known from before, under the names of now (`renamed`: the former ones by them)."""
    calm = world.calm
    calm.moment = now
    for name, former in renamed.items():
        calm.renamed(former, world.judges[name])
    for name in [name for name in calm.held if name not in world.judges]:
        calm.forget(name)
    for subject in list(calm.bouts):
        world.agenda.enter(BOUTS, subject, now.tick)
    return windows(world, "", now)


def is_well_now(world: World, status: ServiceStatus) -> bool:
    """Whether a service counts as bad though none of its checks is, as it flaps."""
    return status.state.bad and not any(world.judges[check].state.bad for check in status.service.checks)
