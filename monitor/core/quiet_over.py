"""The end of quiet hours: what they have held back is told in one digest.

Only who reads messages gets one; other sinks are told how it stands then (`monitor.core.silences`). What somebody was
told of otherwise meanwhile is not told again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from monitor.core.digest import Digest, Item, counted, was
from monitor.core.escalation import ESCALATE
from monitor.core.following import scene_of
from monitor.core.incident import Case
from monitor.core.model import Change, Event, EventType, Impact, Incident, Moment
from monitor.core.quiet import Held, Kept
from monitor.core.roster import resolved
from monitor.core.wording import iso

if TYPE_CHECKING:
    from monitor.core.world import World

_STILL = "Still open: "
_BADNESS = (Impact.DEGRADATION, Impact.OUTAGE)


def release(world: World, now: Moment) -> Change | None:
    """Tell what is not to be held back any longer, of what the sinks concerned have not heard."""
    due = _due(world, now.at)
    if not due:
        return None
    quiet = world.quiet
    letters: dict[str, dict[str, None]] = {}
    for item in quiet.held.values():
        for sink in _readers(world, (kept for kept in item.kept if kept in due), now.at):
            if _untold(world, item, sink, now.at):
                letters.setdefault(sink, {})[item.incident] = None
    alike: dict[tuple[str, ...], list[str]] = {}
    for sink, names in letters.items():
        alike.setdefault(tuple(names), []).append(sink)
    events = tuple(_event(world, names, tuple(sinks), due, now) for names, sinks in alike.items())
    incidents = tuple(_told(world, letters, now))
    return Change(incidents=incidents, events=events, notes=tuple(quiet.let_go(due)))


def _due(world: World, at: datetime) -> frozenset[Kept]:
    """What no route keeps back now."""
    waiting: set[Kept] = set()
    for route in world.plan.routes:
        if route.quiet is not None and route.clocked(at) != (True, False):
            waiting.update(route.keeps)
    quiet = world.quiet
    known = {kept for item in quiet.held.values() for kept in item.kept}
    return frozenset(known.union(quiet.beyond) - waiting)


def _readers(world: World, kept: Iterable[Kept], at: datetime) -> tuple[str, ...]:
    """The sinks of people that stand for the targets now."""
    targets = tuple(dict.fromkeys(target for target, _ in kept))
    return tuple(name for name in resolved(world.plan.roster, targets, at) if name in world.plan.human)


def _untold(world: World, item: Held, sink: str, at: datetime) -> bool:
    case = world.cases.get(item.incident)
    if case is None:
        return sink not in item.told
    if sink in case.incident.told:
        return False
    return not world.silences.hold(world.teller.facts_of(scene_of(world, case)), at)


def _told(world: World, letters: Mapping[str, Iterable[str]], now: Moment) -> Iterator[Incident]:
    """Those that are open count as told: their ends are owed. Whoever is to be called for them is called from now."""
    for name in dict.fromkeys(name for names in letters.values() for name in names):
        case = world.cases.get(name)
        if case is not None:
            sinks = {sink for sink, names in letters.items() if name in names}
            case.incident = replace(case.incident, told=case.incident.told.union(sinks))
            world.agenda.enter(ESCALATE, name, now.tick)
            yield case.incident


def _event(world: World, names: Sequence[str], sinks: tuple[str, ...], due: frozenset[Kept], now: Moment) -> Event:
    """One digest, for those who have heard of none of the same."""
    found = [world.quiet.held[name] for name in names]
    ordered = sorted(found, key=lambda item: (item.incident not in world.cases, -_weight(world, item), item.since))
    items = [_item(world, item, now.at) for item in ordered]
    hours = {hours: None for item in found for kept in item.kept if kept in due for hours in kept[1:]}
    mine = {kept for item in found for kept in item.kept if kept in due}
    beyond = max((world.quiet.beyond[kept] for kept in mine), default=0)
    going_on = sum(name in world.cases for name in names)
    count = len(items) + beyond
    sentence = (
        f"{count} incident{'s' if count > 1 else ''} in quiet hours ({', '.join(hours)}): "
        f"{counted([item.impact.value for item in found])}"
        f"{f', {beyond} more' if beyond else ''}; {f'{going_on} still open' if going_on else 'all over'}. "
        f"First: {items[0].sentence.removeprefix(_STILL)}"
    )
    digest = Digest(
        at=now.at,
        sentence=sentence,
        vantage=world.plan.source.vantage,
        old=max((item.impact for item in found), key=_BADNESS.index).value,
        since=min(item.since for item in found),
        items=items,
        events=count,
        beyond=beyond,
    )
    return world.teller.digest(digest, {"hours": ", ".join(hours), "open": going_on}, (*sinks, *names), sinks)


def _weight(world: World, item: Held) -> int:
    case = world.cases.get(item.incident)
    return _BADNESS.index(case.incident.impact if case else item.impact)


def _item(world: World, item: Held, at: datetime) -> Item:
    case = world.cases.get(item.incident)
    if case is None:
        what = "down" if item.impact is Impact.OUTAGE else "degraded"
        lasted = was(item.who, what, item.since, item.ended or at, at, several=item.several)
        return Item(str(iso(item.since)), f"{lasted} It was {item.why}.", "operational", item.incident)
    given = world.handling.acknowledgement(item.incident)
    has = f" {given.by} has it." if given else ""
    sentence = f"{_STILL}{_sentence(world, case, at)}{has}"
    return Item(str(iso(item.since)), sentence, case.incident.impact.value, item.incident)


def _sentence(world: World, case: Case, at: datetime) -> str:
    """As an update of it would begin."""
    told = EventType.INCIDENT_UPDATED
    event = world.teller.incident(told, scene_of(world, case), case.incident.impact, at, to=())
    return str(event.body["sentence"])
