"""Transitions in SQL, for those who read the past: pages of them, and the states that they make. Never writes."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from monitor.core.history import SPANS_LIMIT, Past, Span
from monitor.core.model import Incident, State, Transition, Verdict
from monitor.core.ribbon import spans
from monitor.store._codec import from_micros, to_micros
from monitor.store._journal import INCIDENT_COLUMNS, read_incident
from probes.contract import Reason

_VERDICT = tuple(field.name for field in fields(Verdict))
_COLUMNS = "number, kind, subject, seq, at, since, old, new, verdict, evidence"
_FILTERS = {
    "kind": "kind = ?",
    "subject": "subject = ?",
    "since": "at >= ?",
    "until": "at < ?",
    "before": "number < ?",
}
_BACKWARDS = f"""
    SELECT {_COLUMNS} FROM transitions WHERE vantage = ? AND kind = ? AND subject = ? AND at < ?
    ORDER BY seq DESC LIMIT ?"""  # noqa: S608
# The table is kept for ever, and its only index is (vantage, kind, subject, seq): who asks for a subject has to name
# the vantage and to take the subject's own order, or every row of the table is read for a check that is quiet.


def transitions(db: sqlite3.Connection, vantage: str, limit: int, **asked: str | int | datetime | None) -> list[Past]:
    """The newest first; `asked` are filters by the names in `_FILTERS`."""
    given = {name: value for name, value in asked.items() if value is not None}
    where = " AND ".join(["vantage = ?", *(_FILTERS[name] for name in given)])
    values = [to_micros(value) if isinstance(value, datetime) else value for value in given.values()]
    order = "seq" if "subject" in given else "number"
    query = f"SELECT {_COLUMNS} FROM transitions WHERE {where} ORDER BY {order} DESC LIMIT ?"  # noqa: S608
    return [_past(row) for row in db.execute(query, (vantage, *values, limit))]


def each_transition(db: sqlite3.Connection, since: datetime, until: datetime) -> Iterator[Transition]:
    """Oldest first, read as they are taken."""
    query = f"SELECT {_COLUMNS} FROM transitions WHERE at >= ? AND at < ? ORDER BY number"  # noqa: S608
    for row in db.execute(query, (to_micros(since), to_micros(until))):
        yield _past(row).transition


def each_event(db: sqlite3.Connection, since: datetime, until: datetime) -> Iterator[bytes]:
    """The bodies, oldest first."""
    query = "SELECT body FROM events WHERE at >= ? AND at < ? ORDER BY number"
    for (body,) in db.execute(query, (to_micros(since), to_micros(until))):
        yield body


def each_incident(db: sqlite3.Connection, since: datetime, until: datetime) -> Iterator[Incident]:
    """Those that were open at some time in that span, oldest first."""
    query = f"""
        SELECT {", ".join(INCIDENT_COLUMNS)} FROM incidents WHERE opened < ? AND (resolved IS NULL OR resolved >= ?)
        ORDER BY opened, id"""  # noqa: S608
    for row in db.execute(query, (to_micros(until), to_micros(since))):
        yield read_incident(row)


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
    for row in db.execute(_BACKWARDS, (vantage, *key, to_micros(until), SPANS_LIMIT)):
        found.append(_past(row).transition)
        if found[-1].at <= since:
            break
    return spans(reversed(found), since, until, absences)


def _past(row: tuple[Any, ...]) -> Past:
    number, kind, subject, seq, at, since, old, new, verdict, evidence = row
    transition = Transition(
        kind, subject, seq, from_micros(at), from_micros(since), old, new, _verdict(json.loads(verdict)),
        json.loads(evidence),
    )  # fmt: skip
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
