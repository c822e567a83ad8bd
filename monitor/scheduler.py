"""When to look: a fixed grid for every check, and extra looks where something must be settled.

Each check has a stable place on its grid (a hash of its id), so that nothing stampedes and a restart does not move
the load. Scheduled looks of a check never overlap: a beat that finds the last look still running is skipped and
counted. Extra looks may overlap, or a target that swallows packets would be confirmed late.
"""

from __future__ import annotations

import asyncio
import hashlib
import heapq
import itertools
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

from monitor.clock import Clock
from monitor.core.judge import Judgement
from monitor.core.model import Check
from monitor.runner import Order

FIRST_LOOKS_A_SECOND = 200.0
"""Checks are looked at for the first time at this rate, or when their grid says so if that is sooner."""

LONGEST_SLEEP = 1.0
"""Seconds: the loop passes at least as often, so that its progress can be watched."""

_EXTRA_IN_FLIGHT = 10
_STARTS_A_PASS = 100
"""Looks started before the loop gets a turn: a burst of due beats must not hold everything else."""


class Observer(Protocol):
    """Watches the scheduler; never takes part."""

    def late(self, seconds: float) -> None: ...

    def missed(self, beats: int) -> None: ...

    def in_flight(self, looks: int) -> None: ...

    def extra_dropped(self) -> None: ...


Taker = Callable[[Order], Awaitable[Judgement]]
"""Takes a look, has it judged, and says what should follow."""


class _Slot:
    """A check on the grid."""

    __slots__ = (
        "beat",
        "check",
        "every",
        "extra",
        "extra_timeout",
        "generation",
        "host",
        "pace",
        "planned",
        "running",
    )

    def __init__(self, check: Check, beat: float) -> None:
        self.check = check
        self.every = check.every.total_seconds()
        self.host = check.probe.host
        self.beat = beat
        """The tick of the next place on the grid."""
        self.running = False
        self.planned = 0
        """Extra looks that wait for their time."""
        self.extra = 0
        """Extra looks under way."""
        self.generation = 0
        """Raised to call off the extra looks that wait."""
        self.pace: float | None = None


