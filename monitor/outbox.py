"""Sends what the store has queued: in order within a stream, again until it is accepted, and no sink delays another.

Each sink has a lane of its own. A lane leases the due rows of its sink, sends a few streams at a time, and settles
each row: delivered, to be tried again, or dead. A row is leased before it is sent and settled after, so a crash in
between sends it twice with the same event id, and never not at all.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping
from random import Random
from typing import Any, TextIO

import httpx
import structlog

from monitor.attempt import Shared
from monitor.clock import Clock, SteadyClock
from monitor.fallback import HandOvers
from monitor.keepsakes import Keepsakes
from monitor.lane import Lane
from monitor.sending import Observer, Outcome, Pace, SinkState
from monitor.sinks.contract import Sink
from monitor.store.contract import Delivery, Store
from monitor.strays import OpenAt, Strays

__all__ = ["Observer", "Outbox", "Outcome", "Pace"]

log: structlog.typing.FilteringBoundLogger = structlog.get_logger("brownout.outbox")

_STRAYS_EVERY = 600.0
"""Seconds."""
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
        open_at: OpenAt = dict,
    ) -> None:
        """`notes` are those of the journal: what the sinks have kept is among them. `invite` puts into what
        people are sent how they acknowledge it."""
        self.terminal = terminal
        self._store = store
        self._steady = SteadyClock(clock)
        keepsakes, handovers = Keepsakes(store, notes), HandOvers(store, notes)
        ports = (client, terminal, clock, self._steady, random)
        self._shared = Shared(store, notes, keepsakes, handovers, *ports, on_result, pace, self.wake, invite)
        self._lanes = {name: Lane(name, sink, self._shared) for name, sink in sinks.items()}
        self._stray = asyncio.Event()
        self._open_at = open_at
        self._strays = Strays(store, self._steady, self._lanes, handovers, open_at, self.wake)
        self._group: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Deliver until cancelled. Raises `Fenced` (in a group) when another agent has taken over the journal."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            group.create_task(self._tend_strays(), name="outbox strays")
            for name, lane in self._lanes.items():
                group.create_task(self._work(name, lane), name=f"outbox {name}")
            await asyncio.Event().wait()  # with nobody to tell, too: that is fine for who only scrapes

    def adopt(self, sinks: Mapping[str, Sink]) -> None:
        """Deliver to these sinks from now on. One that is gone is told the ends of what it was told of, and nothing
        else: it stays for as long as there may be one."""
        held = self._open_at().keys() | self._shared.handovers.open_at().keys()
        for name in self._lanes.keys() - sinks.keys():
            if not self._lanes[name].retired:
                effect = "it is told the end of what it was told of, no more"
                log.warning("outbox.sink_retired", sink=name, effect=effect)
            self._lanes[name].retire(held=name in held)
        for name, sink in sinks.items():
            known = self._lanes.get(name)
            if known is None:
                lane = self._lanes[name] = Lane(name, sink, self._shared)
                if self._group is not None:
                    self._group.create_task(self._work(name, lane), name=f"outbox {name}")
            elif known.sink is not sink or known.retired:
                known.redefine(sink)

    async def _work(self, name: str, lane: Lane) -> None:
        await lane.run()
        while not lane.retired:  # it came back while it was ending
            await lane.run()
        del self._lanes[name]
        self._stray.set()

    async def _tend_strays(self) -> None:
        """What comes for a sink that is gone is seen to at once; what an agent before had leased, after that."""
        while True:
            self._stray.clear()
            await self._strays.tend()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_STRAYS_EVERY):
                    await self._stray.wait()

    async def owed(self) -> Mapping[str, list[str]]:
        """By each sink that is gone: of what it is still to be told the end, by stream. Raises `StoreError`."""
        return await self._strays.owed()

    @property
    def states(self) -> Mapping[str, SinkState]:
        """How the sinks stand, by name."""
        return {name: lane.state for name, lane in self._lanes.items()}

    def restore(self, name: str) -> None:
        """Somebody has seen to the sink: what waits is tried at once."""
        if lane := self._lanes.get(name):
            lane.redefine(lane.sink)

    def wake(self, sinks: Iterable[str]) -> None:
        """Something was queued for these sinks."""
        for name in sinks:
            if lane := self._lanes.get(name):
                lane.woken.set()
            else:
                self._stray.set()

    def wake_all(self) -> None:
        """What waits may be other than what was known."""
        self.wake(self._lanes)
        self._stray.set()

    async def drain(self, timeout: float) -> bool:
        """Begin no further send and let those under way finish for up to `timeout` seconds; True when all did.

        To be followed by cancelling `run`.
        """
        sending: set[asyncio.Task[None]] = set()
        for lane in self._lanes.values():
            lane.draining = True
            sending |= lane.sending
        if not sending:
            return True
        _, late = await asyncio.wait(sending, timeout=timeout)
        return not late
