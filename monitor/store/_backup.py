"""Backup of a state directory beside a running agent, and its restoration where none runs."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from monitor.store._copy import copy_database, sync, verify
from monitor.store._database import get_meta, migrations, schema_version
from monitor.store._files import HISTORY, JOURNAL, identity, is_alone, is_damage, reading, remove
from monitor.store._history_file import SCHEMA
from monitor.store._lock import AgentLock, prepare
from monitor.store._rescue import set_aside
from monitor.store.contract import Damaged, Refused, StoreError

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
        if file is not None and identity(file) in (identity(journal), identity(past)) and file.exists():
            raise Refused(f"{file} is what the agent writes to: name another file")
        if file is not None and file.exists() and not force:
            raise Refused(f"{file} is there already: name another file, or add --force to replace it")
    _copy(journal, target)
    if beside is not None:
        _copy(past, beside)
    return _counted(target, beside)


def restore(backup: Path, state_dir: Path) -> Copied:
    """Put a backup in the journal's place; what was there is kept as `BEFORE`.

    Raises `Refused`, or `StoreBusy` with the pid of an agent that runs; then nothing was changed. Any other
    `StoreError` says what was.
    """
    _must_be_a_journal(backup)
    beside = history_beside(backup)
    with_history = beside.exists()
    if with_history:
        _must_be_a_history(beside)
    prepare(state_dir)
    journal, history = state_dir / JOURNAL, state_dir / HISTORY
    sources = {journal: backup} | ({history: beside} if with_history else {})
    fresh = {place: place.with_name(f"{place.name}.restored") for place in sources}
    restored: list[str] = []
    lock = AgentLock(state_dir)
    try:
        _own(lock.path)
        for place, source in sources.items():  # what may fail for want of room is done before anything is changed
            _lay_ready(source, fresh[place])
        for place, ready in fresh.items():
            _put(ready, place, state_dir / BEFORE if place == journal else None)
            restored.append(place.name)
    except StoreError as error:
        told = f"only {restored[0]} was restored" if restored else "nothing was restored"
        raise StoreError(f"{error}; {told}") from error
    finally:
        with suppress(OSError):
            for file in fresh.values():
                file.unlink(missing_ok=True)
        lock.release()
    return _counted(journal, history if with_history else None)


def history_beside(backup: Path) -> Path:
    return backup.with_name(f"{backup.name.removesuffix('.db')}.history.db")


def _copy(path: Path, target: Path) -> None:
    """Of a database that an agent may be writing to, or may begin to while it is copied: then it is copied again."""
    while True:
        before = _last_change(path)
        alone = is_alone(path)
        try:
            with reading(path) as source:
                copy_database(source, target, pause=PAUSE)
        except sqlite3.Error as error:
            raise (Damaged if is_damage(error) else StoreError)(f"{path} cannot be read: {error}") from error
        except OSError as error:
            raise StoreError(f"{path} cannot be read: {error}") from error
        if not alone or (is_alone(path) and _last_change(path) == before):
            return


def _last_change(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


def _must_be_a_journal(backup: Path) -> None:
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


def _must_be_a_history(backup: Path) -> None:
    try:
        verify(backup)
        with reading(backup) as db:
            [version] = db.execute("PRAGMA user_version").fetchone()
            known = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'batches'").fetchone()
    except (sqlite3.Error, StoreError) as error:
        raise Refused(f"{backup} is no backup of a history: {error}; move it away to restore the journal") from error
    if not known:
        raise Refused(f"{backup} is no backup of a history: move it away to restore the journal alone")
    if version > SCHEMA:
        raise Refused(f"{backup} was written by a newer Brownout (schema {version}, this one knows {SCHEMA})")


def _lay_ready(backup: Path, fresh: Path) -> None:
    try:
        with reading(backup) as source:
            copy_database(source, fresh)
    except (sqlite3.Error, OSError) as error:
        raise StoreError(f"{backup} cannot be read: {error}") from error
    _own(fresh)


def _own(file: Path) -> None:
    """Whoever restores is often root; the agent is not."""
    folder = file.parent.stat()
    try:
        os.chown(file, folder.st_uid, folder.st_gid)
    except OSError as error:
        raise StoreError(f"cannot give {file} the owner of its directory: {error.strerror}") from error


def _put(fresh: Path, place: Path, keep: Path | None) -> None:
    """A kill leaves the one or the other."""
    try:
        if place.exists():
            _close_log(place)
            if keep is not None and place.exists():
                keep.unlink(missing_ok=True)
                os.link(place, keep)
        fresh.replace(place)
        sync(place.parent)
    except OSError as error:
        raise StoreError(f"cannot write {place}: {error.strerror}") from error


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
