"""The agent itself is in trouble, or out of it: what becomes of what it judges, and who is told.

Trouble that comes and goes is told as what flaps is: the third time within an hour is the last one, and that it is
over is told when it has been so for half an hour.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from monitor.core.model import Change, Event, EventType, Look, Moment, State, Transition, Verdict, merged
from monitor.core.networks import is_here
from monitor.core.sight import TELL_AFTER, WELL, Ailment, Trouble
from monitor.core.wording import clock, duration
from probes.contract import Observation

if TYPE_CHECKING:
    from monitor.core.world import World

AGENDA, AGENDA_QUIET = "impaired", "quiet"

SPELLS, WITHIN, QUIET = 3, timedelta(hours=1), timedelta(minutes=30)
"""So many spells that were told within that time are told no more one by one, until there has been none for
so long."""


def take_in(world: World, ailments: Sequence[Ailment], now: Moment) -> Change | None:
    """What is wrong with the agent now; all of it, nothing when it is well."""
    sight, before = world.sight, world.sight.ailments
    transition = sight.become(ailments, now, world.plan.source.vantage)
    if transition is None:
        return None
    had = {item.trouble for item in before}
    changes: list[Change | None] = [_blinded(world, item, now) for item in sight.ailments if item.trouble not in had]
    events: tuple[Event, ...] = ()
    if transition.new == WELL:
        world.agenda.drop(AGENDA, "")
        events = _ended(world, transition, before[0], now)
    elif sight.told is None:
        world.agenda.enter(AGENDA, "", max(sight.since.tick + TELL_AFTER, now.tick))
    else:
        world.agenda.drop(AGENDA_QUIET, "")
    return merged([Change(transitions=(transition,), notes=(sight.note(),), events=events), *changes])


def resume(world: World, now: Moment) -> None:
    """After a start: trouble of the agent before that was not told yet is told when it lasts, and so is its end."""
    sight = world.sight
    if sight.ailments and sight.told is None:
        world.agenda.enter(AGENDA, "", now.tick + TELL_AFTER)
    elif sight.told is not None and not sight.ailments:
        world.agenda.enter(AGENDA_QUIET, "", now.tick + QUIET.total_seconds())


def tell(world: World, _: str, now: Moment) -> Change | None:
    """It has lasted."""
    sight = world.sight
    worst = sight.ailments[0]
    told = Transition(
        "vantage", world.plan.source.vantage, sight.seq, now.at, sight.since.at, WELL, worst.trouble.value,
        Verdict(State.UNKNOWN, worst.trouble.reason, worst.sentence),
    )  # fmt: skip
    sight.spells = [at for at in sight.spells if timedelta(0) <= now.at - at < WITHIN] + [now.at]
    how, meanwhile = "cannot see", "Until that ends, what it cannot judge is neither an outage nor mended."
    if worst.trouble.sees:
        how, meanwhile = "is in trouble", "It looks and tells as ever."
    if len(sight.spells) >= SPELLS:
        often = f"{len(sight.spells)} times within {duration(WITHIN)}"
        meanwhile += f" That was told {often}: further spells are not, until there is none for {duration(QUIET)}."
    sentence = f"The agent {told.subject} {how} since {clock(sight.since.at)}: {worst.sentence}. {meanwhile}"
    event = world.teller.agent(EventType.AGENT_IMPAIRED, told, sentence)
    sight.told = frozenset(event.sinks)
    return Change(events=(event,), notes=(sight.note(),))


def _ended(world: World, transition: Transition, worst: Ailment, now: Moment) -> tuple[Event, ...]:
    sight = world.sight
    lasted = duration(timedelta(seconds=max(now.tick - sight.since.tick, 0.0)))
    sight.since, sight.worst = now, worst.trouble
    if len(sight.spells) >= SPELLS and sight.told is not None:
        world.agenda.enter(AGENDA_QUIET, "", now.tick + QUIET.total_seconds())
        return ()
    how = "is well" if worst.trouble.sees else "sees"
    return _recovered(world, transition, f"{how} again after {lasted}: {worst.trouble.past}.")


def quiet(world: World, _: str, now: Moment) -> Change | None:
    """It has been well for long, after spells that were not told one by one."""
    sight = world.sight
    old = sight.worst.value
    over = Transition(
        "vantage", world.plan.source.vantage, sight.seq, now.at, sight.since.at, old, WELL, Verdict(State.UP)
    )
    sight.spells = []
    words = f"has seen well for {duration(QUIET)}; before that, {sight.worst.past} again and again."
    events = _recovered(world, over, words)
    return Change(events=events, notes=(sight.note(),))


def _recovered(world: World, transition: Transition, words: str) -> tuple[Event, ...]:
    """To whoever was told of the trouble."""
    owed, world.sight.told = world.sight.told, None
    if owed is None:
        return ()
    sentence = f"The agent {transition.subject} {words}"
    return (world.teller.agent(EventType.AGENT_RECOVERED, transition, sentence, owed=owed),)


def _blinded(world: World, ailment: Ailment, now: Moment) -> Change | None:
    """What was suspected is no evidence; what was called bad since is taken back."""
    if not ailment.trouble.blinds:
        return None
    network = ailment.trouble is Trouble.NETWORK
    changes: list[Change | None] = []
    for judge in world.judges.values():
        if network and is_here(judge.check.probe.host or ""):
            continue
        previous, why = judge.trouble_since or judge.since, judge.verdict.why
        taken_back = judge.lose_sight(ailment.since.tick, now, ailment.sentence)
        if taken_back is not None:
            seen = judge.last.observation if judge.last is not None else Observation()
            changes += world.moved(judge, taken_back, previous, why, Look(judge.check.id, seen, now, now))
    return merged(changes)
