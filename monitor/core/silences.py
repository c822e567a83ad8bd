"""What people do not want to hear of for a while: by a matcher, and always with an end.

What is silenced is told to nobody, but for its end, to whoever was told of it before. When a silence is over, what is
still open of it is told; and so is what is open when the hours of a route begin.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from monitor.core.following import scene_of, update
from monitor.core.model import Change, Moment, Note, merged
from monitor.core.quiet_over import release
from monitor.core.routing import AllOf, AnyOf, Expression, Not, Term
from monitor.core.snapshot import read_notes, read_seconds

if TYPE_CHECKING:
    from monitor.core.world import World

PREFIX = "silence:"
"""The beginning of the names of notes; what follows is a silence's id."""
HEARING = "hearing"
"""The kind of the one item on the agenda: who hears may be others now, as a silence or hours begin or end."""
RECONSIDER = 60.0
"""Seconds after which it is looked at again: hours begin at whole minutes, and the clock may have been set."""


@dataclass(frozen=True, slots=True)
class Silence:
    """`text` is what was written, and `when` what it means. Times are Unix times."""

    id: str
    text: str
    when: Expression
    begin: float
    end: float
    why: str = ""
    by: str = ""

    def as_json(self) -> dict[str, Any]:
        """For its note."""
        return {
            "text": self.text,
            "when": _dump(self.when),
            "from": self.begin,
            "until": self.end,
            "why": self.why,
            "by": self.by,
        }


class Silences:
    """Part of the world: those that hold, by id."""

    def __init__(self, notes: Mapping[str, Any]) -> None:
        self.known, self.unreadable = read_notes(notes, PREFIX, read_silence)
        self.hours: tuple[tuple[bool, bool], ...] | None = None
        """Which routes counted by the clock when that was last asked."""

    def hold(self, facts: Mapping[str, Sequence[str]], at: datetime) -> bool:
        """Whether what has these facts is silenced."""
        unix = at.timestamp()
        return any(item.end > unix and item.when.matches(facts) for item in self.known.values())

    def notes(self) -> Iterator[Note]:
        """All that is remembered: for a journal that has lost it."""
        return (Note(PREFIX + name, item.as_json()) for name, item in self.known.items())


def silence(world: World, asked: Silence, now: Moment) -> Change:
    """From now on."""
    world.silences.known[asked.id] = asked
    follow(world, now)
    return Change(notes=(Note(PREFIX + asked.id, asked.as_json()),))


def end_silence(world: World, identity: str, now: Moment) -> Change | None:
    """Before its time: what is still open is told now. None: there is no such silence."""
    item = world.silences.known.pop(identity, None)
    if item is None:
        return None
    return merged([Change(notes=(Note(PREFIX + identity, None),)), *_told_at_last(world, [item], now)])


def reconsider(world: World, _subject: str, now: Moment) -> Change | None:
    """Silences may be over, and other routes may count than a minute ago."""
    silences, unix = world.silences, now.at.timestamp()
    over = [item for item in silences.known.values() if item.end <= unix]
    for item in over:
        del silences.known[item.id]
    hours, silences.hours = silences.hours, tuple(route.clocked(now.at) for route in world.plan.routes)
    changes: list[Change | None] = []
    if over:
        changes += [
            Change(notes=tuple(Note(PREFIX + item.id, None) for item in over)),
            *_told_at_last(world, over, now),
        ]
    digest = release(world, now)
    changes.append(digest)
    if digest is not None or (hours is not None and hours != silences.hours):
        changes += _told_to_others(world, now)
    follow(world, now)
    return merged(changes)


def follow(world: World, now: Moment) -> None:
    """Look again when it may matter; to be called at the start, and when other routes are in force."""
    if world.silences.known or world.quiet.held or any(route.during or route.quiet for route in world.plan.routes):
        unix = now.at.timestamp()
        ends = [max(item.end - unix, 0.0) for item in world.silences.known.values()]
        world.agenda.enter(HEARING, "", now.tick + min([RECONSIDER - unix % RECONSIDER, *ends]))


def _told_at_last(world: World, over: Sequence[Silence], now: Moment) -> Iterator[Change | None]:
    """What was silenced, and is still open."""
    for case in list(world.cases.values()):
        facts = world.teller.facts_of(scene_of(world, case))
        mine = [item for item in over if item.when.matches(facts)]
        if mine and not world.silences.hold(facts, now.at):
            yield update(world, case, case.incident, now.at, "It is not silenced any more.")


def _told_to_others(world: World, now: Moment) -> Iterator[Change | None]:
    """Whoever is to be told by routes that count from now on, and was not told."""
    for case in list(world.cases.values()):
        if world.handling.acknowledgement(case.incident.id) is not None:
            continue
        routed = world.teller.routed(scene_of(world, case), now.at)
        others = tuple(name for name in routed if name not in case.incident.told)
        if others:
            yield update(world, case, case.incident, now.at, to=others)


def read_silence(identity: str, value: Mapping[str, Any]) -> Silence:
    """Of its note. Raises one of `UNREADABLE` for what nobody has written."""
    begin, end = read_seconds(value["from"]), read_seconds(value["until"])
    return Silence(
        identity, str(value["text"]), _load(value["when"]), begin, end, str(value["why"]), str(value["by"])
    )


def _dump(when: Expression) -> list[Any]:
    match when:
        case Term():
            return ["term", when.field, when.pattern, when.negated]
        case Not():
            return ["not", _dump(when.term)]
        case AllOf():
            return ["all", *map(_dump, when.terms)]
        case _:
            return ["any", *map(_dump, when.terms)]


def _load(value: Any) -> Expression:
    kind, *rest = value
    if kind == "term":
        field, pattern, negated = rest
        return Term(str(field), str(pattern), bool(negated))
    if kind == "not":
        (term,) = rest
        return Not(_load(term))
    terms = tuple(_load(item) for item in rest)
    if kind == "all":
        return AllOf(terms)
    if kind == "any":
        return AnyOf(terms)
    raise ValueError(f"no such expression: {kind}")
