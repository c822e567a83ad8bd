"""What is too old goes from the journal, in slices: whoever has something to commit waits for one of them at most."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from monitor.store._database import get_number, set_meta
from monitor.store.contract import Keep

AT_ONCE = 64
"""Rows looked at in a slice: some milliseconds, with bodies of a few KB."""

_LAST_DEAD = "SELECT died, id FROM outbox WHERE state = 'dead' ORDER BY died DESC, id DESC LIMIT 1 OFFSET ?"
_BURY = """
    DELETE FROM outbox WHERE id IN
        (SELECT id FROM outbox WHERE state = 'dead' AND (died, id) <= (?, ?) ORDER BY died, id LIMIT ?)"""
_OLD_EVENTS = "SELECT number FROM events WHERE number > ? ORDER BY number LIMIT ?"
_FORGET_EVENT = """
    DELETE FROM events WHERE number = ?1 AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.event = ?1)"""
_LAST_INCIDENT = """
    SELECT opened, id FROM incidents WHERE resolved IS NOT NULL ORDER BY opened DESC, id DESC LIMIT 1 OFFSET ?"""
_FORGET_INCIDENTS = """
    DELETE FROM incidents WHERE id IN (
        SELECT id FROM incidents WHERE resolved IS NOT NULL AND (opened, id) <= (?, ?)
        ORDER BY opened, id LIMIT ?)"""
_DROP_EVIDENCE = "UPDATE transitions SET evidence = ? WHERE number > ? AND number <= ?"
_DROPPED = "evidence_dropped"
"""In `meta`: up to which transition it is done, or each time would look at all of them."""


def prune(db: sqlite3.Connection, keep: Keep) -> Iterator[None]:
    """Once through all that is kept. Yields after each slice; the caller makes a transaction of each."""
    yield from _bury_dead(db, keep.dead)
    yield from _forget_events(db, keep.events)
    yield from _forget_incidents(db, keep.incidents)
    yield from _drop_evidence(db, keep.evidence)


def _bury_dead(db: sqlite3.Connection, newest: int) -> Iterator[None]:
    last = db.execute(_LAST_DEAD, (newest,)).fetchone()
    while last is not None and db.execute(_BURY, (*last, AT_ONCE)).rowcount:
        yield


def _forget_events(db: sqlite3.Connection, newest: int) -> Iterator[None]:
    """But not those that a sink has still to get; there may be many of them, so each is looked at once.

    To count is quick; to walk back over the newest ones would read 10,000 bodies.
    """
    [count] = db.execute("SELECT COUNT(*) FROM events").fetchone()
    done, left = 0, count - newest
    while left > 0:
        found = db.execute(_OLD_EVENTS, (done, min(left, AT_ONCE))).fetchall()
        db.executemany(_FORGET_EVENT, found)
        [done] = found[-1]
        left -= len(found)
        yield


def _forget_incidents(db: sqlite3.Connection, newest: int) -> Iterator[None]:
    last = db.execute(_LAST_INCIDENT, (newest,)).fetchone()
    while last is not None and db.execute(_FORGET_INCIDENTS, (*last, AT_ONCE)).rowcount:
        yield


def _drop_evidence(db: sqlite3.Connection, newest: int) -> Iterator[None]:
    """Of all but the newest transitions."""
    [last] = db.execute("SELECT MAX(number) FROM transitions").fetchone()
    last = last or 0
    done, end = get_number(db, _DROPPED), last - newest
    if done > last:
        done = 0  # it is of transitions that were lost
    while done < end:
        begin, done = done, min(done + AT_ONCE, end)
        db.execute(_DROP_EVIDENCE, (b"{}", begin, done))
        set_meta(db, _DROPPED, str(done))
        yield
