"""The outbox in SQL: leases, their end, and who is next in a stream. Called inside a transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from monitor.store._codec import from_micros, read_count, read_text, to_micros
from monitor.store.contract import Account, Backlog, DeadLetter, Delivery, Owed, Row, Standing

STATES = ("waiting", "leased", "dead")
_DELIVERY = "o.id, e.id, e.type, o.sink, o.stream, o.attempts, e.body, e.at"
_CLAIMABLE = """
    SELECT id FROM outbox WHERE sink = ? AND head = 1 AND due <= ?
    ORDER BY due, id LIMIT ?"""
_BEHIND = """
    SELECT id FROM outbox WHERE sink = ?1 AND stream = (SELECT stream FROM outbox WHERE id = ?2) AND state <> 'dead'
        AND id > ?2 ORDER BY id"""
_LEASE = "UPDATE outbox SET state = 'leased', attempts = attempts + 1, due = ?, epoch = ? WHERE id = ?"
_READ = f"SELECT {_DELIVERY} FROM outbox o JOIN events e ON e.number = o.event WHERE o.id = ?"  # noqa: S608
_OURS = """event = (SELECT number FROM events WHERE id = ?) AND sink = ?
    AND attempts = ? AND state = 'leased' AND epoch = ?"""
"""Each lease raises `attempts`, so (row, attempt, epoch) names one lease, and a late answer matches none. The row is
named by event and sink: one that was leased from memory has its number only since it is written down."""
_DELIVERED = f"DELETE FROM outbox WHERE {_OURS}"  # noqa: S608
_FAILED = f"UPDATE outbox SET state = 'waiting', due = ?, error = ? WHERE {_OURS}"  # noqa: S608
_GIVEN_UP = f"UPDATE outbox SET state = 'dead', head = 0, died = ?, error = ? WHERE {_OURS}"  # noqa: S608
_NEXT_IN_STREAM = """
    UPDATE outbox SET head = 1 WHERE id =
        (SELECT MIN(id) FROM outbox WHERE sink = ? AND stream = ? AND state <> 'dead')"""
_OWED = """
    SELECT e.id, e.type, o.stream FROM outbox o JOIN events e ON e.number = o.event
    WHERE o.sink = ?1 AND o.state <> 'dead' AND (e.at <= ?2 OR o.stream IN (SELECT value FROM json_each(?3)))
    ORDER BY o.id LIMIT ?4"""
_ALSO = """
    INSERT OR IGNORE INTO outbox (event, sink, stream, epoch, head)
    SELECT number, ?2, stream, ?3,
        NOT EXISTS (SELECT 1 FROM outbox WHERE sink = ?2 AND outbox.stream = events.stream AND state <> 'dead')
    FROM events WHERE id = ?1 AND NOT EXISTS (
        SELECT 1 FROM incidents, json_each(incidents.told) told WHERE incidents.id = stream AND told.value = ?2)"""
_SEND_AGAIN = """
    UPDATE outbox SET state = 'waiting', attempts = 0, due = 0, died = NULL, error = NULL
    WHERE event = (SELECT number FROM events WHERE id = ?) AND sink = ? AND state = 'dead'"""
_NEWEST = """
    INSERT OR IGNORE INTO outbox (event, sink, stream, epoch, head)
    SELECT MAX(number), ?2, stream, ?3, 0 FROM events WHERE stream = (SELECT stream FROM events WHERE id = ?1)"""
_WAITING = """
    SELECT w.sink, w.count, e.at FROM (
        SELECT sink, COUNT(*) AS count, MIN(id) AS first FROM outbox WHERE state <> 'dead' GROUP BY sink) w
    JOIN outbox o ON o.id = w.first JOIN events e ON e.number = o.event"""
"""Of an index alone, but for the first of each sink: it is asked all the time, and a sink may be away for days."""
_GIVEN_UP_BY_SINK = "SELECT sink, COUNT(*) FROM outbox WHERE state = 'dead' GROUP BY sink"
_UNFINISHED = f"""
    SELECT o.state, o.due, {_DELIVERY} FROM outbox o JOIN events e ON e.number = o.event
    WHERE o.state <> 'dead' AND o.id > ? ORDER BY o.id LIMIT ?"""  # noqa: S608
_WRITE_DOWN = """
    INSERT INTO outbox (event, sink, stream, epoch, head, state, attempts, due, error, died)
    SELECT number, ?2, ?3, ?4, 0, ?5, ?6, ?7, ?8, ?9 FROM events WHERE id = ?1
    ON CONFLICT (event, sink) DO UPDATE SET epoch = ?4, head = 0, state = ?5, attempts = ?6, due = ?7, error = ?8,
        died = ?9"""
_DONE = "DELETE FROM outbox WHERE event = (SELECT number FROM events WHERE id = ?) AND sink = ?"
_DEAD = f"""
    SELECT {_DELIVERY}, o.error, o.died FROM outbox o JOIN events e ON e.number = o.event
    WHERE o.state = 'dead' ORDER BY o.died DESC, o.id DESC LIMIT ?"""  # noqa: S608


def claim(
    db: sqlite3.Connection, epoch: int, sink: str, now: datetime, lease_until: datetime, limit: int, *, deep: bool
) -> list[Delivery]:
    ids = [row[0] for row in db.execute(_CLAIMABLE, (sink, to_micros(now), limit))]
    if deep:
        ids = [number for head in ids for number in (head, *(row[0] for row in db.execute(_BEHIND, (sink, head))))]
    db.executemany(_LEASE, [(to_micros(lease_until), epoch, number) for number in ids])
    return [_delivery(db.execute(_READ, (number,)).fetchone()) for number in ids]


def delivered(db: sqlite3.Connection, epoch: int, deliveries: Iterable[Delivery]) -> None:
    for delivery in deliveries:
        if db.execute(_DELIVERED, _lease(delivery, epoch)).rowcount:
            db.execute(_NEXT_IN_STREAM, (delivery.sink, delivery.stream))


def failed(
    db: sqlite3.Connection, epoch: int, deliveries: Iterable[Delivery], retry_at: datetime, error: str
) -> None:
    what = to_micros(retry_at), error
    db.executemany(_FAILED, ((*what, *_lease(delivery, epoch)) for delivery in deliveries))


def dead(db: sqlite3.Connection, epoch: int, deliveries: Iterable[Delivery], now: datetime, error: str) -> None:
    what = to_micros(now), error
    for delivery in deliveries:
        if db.execute(_GIVEN_UP, (*what, *_lease(delivery, epoch))).rowcount:
            db.execute(_NEXT_IN_STREAM, (delivery.sink, delivery.stream))


def hasten(db: sqlite3.Connection, sink: str, now: datetime) -> None:
    micros = to_micros(now)
    db.execute(
        "UPDATE outbox SET due = ? WHERE sink = ? AND head = 1 AND due > ? AND state = 'waiting'",
        (micros, sink, micros),
    )


def owed(db: sqlite3.Connection, sink: str, before: datetime, streams: Sequence[str], limit: int) -> list[Owed]:
    rows = db.execute(_OWED, (sink, to_micros(before), json.dumps(list(streams)), limit))
    return [Owed(read_text(event), read_text(kind), read_text(stream)) for event, kind, stream in rows]


def also(db: sqlite3.Connection, epoch: int, event_id: str, sink: str) -> None:
    db.execute(_ALSO, (event_id, sink, epoch))


def send_again(db: sqlite3.Connection, epoch: int, event_id: str, sink: str, *, present: bool) -> bool:
    if not db.execute(_SEND_AGAIN, (event_id, sink)).rowcount:
        return False
    if present:
        db.execute(_NEWEST, (event_id, sink, epoch))
    [stream] = db.execute("SELECT stream FROM events WHERE id = ?", (event_id,)).fetchone()
    # What is being sent stays where it is: who is next in the stream is told when that is settled.
    db.execute("UPDATE outbox SET head = 0 WHERE sink = ? AND stream = ? AND state = 'waiting'", (sink, stream))
    busy = "SELECT 1 FROM outbox WHERE sink = ? AND stream = ? AND state = 'leased' AND head = 1"
    if not db.execute(busy, (sink, stream)).fetchone():
        db.execute(_NEXT_IN_STREAM, (sink, stream))
    return True


def next_due(db: sqlite3.Connection, sink: str) -> datetime | None:
    due = db.execute("SELECT MIN(due) FROM outbox WHERE sink = ? AND head = 1", (sink,)).fetchone()[0]
    return None if due is None else from_micros(due)


def backlog(db: sqlite3.Connection) -> dict[str, Backlog]:
    given_up: dict[str, int] = dict(db.execute(_GIVEN_UP_BY_SINK).fetchall())
    found = {sink: Backlog(0, count, None) for sink, count in given_up.items()}
    for sink, count, first in db.execute(_WAITING):
        found[sink] = Backlog(count, given_up.get(sink, 0), from_micros(first))
    return found


def dead_letters(db: sqlite3.Connection, limit: int) -> list[DeadLetter]:
    rows = db.execute(_DEAD, (limit,))
    return [DeadLetter(_delivery(row[:-2]), read_text(row[-2]), from_micros(row[-1])) for row in rows]


def unfinished(db: sqlite3.Connection, after: int, limit: int) -> list[Row]:
    """Rows with a higher number than `after`, in the order in which they were queued."""
    rows = db.execute(_UNFINISHED, (after, limit))
    return [Row(_delivery(row[2:]), row[0] == "leased", from_micros(row[1])) for row in rows]


def write_down(db: sqlite3.Connection, epoch: int, accounts: Iterable[Account]) -> None:
    """What became of rows meanwhile. Their events are there already; those that are not were given up."""
    streams: dict[tuple[str, str], None] = {}
    for account in accounts:
        streams[account.sink, account.stream] = None
        if account.standing is Standing.DONE:
            db.execute(_DONE, (account.event_id, account.sink))
            continue
        dead, micros = account.standing is Standing.DEAD, to_micros(account.due) if account.due else 0
        times = (0, account.error, micros) if dead else (micros, account.error, None)
        what = (account.event_id, account.sink, account.stream, epoch, account.standing.value, account.attempts)
        db.execute(_WRITE_DOWN, (*what, *times))
    for stream in streams:
        db.execute("UPDATE outbox SET head = 0 WHERE sink = ? AND stream = ?", stream)
        db.execute(_NEXT_IN_STREAM, stream)


def _lease(delivery: Delivery, epoch: int) -> tuple[str, str, int, int]:
    return delivery.event_id, delivery.sink, delivery.attempt, epoch


def _delivery(row: tuple[Any, ...] | None) -> Delivery:
    """Raises `ValueError` for damage."""
    if row is None:
        raise ValueError("a row of the outbox has lost its event")
    number, event_id, event_type, sink, stream, attempt, body, at = row
    return Delivery(
        read_count(number), read_text(event_id), read_text(event_type), read_text(sink), read_text(stream),
        read_count(attempt), _bytes(body), from_micros(at),
    )  # fmt: skip


def _bytes(body: Any) -> bytes:
    if not isinstance(body, bytes):
        raise ValueError(f"{body!r:.40} is no body")  # noqa: TRY004  (damage of the file, not of the program)
    return body
