"""Recording what became of a send, for as long as it takes: the alternative is to send the same thing twice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from monitor.sending import Pace
from monitor.store.contract import Fenced, StoreError

log: structlog.typing.FilteringBoundLogger = structlog.get_logger("brownout.outbox")


class Settling:
    """Of one sink; called with the id of the event and what is to be written."""

    def __init__(self, name: str, pace: Pace) -> None:
        self._name = name
        self._pace = pace
        self.under_way = 0
        """Outcomes that the store has not taken at the first attempt, nor since."""

    async def __call__(self, event_id: str, write: Callable[[], Awaitable[None]]) -> None:
        """Raises `Fenced` alone."""
        trouble = 0
        try:
            while True:
                try:
                    return await write()
                except Fenced:
                    raise
                except StoreError as error:
                    wait = self._pace.store_wait(trouble)
                    self.under_way += trouble == 0
                    trouble += 1
                    facts = {"sink": self._name, "event_id": event_id, "error": str(error)}
                    log.warning("outbox.settle_failed", **facts, retry_in=wait)
                    await asyncio.sleep(wait)
        finally:
            self.under_way -= trouble > 0
