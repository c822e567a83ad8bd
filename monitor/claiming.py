"""Which of one sink's rows are sent now: what is due, whatever the clock was set to; of a removed sink the ends."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import structlog

from monitor.attempt import Shared
from monitor.fallback import ENDS
from monitor.sinks.contract import Nature
from monitor.store.contract import Delivery

log: structlog.typing.FilteringBoundLogger = structlog.get_logger("brownout.outbox")

REMOVED = "the sink was removed from the configuration"
AT_ONCE = datetime(1970, 1, 1, tzinfo=UTC)
"""When an event is due that was never tried."""
MOMENT = timedelta(milliseconds=1)
"""What is not to be met again in the same round is due so much later."""
_STEP = 5.0
"""Seconds: the wall clock was set, and not merely kept in time."""
_STREAMS = 5_000
"""That are gathered into one message at most."""


class Claims:
    """Of one sink. Each raises `StoreError`."""

    def __init__(self, name: str, shared: Shared) -> None:
        self._name = name
        self._store, self._pace = shared.store, shared.pace
        self._clock, self._steady = shared.clock, shared.steady
        self._ahead: float | None = None
        """By how much the wall clock was ahead of the steady one at the last look at old waits; None before it."""

    async def claim(self, nature: Nature, free: int) -> list[Delivery]:
        """What is to be sent now, leased: those of a stream are in order."""
        now = self._steady.now()
        until = now + timedelta(seconds=self._pace.send_timeout + self._pace.lease_margin)
        if nature is not Nature.HUMAN:
            return await self._store.claim(self._name, now, until, free, deep=nature is Nature.LEVEL)
        due = await self._store.next_due(self._name)
        if due is None or due > now:
            return []
        await self._store.hasten(self._name, now)  # what waits to be tried again is told along
        return await self._store.claim(self._name, now, until, _STREAMS, deep=True)

    async def ends_of(self, rows: Sequence[Delivery]) -> list[Delivery]:
        """What a removed sink is still told; the others are given up."""
        others = [row for row in rows if row.event_type not in ENDS]
        if others:
            await self._store.dead(others, self._clock.now().at, REMOVED)
        return [row for row in rows if row.event_type in ENDS]

    async def mistrust_old_waits(self) -> None:
        """What an agent before us wrote down by a clock that was wrong, then or until now, must not wait for that."""
        before, self._ahead = self._ahead, self._steady.ahead
        if before is None:
            due = await self._store.next_due(self._name)
            wrong = due is not None and (due - self._steady.now()).total_seconds() > self._pace.longest
        else:
            wrong = abs(self._ahead - before) > _STEP
        if wrong:
            log.info("outbox.clock_was_set", sink=self._name, effect="what waits to be sent again is sent now")
            await self._store.hasten(self._name, self._steady.now())
