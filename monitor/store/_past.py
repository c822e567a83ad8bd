"""Transitions in SQL, for those who read the past: pages of them, and the states that they make. Never writes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import fields
from datetime import datetime
from itertools import islice
from typing import Any

from monitor.core.history import SPANS_LIMIT, Past, Span
from monitor.core.model import Incident, State, Transition, Verdict
from monitor.core.ribbon import spans
from monitor.store._codec import from_micros, read_count, read_object, read_text, to_micros
from monitor.store._journal import incidents
from probes.contract import Reason

_VERDICT = tuple(field.name for field in fields(Verdict))
_COLUMNS = "number, kind, subject, seq, at, since, old, new, verdict, evidence"
_BACKWARDS = f"""
    SELECT {_COLUMNS} FROM transitions WHERE vantage = ? AND kind = ? AND subject = ? AND number < ?
        AND ((number < ? AND at < ?) OR instr(verdict, ?))
    ORDER BY seq DESC"""  # noqa: S608
# The table is kept for ever, and its only index is (vantage, kind, subject, seq): who asks for a subject has to name
# the vantage and to take the subject's own order, or every row of the table is read for a check that is quiet.
_NAMED = b'"was":'
"""Within the verdict of a transition that ties a former name, and of no other: in a text the quotes are escaped."""
_NEVER = 2**63 - 1


def backwards(
    db: sqlite3.Connection, vantage: str, key: tuple[str, str], until: datetime | None, before: int | None = None
) -> Iterator[Past]:
    """What happened to a subject, told as (kind, subject), before `until`; newest first, read as it is taken. Where
    it had another name, what happened under that follows."""
    kind, subject = key
    last, end = _NEVER if before is None else before, _NEVER if until is None else to_micros(until)
    below, former = _NEVER, subject
    while former:
        subject, former = former, ""
        for row in db.execute(_BACKWARDS, (vantage, kind, subject, below, last, end, _NAMED)):
            past = _past(row)
            if past.number < last and row[4] < end:
                yield past
            if past.transition.was:
                below, former = past.number, past.transition.was
                break


def transitions(
    db: sqlite3.Connection, vantage: str, key: tuple[str, str], limit: int, before: int | None = None
) -> list[Past]:
    """The newest first."""
    return list(islice(backwards(db, vantage, key, None, before), limit))


def each_transition(db: sqlite3.Connection, since: datetime, until: datetime) -> Iterator[Transition]:
    """Oldest first, read as they are taken."""
    query = f"SELECT {_COLUMNS} FROM transitions WHERE at >= ? AND at < ? ORDER BY number"  # noqa: S608
    for row in db.execute(query, (to_micros(since), to_micros(until))):
        yield _past(row).transition


def each_of(
    db: sqlite3.Connection, vantage: str, checks: Sequence[str], since: datetime, until: datetime
) -> Iterator[Transition]:
    """Those of some checks, with what happened to each under its former ids; oldest first."""
    found = (past for check in checks for past in backwards(db, vantage, ("check", check), until))
    for past in sorted((past for past in found if past.transition.at >= since), key=lambda past: past.number):
        yield past.transition


def each_event(db: sqlite3.Connection, since: datetime, until: datetime) -> Iterator[bytes]:
    """The bodies, oldest first."""
    query = "SELECT body FROM events WHERE at >= ? AND at < ? ORDER BY number"
    for (body,) in db.execute(query, (to_micros(since), to_micros(until))):
        yield body


def each_incident(db: sqlite3.Connection, since: datetime, until: datetime) -> Iterator[Incident]:
    """Those that were open at some time in that span, oldest first."""
    which = "WHERE opened < ? AND (resolved IS NULL OR resolved >= ?) ORDER BY opened, id"
    return incidents(db, which, (to_micros(until), to_micros(since)))


def states(
    db: sqlite3.Connection,
    vantage: str,
    key: tuple[str, str],
    since: datetime,
    until: datetime,
    absences: Sequence[tuple[datetime, datetime]],
) -> list[Span]:
    """The states of a subject, told as (kind, subject)."""
    found: list[Transition] = []
    for past in islice(backwards(db, vantage, key, until), SPANS_LIMIT):
        found.append(past.transition)
        if found[-1].at <= since:
            break
    return spans(reversed(found), since, until, absences)


def _past(row: tuple[Any, ...]) -> Past:
    """Raises `ValueError` for damage."""
    number, kind, subject, seq, at, since, old, new, verdict, evidence = row
    told = read_object(verdict)
    try:
        transition = Transition(
            kind, subject, read_count(seq), from_micros(at), from_micros(since), old, new, _verdict(told),
            read_object(evidence), read_text(told.get("was", "")),
        )  # fmt: skip
    except KeyError as error:
        raise ValueError(f"transition {number} has no {error}") from error
    return Past(number, transition)


def _verdict(told: dict[str, Any]) -> Verdict:
    known = {name: told.get(name) for name in _VERDICT}
    return Verdict(**known | {"state": State(told["state"]), "reason": _reason(told["reason"])})  # type: ignore[arg-type]


def _reason(word: str | None) -> Reason | None:
    """None also for a word of another version."""
    try:
        return Reason(word) if word is not None else None
    except ValueError:
        return None
