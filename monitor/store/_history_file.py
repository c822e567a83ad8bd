"""The file of the history: how it is opened, and put aside when it cannot be read.

A file of its own beside the journal: what happens to it never harms the journal, its many small writes never wait for
the journal's syncs nor the other way round, and it can be deleted without losing a state, an incident or an event.
"""

from __future__ import annotations

import os
import sqlite3
from datetime import timedelta
from pathlib import Path

from monitor.store._definitions import TABLE
from monitor.store._files import is_damage, is_no_file
from monitor.store.contract import StoreError

SCHEMA = 1

RAW, SHORT_POINTS, LONG_POINTS = "raw", "short", "long"
"""Kinds of chunks, and the tables of those that are complete. What is as old lies together in a table and goes at the
same time, so whole pages become free."""
PAGE = 1_024
"""Bytes of a page. Chunks have 1 to 9 KB: where a row is larger than a page, its further pages are full ones, and
with larger pages a third of the file was empty."""

_TABLES = """
CREATE TABLE series (
    number     INTEGER PRIMARY KEY,
    check_id   TEXT NOT NULL UNIQUE,
    held_state INTEGER,
    held_since INTEGER,
    held_until INTEGER
);
CREATE TABLE layouts (number INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
CREATE TABLE batches (
    number INTEGER PRIMARY KEY,
    bunch  INTEGER NOT NULL,
    first  INTEGER NOT NULL,
    last   INTEGER NOT NULL,
    looks  BLOB    NOT NULL
);
CREATE INDEX batches_bunch ON batches (bunch, first);
CREATE TABLE growing (
    number INTEGER PRIMARY KEY,
    kind   TEXT    NOT NULL,
    series INTEGER NOT NULL,
    first  INTEGER NOT NULL,
    last   INTEGER NOT NULL,
    layout INTEGER NOT NULL,
    body   BLOB    NOT NULL,
    UNIQUE (series, kind, first)
);
CREATE TABLE runs (number INTEGER PRIMARY KEY, began INTEGER NOT NULL, seen INTEGER NOT NULL);
""" + "".join(
    f"""
CREATE TABLE {kind} (
    number INTEGER PRIMARY KEY,
    series INTEGER NOT NULL,
    first  INTEGER NOT NULL,
    last   INTEGER NOT NULL,
    layout INTEGER NOT NULL,
    body   BLOB    NOT NULL
);
CREATE INDEX {kind}_series ON {kind} (series, first);
"""
    for kind in (RAW, SHORT_POINTS, LONG_POINTS)
)
# Looks of a check are found by its series; `bunch` is some checks that are written together. `growing` has the chunks
# that are not complete. `first` and `last` are UTC milliseconds since 1970. `held_*`: the state that goes on where
# the roll-ups end (core.rollup.Held). A row of `runs` is an agent's life: its first and its last sign of it.
_OURS = {"series", "layouts", "batches", "growing", "runs", RAW, SHORT_POINTS, LONG_POINTS}


class Unreadable(StoreError):
    """The file is no history, is damaged, or was written by a newer Brownout."""


def connect(path: Path, busy_timeout: timedelta) -> sqlite3.Connection:
    """Open the file, for us alone if it is new. Raises `Unreadable`, `StoreError`, `sqlite3.Error`."""
    if is_no_file(path):
        raise Unreadable(f"the history {path} is a pipe, a device or a directory")
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StoreError(f"cannot open the history {path}: {error.strerror}") from error
    db = sqlite3.connect(path, timeout=busy_timeout.total_seconds(), isolation_level=None)
    try:
        _prepare(db, path)
    except sqlite3.DatabaseError as error:
        db.close()
        if is_damage(error):
            raise Unreadable(f"the history {path} is damaged ({error})") from error
        raise
    except BaseException:
        db.close()
        raise
    return db


def must_be_a_history(db: sqlite3.Connection, path: Path) -> None:
    """Raises `Unreadable` for a database of something else, or of a newer version; one that has no tables yet is
    fine. Nothing is changed in it."""
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if tables and (version < 1 or not tables >= _OURS):
        raise Unreadable(f"{path} is no history, but a database of something else")
    if version > SCHEMA:
        raise Unreadable(f"{path} was written by a newer Brownout (schema {version}, this one knows {SCHEMA})")


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    must_be_a_history(db, path)
    db.execute(f"PRAGMA page_size = {PAGE}")
    db.execute("PRAGMA auto_vacuum = INCREMENTAL")  # only a new file heeds it
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("PRAGMA cache_size = -256")
    if db.execute("PRAGMA user_version").fetchone() == (0,):
        db.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {SCHEMA}; COMMIT;")
    db.execute(TABLE)
