"""One sink's worker: leases the due rows of its sink, sends a few streams at a time, and settles each row: delivered,
to be tried again, or dead. It shares nothing with other lanes but the store.

When something may be sent is `monitor.restraint`'s, which rows that are `monitor.claiming`'s, what is said of several
at once `monitor.gathering`'s, and one attempt `monitor.attempt`'s.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime, timedelta

import structlog

from monitor.attempt import Attempts, Shared
from monitor.bearing import Bearing
from monitor.claiming import AT_ONCE, MOMENT, Claims
from monitor.fallback import ENDS
from monitor.gathering import Parcel, parcels
from monitor.repeating import Repeater
from monitor.restraint import Restraint
from monitor.sending import Outcome, SinkState
from monitor.settling import Settling
from monitor.sinks.contract import Fallback, Nature, Repeating, SendFailed, Sink
from monitor.store.contract import Delivery, Fenced, StoreError

log: structlog.typing.FilteringBoundLogger = structlog.get_logger("brownout.outbox")

_SHORTEST_WAIT = 0.005
_LOOK_EVERY = 15.0
"""Seconds between two looks for what a fallback is to get."""


class Lane:
    """One sink's worker: claims, sends and settles."""

    def __init__(self, name: str, sink: Sink, shared: Shared) -> None:
        self.woken = asyncio.Event()
        self.sending: set[asyncio.Task[None]] = set()
        self.draining = False
        self.retired = False
        """Whether it was removed, and is told the end of what it was told of, and nothing else."""
        self._held = False
        """Whether it was told of something that is open still."""
        self.sink = sink
        self._hastens = False
        """Whether what waits out a backoff is seen to at once: the sink is another one, was removed, or wants nothing
        more."""
        self._name = name
        self._store, self._keepsakes = shared.store, shared.keepsakes
        self._clock, self._steady = shared.clock, shared.steady
        self._random, self._on_result, self._pace = shared.random, shared.on_result, shared.pace
        self._attempts = Attempts(name, shared)
        self._bearing = Bearing(name, sink, shared)
        self._claims = Claims(name, shared)
        self._settle = Settling(name, shared.pace)
        self._repeater = Repeater(name, shared, self._attempts, self._settle, self.sending, self.woken)
        self._beside: dict[str, asyncio.Task[None]] = {}
        """What runs beside the sends: telling a sink again what it forgets, looking for what a fallback is to get."""
        self._wake = shared.wake
        self._handover = shared.handovers.of(name)
        self._gathered = 0

    @property
    def _restraint(self) -> Restraint:
        return self._bearing.restraint

    @property
    def state(self) -> SinkState:
        return self._bearing.state(gathered=self._gathered, handed_over=self._handover.count, retired=self.retired)

    def redefine(self, sink: Sink) -> None:
        """Send by another definition of the sink. Whoever has corrected an address awaits the page now."""
        self.sink, self._hastens, self.retired = sink, True, False
        self._bearing.begin_anew(sink)
        self.woken.set()

    def retire(self, *, held: bool) -> None:
        """It was removed: `run` ends when nothing is under way and no end waits any more, unless one is to come as it
        is `held` to be told of something open."""
        self._hastens = self._hastens or not self.retired
        self.retired, self._held = True, held
        self.woken.set()

    async def run(self) -> None:
        """Deliver until cancelled, or until it is removed and nothing is owed to it."""
        trouble = 0
        async with asyncio.TaskGroup() as group:
            while True:
                self.woken.clear()
                try:
                    wait = await self._turn(group)
                    if await self._is_over():
                        break
                    trouble = 0
                except Fenced:
                    raise
                except StoreError as error:
                    wait = self._pace.store_wait(trouble)
                    trouble += 1
                    log.warning("outbox.store_failed", sink=self._name, error=str(error), retry_in=wait)
                    await asyncio.sleep(wait)  # not the event: a storm of wakes must not become a busy loop
                    continue
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await self.woken.wait()
            for task in self._beside.values():
                task.cancel()
            self._beside.clear()

    async def _is_over(self) -> bool:
        if self._held or not self.retired or self.sending:
            return False
        return await self._store.next_due(self._name) is None and self.retired  # it may have come back meanwhile

    async def _turn(self, group: asyncio.TaskGroup) -> float | None:
        """Start what can be started; tell how long nothing else can be (None: until woken)."""
        if lost := await self._keepsakes.hand_to(self._name, self.sink.kind):
            advice = "what is open there under these keys, nobody closes: do it by hand"
            log.error("outbox.sink_of_another_type", sink=self._name, of=lost[:20], count=len(lost), advice=advice)
        self._begin_beside(group)
        free = self._restraint.at_once - len(self.sending)
        # With an answer that the store has not taken yet, claiming could hand out that very row again.
        if free <= 0 or self.draining or self._settle.under_way or self._repeater.under_way:
            return None
        if self._restraint.disabled:
            await self._give_up_all()
            return None
        if (held := self._restraint.wait(self._clock.now().tick)) > 0:
            return min(held, self._pace.recheck)
        await self._claims.mistrust_old_waits()
        if self._hastens:
            await self._store.hasten(self._name, self._steady.now())
            self._hastens = False
        for parcel in await self._claimed(free):
            task = group.create_task(self._deliver(parcel), name=f"send {self._name} {parcel.said.event_id}")
            self.sending.add(task)
            task.add_done_callback(self._sent)
            free -= 1
        if free <= 0:
            return None
        due = await self._store.next_due(self._name)
        if due is None:
            return None
        return min(max((due - self._steady.now()).total_seconds(), _SHORTEST_WAIT), self._pace.recheck)

    async def _give_up_all(self) -> None:
        """What comes for a sink that is disabled: listed, and to be sent again once somebody has seen to it. What is
        open there is to be ended all the same: the end waits for that."""
        now, error = self._steady.now(), f"the sink is disabled: {self._restraint.disabled}"
        if self._hastens:
            await self._store.hasten(self._name, now)
        due = now if self._hastens else AT_ONCE  # the ends that wait have been met by then
        while rows := await self._store.claim(self._name, due, now + timedelta(minutes=1), 100, deep=True):
            disabled = bool(self._restraint.disabled)  # somebody may have seen to it just now
            kept = [row for row in rows if row.event_type in ENDS or not disabled]
            await self._hand_over("", lambda to, rows=rows: self._handover.refused(to, rows))  # type: ignore[misc]
            if kept:
                await self._store.failed(kept, now + MOMENT, error)
            await self._list_dead([row for row in rows if row not in kept], error)
        self._hastens = self._hastens and not self._restraint.disabled

    async def _list_dead(self, rows: Sequence[Delivery], error: str) -> None:
        if not rows:
            return
        log.error("outbox.dead_letter", sink=self._name, events=len(rows), error=error)
        await self._store.dead(rows, self._clock.now().at, error)
        self._handover.settled(rows)
        self._tell(rows, Outcome.DEAD, 0.0, error)

    def _begin_beside(self, group: asyncio.TaskGroup) -> None:
        if isinstance(self.sink, Repeating) and "repeat" not in self._beside:
            self._beside["repeat"] = group.create_task(self._keep_repeating(), name=f"repeat {self._name}")
        if self._has_fallback and "fallback" not in self._beside:
            self._beside["fallback"] = group.create_task(self._keep_handing_over(), name=f"fallback {self._name}")

    async def _claimed(self, free: int) -> list[Parcel]:
        nature = self.sink.nature
        rows = await self._claims.claim(nature, free)
        apart = self._keepsakes.view(self._name) if self.sink.edits else ()
        if self.retired:  # it may have been removed while we claimed
            rows = await self._claims.ends_of(rows)
        return await parcels(nature, rows, self._clock.now().at, apart)

    def _sent(self, task: asyncio.Task[None]) -> None:
        self.sending.discard(task)
        self.woken.set()

    # --- one parcel ----------------------------------------------------------------------------------------

    async def _deliver(self, parcel: Parcel) -> None:
        loop, said = asyncio.get_running_loop(), parcel.said
        began, sink = loop.time(), self.sink
        memory = self._keepsakes.at(self._name, said.stream)
        failure = await self._attempts.send(
            sink, said, parcel.rows, memory, lambda: self._keepsakes.note(self._name, {said.stream: memory})
        )
        seconds = loop.time() - began
        kept = {said.stream: memory} | {stream: {} for stream in parcel.ended if failure is None}
        if sink.kind == self.sink.kind:
            await self._settle(said.event_id, lambda: self._keepsakes.keep(self._name, kept))
        now = self._clock.now().at
        if failure is None:
            outcome = Outcome.ACCEPTED
            await self._hand_over(said.event_id, lambda to: self._handover.accepted(to, parcel.rows))
            await self._settle(said.event_id, lambda: self._store.delivered(parcel.rows, now))
            self._handover.settled(parcel.rows)
            if sink is self.sink:
                await self._accepted(trouble=not parcel.is_mark)
                await self._settle(said.event_id, self._bearing.note)
            self._gathered += len(parcel.rows) - 1
        elif sink is not self.sink:
            outcome = await self._give_to_next(parcel, failure)
        else:
            outcome = await self._give_back(parcel, failure, now)
        self._tell(parcel.rows, outcome, seconds, str(failure or ""))

    async def _give_to_next(self, parcel: Parcel, failure: SendFailed) -> Outcome:
        """The sink was defined anew meanwhile: what went wrong with the one before says nothing of the one now."""
        now, event_id = self._steady.now(), parcel.said.event_id
        await self._settle(event_id, lambda: self._store.failed(parcel.rows, now, str(failure)))
        return Outcome.RETRIED

    async def _give_back(self, parcel: Parcel, failure: SendFailed, now: datetime) -> Outcome:
        error, said = str(failure), parcel.said
        wait = self._pace.wait(parcel.attempt, failure, self._random.random())
        self._failed(failure, retry=wait or 0.0)
        facts = {"sink": self._name, "event_id": said.event_id, "attempt": parcel.attempt, "error": error}
        if len(parcel.rows) > 1:
            facts["events"] = len(parcel.rows)
        retry_at = self._steady.now() + timedelta(seconds=self._pace.longest if wait is None else wait)
        if wait is None:
            log.error("outbox.dead_letter", **facts)
        else:
            log.warning("outbox.retry", **facts, retry_in=round(wait, 1))
        given_up = [row for row in parcel.rows if failure.permanent or self._is_given_up(row)]
        await self._hand_over(said.event_id, lambda to: self._handover.refused(to, given_up))
        if failure.gone:  # the end waits until somebody has seen to the sink
            given_up = [row for row in given_up if row.event_type not in ENDS]
        gone = {row.id for row in given_up}
        waiting = [row for row in parcel.rows if row.id not in gone]
        if given_up:
            await self._settle(said.event_id, lambda: self._store.dead(given_up, now, error))
        if waiting:
            await self._settle(said.event_id, lambda: self._store.failed(waiting, retry_at, error))
        self._handover.settled(given_up)
        return Outcome.DEAD if wait is None else Outcome.RETRIED

    def _is_given_up(self, row: Delivery) -> bool:
        """What is told along with others is tried as often as any of them: there, it is its age that counts, too."""
        tried, pace = row.attempt > len(self._pace.backoff), self._pace
        if self.sink.nature is not Nature.HUMAN:
            return tried
        age = (self._steady.now() - row.at).total_seconds()
        return tried and (age > 0.99 * sum(pace.backoff) or row.attempt > 10 * len(pace.backoff))

    def _failed(self, failure: SendFailed, *, retry: float = 0.0) -> None:
        self._bearing.failed(str(failure), asked=self._pace.asked(failure), retry=retry, gone=failure.gone)
        self._hastens = self._hastens or failure.gone

    async def _accepted(self, *, trouble: bool = True) -> None:
        """After it was down: the resolve behind an alert must not wait out a backoff."""
        if self._bearing.accepted(trouble=trouble):
            with contextlib.suppress(StoreError):  # it comes by itself, only later
                await self._store.hasten(self._name, self._steady.now())

    def _tell(self, rows: Iterable[Delivery], outcome: Outcome, seconds: float, error: str) -> None:
        if self._on_result is None:
            return
        try:
            for row in rows:
                self._on_result(row, outcome, seconds, error)
        except Exception:
            log.exception("outbox.observer_failed", sink=self._name)

    # --- who is told instead -------------------------------------------------------------------------------

    @property
    def _has_fallback(self) -> bool:
        """There may be none any more, and one that was told what began."""
        return self.sink.fallback is not None or any(self._handover.open_at)

    async def _hand_over(self, event_id: str, hand: Callable[[Fallback | None], Awaitable[set[str]]]) -> None:
        if self._has_fallback:
            await self._settle(event_id, lambda: self._hand(hand))

    async def _hand(self, hand: Callable[[Fallback | None], Awaitable[set[str]]]) -> None:
        self._wake(await hand(self.sink.fallback))

    async def _keep_handing_over(self) -> None:
        while self._has_fallback:
            now = self._steady.now()
            await self._hand_over("", lambda to, now=now: self._handover.look(to, now))  # type: ignore[misc]
            after = self.sink.fallback.after.total_seconds() if self.sink.fallback is not None else math.inf
            await asyncio.sleep(min(after / 10, _LOOK_EVERY))
        del self._beside["fallback"]

    # --- sinks that forget ---------------------------------------------------------------------------------

    async def _keep_repeating(self) -> None:
        await self._repeater.run(lambda: self.sink, lambda: not self._restraint.disabled, self._repeated)
        del self._beside["repeat"]

    async def _repeated(self, sink: Sink, failure: SendFailed | None) -> None:
        if sink is not self.sink:
            return  # it says nothing of how another one is
        if failure is None:
            await self._accepted()
        else:
            self._failed(failure)
