"""The files of a state directory: their names, reading them without a trace, and keeping a damaged one aside."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

JOURNAL, HISTORY = "brownout.db", "history.db"
COPY_LIMIT = 256 * 2**20
"""Bytes of a database that is copied into memory because it can be read in no other way."""
BUSY = 5.0
"""Seconds that a reader waits where another program holds the file."""

_PARTS = ("-wal", "-shm", "")
"""What SQLite keeps beside a database, and the database itself: it goes last, so that a kill in between is seen."""
_PRIMARY_CODE = 0xFF
"""SQLite's extended result codes carry the primary one in their low byte."""
_HALF_THERE = ("no such table", "no such column", "malformed", "Could not decode")
"""What is said of a file whose header is well and whose schema or texts are not."""
_MEMORY = Path("/dev/shm")  # noqa: S108  (mkdtemp makes a directory for us alone in it)


def primary_code(error: sqlite3.Error) -> int:
    """0 for what Python's module raises by itself."""
    return (getattr(error, "sqlite_errorcode", None) or 0) & _PRIMARY_CODE


def is_damage(error: sqlite3.Error) -> bool:
    """Whether it is the file that is wrong, and not the disk, its rights, or another program."""
    broken = primary_code(error) in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)
    return broken or str(error).startswith(_HALF_THERE)


Identity = tuple[int, int] | None


def identity(path: Path) -> Identity:
    """Device and inode; None where there is no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def log_of(path: Path) -> Path:
    """SQLite's log (-wal): it is there as long as somebody has the database open to write, and after a crash."""
    return path.with_name(f"{path.name}-wal")


def is_no_file(path: Path) -> bool:
    """Whether a database, or what SQLite keeps beside it, is a pipe, a device or a directory: to open one may take
    for ever."""
    parts = (path.with_name(path.name + suffix) for suffix in _PARTS)
    return any(part.exists() and not part.is_file() for part in parts)


def forget_log(path: Path, ours: Identity) -> None:
    """Of a file that somebody has put in the place of ours the log is still that of ours: SQLite would take it for
    the other's, and write it there. Raises `OSError`."""
    if ours is not None and identity(log_of(path)) == ours:
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)


def keep_aside(path: Path, name: str, kept: int) -> Path:
    """Rename a damaged database, and what lies beside it, to `NAME-damaged-TIME.db`; where it is now. Of older ones
    `kept` - 1 stay. Raises `OSError` where nothing can be renamed."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    aside = path.with_name(f"{name}-damaged-{stamp}.db")
    for suffix in _PARTS:
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    for old in sorted(path.parent.glob(f"{name}-damaged-*.db"))[:-kept]:
        with suppress(OSError):  # it may be a directory
            remove(old)
    return aside


def remove(path: Path) -> None:
    """A database and what SQLite keeps beside it."""
    for suffix in _PARTS:
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def is_alone(path: Path) -> bool:
    """Whether nobody writes to it: a database without its log."""
    return not log_of(path).is_file()


def open_to_read(path: Path, *, alone: bool) -> sqlite3.Connection:
    """A connection that changes nothing and creates nothing, beside an agent or without one. Raises `sqlite3.Error`,
    or `OSError` where there is no file but something else.

    `alone`, as `is_alone` has it: the file is read as it is, or SQLite would create files beside it, which belong to
    whoever reads, and which the agent might then not be able to use. Such a connection must not be kept, as it does
    not notice an agent that begins to write.
    """
    if path.exists() and not path.is_file():
        raise OSError(f"{path} is a pipe, a device or a directory")
    return _open(path, "mode=ro&immutable=1" if alone else "mode=ro")


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """As `open_to_read`; and with a log where none of SQLite's files can be made beside it (a read-only disk): from a
    copy in memory. Raises `sqlite3.Error` or `OSError` at its use, if not at once."""
    try:
        db = open_to_read(path, alone=is_alone(path))
    except sqlite3.OperationalError:
        with _without_its_folder(path) as db:
            yield db
    else:
        with closing(db):
            yield db


@contextmanager
def _without_its_folder(path: Path) -> Iterator[sqlite3.Connection]:
    log = log_of(path)
    if log.exists() and log.stat().st_size == 0:
        with closing(open_to_read(path, alone=True)) as db:
            yield db
        return
    in_memory = tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None)
    with in_memory as folder, closing(_copied(path, log, Path(folder))) as db:
        yield db


def _copied(path: Path, log: Path, folder: Path) -> sqlite3.Connection:
    if path.stat().st_size + log.stat().st_size > COPY_LIMIT:
        raise OSError(f"{path} is too large to be read from a copy in memory")
    for file in (path, log):
        shutil.copyfile(file, folder / file.name)
    return _open(folder / path.name, "mode=rw")


def _open(path: Path, how: str) -> sqlite3.Connection:
    db = sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True, timeout=BUSY, isolation_level=None)
    try:
        db.execute("PRAGMA cache_size = -256")
        db.execute("PRAGMA writable_schema = ON")  # else a file that was cut short is not read at all
        db.execute("SELECT 1 FROM sqlite_master").fetchone()
    except BaseException:
        db.close()
        raise
    return db
