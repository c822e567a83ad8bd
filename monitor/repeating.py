"""Telling a sink again and again what is open, where it forgets what it does not hear of."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from monitor.attempt import Attempts, Shared
from monitor.settling import Settling
from monitor.sinks.contract import Repeating, SendFailed, Sink

log: structlog.typing.FilteringBoundLogger = structlog.get_logger("brownout.outbox")


class Repeater:
    """Of one sink."""

    def __init__(
        self,
        name: str,
        shared: Shared,
        attempts: Attempts,
        settle: Settling,
        sending: set[asyncio.Task[None]],
        woken: asyncio.Event,
    ) -> None:
        """`sending`: what is being sent to it, as it is from now on; `woken` is set when more may be sent."""
        self._name = name
        self._keepsakes, self._pace = shared.keepsakes, shared.pace
        self._attempts, self._settle = attempts, settle
        self._sending, self._woken = sending, woken
        self.under_way = False
        """Nothing is to be sent meanwhile: both write the same memories."""

    async def run(
        self,
        current: Callable[[], Sink],
        able: Callable[[], bool],
        done: Callable[[Sink, SendFailed | None], Awaitable[None]],
    ) -> None:
        """While the `current` sink is one that forgets; left out while it is not `able`. `done` is told of each."""
        trouble = 0
        while isinstance(sink := current(), Repeating):
            failure, wait = await self._once(sink, able, done), sink.again.total_seconds()
            trouble = 0 if failure is None else trouble + 1
            if failure is not None and self._pace.backoff:
                # What it does not hear of lapses there, and after a restart that may be soon.
                soon = self._pace.backoff[min(trouble, len(self._pace.backoff)) - 1]
                wait = min(wait, max(soon, self._pace.asked(failure)))
            await asyncio.sleep(wait)

    async def _once(
        self, sink: Repeating, able: Callable[[], bool], done: Callable[[Sink, SendFailed | None], Awaitable[None]]
    ) -> SendFailed | None:
        self.under_way = True
        try:
            while self._sending:
                await asyncio.wait(set(self._sending))
            kept = self._keepsakes.of(self._name)
            if not kept or not able():
                return None
            context = self._attempts.context({}, lambda: self._keepsakes.note(self._name, kept))
            failure = await self._attempts.held_to_time(lambda: sink.repeat(kept, context), doing="repeat")
            await self._settle("", lambda: self._keepsakes.keep(self._name, kept))
        finally:
            self.under_way = False
            self._woken.set()
        if failure is not None:
            log.warning("outbox.repeat_failed", sink=self._name, error=str(failure))
        await done(sink, failure)
        return failure
