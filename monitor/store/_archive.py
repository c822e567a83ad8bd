"""The past as a port of its own: two threads, one that writes the history and one that reads it and the journal.

So neither a chart of a year nor sealing ever holds the journal's thread, and what fails here fails nothing there.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TypeVar

import structlog

from monitor.core.history import Past, Point, Retention, Sample, Span
from monitor.core.lived import Definition
from monitor.core.rows import Rows
from monitor.store import _looks_sql, _past
from monitor.store._definitions import Written, written
from monitor.store._files import HISTORY, Identity, forget_log, identity, is_damage, keep_aside, log_of
from monitor.store._history import History
from monitor.store._history_file import Unreadable, connect
from monitor.store._reader import Reader
from monitor.store.contract import StoreError

T = TypeVar("T")

DAMAGED_KEPT = 2
"""Files kept aside; a history may have some 250 MB."""

_log = structlog.get_logger("brownout.history")


class Archive:
    """`state_dir/history.db`, and reading `journal`. Every method raises `StoreError`."""

    def __init__(self, journal: Path, retention: Retention, busy_timeout: timedelta) -> None:
        self.path = journal.with_name(HISTORY)
        self._journal = journal
        self._retention = retention
        self._busy_timeout = busy_timeout
        self._writing = ThreadPoolExecutor(max_workers=1, thread_name_prefix="brownout-history")
        self._reading = ThreadPoolExecutor(max_workers=1, thread_name_prefix="brownout-reading")
        self._is_open = False
        self._past, self._events = Reader(self.path), Reader(journal)
        self._db: sqlite3.Connection | None = None
        self._history: History | None = None
        self._held: tuple[Identity, Identity] = (None, None)
        """Of the file that is open, and of its log."""
        self._definition: Written | None = None
        """What is in force: a file that is begun anew has to know it."""
        self._suspect = False
        """Whether somebody who read it has met damage."""

    async def open(self) -> None:
        """What cannot be opened now is tried again with every batch. Opened again, it reads the journal anew, which
        may be another file."""
        self._is_open = True
        await self._call(self._reading, self._journal, self._events.close)
        await self._call(self._writing, self.path, self._opened)

    async def record(self, looks: Rows[str], now: datetime) -> None:
        await self._write(lambda history: history.record(looks, now))

    async def define(self, definition: Definition) -> None:
        def define(history: History) -> None:
            try:
                self._definition = written(definition)
            except Exception:  # noqa: BLE001  (of a plug-in's probe; it is on the log)
                _log.exception("definition_bug", lost="a replay of this time goes by the definition before")
                return
            history.define(self._definition)

        await self._write(define)

    async def tend(self, now: datetime) -> bool:
        return await self._write(lambda history: history.tend(now))

    async def samples(self, check: str, since: datetime, until: datetime, limit: int) -> list[Sample]:
        return await self._read(
            self._past, lambda past: list(islice(_looks_sql.samples(past, check, since, until), max(limit, 0)))
        )

    async def rollup(self, check: str, since: datetime, until: datetime, step: timedelta | None) -> list[Point]:
        return await self._read(self._past, lambda past: _looks_sql.rollup(past, check, since, until, step))

    async def states(self, vantage: str, kind: str, subject: str, since: datetime, until: datetime) -> list[Span]:
        absences: list[tuple[datetime, datetime]] = []
        with contextlib.suppress(StoreError):  # without a history it is not known when nobody was there
            absences = await self._read(self._past, _looks_sql.absences)
        return await self._read(
            self._events, lambda events: _past.states(events, vantage, (kind, subject), since, until, absences)
        )

    async def transitions(self, vantage: str, kind: str, subject: str, limit: int, before: int | None) -> list[Past]:
        return await self._read(
            self._events, lambda events: _past.transitions(events, vantage, (kind, subject), limit, before)
        )

    async def close(self) -> None:
        self._is_open = False
        await self._call(self._reading, self._journal, self._events.close)
        await self._call(self._writing, self.path, self._let_go)

    async def _write(self, work: Callable[[History], T]) -> T:
        def write() -> T:
            try:
                history, suspect = self._opened(), self._suspect
                self._suspect = False
                if suspect:
                    history.reread()
                return work(history)
            except sqlite3.DatabaseError as error:
                if not is_damage(error):
                    raise
                return work(self._begin_anew(error))

        return await self._call(self._writing, self.path, write)

    async def _read(self, file: Reader, work: Callable[[sqlite3.Connection], T]) -> T:
        path = self.path if file is self._past else self._journal

        def read() -> T:
            self._must_be_open(path)
            try:
                return file.read(work)
            except sqlite3.DatabaseError as error:
                self._suspect = self._suspect or (file is self._past and is_damage(error))
                raise

        return await self._call(self._reading, path, read)

    async def _call(self, thread: ThreadPoolExecutor, path: Path, work: Callable[[], T]) -> T:
        def guarded() -> T:
            try:
                return work()
            except (sqlite3.Error, ValueError, OverflowError, OSError) as error:
                raise StoreError(f"{self._named(path)}: {error}") from error

        return await asyncio.get_running_loop().run_in_executor(thread, guarded)

    def _named(self, path: Path) -> str:
        return f"the {'history' if path == self.path else 'journal'} {path}"

    def _must_be_open(self, path: Path) -> None:
        if not self._is_open:
            raise StoreError(f"{self._named(path)} is not open")

    # --- on the writing thread -----------------------------------------------------------------------------

    def _opened(self) -> History:
        self._must_be_open(self.path)
        if self._history is not None and identity(self.path) != self._held[0]:
            self._let_go()  # somebody has removed or replaced it: SQLite would write on, where nobody looks
            forget_log(self.path, self._held[1])
        return self._history or self._open()

    def _open(self) -> History:
        try:
            return self._begin()
        except (Unreadable, sqlite3.DatabaseError) as error:
            if isinstance(error, sqlite3.DatabaseError) and not is_damage(error):
                raise
            return self._begin_anew(error)

    def _begin_anew(self, error: Exception) -> History:
        """Beside the file that cannot be read, which is kept."""
        self._let_go()
        aside = keep_aside(self.path, "history", DAMAGED_KEPT)
        _log.error("history_kept_aside", error=str(error), file=str(aside), lost="charts and roll-ups so far")
        return self._begin()

    def _begin(self) -> History:
        self._db = connect(self.path, self._busy_timeout)
        try:
            self._history = History(self._db, self._retention)
            if self._definition is not None:
                self._history.define(self._definition)
        except (sqlite3.DatabaseError, Unreadable):
            self._let_go()
            raise
        self._held = identity(self.path), identity(log_of(self.path))
        return self._history

    def _let_go(self) -> None:
        # First whoever reads: SQLite tidies up behind the last one, and that has to be the one who may write.
        self._reading.submit(self._past.close).result()
        self._history = None
        if self._db is not None:
            with contextlib.suppress(sqlite3.Error):
                self._db.close()
            self._db = None
