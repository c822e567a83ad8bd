"""A copy of a database, made while others write to it: whole, verified, and under its name only then."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from monitor.store.contract import StoreError

STEP = 256
"""Pages (1 MiB) between two pauses of an online copy: disk and CPU belong to the agent."""


def copy_database(source: sqlite3.Connection, target: Path, *, pause: float = 0.0) -> None:
    """Copy to `target`, for us alone (mode 0600), replacing what is there. `pause`: seconds after each MiB.

    The copy is the source as it was at one moment, however long it takes: a read transaction holds that moment, and
    in WAL mode it holds up no writer. Raises `StoreError`, and leaves nothing behind.
    """
    partial = target.with_name(f".{target.name}.partial-{os.getpid()}")
    try:
        os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        _fill(source, partial, pause)
        verify(partial)
        sync(partial)
        partial.replace(target)
        sync(target.parent)
    except OSError as error:
        raise StoreError(f"cannot write {target}: {error.strerror}") from error
    except sqlite3.Error as error:
        raise StoreError(f"cannot write {target}: {error}") from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def _fill(source: sqlite3.Connection, partial: Path, pause: float) -> None:
    with closing(sqlite3.connect(partial, isolation_level=None)) as copy:
        begun = not source.in_transaction
        if begun:
            source.execute("BEGIN")
            source.execute("SELECT 1 FROM sqlite_master").fetchone()  # only now the moment is taken
        try:
            source.backup(copy, pages=STEP if pause else -1, sleep=pause)
        finally:
            if begun:
                source.execute("ROLLBACK")
        copy.execute("PRAGMA journal_mode = DELETE")  # one file, without -wal and -shm beside it


def verify(file: Path) -> None:
    """Raises `StoreError` unless every page of it is well. The file is only read."""
    with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as db:
        found = db.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if found != "ok":
        raise StoreError(f"{file} is damaged: {found}")


def sync(path: Path) -> None:
    """A file, or the names in a directory, to the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
