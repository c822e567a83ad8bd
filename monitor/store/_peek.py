"""Reading a journal that cannot be written: on a read-only or full disk, or kept aside because it is damaged."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from monitor.core.model import Journal
from monitor.store import _deliveries, _journal
from monitor.store._database import get_meta
from monitor.store.contract import Row

COPY_LIMIT = 256 * 2**20
"""Bytes of a journal that is copied into memory because it can be read in no other way."""
_MEMORY = Path("/dev/shm")  # noqa: S108  (mkdtemp makes a directory for us alone in it)


@dataclass(frozen=True, slots=True)
class Known:
    """What could be read: the state of everything, and what is owed to sinks."""

    journal: Journal
    rows: tuple[Row, ...]


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that changes nothing. Raises `sqlite3.Error` or `OSError` at its use, if not at once.

    Without a log (-wal) the file is whole, and is read as one that nobody changes. With one, SQLite wants its -shm
    file beside it; where that cannot be made, both are read from a copy in memory.
    """
    wal = path.with_name(path.name + "-wal")
    whole = not wal.exists() or wal.stat().st_size == 0
    try:
        db = _open(path, "mode=ro&immutable=1" if whole else "mode=ro")
    except sqlite3.OperationalError:
        in_memory = tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None)
        with in_memory as folder, closing(_copied(path, wal, Path(folder))) as db:
            yield db
    else:
        with closing(db):
            yield db


def _copied(path: Path, wal: Path, folder: Path) -> sqlite3.Connection:
    if path.stat().st_size + wal.stat().st_size > COPY_LIMIT:
        raise OSError(f"{path} is too large to be read from a copy in memory")
    for file in (path, wal):
        shutil.copyfile(file, folder / file.name)
    return _open(folder / path.name, "mode=rw")


def peek(path: Path, limit: int) -> Known | None:
    """None: there is no journal, or nothing of it can be read. At most `limit` rows."""
    try:
        with reading(path) as db:
            vantage = get_meta(db, "vantage")
            journal = _journal.read_journal(db, vantage or "", int(get_meta(db, "epoch") or 0))
            return Known(journal, tuple(_deliveries.unfinished(db, 0, limit)))
    except (sqlite3.Error, OSError, ValueError, TypeError):
        return None


def _open(path: Path, how: str) -> sqlite3.Connection:
    db = sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True, isolation_level=None)
    try:
        db.execute("PRAGMA writable_schema = ON")  # else a file that was cut short is not read at all
        db.execute("SELECT 1 FROM sqlite_master").fetchone()
    except BaseException:
        db.close()
        raise
    return db
