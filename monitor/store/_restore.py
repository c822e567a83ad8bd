"""Restoration of a backup into a state directory that no agent has.

All that may fail is done first: both files of the backup are checked and copied, and what is there is made ready to
be kept. Then two renames are left.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

from monitor.store._backup import Copied, counted, history_beside
from monitor.store._copy import copy_database, sync, verify
from monitor.store._database import get_meta, migrations, must_be_a_journal, schema_version
from monitor.store._files import HISTORY, JOURNAL, is_damage, keep_aside, reading, remove
from monitor.store._history_file import must_be_a_history
from monitor.store._lock import AgentLock, prepare
from monitor.store._rescue import DAMAGED_KEPT
from monitor.store.contract import Refused, StoreError

BEFORE = "journal-before-restore.db"
HELD = 1.0
"""Seconds that another program may hold what is there."""


def restore(backup: Path, state_dir: Path) -> Copied:
    """Put a backup in the journal's place, and the history beside it in the history's; what was there is kept as
    `BEFORE`, which is a backup itself.

    Raises `Refused`, or `StoreBusy` with the pid of an agent that runs; then nothing was changed. Any other
    `StoreError` says what was.
    """
    _must_be_whole(backup, "journal", _must_be_a_journal)
    beside, before = history_beside(backup), state_dir / BEFORE
    with_history = os.path.lexists(beside)
    if with_history:
        _must_be_whole(beside, "history", _must_be_a_history, hint="; move it away to restore the journal alone")
    prepare(state_dir)
    places = [_Place("journal", state_dir / JOURNAL, backup, before)]
    if with_history:
        places.append(_Place("history", state_dir / HISTORY, beside, history_beside(before)))
    lock = AgentLock(state_dir)
    try:
        _own(lock.path)
        for place in places:
            place.lay_ready()
        for place in places:
            place.clear()
        for place in places:
            place.take()
        if not with_history:
            history_beside(before).unlink(missing_ok=True)  # of an earlier restore: it does not go with this journal
    except (StoreError, OSError) as error:
        taken = [place.path.name for place in places if place.taken]
        told = f"only {' and '.join(taken)} was restored" if taken else "nothing was restored"
        raise StoreError(f"{error}; {told}") from error
    finally:
        for place in places:
            place.tidy_up()
        lock.release()
    history = state_dir / HISTORY if with_history else None
    return replace(counted(state_dir / JOURNAL), history=history, kept=before if places[0].kept else None)


class _Place:
    """Where a file of the backup is put: the journal's place or the history's."""

    def __init__(self, name: str, path: Path, backup: Path, before: Path) -> None:
        self.path = path
        self.kept = self.taken = False
        """Whether what was there is kept as `before`; whether the backup is there now."""
        self._name = name
        self._backup = backup
        self._before = before
        self._fresh = path.with_name(f"{path.name}.restored")
        self._old = path.with_name(f"{path.name}.replaced")

    def lay_ready(self) -> None:
        """What may fail for want of room is done before anything is changed."""
        try:
            with reading(self._backup) as source:
                copy_database(source, self._fresh)
        except sqlite3.Error as error:
            raise StoreError(f"{self._backup} cannot be read: {error}") from error
        _own(self._fresh)

    def clear(self) -> None:
        """Give what is there a second name; it stays where it is."""
        if self.path.is_file() and _is_sound(self.path):
            self._old.unlink(missing_ok=True)
            os.link(self.path, self._old, follow_symlinks=False)
            self.kept = True

    def take(self) -> None:
        """A kill leaves the one or the other."""
        if not self.kept:
            if self.path.exists():
                keep_aside(self.path, self._name, DAMAGED_KEPT)
            remove(self.path)  # a log without its database would be taken for that of the next one
        self._fresh.replace(self.path)
        self.taken = True
        if self.kept:
            self._old.replace(self._before)
        sync(self.path.parent)

    def tidy_up(self) -> None:
        with suppress(OSError):
            self._fresh.unlink(missing_ok=True)
            if not self.taken:
                self._old.unlink(missing_ok=True)


def _is_sound(path: Path) -> bool:
    """Whether it can be kept as one file: what stands in the log beside it goes into it, or that would be taken for
    the log of the next one. Raises `StoreError` where that may be done later (it is held, the disk is full)."""
    try:
        with closing(sqlite3.connect(path, timeout=HELD, isolation_level=None)) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            db.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error as error:
        if is_damage(error):
            return False
        raise StoreError(f"{path} cannot be kept: {error}") from error
    return True


def _must_be_whole(
    backup: Path, name: str, check: Callable[[sqlite3.Connection, Path], None], hint: str = ""
) -> None:
    if not backup.is_file():
        raise Refused(f"there is no file {backup}{hint}")
    try:
        verify(backup)
        with reading(backup) as db:
            check(db, backup)
    except (sqlite3.Error, OSError) as error:
        raise Refused(f"{backup} is no backup of a {name}: {error}{hint}") from error
    except StoreError as error:
        raise Refused(f"{error}{hint}") from error


def _must_be_a_journal(db: sqlite3.Connection, path: Path) -> None:
    must_be_a_journal(db, path)
    version, newest = schema_version(db), max(migrations())
    if not version or get_meta(db, "origin") is None:
        raise Refused(f"{path} is no backup of a journal: it is empty")
    if version > newest:
        raise Refused(f"{path} was written by a newer Brownout (schema {version}, this one knows {newest})")


def _must_be_a_history(db: sqlite3.Connection, path: Path) -> None:
    must_be_a_history(db, path)
    if not db.execute("SELECT 1 FROM sqlite_master").fetchone():
        raise Refused(f"{path} is no backup of a history: it is empty")


def _own(file: Path) -> None:
    """Whoever restores is often root; the agent is not."""
    folder = file.parent.stat()
    try:
        os.chown(file, folder.st_uid, folder.st_gid)
    except OSError as error:
        raise StoreError(f"cannot give {file} the owner of its directory: {error.strerror}") from error
