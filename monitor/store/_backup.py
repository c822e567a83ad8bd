"""Backup of a state directory beside a running agent, and its restoration where none runs."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from monitor.store._copy import copy_database, sync, verify
from monitor.store._database import get_meta, migrations, schema_version
from monitor.store._lock import AgentLock, prepare
from monitor.store._peek import reading
from monitor.store._rescue import remove, set_aside
from monitor.store.contract import Damaged, Refused, StoreError

JOURNAL, HISTORY = "brownout.db", "history.db"
BEFORE = "journal-before-restore.db"
PAUSE = 0.005
"""Seconds after each MiB: an agent on the same disk comes first."""


@dataclass(frozen=True, slots=True)
class Copied:
    """What was copied, for people. `rows` are those that are owed to sinks."""

    file: Path
    size: int
    checks: int
    incidents: int
    rows: int
    history: Path | None = None


def back_up(state_dir: Path, target: Path, *, force: bool = False, history: bool = True) -> Copied:
    """Copy the journal to `target`, and the history beside it. Raises `StoreError`: `Refused` for what is asked
    wrongly; then nothing was written."""
    journal, past = state_dir / JOURNAL, state_dir / HISTORY
    if not os.access(state_dir, os.R_OK | os.X_OK):
        raise Refused(f"{state_dir} is not there, or may not be read by this user (uid {os.getuid()})")
    beside = history_beside(target) if history and past.exists() else None
    if not journal.exists():
        raise Refused(f"there is no journal in {state_dir}: name the agent's state_dir with --state-dir")
    for file in (target, beside):
        if file is not None and file.exists() and not force:
            raise Refused(f"{file} is there already: name another file, or add --force to replace it")
    with _source(journal) as source:
        copy_database(source, target, pause=PAUSE)
    if beside is not None:
        with _source(past) as source:
            copy_database(source, beside, pause=PAUSE)
    return _counted(target, beside)


def restore(backup: Path, state_dir: Path) -> Copied:
    """Put a backup in the journal's place; what was there is kept as `BEFORE`. Raises `StoreError`, `Refused`, or
    `StoreBusy` with the pid of an agent that runs; then nothing was changed."""
    _must_be_ours(backup)
    prepare(state_dir)
    lock = AgentLock(state_dir)
    try:
        _put(backup, state_dir / JOURNAL, state_dir / BEFORE)
        beside = history_beside(backup)
        if beside.exists():
            _put(beside, state_dir / HISTORY, None)
    finally:
        lock.release()
    return _counted(state_dir / JOURNAL, state_dir / HISTORY if beside.exists() else None)


def history_beside(backup: Path) -> Path:
    return backup.with_name(f"{backup.name.removesuffix('.db')}.history.db")


@contextmanager
def _source(path: Path) -> Iterator[sqlite3.Connection]:
    """Read-only. Beside an agent SQLite shares its log with it; without one the file is whole, or has its log."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)) as db:
            db.execute("SELECT 1 FROM sqlite_master").fetchone()
            yield db
            return
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_CANTOPEN:
            raise StoreError(f"{path} cannot be read: {error}") from error
    except (sqlite3.DatabaseError, OSError) as error:
        raise Damaged(f"{path} cannot be read: {error}") from error
    with reading(path) as db:  # nobody has it open, and its directory cannot be written
        yield db


def _must_be_ours(backup: Path) -> None:
    if not backup.is_file():
        raise Refused(f"there is no file {backup}")
    try:
        verify(backup)
        with reading(backup) as db:
            version, newest = schema_version(db), max(migrations())
            named = version > 0 and get_meta(db, "origin") is not None
    except sqlite3.Error as error:
        raise Refused(f"{backup} is no backup of a journal: {error}") from error
    if not named:
        raise Refused(f"{backup} is no backup of a journal: it is a database of something else")
    if version > newest:
        raise Refused(f"{backup} was written by a newer Brownout (schema {version}, this one knows {newest})")


def _put(backup: Path, place: Path, keep: Path | None) -> None:
    """Under its name only when it is whole: a kill leaves the one or the other."""
    fresh = place.with_name(f"{place.name}.restored")
    with reading(backup) as source:
        copy_database(source, fresh)
    owner = place.parent.stat()
    try:
        os.chown(fresh, owner.st_uid, owner.st_gid)
        if place.exists():
            _close_log(place)
            if keep is not None and place.exists():
                keep.unlink(missing_ok=True)
                os.link(place, keep)
        fresh.replace(place)
        sync(place.parent)
    except OSError as error:
        raise StoreError(f"cannot write {place}: {error.strerror}") from error
    finally:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)


def _close_log(place: Path) -> None:
    """What stands in the log beside a database goes into it: it must not be taken for that of the next one."""
    try:
        with closing(sqlite3.connect(place, isolation_level=None)) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            db.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error:
        if place.name == JOURNAL:
            set_aside(place)
        else:
            remove(place)


def _counted(journal: Path, history: Path | None) -> Copied:
    with reading(journal) as db:
        checks, incidents, rows = (
            int(db.execute(f"SELECT COUNT(*) FROM {what}").fetchone()[0])  # noqa: S608
            for what in ("checks", "incidents WHERE resolved IS NULL", "outbox WHERE state <> 'dead'")
        )
    return Copied(journal, journal.stat().st_size, checks, incidents, rows, history)
