"""The store that lasts: when the journal cannot be written, events go out from memory, and are written down later.

While all is well every call goes to the journal. A call that fails for the disk's sake (full, read-only, locked,
broken, damaged) leads all calls to a bounded memory, which begins with what the journal still owed; so nobody who
uses the store notices, but for the mark `durable: false` in the events. `run` tries to revive the journal, and when
it can be written all that has happened goes into it in one transaction: changes, and what became of each row. A sink
that has accepted an event from memory does not get it again.

What is in memory alone is lost with the process. The journal then knows less than the sinks: what still holds is
decided again, with the same ids.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar

import structlog

from monitor.core.model import Change, CheckRecord, Event, Journal, Note
from monitor.store._database import new_origin
from monitor.store._spare import Bounds, Spare
from monitor.store._two_sources import Durable, Silent, TwoSources, patiently
from monitor.store.contract import (
    Backlog,
    Damaged,
    Delivery,
    Fenced,
    JournalCondition,
    Owed,
    Refused,
    Row,
    Store,
    StoreBusy,
    StoreError,
    Unstorable,
)
from monitor.store.memory import remember

T = TypeVar("T")

RETRY = 1.0
"""Seconds between two attempts to revive the journal."""
REMIND = 600.0
"""Seconds between two log lines about trouble that lasts."""
ROWS = 10_000
"""Rows that are taken over from the journal. Of a longer backlog the rest waits until the journal works again."""

_AT_ONCE = datetime(1970, 1, 1, tzinfo=UTC)

_log = structlog.get_logger("brownout.journal")


class LastingStore(TwoSources):
    """A `Store` that never fails for its disk's sake. `run` it once, beside whoever uses it."""

    def __init__(self, durable: Durable, *, bounds: Bounds = Bounds(), retry: float = RETRY) -> None:  # noqa: B008
        self._durable = durable
        self._bounds = bounds
        self._retry = retry
        self._spare = None
        self._turn = asyncio.Lock()
        """Held by whoever writes to the memory, or leads the way to it or back."""
        self._diverted = asyncio.Event()
        self._origin = ""
        self._notes: dict[str, Any] = {}
        """All notes as they stand, by name: for a file that had to be made anew."""
        self._trouble: StoreError | None = None
        self._failures = self._unsent = self._forgotten = self._quiet = self._rescues_told = 0
        self.everything: Callable[[], Change | None] = Change
        """Tells all that is known (every record, every open incident), for a file that had to be made anew; None
        while something decided has not come to us yet, since no record may be ahead of its events."""
        self.written_again: Callable[[], None] = lambda: None
        """Told when the journal is led to again: memory that began while it was silent knew nothing of what waits
        there, and said so to whoever asked."""

    @property
    def condition(self) -> JournalCondition:
        spare, rescues = self._spare, self._durable.rescues
        return JournalCondition(
            trouble=str(self._trouble or ""),
            failures=self._failures,
            waiting=spare.events if spare else 0,
            unsent=self._unsent + (spare.unsent if spare else 0),
            forgotten=self._forgotten + (spare.forgotten if spare else 0),
            set_aside=str(rescues[-1].aside) if rescues else "",
            damaged=len(rescues),
        )

    async def open(self) -> Journal:
        """The journal, or what can be read of it. Raises where only a person can help: `Refused`, `StoreBusy`."""
        if self._origin:
            raise StoreError("this store is open already")
        try:
            journal = await patiently(self._durable.open())
        except (Refused, StoreBusy, Fenced):
            raise
        except StoreError as error:
            known = await self._durable.peek(ROWS)
            journal = known.journal if known else Journal(new_origin(), 0)
            self._origin = journal.origin
            async with self._turn:
                await self._divert(error, [_free(row) for row in known.rows] if known else ())
        self._origin, self._notes = journal.origin, dict(journal.notes)
        self._report_rescues()
        return journal

    async def run(self) -> None:
        """Bring the journal up to date whenever it can be written again. For ever. Raises `Fenced`."""
        while True:
            await self._diverted.wait()
            await asyncio.sleep(self._retry)
            await self._mend()

    async def commit(self, changes: Sequence[Change], supersedes: frozenset[str]) -> Sequence[Event]:
        async with self._turn:
            told = await self._commit(changes, supersedes)
            remember((note for change in changes for note in change.notes), self._notes)
        return told

    async def _commit(self, changes: Sequence[Change], supersedes: frozenset[str]) -> Sequence[Event]:
        spare = self._spare
        if spare is None:
            try:
                return await patiently(self._durable.commit(changes, supersedes))
            except (Fenced, Unstorable):
                raise
            except StoreError as error:
                spare = await self._divert(error)
        return await spare.commit(changes, supersedes)

    async def save(self, checks: Sequence[CheckRecord]) -> None:
        """Raises `StoreError` while the journal cannot be written: memories need no second memory."""
        async with self._turn:
            if self._spare is not None:
                raise StoreError(str(self._trouble))
            try:
                await patiently(self._durable.save(checks))
            except (Fenced, Unstorable):
                raise
            except StoreError as error:
                await self._divert(error)
                raise

    async def claim(
        self, sink: str, now: datetime, lease_until: datetime, limit: int, *, deep: bool = False
    ) -> list[Delivery]:
        return await self._either(lambda store: store.claim(sink, now, lease_until, limit, deep=deep))

    async def delivered(self, deliveries: Sequence[Delivery], now: datetime) -> None:
        await self._either(lambda store: store.delivered(deliveries, now))

    async def failed(self, deliveries: Sequence[Delivery], retry_at: datetime, error: str) -> None:
        await self._either(lambda store: store.failed(deliveries, retry_at, error))

    async def dead(self, deliveries: Sequence[Delivery], now: datetime, error: str) -> None:
        await self._either(lambda store: store.dead(deliveries, now, error))

    async def hasten(self, sink: str, now: datetime) -> None:
        await self._either(lambda store: store.hasten(sink, now))

    async def owed(self, sink: str, before: datetime, streams: Sequence[str], limit: int) -> list[Owed]:
        return await self._either(lambda store: store.owed(sink, before, streams, limit))

    async def also(self, event_id: str, sink: str) -> None:
        await self._either(lambda store: store.also(event_id, sink))
        if self._spare is not None:
            self._spare.also(event_id, sink)

    async def send_again(self, event_id: str, sink: str, *, present: bool) -> bool:
        """Raises `StoreError` while the journal cannot be written: its dead letters are not in memory."""
        if self._spare is not None:
            raise StoreError(str(self._trouble))
        return await patiently(self._durable.send_again(event_id, sink, present=present))

    async def next_due(self, sink: str) -> datetime | None:
        return await self._either(lambda store: store.next_due(sink))

    async def backlog(self) -> Mapping[str, Backlog]:
        return await self._either(lambda store: store.backlog())

    async def close(self) -> None:
        """Write down what only memory has, if that is possible now. To be called within a limit, as a disk that hangs
        may never let go of the files: cancelled, it waits for nothing more."""
        if self._spare is not None and self._origin:
            try:
                await self._mend()
            except StoreError as error:  # nobody can act on it: another agent has the journal, or it is another
                self._trouble = error
        if self._spare is not None:
            _log.error(
                "journal_unwritten", events=self._spare.events, error=str(self._trouble), lost="with this stop"
            )
        await self._durable.close()
        self._spare = None

    # --- here or there -------------------------------------------------------------------------------------

    async def _either(self, call: Callable[[Store], Awaitable[T]]) -> T:
        """From the journal, or from memory when that fails. What the journal has answered when all were led to memory
        meanwhile is asked again there: the memory may have begun without it."""
        while True:
            spare = self._spare
            if spare is None:
                try:
                    answer = await patiently(call(self._durable))
                except Fenced:
                    raise
                except StoreError as error:
                    async with self._turn:
                        await self._divert(error)
                else:
                    if self._spare is None:
                        return answer
            else:
                async with self._turn:
                    if self._spare is spare:
                        return await call(spare.store)

    async def _there(self, call: Callable[[Durable], Awaitable[T]]) -> T | None:
        try:
            return await patiently(call(self._durable))
        except StoreError as error:
            if self._spare is None and not isinstance(error, Damaged):
                raise
            async with self._turn:
                await self._divert(error)
            return None

    # --- there and back ------------------------------------------------------------------------------------

    async def _divert(self, error: StoreError, rows: Sequence[Row] | None = None) -> Spare:
        """Lead all calls to memory. `rows`: what is owed, where the journal need not be asked."""
        if not self._origin:
            raise error  # it was never opened
        if self._spare is None:
            self._note(error)
            if rows is None:
                rows = () if isinstance(error, Silent) else await self._owed()
            self._spare = await Spare.begin(rows, self._bounds)
            self._diverted.set()
        return self._spare

    async def _owed(self) -> Sequence[Row]:
        """What can be read of the outbox."""
        try:
            return await patiently(self._durable.unfinished(ROWS))
        except StoreError:
            known = await self._durable.peek(ROWS)
            return known.rows if known else ()

    async def _mend(self) -> None:
        """One attempt to write everything down."""
        try:
            try:
                origin = await patiently(self._durable.revive(self._origin))
            finally:
                self._report_rescues()
            async with self._turn:
                if not await self._catch_up():
                    return
        except (Fenced, Unstorable):
            raise
        except StoreError as error:
            self._note(error)
            return
        if origin != self._origin:
            # We began without it, under another name: what we know does not fit what it knows.
            raise StoreError(
                f"the journal can be read now, and it is another than was thought ({origin}): starting anew"
            )

    async def _catch_up(self) -> bool:
        spare = self._spare
        if spare is None:
            return True
        everything = self.everything() if self._durable.unfamiliar else Change()
        if everything is None:
            return False  # the pipeline's commit waits for its turn
        change, accounts = spare.owed()
        known = Change(notes=tuple(Note(name, value) for name, value in self._notes.items()))
        await patiently(self._durable.catch_up([everything, change, known], accounts))
        self._unsent += spare.unsent
        self._forgotten += spare.forgotten
        self._spare = self._trouble = None
        self._diverted.clear()
        self._quiet = 0
        _log.warning("journal_written_again", events=spare.events, transitions=len(change.transitions))
        self.written_again()
        return True

    def _note(self, error: StoreError) -> None:
        self._failures += 1
        if self._quiet <= 0 or type(error) is not type(self._trouble):
            self._quiet = round(REMIND / self._retry)
            _log.error("journal_failed", error=str(error), effect="events go out from memory, marked durable: false")
        self._quiet -= 1
        self._trouble = error

    def _report_rescues(self) -> None:
        rescues = self._durable.rescues
        for rescue in rescues[self._rescues_told :]:
            _log.error(
                "journal_damaged",
                kept_aside=str(rescue.aside),
                brought_over=rescue.rows,
                event_ids="go on" if rescue.known_ids else "begin anew",
            )
        self._rescues_told = len(rescues)


def _free(row: Row) -> Row:
    """A lease of the agent before us has ended with it."""
    return replace(row, leased=False, due=_AT_ONCE) if row.leased else row
