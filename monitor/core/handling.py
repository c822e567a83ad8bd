"""People take incidents on: they acknowledge them, put them off for a while, note what they know.

Functions over the world, as all that people ask for: by the command, the API, a signed link, or a vendor's webhook.
Each is told with the incident (``incident.updated``) and is a transition in the journal, so that a replay of the past
comes to the same. What was done ends with the incident.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from monitor.core import drill
from monitor.core.following import update
from monitor.core.handled import (
    LONGEST_BY,
    LONGEST_TEXT,
    MOST_REMARKS,
    Acknowledgement,
    Handled,
    Kind,
    Remark,
    Update,
    plain,
)
from monitor.core.incident import Case
from monitor.core.model import Change, Moment, State, Transition, Verdict, merged
from monitor.core.snapshot import read_instant
from monitor.core.wording import duration, iso

if TYPE_CHECKING:
    from monitor.core.world import World

KIND = "incident"
"""Of the transitions that keep what people did."""
SNOOZE = "snooze"
"""The kind of an item on the agenda: an incident that may have been put off for long enough."""
RECONSIDER = 60.0
"""Seconds after which a snooze is looked at again, though it is not over: the clock may have been set."""


def acknowledge(world: World, incident: str, by: str, now: Moment) -> Change | None:
    """Somebody has it: from now on nobody else is called for it, and nobody is reminded. None: no such incident is
    open, or it was acknowledged already, which stays so."""
    if incident in world.drills:
        return drill.acknowledge(world, incident, by, now)
    case, given = world.cases.get(incident), world.handling.acknowledgement(incident)
    if case is None or (given is not None and given.until is None):
        return None
    by = plain(by, LONGEST_BY)
    return _acknowledged(world, case, Acknowledgement(by, now.at, case.incident.impact), now)


def snooze(world: World, incident: str, until: datetime, by: str, now: Moment) -> Change | None:
    """Somebody puts it off: it is as if it were acknowledged until then, and told anew if it is still open. None: no
    such incident is open, or that time is over."""
    case = world.cases.get(incident)
    if case is None or until <= now.at:
        return None
    by = plain(by, LONGEST_BY)
    return _acknowledged(world, case, Acknowledgement(by, now.at, case.incident.impact, until), now)


def note(world: World, incident: str, text: str, by: str, now: Moment) -> Change | None:
    """Somebody tells the others something. None: no such incident is open, or there is no text."""
    case, by, text = world.cases.get(incident), plain(by, LONGEST_BY), plain(text, LONGEST_TEXT)
    if case is None or not text:
        return None
    handled = world.handling.of(incident)
    remarks = (*handled.remarks, Remark(by, now.at, text))[-MOST_REMARKS:]
    handled = replace(handled, remarks=remarks, acts=handled.acts + 1)
    return _done(world, case, handled, Update(Kind.NOTE, by, text), f"{by} notes: {_sentence(text)}", now)


def again(world: World, kept: Transition, now: Moment) -> Change | None:
    """Do what was done then to the incident that this service has now. Raises `UNREADABLE` where the journal does not
    know any more what it was."""
    status = world.services.get(str(kept.evidence["service"]))
    case = status.case if status is not None else None
    if case is None:
        return None
    incident, by = case.incident.id, str(kept.evidence["by"])
    if kept.new == Kind.NOTE:
        return note(world, incident, str(kept.evidence["text"]), by, now)
    until = read_instant(kept.evidence["until"])
    return acknowledge(world, incident, by, now) if until is None else snooze(world, incident, until, by, now)


def woken(world: World, incident: str, now: Moment) -> Change | None:
    """An incident was put off for long enough: it is told anew."""
    case, given = world.cases.get(incident), world.handling.acknowledgement(incident)
    if case is None or given is None or given.until is None:
        return None
    if given.until > now.at:
        _wait(world, incident, given.until, now)
        return None
    world.handling.lift(incident)
    asleep = duration(max(given.until - given.at, timedelta(0)))
    words = f"{given.by} put it off for {asleep}, which are over."
    return update(world, case, case.incident, now.at, words, Update(Kind.REMINDER, "", words))


def take_up(world: World, now: Moment) -> Change | None:
    """At the start: what was done about incidents that are not open any more is forgotten."""
    for incident in world.handling.incidents():
        if incident not in world.cases:
            world.handling.forget(incident)
        else:
            world.agenda.enter(SNOOZE, incident, now.tick)
    notes = world.handling.written()
    return Change(notes=notes) if notes else None


def _acknowledged(world: World, case: Case, given: Acknowledgement, now: Moment) -> Change:
    incident, handled = case.incident.id, world.handling.of(case.incident.id)
    handled = replace(handled, acknowledged=given, acts=handled.acts + 1)
    if given.until is None:
        return _done(world, case, handled, Update(Kind.ACKNOWLEDGED, given.by), f"{given.by} has it.", now)
    _wait(world, incident, given.until, now)
    until = f"until {given.until:%Y-%m-%d %H:%M} UTC"
    words = f"{given.by} puts it off {until}."
    return _done(world, case, handled, Update(Kind.SNOOZED, given.by, until), words, now)


def _done(world: World, case: Case, handled: Handled, what: Update, words: str, now: Moment) -> Change:
    world.calm.moment = now
    world.handling.keep(case.incident.id, handled)
    kept = _kept(case, handled, what, now)
    told = update(world, case, case.incident, now.at, words, what)
    return merged([Change(transitions=(kept,)), told]) or told


def _kept(case: Case, handled: Handled, what: Update, now: Moment) -> Transition:
    """Incidents have other ids when the past is judged again: so it is kept whose it was."""
    given = handled.acknowledged
    known = {
        "service": next(iter(case.services), case.incident.services[0]),
        "by": what.by,
        "text": what.text,
        "until": iso(given.until) if given and what.kind is Kind.SNOOZED else None,
    }
    verdict = Verdict(State.UNKNOWN, why=": ".join(filter(None, (what.by, what.text))))
    name = case.incident.id
    return Transition(KIND, name, handled.acts, now.at, now.at, "open", what.kind.value, verdict, known)


def _wait(world: World, incident: str, until: datetime, now: Moment) -> None:
    left = (until - now.at).total_seconds()
    world.agenda.enter(SNOOZE, incident, now.tick + min(left, RECONSIDER))


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
