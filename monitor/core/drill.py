"""A drill: an incident that is none, told through the live path like one, and marked as a drill everywhere.

It opens, the steps of its escalations are taken, and it resolves; whoever was told is told of its end, after a
restart too. It is no incident of the journal, and touches no state and no uptime: all that is kept of it is a note
while it lasts. Where the steps take longer than the drill, all waits are shortened alike, so that the last is taken.

Functions over the world; it calls `due` when something is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from monitor.core.calm import when
from monitor.core.handled import CHANGED, LONGEST_BY, Kind, Update, plain
from monitor.core.identity import drill_id
from monitor.core.model import (
    Change,
    Event,
    EventType,
    Impact,
    Incident,
    Moment,
    Note,
    OutageRule,
    Service,
    ServiceState,
)
from monitor.core.roster import resolved
from monitor.core.scene import Scene
from monitor.core.service import ServiceStatus
from monitor.core.snapshot import read_count, read_notes, read_seconds
from monitor.core.wording import cut, duration, seconds

if TYPE_CHECKING:
    from monitor.core.world import World

AGENDA: Final = "drill"
PREFIX: Final = "drill:"
"""Of the names of notes; what follows is the drill's id."""
MARK: Final = "[DRILL] "
LONGEST: Final = 3600.0
"""Seconds."""
MOST: Final = 5
"""Drills at one time."""
_LAST_STEP: Final = 0.8
"""The part of a drill within which its last step is taken at the latest."""


@dataclass(frozen=True, slots=True)
class Drill:
    """One that goes on. `ends`: Unix time. `only`: the sinks that it is for; empty: those that the routes say."""

    incident: Incident
    ends: float
    by: str = ""
    only: tuple[str, ...] = ()
    pace: float = 1.0
    """What an escalation's waits are multiplied with: 1, or less where they would outlast the drill."""
    done: int = 0
    """Steps of escalations that were taken, of all policies."""
    acknowledged: bool = False

    def as_json(self) -> dict[str, Any]:
        incident = self.incident
        return {
            "service": incident.services[0],
            "impact": incident.impact.value,
            "opened": incident.opened.timestamp(),
            "ends": self.ends,
            "by": self.by,
            "only": list(self.only),
            "pace": self.pace,
            "done": self.done,
            "acknowledged": self.acknowledged,
            "updates": incident.updates,
            "told": sorted(incident.told),
        }


def begin(
    world: World, service: str, impact: Impact, lasts: float, now: Moment, by: str = "", only: tuple[str, ...] = ()
) -> tuple[Drill, Change]:
    """Open one that lasts so many seconds. Raises `ValueError` for people."""
    if service not in world.plan.services:
        raise ValueError("no service has this name")
    if not 0 < lasts <= LONGEST:
        raise ValueError(f"it must last more than 0 s, and at most {seconds(LONGEST)}")
    if len(world.drills) >= MOST:
        raise ValueError(f"{MOST} drills go on already: wait for their ends")
    if strangers := sorted(set(only) - world.plan.sinks):
        raise ValueError(f"no sink is called {strangers[0]}")
    at = now.at.timestamp()
    name = drill_id(world.origin, service, impact.value, at, len(world.drills))
    drill = Drill(_incident(world, name, service, impact, at), at + lasts, cut(by), only)
    last = max((after for after, _ in _steps(world, drill)), default=0.0)
    drill = replace(drill, pace=min(1.0, _LAST_STEP * lasts / last) if last else 1.0)
    title, what = world.plan.services[service].title, "an outage" if impact is Impact.OUTAGE else "a degradation"
    whose = f" by {drill.by}" if drill.by else ""
    sentence = f"{title} plays {what}{whose}: nothing is wrong, see that this arrives."
    if drill.pace < 1:
        sentence += f" The waits of the escalation are {1 / drill.pace:.3g} times as short as in earnest."
    return _told(world, drill, EventType.INCIDENT_OPENED, sentence, now)


def due(world: World, name: str, now: Moment) -> Change | None:
    """Its next steps, or its end."""
    drill = world.drills.get(name)
    if drill is None:
        return None
    passed = now.at.timestamp() - drill.incident.opened.timestamp()
    if passed >= drill.ends - drill.incident.opened.timestamp() or passed < 0:
        return _over(world, drill, now)
    steps = sorted(_steps(world, drill))
    ready = [to for after, to in steps[drill.done :] if after * drill.pace <= passed]
    if drill.acknowledged or not ready:
        _wait(world, drill, now)
        return None
    targets = tuple(dict.fromkeys(target for to in ready for target in to))
    words = f"Nobody has acknowledged it: {' and '.join(targets)} {'is' if len(targets) == 1 else 'are'} told."
    sinks = resolved(world.plan.roster, targets, now.at)
    drill = replace(drill, done=drill.done + len(ready))
    return _updated(world, drill, Update(Kind.ESCALATED, "", words), words, now, sinks)


def acknowledge(world: World, name: str, by: str, now: Moment) -> Change | None:
    """Somebody has it: no further step is taken. None: there is no such drill, or somebody had it before."""
    drill, by = world.drills.get(name), plain(by, LONGEST_BY)
    if drill is None or drill.acknowledged:
        return None
    drill, what = replace(drill, acknowledged=True), Update(Kind.ACKNOWLEDGED, by)
    return _updated(world, drill, what, f"{by} has it.", now, tuple(sorted(drill.incident.told)))


def acted(world: World, name: str, what: Update, now: Moment) -> Change | None:
    """An action would be taken. None: the drill is over."""
    drill = world.drills.get(name)
    if drill is None:
        return None
    return _updated(world, drill, what, what.text, now, tuple(sorted(drill.incident.told)))


