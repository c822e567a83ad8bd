"""Checks that have been `unknown` for long: that is quiet, but must not stay so for ever.

One event tells of all that have come to ten minutes together, and another one that none of those is `unknown` now.
While the agent itself is known to be in trouble, which is told already, nobody is told of what follows from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from monitor.core.model import Change, Event, EventType, Moment, Note, State, Transition, Verdict
from monitor.core.snapshot import UNREADABLE, read_count, read_given_instant, read_notes
from monitor.core.wording import clock, duration
from probes.contract import Passive, Reason

if TYPE_CHECKING:
    from monitor.core.judge import Judge
    from monitor.core.world import World

LASTING = 600.0
"""Seconds after which an `unknown` is told."""
TOGETHER = 60.0
"""Seconds: what would be told so soon afterwards is told along with it."""
AGENDA, NOTE, PREFIX = "unjudged", "unjudged", "unjudged:"
_NAMED = 5
"""Checks named in a sentence."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Checks that were told of together: `told` are the sinks, `since` is when the first of them became `unknown`."""

    checks: frozenset[str]
    told: frozenset[str]
    since: datetime


class Unjudged:
    """What was told of, by number. Part of the world."""

    def __init__(self, notes: Mapping[str, Any]) -> None:
        found, self.unreadable = read_notes(notes, PREFIX, _load)
        self.batches = dict(found.values())
        self.count = max([0, *self.batches])
        self.due = False
        """Whether a review is on the agenda."""
        with suppress(*UNREADABLE):
            self.count = max(self.count, read_count(notes.get(NOTE, 0)))

    def knows(self, check: str) -> bool:
        """Whether it was told that this check is unknown."""
        return any(check in batch.checks for batch in self.batches.values())

    def notes(self) -> Iterator[Note]:
        if self.count:
            yield Note(NOTE, self.count)
        yield from (_note(number, batch) for number, batch in self.batches.items())


def _load(number: str, value: Any) -> tuple[int, Batch]:
    """Of its note. Raises one of `UNREADABLE` for what nobody has written."""
    since = read_given_instant(value["since"])
    checks, told = (frozenset(map(str, value[key])) for key in ("checks", "told"))
    return read_count(int(number)), Batch(checks, told, since)


def saw(world: World, judge: Judge, now: Moment) -> None:
    """To be called after each look at a check that is, or was, unknown."""
    unjudged = world.unjudged
    if judge.state is not State.UNKNOWN:
        if unjudged.knows(judge.check.id):
            unjudged.due = True
            world.agenda.enter(AGENDA, "", now.tick)
    elif not unjudged.due:
        unjudged.due = True
        world.agenda.enter(AGENDA, "", now.tick + LASTING)


def review(world: World, _: str, now: Moment) -> Change | None:
    """What has lasted is told, and what is over."""
    unjudged = world.unjudged
    unjudged.due = False
    told = [*_ended(world, now)]
    if world.sight.ailments:
        _again(world, now.tick + TOGETHER)
    else:
        told += _told(world, now)
    if not told:
        return None
    return Change(events=tuple(event for event, _ in told), notes=(Note(NOTE, unjudged.count), *(n for _, n in told)))


def _told(world: World, now: Moment) -> Iterator[tuple[Event, Note]]:
    waiting = {judge.check.id: _begun(world, judge) for judge in world.judges.values() if _counts(world, judge)}
    if not waiting:
        return
    first = min(waiting.values())
    if now.tick < first + LASTING:  # as it was put on the agenda: a difference may round to less
        _again(world, first + LASTING)
        return
    ripe = [name for name, begun in waiting.items() if begun + LASTING - TOGETHER <= now.tick]
    if rest := [begun for name, begun in waiting.items() if name not in ripe]:
        _again(world, min(rest) + LASTING)
    yield _tell(world, [world.judges[name] for name in ripe], now)


def _tell(world: World, judges: list[Judge], now: Moment) -> tuple[Event, Note]:
    unjudged = world.unjudged
    unjudged.count += 1
    since = min(judge.since for judge in judges)
    why = judges[0].verdict.why
    reasons = {judge.verdict.reason for judge in judges}
    verdict = Verdict(State.UNKNOWN, judges[0].verdict.reason if len(reasons) == 1 else Reason.NO_DATA, why)
    transition = Transition(
        AGENDA, world.plan.source.vantage, unjudged.count, now.at, since, "well", "impaired", verdict
    )
    whom = _names(judge.check.name for judge in judges)
    because = f": {why}" if len(reasons) == 1 else f" (of {judges[0].check.name}: {why})"
    sentence = f"{whom} cannot be judged since {clock(since)}{because}."
    checks = [judge.check for judge in judges]
    event = world.teller.agent(EventType.AGENT_IMPAIRED, transition, sentence, checks)
    batch = Batch(frozenset(check.id for check in checks), frozenset(event.sinks), since)
    unjudged.batches[unjudged.count] = batch
    return event, _note(unjudged.count, batch)


def _ended(world: World, now: Moment) -> Iterator[tuple[Event, Note]]:
    judges = world.judges
    for number, batch in list(world.unjudged.batches.items()):
        if any(name in judges and judges[name].state is State.UNKNOWN for name in batch.checks):
            continue
        del world.unjudged.batches[number]
        checks = [judges[name].check for name in sorted(batch.checks) if name in judges]
        lasted = duration(max(now.at - batch.since, timedelta(0)))
        whom = _names(check.name for check in checks) or _names(sorted(batch.checks))
        sentence = f"{whom} can be judged again after {lasted}." if checks else f"{whom}: no longer watched."
        transition = Transition(
            AGENDA, world.plan.source.vantage, number, now.at, now.at, "impaired", "well", Verdict(State.UP)
        )
        event = world.teller.agent(EventType.AGENT_RECOVERED, transition, sentence, checks, owed=batch.told)
        yield event, Note(f"{PREFIX}{number}", None)


def _counts(world: World, judge: Judge) -> bool:
    """Whether nobody was told of it yet, and somebody should be: it is no job that has never pinged."""
    if judge.state is not State.UNKNOWN or world.unjudged.knows(judge.check.id):
        return False
    silent = isinstance(judge.check.probe, Passive) and judge.verdict.reason in (None, Reason.NO_DATA)
    return not silent and world.calm.cover_of(judge.check.id) is None


def _begun(world: World, judge: Judge) -> float:
    """Since when (a tick) it is unknown; what our own trouble took does not count."""
    return max(judge.turn[0], world.sight.since.tick) if world.sight.seq else judge.turn[0]


def _again(world: World, tick: float) -> None:
    world.unjudged.due = True
    world.agenda.enter(AGENDA, "", tick)


def _names(names: Iterable[str]) -> str:
    found = list(names)
    if len(found) > _NAMED:
        return f"{', '.join(found[:_NAMED])} and {len(found) - _NAMED} more"
    return " and ".join(filter(None, (", ".join(found[:-1]), found[-1]))) if found else ""


def _note(number: int, batch: Batch) -> Note:
    value = {"checks": sorted(batch.checks), "told": sorted(batch.told), "since": batch.since.isoformat()}
    return Note(f"{PREFIX}{number}", value)
