"""The SQLite connection: how it is opened, migrated and written, and what its errors mean to a person."""

from __future__ import annotations

import errno
import os
import sqlite3
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from importlib import resources
from pathlib import Path

from monitor.store._codec import read_count
from monitor.store._copy import copy_database
from monitor.store._files import is_damage, is_no_file, log_of, primary_code, remove
from monitor.store.contract import Damaged, Fenced, Refused, StoreError

_ADVICE = {
    sqlite3.SQLITE_FULL: "the disk is full: make room",
    sqlite3.SQLITE_BUSY: "another program holds it: close whatever has the file open",
    sqlite3.SQLITE_READONLY: "it may not be written: see to its owner and to the mount",
    sqlite3.SQLITE_IOERR: "the disk is full, or reports errors: see df and the kernel's log",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened: see to its owner and to its directory",
}
_OURS = {"meta", "checks", "outbox"}
"""Some of the tables that every schema has."""
COPIES_KEPT = 2
"""Copies from before a migration."""


def translate(error: sqlite3.Error, path: Path) -> StoreError:
    """What went wrong with the journal, and what to do."""
    if is_damage(error):
        return Damaged(f"the journal {path} is damaged ({error})")
    advice = _ADVICE.get(primary_code(error))
    return StoreError(f"the journal {path}: {error}" + (f" ({advice})" if advice else ""))


def connect(
    path: Path, busy_timeout: timedelta, *, origin: str | None = None, scripts: Mapping[int, str] | None = None
) -> sqlite3.Connection:
    """Open the file, create it for us alone if need be, and bring its schema up to date.

    A new file gets the name `origin`, or one that is drawn. `scripts` are the migrations, if not ours.
    """
    created = _make_sure_of(path)
    db = sqlite3.connect(path, timeout=busy_timeout.total_seconds(), isolation_level=None)
    try:
        must_be_a_journal(db, path)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("PRAGMA cache_size = -16384")  # 16 MiB: a storm of 10,000 transitions does not spill
        _migrate(db, path, migrations() if scripts is None else scripts)
        _name(db, origin)
    except BaseException:
        db.close()
        if created:  # a full disk takes the name and little else: it would be taken for a damaged journal
            with suppress(OSError):
                remove(path)
        raise
    return db


def must_be_a_journal(db: sqlite3.Connection, path: Path) -> None:
    """Raises `Damaged` for a database of something else, or where that of ours has lost its version; one that has no
    tables yet is fine. Nothing is changed in it."""
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    try:
        ours = tables >= _OURS and schema_version(db) > 0
    except ValueError:
        ours = False
    if tables and not ours:
        raise Damaged(f"{path} is no journal, but a database of something else")


def _make_sure_of(path: Path) -> bool:
    """Whether the file was made now."""
    if is_no_file(path):
        raise Damaged(f"the journal {path} is a pipe, a device or a directory, or its log is one")
    try:
        if path.exists():
            os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC))
            if path.stat().st_size == 0 and not _has_wal(path):
                raise Damaged(f"the journal {path} is damaged (it is empty)")
            return False
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise machine_or_person(f"cannot open the journal {path}", error) from error
    return True


def _has_wal(path: Path) -> bool:
    wal = log_of(path)
    return wal.exists() and wal.stat().st_size > 0


def machine_or_person(what: str, error: OSError) -> StoreError:
    """A right that is missing is for a person to give; anything else (full, read-only, broken) may pass."""
    text = f"{what}: {error.strerror}"
    if error.errno in (errno.EACCES, errno.EPERM):
        return Refused(f"{text} (uid {os.getuid()}): chown it to this user")
    return StoreError(text)


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


def get_number(db: sqlite3.Connection, key: str) -> int:
    """0 where it is not there. Raises `ValueError` for what nobody has counted."""
    return read_count(int(get_meta(db, key) or 0))


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


def _migrate(db: sqlite3.Connection, path: Path, scripts: Mapping[int, str]) -> None:
    have, newest = schema_version(db), max(scripts)
    if have > newest:
        raise Refused(
            f"the journal {path} was written by a newer Brownout (schema {have}, this one knows {newest}): install "
            f"that version again, put a backup in its place (brownout restore {_way_back(path, newest)} --state-dir "
            f"{path.parent}), or move the file away to start afresh"
        )
    if 0 < have < newest:
        _copy_before(db, path, newest)
    for version, script in scripts.items():
        if version > have:
            with transaction(db, durable=True):
                for statement in _statements(script):
                    db.execute(statement)
                set_meta(db, "schema_version", str(version))


def _copy_before(db: sqlite3.Connection, path: Path, version: int) -> None:
    """The way back, should the newer version be a disappointment. The oldest copies make room."""
    copy_database(db, path.with_name(f"journal-before-schema-{version:03}.db"))
    for old in sorted(path.parent.glob("journal-before-schema-*.db"))[:-COPIES_KEPT]:
        old.unlink()


def _way_back(path: Path, newest: int) -> str:
    """The copy from before the schemas that are too new for us; where there is none, a word for one."""
    copies = sorted(path.parent.glob("journal-before-schema-*.db"))
    return next((str(copy) for copy in copies if copy.stem > f"journal-before-schema-{newest:03}"), "FILE")


def _name(db: sqlite3.Connection, origin: str | None) -> None:
    if get_meta(db, "origin") is None:
        with transaction(db, durable=True):
            set_meta(db, "origin", origin or new_origin())
            set_meta(db, "epoch", "0")


def new_origin() -> str:
    """A name for a journal that no other has: event ids are made from it."""
    return uuid.uuid4().hex[:12]


def schema_version(db: sqlite3.Connection) -> int:
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
