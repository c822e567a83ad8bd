"""What was decided, on its way into the journal: in order, in batches, behind the loop's back.

A commit that fails is kept and tried again: the journal's trouble never touches a verdict and never stops a look.
What the checks remember is flushed now and then, never ahead of the events that tell of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

import structlog

from monitor.clock import Clock
from monitor.core.model import Change, CheckRecord, Event
from monitor.core.world import World
from monitor.decision_log import named, report
from monitor.store.contract import Fenced, Store, StoreError, Unstorable

COMMIT_BATCH = 500
"""Changes in one transaction at most."""
RETRY_COMMIT = 1.0
"""Seconds until a failed commit is tried again."""
FLUSH_EVERY = 15.0
"""Seconds between flushes of what the checks remember: no window is forgotten for longer."""
KEEP_EVERY = 0.1
"""Seconds between flushes of what must not wait for the next one: a thousand pings a second are ten writes."""
FLUSH_PAUSE = 0.03
"""Seconds between two batches of a flush: the journal's thread, which shares the interpreter with the looks, has it a
fifth of the time at most. Ten thousand checks take three seconds then."""
_FLUSH_BATCH = 100
"""Checks whose memory is put into plain values before the loop gets a turn (a few ms)."""

_log = structlog.get_logger("brownout.pipeline")


class Observer(Protocol):
    """Watches what is written; never takes part."""

    def committed(self, changes: int, seconds: float) -> None: ...

    def commit_failed(self) -> None: ...

    def unstorable(self) -> None: ...


class Writer:
    """`run` commits and flushes until it is cancelled."""

    def __init__(
        self,
        world: World,
        store: Store,
        clock: Clock,
        *,
        level_sinks: frozenset[str],
        wake: Callable[[frozenset[str]], None],
        observer: Observer,
        publish: Callable[[Sequence[Event]], None],
    ) -> None:
        """`wake` is told the sinks for which something was committed, `publish` the events."""
        self._world = world
        self._store = store
        self._clock = clock
        self._level_sinks = level_sinks
        self._wake = wake
        self._observer = observer
        self._publish = publish
        self._pending: list[Change] = []
        self._batch = COMMIT_BATCH
        """How many changes the next transaction takes: halved around one that cannot be stored, until it is alone."""
        self._news = asyncio.Event()
        self._empty = asyncio.Event()
        """Set while nothing waits to be committed."""
        self._empty.set()
        self._unsaved: set[str] = set()
        """Ids of the checks that were looked at since their memory was flushed."""
        self._flush_at = clock.now().tick + FLUSH_EVERY
        self._urgent: set[str] = set()
        """Ids of the checks whose memory is waited for."""
        self._keep_at = 0.0
        """The earliest tick at which that is flushed."""
        self._promise: asyncio.Future[bool] | None = None
        """Of the flush that they are waited for with."""
        self.journal_ok = True
        """Whether the last write succeeded."""

    @property
    def uncommitted(self) -> int:
        return len(self._pending)

    def adopt(self, world: World, level_sinks: frozenset[str]) -> None:
        """Go on with another world. What waits to be committed is of the one before and goes first, as ever."""
        self._world, self._level_sinks = world, level_sinks

    def touch(self, check: str) -> None:
        """The check remembers something new: it is in the next flush."""
        self._unsaved.add(check)

    async def committed(self, patience: float) -> bool:
        """Whether all that was decided is in the journal, or is so within so many seconds."""
        try:
            await asyncio.wait_for(self._empty.wait(), patience)
        except TimeoutError:
            return False
        return True

    def enter(self, change: Change) -> None:
        """Queue a change for the next transaction."""
        self._empty.clear()
        self._pending.append(change)
        self._news.set()

    def everything(self) -> Change | None:
        """All that is known, for a journal that has lost it. None while something that was decided is not committed:
        no record may be ahead of the events that tell of it."""
        return None if self._pending else self._world.everything(self._clock.now())

    async def keep(self, check: str, patience: float) -> bool:
        """Have a check's memory in the journal now. False: it was not possible, or not within `patience` seconds; it
        is tried again with every flush."""
        self._unsaved.add(check)
        self._urgent.add(check)
        if self._promise is None:
            self._promise = asyncio.get_running_loop().create_future()
        self._news.set()
        try:
            return await asyncio.wait_for(asyncio.shield(self._promise), patience)
        except TimeoutError:
            return False

    async def run(self) -> None:
        while True:
            await self._await_work()
            now = self._clock.now().tick
            if self._pending:
                await self._commit()
            elif self._urgent and now >= self._keep_at:
                await self._keep_urgent()
            elif now >= self._flush_at:
                await self._flush(FLUSH_PAUSE)

    async def settle(self) -> None:
        """Commit and flush all that is left, once: the last act before the store is closed."""
        while self._pending:
            if not await self._commit():
                return
        if self._urgent:
            await self._keep_urgent()
        await self._flush()

    async def _await_work(self) -> None:
        due = min(self._flush_at, self._keep_at) if self._urgent else self._flush_at
        wait = due - self._clock.now().tick
        if not self._pending and wait > 0:
            timer = asyncio.get_running_loop().call_later(wait, self._news.set)
            await self._news.wait()
            timer.cancel()
        self._news.clear()

    async def _commit(self) -> bool:
        batch = self._pending[: self._batch]
        began = self._clock.now().tick
        try:
            events = await self._store.commit(batch, self._level_sinks)
        except Fenced:
            raise
        except Unstorable as error:
            self._single_out(batch, error)
            return True
        except StoreError as error:
            await self._keep(error)
            return False
        del self._pending[: len(batch)]
        self._told_if_empty()
        self._batch = min(self._batch * 2, COMMIT_BATCH)
        self.journal_ok = True
        self._observer.committed(len(batch), self._clock.now().tick - began)
        self._publish(events)
        sinks = frozenset(sink for event in events for sink in event.sinks)
        if sinks:
            self._wake(sinks)
        report(batch)
        return True

    def _told_if_empty(self) -> None:
        if not self._pending:
            self._empty.set()

    def _single_out(self, batch: Sequence[Change], error: Unstorable) -> None:
        """Find the one change that cannot be stored, and give it up: behind it wait others that can."""
        self._batch = max(len(batch) // 2, 1)
        if len(batch) > 1:
            return
        del self._pending[0]
        self._told_if_empty()
        self._observer.unstorable()
        _log.error("change_lost", error=str(error), report="this is a bug in Brownout or in a probe", **named(batch))

    async def _flush(self, pause: float = 0.0) -> None:
        """Save what the checks remember, batch by batch, only while nothing waits to be committed: a saved state must
        never be ahead of the events that tell of it."""
        self._flush_at = self._clock.now().tick + FLUSH_EVERY
        if not await self._flush_checks(list(self._unsaved), pause=pause) and self._pending:
            self._flush_at = self._clock.now().tick  # it goes on behind the commit

    async def _keep_urgent(self) -> None:
        """Flush what is waited for, and say so to whoever waits."""
        self._keep_at = self._clock.now().tick + KEEP_EVERY
        names, promise = list(self._urgent), self._promise
        self._urgent, self._promise = set(), None
        kept = False
        try:
            kept = await self._flush_checks(names)
            while not kept and self._pending and await self._commit():
                kept = await self._flush_checks([name for name in names if name in self._unsaved])
        finally:
            if promise is not None and not promise.done():
                promise.set_result(kept)

    async def _flush_checks(self, names: Sequence[str], *, pause: float = 0.0) -> bool:
        """Whether all of them are in the journal. `pause`: seconds between two batches, unless something is to be
        committed."""
        for start in range(0, len(names), _FLUSH_BATCH):
            if start and pause:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._news.wait(), pause)
            if self._pending:
                return False
            batch = names[start : start + _FLUSH_BATCH]
            now = self._clock.now()
            self._unsaved.difference_update(batch)
            try:
                judges = self._world.judges
                await self._save([judges[name].record(now) for name in batch if name in judges])
            except Fenced:
                raise
            except StoreError as error:
                self._unsaved.update(batch)
                await self._keep(error)
                return False
            self.journal_ok = True
        return True

    async def _save(self, records: Sequence[CheckRecord]) -> None:
        """What cannot be stored of a check is left as it was kept before; the others are saved."""
        try:
            await self._store.save(records)
        except Unstorable as error:
            if len(records) > 1:
                for record in records:
                    await self._save([record])
                return
            self._observer.unstorable()
            _log.error("memory_lost", check=records[0].check, error=str(error))

    async def _keep(self, error: StoreError) -> None:
        if self.journal_ok:
            _log.error("journal_failed", error=str(error), uncommitted=len(self._pending))
        self.journal_ok = False
        self._observer.commit_failed()
        await asyncio.sleep(RETRY_COMMIT)
