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
from typing import Any, TypeVar

import structlog

from monitor.core.history import Past, Point, Retention, Sample, Span
from monitor.core.rows import Rows
from monitor.store import _past, _reading
from monitor.store._history import History
from monitor.store._history_file import NAME, Unreadable, connect, connect_to_read, put_aside
from monitor.store.contract import StoreError

T = TypeVar("T")

_log = structlog.get_logger("brownout.history")


class Archive:
    """`state_dir/history.db`, and reading `journal`. Every method raises `StoreError`."""

    def __init__(self, journal: Path, retention: Retention, busy_timeout: timedelta) -> None:
        self.path = journal.with_name(NAME)
        self._journal = journal
        self._retention = retention
        self._busy_timeout = busy_timeout
        self._writing = ThreadPoolExecutor(max_workers=1, thread_name_prefix="brownout-history")
        self._reading = ThreadPoolExecutor(max_workers=1, thread_name_prefix="brownout-reading")
        self._db: sqlite3.Connection | None = None
        self._history: History | None = None
        self._open_for_reading = False
        self._past: sqlite3.Connection | None = None
        self._events: sqlite3.Connection | None = None

    async def open(self) -> None:
        """A file that cannot be read is put aside, and a new one is begun. What cannot be opened now is tried again
        with every batch."""
        self._open_for_reading = True
        await self._call(self._writing, self._open)

    async def record(self, looks: Rows[str], now: datetime) -> None:
        await self._call(self._writing, lambda: self._opened().record(looks, now))

    async def tend(self, now: datetime) -> bool:
        return await self._call(self._writing, lambda: self._opened().tend(now))

    async def samples(self, check: str, since: datetime, until: datetime, limit: int) -> list[Sample]:
        return await self._read(lambda past: list(islice(_reading.samples(past, check, since, until), max(limit, 0))))

    async def rollup(self, check: str, since: datetime, until: datetime, step: timedelta | None) -> list[Point]:
        return await self._read(lambda past: _reading.rollup(past, check, since, until, step))

    async def states(self, vantage: str, kind: str, subject: str, since: datetime, until: datetime) -> list[Span]:
        absences: list[tuple[datetime, datetime]] = []
        with contextlib.suppress(StoreError):  # without a history it is not known when nobody was there
            absences = await self._read(_reading.absences)
        return await self._read_journal(
            lambda events: _past.states(events, vantage, (kind, subject), since, until, absences)
        )

    async def transitions(self, vantage: str, limit: int, **asked: Any) -> list[Past]:
        return await self._read_journal(lambda events: _past.transitions(events, vantage, limit, **asked))

    async def close(self) -> None:
        self._open_for_reading = False
        await self._call(self._reading, self._close_reading)
        await self._call(self._writing, self._close)

    async def _call(self, thread: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(thread, self._guarded, work)

    async def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def read() -> T:
            if not self._open_for_reading:
                raise StoreError(f"the history {self.path} is not open")
            if self._past is None:
                self._past = connect_to_read(self.path)
            return work(self._past)

        return await self._call(self._reading, read)

    async def _read_journal(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def read() -> T:
            if not self._open_for_reading:
                raise StoreError(f"the journal {self._journal} is not open")
            if self._events is None:
                self._events = connect_to_read(self._journal)
            return work(self._events)

        return await self._call(self._reading, read)

    # --- on the threads ------------------------------------------------------------------------------------

    def _guarded(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except (sqlite3.Error, ValueError, OSError) as error:
            raise StoreError(f"the history {self.path}: {error}") from error

    def _opened(self) -> History:
        if not self._open_for_reading:
            raise StoreError(f"the history {self.path} is not open")
        return self._history or self._open()

    def _open(self) -> History:
        try:
            return self._begin()
        except (Unreadable, sqlite3.DatabaseError) as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            self._close()
            aside = put_aside(self.path)
            _log.error("history_kept_aside", error=str(error), file=str(aside), lost="charts and roll-ups so far")
            return self._begin()

    def _begin(self) -> History:
        self._db = connect(self.path, self._busy_timeout)
        self._history = History(self._db, self._retention)
        return self._history

    def _close_reading(self) -> None:
        for db in (self._past, self._events):
            if db is not None:
                db.close()
        self._past = self._events = None

    def _close(self) -> None:
        self._history = None
        if self._db is not None:
            with contextlib.suppress(sqlite3.Error):
                self._db.close()
            self._db = None
