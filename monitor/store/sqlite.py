"""The agent's own journal: one SQLite file in the state directory, always local."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar

from monitor.core.history import SAMPLES_LIMIT, Past, Point, Retention, Sample, Span
from monitor.core.lived import Definition
from monitor.core.model import Change, CheckRecord, Event, Incident, Journal
from monitor.core.rows import Rows
from monitor.store import _deliveries, _journal
from monitor.store._archive import Archive
from monitor.store._codec import decode_body
from monitor.store._database import check_epoch, transaction
from monitor.store._files import JOURNAL
from monitor.store._held import Held
from monitor.store._peek import Known
from monitor.store._pruning import prune
from monitor.store._rescue import Rescue
from monitor.store.contract import (
    Account,
    Backlog,
    Damaged,
    DeadLetter,
    Delivery,
    Keep,
    Owed,
    Row,
    StoreError,
)

T = TypeVar("T")

PRUNE_EVERY = 1_000
"""New events between two prunings: seldom enough to cost nothing, often enough to stay near the limits."""
PRUNE_FIRST = 0.2
"""Seconds for pruning when the journal is opened, while nobody is watched yet; the rest goes in slices."""
LET_GO_EVERY = 64
"""Memories of checks that are written until the pages are let go that SQLite keeps of them."""


class SqliteStore:
    """A `Store` in ``state_dir/brownout.db``: WAL, and FULL sync for what must not be lost.

    All of SQLite, and the JSON of what it stores, runs on one thread of its own: the loop is never held, and two
    writes never meet. `busy_timeout` is how long another program may hold the file.

    What a `LastingStore` needs besides: `peek` and `unfinished` read what must go on without the journal, `revive`
    makes it writable again, and `catch_up` writes down what happened meanwhile.
    """

    def __init__(
        self,
        state_dir: Path,
        *,
        vantage: str = "local",
        keep: Keep = Keep(),  # noqa: B008  (frozen)
        retention: Retention = Retention(),  # noqa: B008  (frozen)
        busy_timeout: timedelta = timedelta(seconds=5),
    ) -> None:
        path = state_dir / JOURNAL
        self._vantage = vantage
        self._keep = keep
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="brownout-store")
        self._held = Held(path, vantage, busy_timeout)
        self._unpruned = 0
        self._saved = 0
        """Memories of checks since the pages that SQLite holds were let go."""
        self._pruning: Iterator[None] | None = None
        """What is under way. On the store's thread."""
        self._archive = Archive(path, retention, busy_timeout)

    async def open(self) -> Journal:
        journal = await self._call(self._open)
        await self._open_archive()
        return journal

    async def _open_archive(self) -> None:
        # Without the history there are no charts, and that is all.
        with contextlib.suppress(StoreError):
            await self._archive.open()

    @property
    def rescues(self) -> Sequence[Rescue]:
        """Damaged files that were kept aside since the start, oldest first."""
        return self._held.rescues

    async def peek(self, limit: int) -> Known | None:
        """What can be read of a journal that cannot be opened, or of the damaged one in whose place there is none."""
        return await self._call(lambda: self._held.peek(limit))

    async def unfinished(self, limit: int) -> list[Row]:
        """The rows that are neither accepted nor given up, in the order in which they were queued."""
        return await self._read(lambda db: _deliveries.unfinished(db, 0, limit))

    async def revive(self, origin: str) -> str:
        """Make the journal writable again, or raise the `StoreError` that tells why it is not.

        What is damaged is kept aside. The answer is the name of the journal that is there now; a file that had to be
        made anew bears `origin`, and `unfamiliar` tells that it does not know all that it once did.
        """
        reopened, before = "", self._held.openings
        try:
            reopened = await self._call(lambda: self._held.revive(origin))
        finally:
            if self._held.openings != before:  # whoever reads the journal must read the file that is there now
                await self._open_archive()
        return reopened

    @property
    def unfamiliar(self) -> bool:
        """Whether the file was made anew by `revive`, and nobody has told it yet what there is."""
        return self._held.unfamiliar

    async def catch_up(self, changes: Sequence[Change], accounts: Sequence[Account]) -> None:
        """What happened while the journal could not be written, in one transaction. The events' rows are as
        `accounts` say, and no others are made."""

        def write(db: sqlite3.Connection) -> int:
            new = _journal.write_changes(db, changes, frozenset(), self._vantage, self._held.epoch)
            _deliveries.write_down(db, self._held.epoch, accounts)
            return new

        self._unpruned += await self._write(write, durable=True)
        self._held.unfamiliar = False

    async def commit(self, changes: Sequence[Change], supersedes: frozenset[str]) -> Sequence[Event]:
        def write(db: sqlite3.Connection) -> int:
            return _journal.write_changes(db, changes, supersedes, self._vantage, self._held.epoch)

        self._unpruned += await self._write(write, durable=True)
        if self._unpruned >= PRUNE_EVERY and self._pruning is None:
            self._unpruned = 0
            self._thread.submit(self._prune)  # nobody waits for it
        return [event for change in changes for event in change.events]

    async def save(self, checks: Sequence[CheckRecord]) -> None:
        await self._write(lambda db: _journal.save_checks(db, checks, self._vantage, self._held.epoch))
        self._saved += len(checks)
        if self._saved >= LET_GO_EVERY:
            self._saved = 0
            self._thread.submit(self._let_go)  # nobody waits for it

    async def claim(
        self, sink: str, now: datetime, lease_until: datetime, limit: int, *, deep: bool = False
    ) -> list[Delivery]:
        return await self._write(
            lambda db: _deliveries.claim(db, self._held.epoch, sink, now, lease_until, limit, deep=deep)
        )

    async def delivered(self, deliveries: Sequence[Delivery], now: datetime) -> None:  # noqa: ARG002  (the contract's)
        await self._write(lambda db: _deliveries.delivered(db, self._held.epoch, deliveries))

    async def failed(self, deliveries: Sequence[Delivery], retry_at: datetime, error: str) -> None:
        await self._write(lambda db: _deliveries.failed(db, self._held.epoch, deliveries, retry_at, error))

    async def dead(self, deliveries: Sequence[Delivery], now: datetime, error: str) -> None:
        await self._write(lambda db: _deliveries.dead(db, self._held.epoch, deliveries, now, error), durable=True)

    async def hasten(self, sink: str, now: datetime) -> None:
        await self._write(lambda db: _deliveries.hasten(db, sink, now))

    async def owed(self, sink: str, before: datetime, streams: Sequence[str], limit: int) -> list[Owed]:
        return await self._read(lambda db: _deliveries.owed(db, sink, before, streams, limit))

    async def also(self, event_id: str, sink: str) -> None:
        await self._write(lambda db: _deliveries.also(db, self._held.epoch, event_id, sink), durable=True)

    async def send_again(self, event_id: str, sink: str, *, present: bool) -> bool:
        def write(db: sqlite3.Connection) -> bool:
            return _deliveries.send_again(db, self._held.epoch, event_id, sink, present=present)

        return await self._write(write, durable=True)

    async def next_due(self, sink: str) -> datetime | None:
        return await self._read(lambda db: _deliveries.next_due(db, sink))

    async def backlog(self) -> Mapping[str, Backlog]:
        return await self._read(_deliveries.backlog)

    async def dead_letters(self, limit: int) -> list[DeadLetter]:
        return await self._read(lambda db: _deliveries.dead_letters(db, limit))

    async def incidents(self, limit: int) -> list[Incident]:
        return await self._read(lambda db: _journal.newest_incidents(db, limit))

    async def events(self, limit: int) -> list[Mapping[str, Any]]:
        return await self._read(lambda db: [decode_body(body) for body in _journal.newest_bodies(db, limit)])

    async def record(self, looks: Rows[str], now: datetime) -> None:
        await self._archive.record(looks, now)

    async def define(self, definition: Definition) -> None:
        await self._archive.define(definition)

    async def tend(self, now: datetime) -> bool:
        return await self._archive.tend(now)

    async def transitions(self, kind: str, subject: str, limit: int, before: int | None = None) -> list[Past]:
        return await self._archive.transitions(self._vantage, kind, subject, limit, before)

    async def states(self, kind: str, subject: str, since: datetime, until: datetime) -> list[Span]:
        return await self._archive.states(self._vantage, kind, subject, since, until)

    async def samples(self, check: str, since: datetime, until: datetime, limit: int = SAMPLES_LIMIT) -> list[Sample]:
        return await self._archive.samples(check, since, until, limit)

    async def rollup(
        self, check: str, since: datetime, until: datetime, step: timedelta | None = None
    ) -> list[Point]:
        return await self._archive.rollup(check, since, until, step)

    async def incident(self, identity: str) -> Incident | None:
        return await self._read(lambda db: _journal.find_incident(db, identity))

    async def incident_events(self, identity: str, limit: int) -> list[Mapping[str, Any]]:
        return await self._read(lambda db: [decode_body(b) for b in _journal.bodies_of(db, identity, limit)])

    async def events_after(self, event: str, limit: int) -> list[Mapping[str, Any]] | None:
        def read(db: sqlite3.Connection) -> list[Mapping[str, Any]] | None:
            bodies = _journal.bodies_after(db, event, limit)
            return None if bodies is None else [decode_body(body) for body in bodies]

        return await self._read(read)

    async def close(self) -> None:
        await self._archive.close()
        await self._call(self._held.close)

    async def _call(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._held.guarded, work)

    async def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await self._call(lambda: work(self._held.connection()))

    async def _write(self, work: Callable[[sqlite3.Connection], T], *, durable: bool = False) -> T:
        def write() -> T:
            db = self._held.to_write()
            with transaction(db, durable=durable):
                check_epoch(db, self._held.epoch)
                return work(db)

        return await self._call(write)

    def _open(self) -> Journal:
        journal = self._held.open()
        try:
            self._prune_first()
        except Damaged:  # better met now than while it watches
            journal = self._held.open_anew()
        return journal

    def _prune_first(self) -> None:
        until = monotonic() + PRUNE_FIRST
        try:
            while self._held.guarded(self._slice):
                if monotonic() > until:
                    self._thread.submit(self._prune)
                    break
        except Damaged:
            raise
        except StoreError:  # the first write says so, to someone who can act on it
            return

    def _prune(self) -> None:
        """One slice; the next one takes its turn behind whatever waits for the thread by then."""
        with contextlib.suppress(StoreError):  # the next write says so
            if self._held.guarded(self._slice):
                self._thread.submit(self._prune)

    def _let_go(self) -> None:
        """Give back the pages that were written: of 10,000 checks they are 16 MB, and the next flush needs others."""
        with contextlib.suppress(StoreError):  # the next write says so
            self._held.guarded(lambda: self._held.to_write().execute("PRAGMA shrink_memory"))

    def _slice(self) -> bool:
        """Whether there is more to be done."""
        db = self._held.to_write()
        work, self._pruning = self._pruning or prune(db, self._keep), None
        with transaction(db, durable=False):
            check_epoch(db, self._held.epoch)
            done = next(work, True)
        self._pruning = None if done else work
        return not done
