"""One sink's worker: leases the due rows of its sink, sends a few streams at a time, and settles each row: delivered,
to be tried again, or dead. It shares nothing with other lanes but the store.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from random import Random
from typing import TextIO

import httpx
import structlog

from monitor.clock import Clock, SteadyClock
from monitor.sinks.contract import SendFailed, Sink, SinkContext
from monitor.store.contract import Delivery, Fenced, Store, StoreError

log: structlog.typing.FilteringBoundLogger = structlog.get_logger("brownout.outbox")


class Outcome(StrEnum):
    """What became of one attempt; also a metric label."""

    ACCEPTED = "accepted"
    RETRIED = "retried"
    DEAD = "dead"


Observer = Callable[[str, Outcome, float], None]
"""Called after each settled attempt with the sink's name, the outcome, and the seconds the send took."""


_DAY = 86400.0


def _alert_backoff() -> tuple[float, ...]:
    """The schedule that `Pace` tells of."""
    first = (2.0, 5.0, 15.0, 30.0, 60.0, 120.0)
    often = int((_DAY - sum(first)) // 300)
    seldom = int((3 * _DAY - sum(first) - often * 300) // 1800)
    return first + (300.0,) * often + (1800.0,) * seldom


@dataclass(frozen=True, slots=True)
class Pace:
    """How a lane sends. Times are seconds.

    `backoff` is the wait after the first, second, ... failed attempt: 2, 5, 15, 30, 60, 120 s, then every 5 minutes
    for the first day, then every half hour until three days have passed; after the last one it is a dead letter.
    It is an alert, not a notification feed: with the tail of the Standard Webhooks schedule (specification 1.0.0:
    30 min, 2 h, 5 h, ...) a receiver that was down for minutes gets its page half an hour after it is back.
    """

    streams: int = 4
    send_timeout: float = 20.0
    lease_margin: float = 20.0
    backoff: tuple[float, ...] = _alert_backoff()
    jitter: float = 0.2
    """Up to this part is added to a wait, so that what failed together does not come back together."""
    retry_after_limit: float = 86400.0
    store_backoff: tuple[float, ...] = (0.5, 1, 2, 5, 10, 30)
    recheck: float = 60.0
    """A lane looks at the clock at least this often: the wall clock may step."""

    @property
    def longest(self) -> float:
        """No wait is longer, but for what a sink asks."""
        return max(self.backoff, default=0.0) * (1 + self.jitter)


_DOWN_AFTER = 3
"""So many failures in a row, of whatever streams, and the sink is thought to be down rather than picky."""
_SHORTEST_WAIT = 0.005
_STEP = 5.0
"""Seconds: the wall clock was set, and not merely kept in time."""


class Lane:
    """One sink's worker: claims, sends and settles, and shares nothing with other lanes but the store."""

    def __init__(
        self,
        name: str,
        sink: Sink,
        store: Store,
        client: httpx.AsyncClient,
        terminal: TextIO,
        clock: Clock,
        steady: SteadyClock,
        random: Random,
        on_result: Observer | None,
        pace: Pace,
    ) -> None:
        self.woken = asyncio.Event()
        self.sending: set[asyncio.Task[None]] = set()
        self.draining = False
        self.leaving = False
        """Whether it is to end, once what is under way has ended."""
        self.sink = sink
        self._sharpened = False
        """Whether its sink was defined anew, and what waits is to be tried at once."""
        self._name = name
        self._store = store
        self._client = client
        self._terminal = terminal
        self._clock = clock
        self._steady = steady
        """Leases and retries go by it: set back by an hour, the wall clock would hold pages for an hour; set forward,
        it would end the lease of a send under way."""
        self._ahead: float | None = None
        """By how much the wall clock was ahead of it at the last turn; None before the first."""
        self._random = random
        self._on_result = on_result
        self._pace = pace
        self._unsettled = 0
        self._failures: int | None = None
        """In a row; None before the first outcome: what waited before a restart is brought forward by a success."""
        self._not_before = -math.inf
        """Monotonic seconds: until then the sink has asked to be left alone (Retry-After), all of its streams."""

    def redefine(self, sink: Sink) -> None:
        """Send by another definition of the sink. Whoever has corrected an address awaits the page now."""
        self.sink, self._sharpened = sink, True
        self._failures, self._not_before = None, -math.inf
        self.woken.set()

    def leave(self) -> None:
        """Begin nothing more; `run` ends when what is under way is settled."""
        self.leaving = self.draining = True
        self.woken.set()

    async def run(self) -> None:
        """Deliver until cancelled, or until it has left."""
        trouble = 0
        async with asyncio.TaskGroup() as group:
            while not self.leaving:
                self.woken.clear()
                try:
                    wait = await self._turn(group)
                    trouble = 0
                except Fenced:
                    raise
                except StoreError as error:
                    wait = self._store_wait(trouble)
                    trouble += 1
                    log.warning("outbox.store_failed", sink=self._name, error=str(error), retry_in=wait)
                    await asyncio.sleep(wait)  # not the event: a storm of wakes must not become a busy loop
                    continue
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await self.woken.wait()

    async def _turn(self, group: asyncio.TaskGroup) -> float | None:
        """Start what can be started; tell how long nothing else can be (None: until woken)."""
        free = self._pace.streams - len(self.sending)
        # With an answer that the store has not taken yet, claiming could hand out that very row again.
        if free <= 0 or self.draining or self._unsettled:
            return None
        if (held := self._not_before - self._clock.now().tick) > 0:
            return min(held, self._pace.recheck)
        await self._mistrust_old_waits()
        now = self._steady.now()
        if self._sharpened:
            await self._store.hasten(self._name, now)
            self._sharpened = False
        lease = timedelta(seconds=self._pace.send_timeout + self._pace.lease_margin)
        for delivery in await self._store.claim(self._name, now, now + lease, free):
            task = group.create_task(self._deliver(delivery), name=f"send {self._name} {delivery.event_id}")
            self.sending.add(task)
            task.add_done_callback(self._sent)
            free -= 1
        if free <= 0:
            return None
        due = await self._store.next_due(self._name)
        if due is None:
            return None
        return min(max((due - self._steady.now()).total_seconds(), _SHORTEST_WAIT), self._pace.recheck)

    async def _mistrust_old_waits(self) -> None:
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

    def _sent(self, task: asyncio.Task[None]) -> None:
        self.sending.discard(task)
        self.woken.set()

    async def _deliver(self, delivery: Delivery) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        failure = await self._attempt(delivery)
        seconds = loop.time() - began
        now = self._clock.now().at
        if failure is None:
            outcome = Outcome.ACCEPTED
            await self._settle(delivery, lambda: self._store.delivered(delivery, now))
            await self._accepts_again()
        else:
            outcome = await self._give_back(delivery, failure, now)
        self._tell(outcome, seconds)

    async def _attempt(self, delivery: Delivery) -> SendFailed | None:
        """Send once; whatever a sink does, the answer is an outcome."""
        context = SinkContext(self._client, self._clock.now().at, self._terminal)
        task = asyncio.current_task()
        limit = self._pace.send_timeout
        try:
            async with asyncio.timeout(limit) as timer:
                await self.sink.send(delivery, context)
        except SendFailed as error:
            return error
        except asyncio.CancelledError as error:
            if task is not None and task.cancelling():
                raise  # we are being stopped
            return self._bug(delivery, error)
        except TimeoutError as error:
            return SendFailed(f"no answer within {limit:g} s") if timer.expired() else self._bug(delivery, error)
        except MemoryError:
            return SendFailed("the agent has no memory left")
        except (Exception, SystemExit) as error:  # noqa: BLE001  (a sink may be anyone's code)
            return self._bug(delivery, error)
        return None

    def _bug(self, delivery: Delivery, error: BaseException) -> SendFailed:
        # Only the type: the text of an unforeseen error may hold a URL or a header, and those hold secrets.
        log.error("outbox.sink_bug", sink=self._name, event_id=delivery.event_id, error=type(error).__name__)
        return SendFailed(f"the sink failed with {type(error).__name__} (a bug in it)")

    async def _give_back(self, delivery: Delivery, failure: SendFailed, now: datetime) -> Outcome:
        error = str(failure)
        wait = self._backoff(delivery.attempt, failure)
        self._failures = (self._failures or 0) + 1
        facts = {"sink": self._name, "event_id": delivery.event_id, "attempt": delivery.attempt, "error": error}
        if wait is None:
            log.error("outbox.dead_letter", **facts)
            await self._settle(delivery, lambda: self._store.dead(delivery, now, error))
            return Outcome.DEAD
        retry_at = self._steady.now() + timedelta(seconds=wait)
        self._not_before = max(self._not_before, self._clock.now().tick + self._asked(failure))
        log.warning("outbox.retry", **facts, retry_in=round(wait, 1))
        await self._settle(delivery, lambda: self._store.failed(delivery, retry_at, error))
        return Outcome.RETRIED

    def _backoff(self, attempt: int, failure: SendFailed) -> float | None:
        """Seconds until the next attempt; None when there is none."""
        if failure.permanent or attempt > len(self._pace.backoff):
            return None
        wait = self._pace.backoff[attempt - 1] * (1 + self._pace.jitter * self._random.random())
        return max(wait, self._asked(failure))

    def _asked(self, failure: SendFailed) -> float:
        """Seconds that the sink asked us to wait, within reason; 0 when it did not."""
        asked = failure.retry_after
        return min(asked, self._pace.retry_after_limit) if asked is not None and 0 < asked < math.inf else 0.0

    async def _accepts_again(self) -> None:
        """After it was down: the resolve behind an alert must not wait out a backoff."""
        was_down, self._failures = self._failures is None or self._failures >= _DOWN_AFTER, 0
        if was_down and self._not_before <= self._clock.now().tick:
            with contextlib.suppress(StoreError):  # it comes by itself, only later
                await self._store.hasten(self._name, self._steady.now())

    async def _settle(self, delivery: Delivery, write: Callable[[], Awaitable[None]]) -> None:
        """Record an outcome, for as long as it takes: the alternative is to send the same thing twice."""
        trouble = 0
        try:
            while True:
                try:
                    return await write()
                except Fenced:
                    raise
                except StoreError as error:
                    wait = self._store_wait(trouble)
                    self._unsettled += trouble == 0
                    trouble += 1
                    log.warning(
                        "outbox.settle_failed",
                        sink=self._name,
                        event_id=delivery.event_id,
                        error=str(error),
                        retry_in=wait,
                    )
                    await asyncio.sleep(wait)
        finally:
            self._unsettled -= trouble > 0

    def _store_wait(self, trouble: int) -> float:
        return self._pace.store_backoff[min(trouble, len(self._pace.store_backoff) - 1)]

    def _tell(self, outcome: Outcome, seconds: float) -> None:
        if self._on_result is None:
            return
        try:
            self._on_result(self._name, outcome, seconds)
        except Exception:
            log.exception("outbox.observer_failed", sink=self._name)
