"""What is done about an incident by itself, by a person's rule; and the brakes that hold it.

Deciding is here: which action an event sets off, and whether a brake holds it. That it began is noted before it
begins, so that it begins at most once, whatever happens to the agent. Doing it is `monitor.actions`'.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from monitor.core import drill
from monitor.core.following import update
from monitor.core.handled import LONGEST_TEXT, Kind, Update, plain
from monitor.core.identity import run_id
from monitor.core.model import Change, EventType, Impact, Moment, Note, merged
from monitor.core.ruling import Rule, Trigger
from monitor.core.snapshot import UNREADABLE, read_given_instant
from monitor.core.telling import facts_about
from monitor.core.wording import duration, iso

if TYPE_CHECKING:
    from monitor.core.world import World

PREFIX: Final = "action:"
"""The beginning of the names of notes; what follows is an action's name."""
STOPPED: Final = "actions-stopped"
"""The note that all are stopped."""
KEPT: Final = 100
"""Runs that are remembered of each action, and as many that were held; those taken for open incidents always are."""


class Fate(StrEnum):
    """What became of a run."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    DRY = "dry"
    """It would have been done."""
    HELD = "held"
    """A brake held it."""
    LOST = "lost"
    """The agent ended while it ran."""


_TRIGGERS: Final = {
    EventType.INCIDENT_OPENED.value: Trigger.OPENED,
    EventType.INCIDENT_UPDATED.value: Trigger.UPDATED,
    EventType.INCIDENT_RESOLVED.value: Trigger.RESOLVED,
}


@dataclass(frozen=True, slots=True)
class Run:
    """One that was taken, would have been, or was held (then `text` is why)."""

    id: str
    action: str
    incident: str
    trigger: Trigger
    at: datetime
    dry: bool
    fate: Fate
    text: str = ""

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "action": self.action,
            "incident": self.incident,
            "on": self.trigger.value,
            "at": iso(self.at),
            "dry_run": self.dry,
            "fate": self.fate.value,
            "text": self.text,
        }


@dataclass(frozen=True, slots=True)
class Stop:
    """Who has stopped them all, and when."""

    by: str
    at: datetime


@dataclass(slots=True)
class Actions:
    """Part of the world: the runs of each action, the oldest first."""

    runs: dict[str, tuple[Run, ...]] = field(default_factory=dict)
    stopped: Stop | None = None
    unreadable: tuple[str, ...] = ()

    @classmethod
    def of(cls, notes: Mapping[str, Any]) -> Actions:
        """What the journal has. A stop that cannot be read is one."""
        made = cls()
        for name, value in notes.items():
            try:
                if name == STOPPED:
                    made.stopped = Stop("somebody", datetime.fromtimestamp(0, UTC))
                    made.stopped = Stop(str(value["by"]), read_given_instant(value["at"]))
                elif name.startswith(PREFIX):
                    made.runs[name.removeprefix(PREFIX)] = tuple(map(_read, value))
            except UNREADABLE:
                made.unreadable += (name,) if name != STOPPED else ()
        return made

    def notes(self) -> Iterator[Note]:
        """All that is remembered: for a journal that has lost it."""
        yield from (_note(name, runs) for name, runs in self.runs.items())
        if self.stopped is not None:
            yield _stop_note(self.stopped)


def begin(world: World, body: Mapping[str, Any], now: Moment) -> tuple[tuple[Run, ...], Change | None]:
    """After an event (its body): the runs that are to begin, once the change is in the journal, and the change."""
    trigger = _TRIGGERS.get(str(body.get("type")))
    if trigger is None or body.get("update", {}).get("kind", "changed") != "changed":
        return (), None
    facts = _facts(world, body)
    drilled = bool(body.get("drill"))
    begun: list[Run] = []
    changes: list[Change | None] = []
    for name, rule in world.plan.actions.items():
        if trigger not in rule.on or not rule.when.matches(facts):
            continue
        known = world.actions.runs.get(name, ())
        run = _run(world, name, body["incident"]["id"], trigger, now, dry=rule.dry_run or drilled)
        alike = [item for item in known if item.dry is run.dry and item.fate is not Fate.HELD and not drilled]
        if rule.once and any(item.incident == run.incident for item in alike):
            continue
        why = _brake(world, rule, alike, body, now)
        if why:
            run = replace(run, fate=Fate.HELD, text=why)
            if any(item.incident == run.incident and item.fate is Fate.HELD for item in known):
                continue  # it was told; what holds it is no news each time
            changes.append(told(world, run, f"The action {name} is held: {why}.", now))
        else:
            begun.append(run)
        if not drilled:
            changes.append(_keep(world, name, (*known, run)))
    return tuple(begun), merged(changes)


def finish(world: World, run: Run, fate: Fate, text: str, now: Moment) -> Change | None:
    """What became of a run; `text` in a few words."""
    run = replace(run, fate=fate, text=plain(text, LONGEST_TEXT))
    known = world.actions.runs.get(run.action, ())
    kept = None
    if any(item.id == run.id for item in known):
        kept = _keep(world, run.action, tuple(run if item.id == run.id else item for item in known))
    dry = "would be taken" if run.fate is Fate.DRY else "was taken" if run.fate is Fate.DONE else "has failed"
    return merged([kept, told(world, run, f"The action {run.action} {dry}: {run.text}.", now)])


def told(world: World, run: Run, words: str, now: Moment) -> Change | None:
    """Recorded in its incident, if that is still open: nobody is told of one again that has ended."""
    what = Update(Kind.ACTION, run.action, words)
    if run.incident in world.drills:
        return drill.acted(world, run.incident, what, now)
    case = world.cases.get(run.incident)
    if case is None:
        return None
    world.calm.moment = now
    return update(world, case, case.incident, now.at, words, what)


def stop(world: World, by: str, now: Moment) -> Change | None:
    """No action is taken any more, until `resume`. None: they are stopped already."""
    if world.actions.stopped is not None:
        return None
    world.actions.stopped = Stop(by, now.at)
    return Change(notes=(_stop_note(world.actions.stopped),))


def resume(world: World) -> Change | None:
    """They are taken again, for what happens from now on. None: they were not stopped."""
    if world.actions.stopped is None:
        return None
    world.actions.stopped = None
    return Change(notes=(Note(STOPPED, None),))


def take_up(world: World, now: Moment) -> Change | None:
    """At the start: what ran when the agent ended is not begun again."""
    changes: list[Change | None] = []
    for name, runs in list(world.actions.runs.items()):
        for run in runs:
            if run.fate is Fate.RUNNING:
                text = "the agent ended meanwhile, and what became of it is not known; it is not taken again"
                changes.append(finish(world, run, Fate.LOST, text, now))
        if name not in world.plan.actions and not any(run.incident in world.cases for run in runs):
            del world.actions.runs[name]
            changes.append(Change(notes=(Note(PREFIX + name, None),)))
    return merged(changes)


def _brake(world: World, rule: Rule, alike: Sequence[Run], body: Mapping[str, Any], now: Moment) -> str:
    """Why it is not taken now; empty: nothing holds it. A clock that was set back holds it, too."""
    actions, checks = world.actions, body["incident"]["checks"]
    if not world.plan.acts:
        return "agent.actions is off"
    if actions.stopped is not None:
        return f"{actions.stopped.by} has stopped all actions"
    if checks and all(name in world.calm.covered for name in checks) and not body.get("drill"):
        return "all that it is about is in maintenance"
    if any(item.fate is Fate.RUNNING for item in alike):
        return "it still runs for another incident"
    if alike and now.at - alike[-1].at < rule.cool_down:
        return f"it was taken less than {duration(rule.cool_down)} ago"
    if sum(now.at - item.at < rule.per for item in alike) >= rule.at_most:
        return f"it was taken {rule.at_most} times within {duration(rule.per)}, which is the most"
    return ""


def _facts(world: World, body: Mapping[str, Any]) -> Mapping[str, Sequence[str]]:
    """What a `when:` can ask about the incident of an event."""
    incident, plan = body["incident"], world.plan
    services = [plan.services[name] for name in incident["services"] if name in plan.services]
    checks = [plan.checks[name] for name in incident["checks"] if name in plan.checks]
    state = body["service"]["state"]
    facts = facts_about(EventType(body["type"]), services, checks, Impact(incident["impact"]), state)
    return {**facts, "service": tuple(incident["services"])}


def _run(world: World, name: str, incident: str, trigger: Trigger, now: Moment, *, dry: bool) -> Run:
    key = run_id(world.origin, name, incident, now.at.timestamp(), len(world.actions.runs.get(name, ())))
    return Run(key, name, incident, trigger, now.at, dry, Fate.RUNNING)


def _keep(world: World, name: str, runs: tuple[Run, ...]) -> Change:
    held = [item.id for item in runs if item.fate is Fate.HELD][-KEPT:]
    others = [item.id for item in runs if item.fate is not Fate.HELD][-KEPT:]
    wanted = {*held, *others}
    taken = (item for item in runs if item.fate is not Fate.HELD and item.incident in world.cases)
    wanted.update(item.id for item in taken)  # brakes bound these; what is held would be all of a storm, each time
    runs = tuple(item for item in runs if item.id in wanted)
    world.actions.runs[name] = runs
    return Change(notes=(_note(name, runs),))


def _note(name: str, runs: Sequence[Run]) -> Note:
    return Note(PREFIX + name, [item.as_json() | {"at": item.at.isoformat()} for item in runs])


def _stop_note(stopped: Stop) -> Note:
    return Note(STOPPED, {"by": stopped.by, "at": stopped.at.isoformat()})


def _read(value: Any) -> Run:
    texts = (value["id"], value["action"], value["incident"], value["text"])
    name, action, incident, text = map(str, texts)
    at, dry = read_given_instant(value["at"]), value["dry_run"] is True
    return Run(name, action, incident, Trigger(value["on"]), at, dry, Fate(value["fate"]), text)