def notes(world: World) -> tuple[Note, ...]:
    """Those of all that go on."""
    return tuple(map(_note, world.drills.values()))


def _over(world: World, drill: Drill, now: Moment) -> Change:
    """Whoever was told is told that it is over."""
    name, title = drill.incident.id, _service(world, drill.incident.services[0]).title
    del world.drills[name]
    world.agenda.drop(AGENDA, name)
    ended = max(now.at, drill.incident.opened)
    drill = replace(drill, incident=replace(drill.incident, resolved=ended, updates=drill.incident.updates + 1))
    sentence = f"The drill of {title} is over after {duration(drill.incident.lasted(ended))}."
    event = _event(world, drill, EventType.INCIDENT_RESOLVED, now, sentence)
    return Change(events=(event,), notes=(Note(PREFIX + name, None),))


def _updated(world: World, drill: Drill, what: Update, words: str, now: Moment, sinks: tuple[str, ...]) -> Change:
    title = _service(world, drill.incident.services[0]).title
    drill = replace(drill, incident=replace(drill.incident, updates=drill.incident.updates + 1))
    return _told(world, drill, EventType.INCIDENT_UPDATED, f"{title}: {words}", now, what, sinks)[1]


def _told(
    world: World,
    drill: Drill,
    told: EventType,
    sentence: str,
    now: Moment,
    what: Update = CHANGED,
    to: tuple[str, ...] | None = None,
) -> tuple[Drill, Change]:
    event = _event(world, drill, told, now, sentence, what, to)
    drill = replace(drill, incident=replace(drill.incident, told=drill.incident.told.union(event.sinks)))
    world.drills[drill.incident.id] = drill
    _wait(world, drill, now)
    return drill, Change(events=(event,), notes=(_note(drill),))


def _wait(world: World, drill: Drill, now: Moment) -> None:
    """For its next step, or its end."""
    opened, at = drill.incident.opened.timestamp(), now.at.timestamp()
    steps = [] if drill.acknowledged else sorted(_steps(world, drill))[drill.done :]
    next_step = min((opened + after * drill.pace for after, _ in steps), default=drill.ends)
    left = min(max(min(next_step, drill.ends) - at, 0.0), LONGEST)
    world.agenda.enter(AGENDA, drill.incident.id, now.tick + left)


def _steps(world: World, drill: Drill) -> Iterator[tuple[float, tuple[str, ...]]]:
    """Of all policies that such an incident has: after how many seconds who is told."""
    for policy in world.teller.policies(_scene(world, drill), drill.incident.opened):
        for step in policy.steps:
            yield step.after.total_seconds(), step.to


def _note(drill: Drill) -> Note:
    return Note(PREFIX + drill.incident.id, drill.as_json())


def resume(world: World, notes: Mapping[str, Any], now: Moment) -> list[str]:
    """Take up those that went on when the agent stopped. The notes of which nobody can tell what they are (another
    version wrote them) come back: such a drill goes on no more."""
    found, unreadable = read_notes(notes, PREFIX, lambda name, value: _read(world, name, value))
    world.drills |= found
    for name in found:
        world.agenda.enter(AGENDA, name, now.tick)
    return unreadable


def _read(world: World, name: str, value: Any) -> Drill:
    """Raises one of `UNREADABLE` for what nobody has written."""
    impact, service = Impact(value["impact"]), str(value["service"])
    opened, ends = read_seconds(value["opened"]), read_seconds(value["ends"])
    if not 0 < ends - opened <= LONGEST + 1:  # a sum is rounded
        raise ValueError("no drill lasts so long")
    incident = replace(
        _incident(world, name, service, impact, opened),
        told=frozenset(str(sink) for sink in value["told"]),
        updates=read_count(value["updates"]),
    )
    return Drill(
        incident,
        ends,
        by=str(value["by"]),
        only=tuple(str(sink) for sink in value["only"]),
        pace=read_seconds(value["pace"]),
        done=read_count(value["done"]),
        acknowledged=value["acknowledged"] is True,
    )


def _incident(world: World, name: str, service: str, impact: Impact, opened: float) -> Incident:
    at, known = when(opened), _service(world, service)
    root = (*known.outage.checks, *known.checks, service)[0]
    return Incident(name, (service,), root, known.checks, impact, at, at, why="a drill")


def _service(world: World, name: str) -> Service:
    """One that has gone from the configuration meanwhile has its name left."""
    return world.plan.services.get(name) or Service(name, name, (), OutageRule(1, ()))


def _scene(world: World, drill: Drill) -> Scene:
    incident = drill.incident
    state = ServiceState(incident.impact.value) if incident.resolved is None else ServiceState.OPERATIONAL
    service = _service(world, incident.services[0])
    members = {name: world.judges[name] for name in service.checks if name in world.judges}
    return Scene(incident, (ServiceStatus(service, state, incident.since),), members)


def _event(
    world: World,
    drill: Drill,
    told: EventType,
    now: Moment,
    sentence: str,
    what: Update = CHANGED,
    to: tuple[str, ...] | None = None,
) -> Event:
    incident = drill.incident
    old = None if told is EventType.INCIDENT_OPENED else incident.impact
    event = world.teller.incident(told, _scene(world, drill), old, now.at, update=what, to=to)
    body = {**event.body, "sentence": cut(MARK + sentence), "drill": True, "why": "a drill", "evidence": {}}
    for part in ("check", "blame", "advice", "threshold"):
        body.pop(part, None)  # nothing is wrong with any
    sinks = event.sinks
    if drill.only:
        first = told is EventType.INCIDENT_OPENED
        sinks = drill.only if first else tuple(name for name in sinks if name in drill.only)
    return replace(event, body=body | {"reason": None}, sinks=sinks)
