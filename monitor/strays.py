"""What waits for sinks that the configuration no longer has.

Nobody could send it: secrets are not in the journal, and with the entry went the address. So it is given up; but what
would end something that is open there is kept until the sink is back, and said: nobody else would close it.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from datetime import UTC, datetime, timedelta

import structlog

from monitor.claiming import MOMENT, REMOVED
from monitor.clock import SteadyClock
from monitor.fallback import ENDS, HandOvers
from monitor.store.contract import Fenced, Store, StoreError

log: structlog.typing.FilteringBoundLogger = structlog.get_logger("brownout.outbox")

OWED_FOR = timedelta(days=30)
"""An end that waited for longer is a dead letter, as everything else at once."""
SAID = 20
"""Ids that a line of the log, or an answer, has at most."""
ADVICE = "it is not in the file any more: put it back, or resolve them there by hand"
OpenAt = Callable[[], Mapping[str, Iterable[str]]]
"""By each sink that was told of something whose end it was not told: what that is, by its stream."""
_LEASE = timedelta(minutes=10)
_BATCH = 100
_ROWS = 5_000
_EVER = datetime(9999, 1, 1, tzinfo=UTC)
"""Later than any event, by whatever clock."""


class Strays:
    """Those of all sinks but the `lanes`', which come and go."""

    def __init__(
        self,
        store: Store,
        steady: SteadyClock,
        lanes: Container[str],
        handovers: HandOvers,
        open_at: OpenAt,
        wake: Callable[[Iterable[str]], None],
    ) -> None:
        self._store = store
        self._steady = steady
        self._lanes = lanes
        self._handovers = handovers
        self._open_at = open_at
        self._wake = wake
        self._said: dict[str, set[str]] = {}

    async def tend(self) -> None:
        """Give up what can be given up, and say what cannot. Raises `Fenced` alone."""
        try:
            for sink in await self._waiting():
                await self._sort_out(sink)
            for sink, streams in (await self.owed()).items():
                self._say(sink, streams)
        except Fenced:
            raise
        except StoreError as error:  # they wait on
            log.warning("outbox.store_failed", error=str(error))

    async def owed(self) -> dict[str, list[str]]:
        """By each sink that is gone: the streams of which it is still to be told the end. Raises `StoreError`."""
        found: dict[str, dict[str, None]] = {}
        for known in (self._open_at(), self._handovers.open_at()):
            for sink, streams in known.items():
                if sink not in self._lanes:
                    found.setdefault(sink, {}).update(dict.fromkeys(streams))
        for sink in await self._waiting():
            rows = await self._store.owed(sink, _EVER, (), _ROWS)
            streams = dict.fromkeys(row.stream for row in rows if row.event_type in ENDS)
            if streams:
                found.setdefault(sink, {}).update(streams)
        return {sink: list(streams) for sink, streams in found.items()}

    async def _waiting(self) -> list[str]:
        backlog = await self._store.backlog()
        return sorted(sink for sink, kept in backlog.items() if kept.waiting and sink not in self._lanes)

    async def _sort_out(self, sink: str) -> None:
        """Make dead letters of the rows of a sink, batch by batch, as lanes want the store too; but for the ends."""
        now, buried = self._steady.now(), 0
        known = await self._store.owed(sink, _EVER, (), _ROWS)
        old = {row.event_id for row in await self._store.owed(sink, now - OWED_FOR, (), _ROWS)}
        ends = [row for row in known if row.event_type in ENDS]
        self._wake(await self._handovers.of(sink).gone(ends))
        if len(ends) == len(known) and not old:
            return
        await self._store.hasten(sink, now)  # what waits out a backoff cannot be claimed
        while sink not in self._lanes:  # it may come back meanwhile
            batch = await self._store.claim(sink, now, now + _LEASE, _BATCH, deep=True)
            if not batch:
                break
            kept = [row for row in batch if row.event_type in ENDS and row.event_id not in old]
            given_up = [row for row in batch if row not in kept]
            if given_up:
                await self._store.dead(given_up, now, REMOVED)
            if kept:
                await self._store.failed(kept, now + MOMENT, REMOVED)
            buried += len(given_up)
        if buried:
            log.warning("outbox.sink_removed", sink=sink, events=buried, error=REMOVED)

    def _say(self, sink: str, streams: Iterable[str]) -> None:
        said = self._said.setdefault(sink, set())
        if new := [stream for stream in streams if stream not in said]:
            said.update(new)
            log.error("outbox.end_owed", sink=sink, of=new[:SAID], count=len(new), advice=ADVICE)
