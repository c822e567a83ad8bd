"""The SQLite connection: how it is opened, migrated and written, and what its errors mean to a person."""

from __future__ import annotations

import os
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from importlib import resources
from pathlib import Path

from monitor.store.contract import Damaged, Fenced, StoreError

_ADVICE = {
    sqlite3.SQLITE_FULL: "the disk is full: make room",
    sqlite3.SQLITE_BUSY: "another program holds it: close whatever has the file open",
    sqlite3.SQLITE_READONLY: "it may not be written: see to its owner and to the mount",
    sqlite3.SQLITE_IOERR: "the disk reports errors: see the kernel's log",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened: see to its owner and to its directory",
}
_PRIMARY_CODE = 0xFF
"""SQLite's extended result codes carry the primary one in their low byte."""


def translate(error: sqlite3.Error, path: Path) -> StoreError:
    """What went wrong with the journal, and what to do."""
    code = (getattr(error, "sqlite_errorcode", None) or 0) & _PRIMARY_CODE
    if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
        return Damaged(
            f"the journal {path} is damaged ({error}); nothing was deleted: move it and its -wal and -shm files away "
            f"to start afresh, or put a backup in their place"
        )
    advice = _ADVICE.get(code)
    return StoreError(f"the journal {path}: {error}" + (f" ({advice})" if advice else ""))


def connect(path: Path, busy_timeout: timedelta) -> sqlite3.Connection:
    """Open the file, create it for us alone if need be, and bring its schema up to date."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StoreError(f"cannot open the journal {path}: {error.strerror}") from error
    db = sqlite3.connect(path, timeout=busy_timeout.total_seconds(), isolation_level=None)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("PRAGMA cache_size = -16384")  # 16 MiB: a storm of 10,000 transitions does not spill
        _migrate(db, path)
    except BaseException:
        db.close()
        raise
    return db


@contextmanager
def transaction(db: sqlite3.Connection, *, durable: bool) -> Iterator[None]:
    """All or nothing. `durable`: on the disk before it returns; otherwise it survives a kill but not a power cut.

    Switched for each transaction, since a lease or a flushed window is not worth an fsync, and a transition is.
    """
    db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def get_meta(db: sqlite3.Connection, key: str) -> str | None:
    row = db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return None if row is None else str(row[0])


def set_meta(db: sqlite3.Connection, key: str, value: str) -> None:
    db.execute("INSERT INTO meta VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value", (key, value))


def check_epoch(db: sqlite3.Connection, epoch: int) -> None:
    """To be called inside a transaction: its lock makes check and write one step."""
    current = get_meta(db, "epoch")
    if current != str(epoch):
        raise Fenced(f"another agent has taken over this journal (epoch {current}, ours is {epoch}): stopping")


def migrations() -> dict[int, str]:
    """The numbered scripts of ``sql/``, by schema version."""
    folder = resources.files("monitor.store") / "sql"
    scripts = {int(file.name[:3]): file for file in folder.iterdir() if file.name.endswith(".sql")}
    return {version: scripts[version].read_text("utf-8") for version in sorted(scripts)}


def _migrate(db: sqlite3.Connection, path: Path) -> None:
    scripts = migrations()
    have = _schema_version(db)
    newest = max(scripts)
    if have > newest:
        raise StoreError(
            f"the journal {path} was written by a newer Brownout (schema {have}, this one knows {newest}): install "
            f"that version again, or move the file away to start afresh"
        )
    for version, script in scripts.items():
        if version > have:
            with transaction(db, durable=True):
                for statement in _statements(script):
                    db.execute(statement)
                set_meta(db, "schema_version", str(version))
    if get_meta(db, "origin") is None:
        with transaction(db, durable=True):
            set_meta(db, "origin", uuid.uuid4().hex[:12])
            set_meta(db, "epoch", "0")


def _schema_version(db: sqlite3.Connection) -> int:
    known = db.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'meta'").fetchone()
    return int(get_meta(db, "schema_version") or 0) if known else 0


def _statements(script: str) -> Iterator[str]:
    """One by one: `executescript` would commit behind our back, and half a migration is worse than none."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
