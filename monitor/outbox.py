"""Sends what the store has queued: in order within a stream, again until it is accepted, and no sink delays another.

Each sink has a lane of its own. A lane leases the due rows of its sink, sends a few streams at a time, and settles
each row: delivered, to be tried again, or dead. A row is leased before it is sent and settled after, so a crash in
between sends it twice with the same event id, and never not at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from random import Random
from typing import Any, TextIO

import httpx
import structlog

from monitor.attempt import Shared
from monitor.clock import Clock, SteadyClock
from monitor.keepsakes import Keepsakes
from monitor.lane import REMOVED, Lane
from monitor.sending import Observer, Outcome, Pace, SinkState
from monitor.sinks.contract import Sink
from monitor.store.contract import Delivery, Fenced, Store, StoreError

__all__ = ["Observer", "Outbox", "Outcome", "Pace"]

log: structlog.typing.FilteringBoundLogger = structlog.get_logger("brownout.outbox")

_BURIAL = timedelta(minutes=10)
_BURIAL_BATCH = 100
_NOTHING: Mapping[str, Any] = {}


class Outbox:
    """Delivers the store's outbox to the sinks. `run` it once; `wake` it after each commit."""

    def __init__(
        self,
        store: Store,
        sinks: Mapping[str, Sink],
        *,
        client: httpx.AsyncClient,
        terminal: TextIO,
        clock: Clock,
        random: Random,
        notes: Mapping[str, Any] = _NOTHING,
        on_result: Observer | None = None,
        pace: Pace = Pace(),  # noqa: B008  (frozen)
        invite: Callable[[Delivery], Delivery] = lambda delivery: delivery,
    ) -> None:
        """`notes` are those of the journal: what the sinks have kept is among them. `invite` puts into what
        people are sent how they acknowledge it."""
        self.terminal = terminal
        self._store = store
        self._steady = SteadyClock(clock)
        keepsakes = Keepsakes(store, notes)
        self._shared = Shared(
            store, notes, keepsakes, client, terminal, clock, self._steady, random, on_result, pace, self.wake, invite
        )
        self._lanes = {name: Lane(name, sink, self._shared) for name, sink in sinks.items()}
        self._leaving: set[Lane] = set()
        self._group: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Deliver until cancelled. Raises `Fenced` (in a group) when another agent has taken over the journal."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            group.create_task(self._bury_strays(), name="outbox strays")
            for name, lane in self._lanes.items():
                group.create_task(self._work(name, lane), name=f"outbox {name}")
            await asyncio.Event().wait()  # with nobody to tell, too: that is fine for who only scrapes

    def adopt(self, sinks: Mapping[str, Sink], held: frozenset[str] = frozenset()) -> frozenset[str]:
        """Deliver to these sinks from now on. What waits for one that has gone is given up, as after a restart; but
        those that are `held` were told of something that is open: they are told its end, and are the answer."""
        retired = (self._lanes.keys() - sinks.keys()) & held
        for name in self._lanes.keys() - sinks.keys() - retired:
            lane = self._lanes.pop(name)
            self._leaving.add(lane)
            lane.leave()
        for name in retired:
            log.warning("outbox.sink_retired", sink=name, effect="it is told the end of what it was told of, no more")
            self._lanes[name].retire()
        for name, sink in sinks.items():
            known = self._lanes.get(name)
            if known is None:
                lane = self._lanes[name] = Lane(name, sink, self._shared)
                if self._group is not None:
                    self._group.create_task(self._work(name, lane), name=f"outbox {name}")
            elif known.sink is not sink or known.retired:
                known.redefine(sink)
        return frozenset(retired)

    async def _work(self, name: str, lane: Lane) -> None:
        await lane.run()
        self._leaving.discard(lane)
        if name not in self._lanes:
            await self._bury_strays()

    async def _bury_strays(self) -> None:
        """Give up what waits for sinks that the configuration no longer has: nobody would send it, until the day
        when a sink of that name is back and would tell of outages of weeks ago."""
        try:
            backlog = await self._store.backlog()
            for sink in sorted(sink for sink, kept in backlog.items() if kept.waiting and sink not in self._lanes):
                log.warning("outbox.sink_removed", sink=sink, events=await self._bury(sink), error=REMOVED)
        except Fenced:
            raise
        except StoreError as error:  # they wait on; the next start tries again
            log.warning("outbox.store_failed", error=str(error))

    async def _bury(self, sink: str) -> int:
        """Make dead letters of all rows of a sink, batch by batch, as lanes want the store too. How many it was."""
        buried = 0
        while sink not in self._lanes:  # it may come back meanwhile
            now = self._steady.now()
            await self._store.hasten(sink, now)  # what waits out a backoff cannot be claimed
            batch = await self._store.claim(sink, now, now + _BURIAL, _BURIAL_BATCH)
            if not batch:
                break
            await self._store.dead(batch, now, REMOVED)
            buried += len(batch)
        return buried

    @property
    def states(self) -> Mapping[str, SinkState]:
        """How the sinks stand, by name."""
        return {name: lane.state for name, lane in self._lanes.items()}

    def restore(self, name: str) -> None:
        """Somebody has seen to the sink: what waits is tried at once."""
        if lane := self._lanes.get(name):
            lane.redefine(lane.sink)

    def wake(self, sinks: Iterable[str]) -> None:
        """Something was queued for these sinks; names without a lane are ignored."""
        for name in sinks:
            if lane := self._lanes.get(name):
                lane.woken.set()

    def wake_all(self) -> None:
        """What waits may be other than what was known."""
        self.wake(self._lanes)

    async def drain(self, timeout: float) -> bool:
        """Begin no further send and let those under way finish for up to `timeout` seconds; True when all did.

        To be followed by cancelling `run`.
        """
        sending: set[asyncio.Task[None]] = set()
        for lane in (*self._lanes.values(), *self._leaving):
            lane.draining = True
            sending |= lane.sending
        if not sending:
            return True
        _, late = await asyncio.wait(sending, timeout=timeout)
        return not late