class Scheduler:
    """Runs until it is cancelled. Everything it starts ends with it."""

    def __init__(
        self,
        checks: Iterable[Check],
        take: Taker,
        extra_timeout: Callable[[str], float],
        clock: Clock,
        *,
        limit: int,
        limit_per_host: int,
        observer: Observer,
        progress: Callable[[], None] = lambda: None,
    ) -> None:
        """`extra_timeout` tells the limit (s) of an extra look at a check, by its id; `progress` is called at each
        real pass of the loop."""
        self._take = take
        self._extra_timeout = extra_timeout
        self._clock = clock
        self._limit, self._limit_per_host = limit, limit_per_host
        self._observer = observer
        self._progress = progress
        self._checks = tuple(checks)
        self._due: list[tuple[float, int, _Slot, int | None]] = []
        """(tick, tie-breaker, slot, generation of an extra look or None for a beat of the grid)"""
        self._order = itertools.count()
        self._in_flight = 0
        self._per_host: dict[str, int] = {}
        self._waiting: deque[tuple[_Slot, float]] = deque()
        """Scheduled looks that are due but find no room, oldest first."""
        self._wake = asyncio.Event()

    @property
    def in_flight(self) -> int:
        return self._in_flight

    async def run(self) -> None:
        """Look for ever. An error that is not a probe's own ends everything, loudly."""
        self._place()
        async with asyncio.TaskGroup() as looks:
            while True:
                self._progress()
                more = self._start_due(looks)
                await self._rest(more)

    def _place(self) -> None:
        now = self._clock.now()
        slots = [_Slot(check, now.tick + _until_beat(check, now.at.timestamp())) for check in self._checks]
        slots.sort(key=lambda slot: slot.beat)
        for position, slot in enumerate(slots):
            first = min(slot.beat, now.tick + position / FIRST_LOOKS_A_SECOND)
            # A beat right behind the first look would tell nothing new.
            if first + slot.every / 2 > slot.beat:
                slot.beat += slot.every if first != slot.beat else 0
            self._push(first, slot, None)

    def _push(self, tick: float, slot: _Slot, generation: int | None) -> None:
        heapq.heappush(self._due, (tick, next(self._order), slot, generation))

    async def _rest(self, more: bool) -> None:  # noqa: FBT001  (one caller, one line above)
        """Until the next look is due, something changed, or a second has passed."""
        if more:
            await asyncio.sleep(0)
            return
        wait = LONGEST_SLEEP
        if self._due:
            wait = min(wait, self._due[0][0] - self._clock.now().tick)
        if wait > 0:
            timer = asyncio.get_running_loop().call_later(wait, self._wake.set)
            await self._wake.wait()
            timer.cancel()
        self._wake.clear()

    def _start_due(self, looks: asyncio.TaskGroup) -> bool:
        """Start what is due. True: there is more, after the loop had its turn."""
        now = self._clock.now().tick
        for _ in range(_STARTS_A_PASS):
            if not self._due or self._due[0][0] > now:
                return self._start_waiting(looks, now)
            tick, _, slot, generation = heapq.heappop(self._due)
            if generation is None:
                self._beat(looks, slot, tick, now)
            elif generation == slot.generation:
                self._extra(looks, slot, tick)
        return True

    def _beat(self, looks: asyncio.TaskGroup, slot: _Slot, tick: float, now: float) -> None:
        missed = 0
        if tick >= slot.beat:
            slot.beat += slot.every
        if slot.beat <= now:  # paused or starved: go on with the grid, do not run after it
            missed = int((now - slot.beat) // slot.every) + 1
            slot.beat += missed * slot.every
        self._push(slot.beat, slot, None)
        if slot.running:
            missed += 1
        elif self._room(slot):
            self._launch(looks, slot, tick, scheduled=True)
        else:
            slot.running = True
            self._waiting.append((slot, tick))
        if missed:
            self._observer.missed(missed)

    def _extra(self, looks: asyncio.TaskGroup, slot: _Slot, tick: float) -> None:
        slot.planned -= 1
        if self._room(slot) and slot.extra < _EXTRA_IN_FLIGHT:
            self._launch(looks, slot, tick, scheduled=False)
        else:
            self._observer.extra_dropped()
        if slot.pace is not None and not slot.planned:
            self._plan_extra(slot, tick + slot.pace)

    def _start_waiting(self, looks: asyncio.TaskGroup, now: float) -> bool:
        """Give free room to looks that wait; one that has waited a whole interval is skipped and counted."""
        for _ in range(len(self._waiting)):
            if self._in_flight >= self._limit:
                break
            slot, tick = self._waiting.popleft()
            if now - tick >= slot.every:
                slot.running = False
                self._observer.missed(1)
            elif self._room(slot):
                self._launch(looks, slot, tick, scheduled=True)
            else:
                self._waiting.append((slot, tick))
        return False

    def _room(self, slot: _Slot) -> bool:
        if self._in_flight >= self._limit:
            return False
        return slot.host is None or self._per_host.get(slot.host, 0) < self._limit_per_host

    def _launch(self, looks: asyncio.TaskGroup, slot: _Slot, tick: float, *, scheduled: bool) -> None:
        self._in_flight += 1
        if slot.host is not None:
            self._per_host[slot.host] = self._per_host.get(slot.host, 0) + 1
        if scheduled:
            slot.running = True
            timeout = slot.check.timeout.total_seconds()
        else:
            slot.extra += 1
            timeout = self._extra_timeout(slot.check.id)
        looks.create_task(self._look(slot, Order(slot.check, tick, timeout, scheduled)))

    async def _look(self, slot: _Slot, order: Order) -> None:
        self._observer.late(max(self._clock.now().tick - order.due, 0.0))
        self._observer.in_flight(self._in_flight)
        try:
            judgement = await self._take(order)
        finally:
            self._release(slot, order)
        self._follow(slot, judgement)

    def _release(self, slot: _Slot, order: Order) -> None:
        self._in_flight -= 1
        if slot.host is not None:
            left = self._per_host[slot.host] - 1
            if left:
                self._per_host[slot.host] = left
            else:
                del self._per_host[slot.host]
        if order.scheduled:
            slot.running = False
        else:
            slot.extra -= 1
        if self._waiting:
            self._wake.set()

    def _follow(self, slot: _Slot, judgement: Judgement) -> None:
        """Plan the extra looks the judge asked for, or call them off."""
        slot.pace = judgement.pace
        if judgement.pace is None:
            slot.generation += 1
            slot.planned = 0
        elif not slot.planned:
            now = self._clock.now().tick
            for delay in judgement.burst or (judgement.pace,):
                self._plan_extra(slot, now + delay)

    def _plan_extra(self, slot: _Slot, tick: float) -> None:
        slot.planned += 1
        self._push(tick, slot, slot.generation)
        if self._due[0][0] == tick:
            self._wake.set()


def _until_beat(check: Check, wall: float) -> float:
    """Seconds from now to the check's next place on its grid. The grid hangs on the wall clock's epoch, so that it
    is the same after a restart, and on the check's id, so that checks spread over it."""
    every = check.every.total_seconds()
    digest = hashlib.blake2b(check.id.encode(), digest_size=8).digest()
    offset = int.from_bytes(digest) / 2**64 * every
    return (offset - wall) % every
