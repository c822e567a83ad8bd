"""The agent itself is in trouble, or out of it: what becomes of what it judges, and who is told."""

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

AGENDA = "impaired"


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
        events = _recovered(world, transition, before[0], now)
    elif sight.told is None:
        world.agenda.enter(AGENDA, "", max(sight.since.tick + TELL_AFTER, now.tick))
    return merged([Change(transitions=(transition,), notes=(sight.note(),), events=events), *changes])


def resume(world: World, now: Moment) -> None:
    """After a start: trouble of the agent before that was not told yet is told when it lasts."""
    if world.sight.ailments and world.sight.told is None:
        world.agenda.enter(AGENDA, "", now.tick + TELL_AFTER)


def tell(world: World, _: str, now: Moment) -> Change | None:
    """It has lasted."""
    sight = world.sight
    worst = sight.ailments[0]
    told = Transition(
        "vantage", world.plan.source.vantage, sight.seq, now.at, sight.since.at, WELL, worst.trouble.value,
        Verdict(State.UNKNOWN, worst.trouble.reason, worst.sentence),
    )  # fmt: skip
    meanwhile = "Until that ends, what it cannot judge is neither an outage nor mended."
    sentence = f"The agent {told.subject} cannot see since {clock(sight.since.at)}: {worst.sentence}. {meanwhile}"
    event = world.teller.agent(EventType.AGENT_IMPAIRED, told, sentence)
    sight.told = frozenset(event.sinks)
    return Change(events=(event,), notes=(sight.note(),))


def _recovered(world: World, transition: Transition, worst: Ailment, now: Moment) -> tuple[Event, ...]:
    sight = world.sight
    owed, sight.told = sight.told, None
    lasted = duration(timedelta(seconds=max(now.tick - sight.since.tick, 0.0)))
    sight.since = now
    if owed is None:
        return ()
    sentence = f"The agent {transition.subject} sees again after {lasted}: {worst.trouble.past}."
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
