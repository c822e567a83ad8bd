"""The journal in SQL: states, transitions, incidents, events. Plain functions, called inside a transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from typing import Any

from monitor.core.model import (
    Change,
    CheckRecord,
    Event,
    Impact,
    Incident,
    Journal,
    Note,
    ServiceRecord,
    ServiceState,
    State,
    Transition,
    Verdict,
)
from monitor.store._codec import (
    encode_body,
    from_micros,
    read_count,
    read_names,
    read_object,
    read_text,
    read_value,
    to_json,
    to_micros,
)
from monitor.store._database import get_meta, get_number, set_meta

_LONGEST_ORIGIN = 64
_NUMBERED = (("transitions", "number"), ("events", "number"), ("outbox", "id"))
_VERDICT = tuple(field.name for field in fields(Verdict))

# A record may be written twice and late (a commit is repeated when its outcome is unknown): it never goes back.
_SAVE_CHECK = """
    INSERT INTO checks (check_id, vantage, epoch, state, since, seq, snapshot) VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET epoch = excluded.epoch, state = excluded.state, since = excluded.since,
        seq = excluded.seq, snapshot = excluded.snapshot
    WHERE excluded.seq >= checks.seq"""
_SAVE_SERVICE = """
    INSERT INTO services (service, vantage, epoch, state, since, seq) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET epoch = excluded.epoch, state = excluded.state, since = excluded.since,
        seq = excluded.seq
    WHERE excluded.seq >= services.seq"""
INCIDENT_COLUMNS = (
    "id", "services", "root", "checks", "impact", "opened", "since", "updates", "resolved", "merged_into",
    "told", "why", "worst",
)  # fmt: skip
_SAVE_INCIDENT = """
    INSERT INTO incidents
        (id, services, root, checks, impact, opened, since, updates, resolved, merged_into, told, why, worst)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET services = excluded.services, root = excluded.root, checks = excluded.checks,
        impact = excluded.impact, opened = excluded.opened, since = excluded.since, updates = excluded.updates,
        resolved = excluded.resolved, merged_into = excluded.merged_into, told = excluded.told, why = excluded.why,
        worst = excluded.worst
    WHERE excluded.updates > incidents.updates OR (excluded.updates = incidents.updates
        AND (incidents.resolved IS NULL OR excluded.resolved IS NOT NULL))"""
_SAVE_NOTE = """
    INSERT INTO notes (name, vantage, epoch, value) VALUES (?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET epoch = excluded.epoch, value = excluded.value"""
_FORGET_NOTE = "DELETE FROM notes WHERE name = ? AND vantage = ?"
_ADD_TRANSITION = """
    INSERT OR IGNORE INTO transitions (vantage, kind, subject, seq, at, since, old, new, verdict, evidence)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_ADD_EVENT = "INSERT OR IGNORE INTO events (id, type, at, stream, body) VALUES (?, ?, ?, ?, ?)"
_SUPERSEDE = "DELETE FROM outbox WHERE sink = ? AND stream = ? AND state <> 'dead' AND attempts = 0"
_ENQUEUE = """
    INSERT OR IGNORE INTO outbox (event, sink, stream, epoch, head)
    SELECT ?1, ?2, ?3, ?4, NOT EXISTS (SELECT 1 FROM outbox WHERE sink = ?2 AND stream = ?3 AND state <> 'dead')"""


def take_over(db: sqlite3.Connection, vantage: str) -> Journal:
    """The next epoch, the end of all earlier leases, and what is known."""
    epoch = get_number(db, "epoch") + 1
    _check_numbers(db)
    set_meta(db, "epoch", str(epoch))
    _rename_vantage(db, vantage)
    db.execute("UPDATE outbox SET state = 'waiting', due = 0 WHERE state = 'leased'")
    return read_journal(db, vantage, epoch)


def _check_numbers(db: sqlite3.Connection) -> None:
    """Behind the largest number that SQLite has there is none for a new row. Raises `ValueError`."""
    for largest in (*(f"MAX({column}) FROM {table}" for table, column in _NUMBERED), "MAX(seq) FROM sqlite_sequence"):
        read_count(db.execute(f"SELECT {largest}").fetchone()[0] or 0)


def read_journal(db: sqlite3.Connection, vantage: str, epoch: int) -> Journal:
    """What is known. Raises `ValueError` where a value is none that we have written."""
    checks = db.execute("SELECT check_id, state, since, seq, snapshot FROM checks WHERE vantage = ?", (vantage,))
    services = db.execute("SELECT service, state, since, seq FROM services WHERE vantage = ?", (vantage,))
    return Journal(
        origin=read_origin(db),
        epoch=epoch,
        checks={row[0]: read_check(row) for row in checks},
        services={row[0]: read_service(row) for row in services},
        incidents=tuple(incidents(db, "WHERE resolved IS NULL ORDER BY opened, id")),
        notes=_read_notes(db, vantage),
    )


def _read_notes(db: sqlite3.Connection, vantage: str) -> dict[str, Any]:
    if not db.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'notes'").fetchone():
        return {}  # of an earlier version, on a disk that cannot be written
    rows = db.execute("SELECT name, value FROM notes WHERE vantage = ?", (vantage,))
    return {row[0]: read_note(row).value for row in rows}


def read_origin(db: sqlite3.Connection) -> str:
    """The journal's name, which ids of events are made of. Raises `ValueError`."""
    origin = get_meta(db, "origin") or ""
    if not (0 < len(origin) <= _LONGEST_ORIGIN and origin.isascii() and origin.isalnum()):
        raise ValueError(f"{origin!r:.40} is no name of a journal")
    return origin


def _rename_vantage(db: sqlite3.Connection, vantage: str) -> None:
    """A local journal has one agent: when its vantage gets a new name, its memory goes with it.

    Otherwise every `seq` would begin anew, and with it event ids that receivers have already seen.
    """
    before = get_meta(db, "vantage")
    if before == vantage:
        return
    set_meta(db, "vantage", vantage)
    if before is not None:
        for table in ("checks", "services", "transitions", "notes"):
            db.execute(f"UPDATE OR REPLACE {table} SET vantage = ? WHERE vantage = ?", (vantage, before))  # noqa: S608


def save_checks(db: sqlite3.Connection, records: Iterable[CheckRecord], vantage: str, epoch: int) -> None:
    db.executemany(
        _SAVE_CHECK,
        (
            (r.check, vantage, epoch, r.state.value, to_micros(r.since), r.seq, _snapshot(r))
            for r in records
        ),
    )  # fmt: skip


def write_changes(
    db: sqlite3.Connection, changes: Sequence[Change], supersedes: frozenset[str], vantage: str, epoch: int
) -> int:
    """All of them, in order; tells how many events are new."""
    save_checks(db, (record for change in changes for record in change.checks), vantage, epoch)
    services = (s for change in changes for s in change.services)
    db.executemany(
        _SAVE_SERVICE, ((s.service, vantage, epoch, s.state.value, to_micros(s.since), s.seq) for s in services)
    )
    transitions = (t for change in changes for t in change.transitions)
    db.executemany(_ADD_TRANSITION, (_transition_row(t, vantage) for t in transitions))
    db.executemany(_SAVE_INCIDENT, (_incident_row(i) for change in changes for i in change.incidents))
    _write_notes(db, [note for change in changes for note in change.notes], vantage, epoch)
    return sum(_add_event(db, event, supersedes, epoch) for change in changes for event in change.events)


def _write_notes(db: sqlite3.Connection, notes: Iterable[Note], vantage: str, epoch: int) -> None:
    for note in notes:
        if note.value is None:
            db.execute(_FORGET_NOTE, (note.name, vantage))
        else:
            db.execute(_SAVE_NOTE, (note.name, vantage, epoch, to_json(note.value, f"note {note.name}")))


def _add_event(db: sqlite3.Connection, event: Event, supersedes: frozenset[str], epoch: int) -> bool:
    row = (event.id, event.type.value, to_micros(event.at), event.stream, encode_body(event))
    cursor = db.execute(_ADD_EVENT, row)
    if cursor.rowcount == 0:
        return False  # known, and so are its outbox rows: some may have been delivered and removed since
    number = cursor.lastrowid
    for sink in event.sinks:
        if sink in supersedes:
            db.execute(_SUPERSEDE, (sink, event.stream))
        db.execute(_ENQUEUE, (number, sink, event.stream, epoch))
    return True


def incidents(db: sqlite3.Connection, which: str, values: Sequence[Any] = ()) -> Iterator[Incident]:
    """`which`: what follows the table in a query, with its `values`; read as they are taken. Raises `ValueError`."""
    known = {row[1] for row in db.execute("PRAGMA table_info(incidents)")}
    # A journal of an earlier version that is only read has no `worst`.
    columns = ", ".join(INCIDENT_COLUMNS if "worst" in known else (*INCIDENT_COLUMNS[:-1], "impact"))
    yield from map(read_incident, db.execute(f"SELECT {columns} FROM incidents {which}", values))  # noqa: S608


def newest_incidents(db: sqlite3.Connection, limit: int) -> list[Incident]:
    return list(incidents(db, "ORDER BY opened DESC, id DESC LIMIT ?", (limit,)))


def newest_bodies(db: sqlite3.Connection, limit: int) -> list[bytes]:
    return [row[0] for row in db.execute("SELECT body FROM events ORDER BY number DESC LIMIT ?", (limit,))]


def find_incident(db: sqlite3.Connection, identity: str) -> Incident | None:
    return next(incidents(db, "WHERE id = ?", (identity,)), None)


def bodies_of(db: sqlite3.Connection, stream: str, limit: int) -> list[bytes]:
    rows = db.execute("SELECT body FROM events WHERE stream = ? ORDER BY number LIMIT ?", (stream, limit))
    return [row[0] for row in rows]


def bodies_after(db: sqlite3.Connection, event: str, limit: int) -> list[bytes] | None:
    known = db.execute("SELECT number FROM events WHERE id = ?", (event,)).fetchone()
    if known is None:
        return None
    rows = db.execute("SELECT body FROM events WHERE number > ? ORDER BY number LIMIT ?", (known[0], limit))
    return [row[0] for row in rows]


def _snapshot(record: CheckRecord) -> bytes:
    return to_json(dict(record.snapshot), f"the memory of check {record.check}")


def _transition_row(t: Transition, vantage: str) -> tuple[Any, ...]:
    what = f"transition {t.seq} of {t.kind} {t.subject}"
    told = {name: getattr(t.verdict, name) for name in _VERDICT}  # asdict copies deeply
    verdict = to_json(told | {"was": t.was} if t.was else told, what)
    evidence = to_json(dict(t.evidence), what)
    return vantage, t.kind, t.subject, t.seq, to_micros(t.at), to_micros(t.since), t.old, t.new, verdict, evidence


def _incident_row(i: Incident) -> tuple[Any, ...]:
    resolved = None if i.resolved is None else to_micros(i.resolved)
    lists = [json.dumps(names) for names in (i.services, i.checks, sorted(i.told))]
    return (
        i.id, lists[0], i.root, lists[1], i.impact.value, to_micros(i.opened), to_micros(i.since), i.updates,
        resolved, i.merged_into, lists[2], i.why.encode("utf-8", "replace").decode(), i.worst.value,
    )  # fmt: skip


def read_incident(row: tuple[Any, ...]) -> Incident:
    """Of the columns in `INCIDENT_COLUMNS`. Raises `ValueError`."""
    identity, services, root, checks, impact, opened, since, updates, resolved, merged_into, told, why, worst = row
    return Incident(
        id=read_text(identity),
        services=read_names(services),
        root=read_text(root),
        checks=read_names(checks),
        impact=Impact(impact),
        opened=from_micros(opened),
        since=from_micros(since),
        updates=read_count(updates),
        resolved=None if resolved is None else from_micros(resolved),
        merged_into=None if merged_into is None else read_text(merged_into),
        told=frozenset(read_names(told)),
        why=read_text(why),
        worst=Impact(worst),
    )


def read_check(row: tuple[Any, ...]) -> CheckRecord:
    check, state, since, seq, snapshot = row
    return CheckRecord(read_text(check), State(state), from_micros(since), read_count(seq), read_object(snapshot))


def read_service(row: tuple[Any, ...]) -> ServiceRecord:
    service, state, since, seq = row
    return ServiceRecord(read_text(service), ServiceState(state), from_micros(since), read_count(seq))


def read_note(row: tuple[Any, ...]) -> Note:
    name, value = row
    return Note(read_text(name), read_value(value))
