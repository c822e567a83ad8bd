"""Hands the looks that were judged to the history, in batches, and has it tended in slices.

What is not written yet is gone with a kill: the looks of the last `FLUSH_EVERY` seconds. A history that cannot be
written costs its looks, counted, and nothing else.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import structlog

from monitor.clock import CautiousClock, Clock
from monitor.core.lived import Definition
from monitor.core.model import Check, Look, State
from monitor.core.rows import Rows
from monitor.store.contract import Store, StoreError

FLUSH_EVERY = 15.0
"""Seconds between two batches, as between two flushes of what checks remember."""
LOOKS_LIMIT = 50_000
"""Looks that wait in memory for a history that cannot be written, some 5 MB; then the oldest batch goes."""
PAUSE = 0.03
"""Seconds between two slices of tending: it has the thread, and so the interpreter, a tenth of the time at most."""
DEFINITIONS_LIMIT = 10
"""Definitions that wait for a history that cannot be written; then the oldest goes."""

_log = structlog.get_logger("brownout.history")


class Recorder:
    """`take` is the pipeline's port; `run` writes and tends until it is cancelled; `settle` writes what is left."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        lost: Callable[[int], None],
        *,
        limit: int = LOOKS_LIMIT,
        uptime: Callable[[], float] | None = None,
    ) -> None:
        """`lost` is told of looks that were given up, as more than `limit` were waiting; `uptime` tells seconds that
        nobody sets, while the machine sleeps, too."""
        self._store = store
        self._clock = clock
        self._lost = lost
        self._limit = limit
        self._age = CautiousClock(clock, uptime or (lambda: clock.now().tick))
        self._fresh: Rows[str] = Rows()
        self._waiting: list[Rows[str]] = []
        self._definitions: deque[Definition] = deque(maxlen=DEFINITIONS_LIMIT)
        self._failing = False
        self._turn = asyncio.Lock()

    def take(self, check: Check, look: Look, state: State) -> None:
        """Keep a look that was judged; `state` is the check's after it."""
        self._fresh.add(check.id, check, look, state)

    def define(self, definition: Definition) -> None:
        """Keep what looks are judged by from now on."""
        self._definitions.append(definition)

    async def run(self) -> None:
        while True:
            due = self._clock.now().tick + FLUSH_EVERY
            await self.settle()
            await self._tend(due)
            await asyncio.sleep(max(due - self._clock.now().tick, 0.0))

    async def settle(self) -> None:
        """Write all that is there, once: whoever comes while a batch is being written waits for its end."""
        async with self._turn:
            self._waiting.append(self._fresh)
            self._fresh = Rows()
            try:
                while self._definitions:
                    first = self._definitions[0]
                    await self._store.define(first)
                    if self._definitions[0] is first:
                        self._definitions.popleft()
                while self._waiting:
                    await self._store.record(self._waiting[0], self._clock.now().at)
                    del self._waiting[0]
            except StoreError as error:
                self._report(error)
                self._give_up()
            else:
                self._failing = False

    async def _tend(self, due: float) -> None:
        try:
            while self._clock.now().tick < due:
                if not await self._store.tend(self._age.now()):
                    return
                await asyncio.sleep(PAUSE)
        except StoreError as error:
            self._report(error)

    def _report(self, error: StoreError) -> None:
        """Once, until it works again."""
        if not self._failing:
            self._failing = True
            _log.error("history_failed", error=str(error), harm="charts and roll-ups lack what cannot be written")

    def _give_up(self) -> None:
        while sum(map(len, self._waiting)) > self._limit:
            self._lost(len(self._waiting.pop(0)))
