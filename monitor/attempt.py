"""One attempt to send: whatever a sink does, the answer is an outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, TextIO

import httpx
import structlog

from monitor.clock import Clock, SteadyClock
from monitor.fallback import HandOvers
from monitor.keepsakes import Keepsakes
from monitor.sending import Observer, Pace
from monitor.sinks.contract import Nature, SendFailed, Sink, SinkContext
from monitor.store.contract import Delivery, Store

log: structlog.typing.FilteringBoundLogger = structlog.get_logger("brownout.outbox")


@dataclass(frozen=True, slots=True)
class Shared:
    """What all lanes have in common. `steady`: leases and retries go by it: set back by an hour, the wall clock would
    hold pages for an hour; set forward, it would end the lease of a send under way."""

    store: Store
    notes: Mapping[str, Any]
    """Those of the journal, by name."""
    keepsakes: Keepsakes
    handovers: HandOvers
    client: httpx.AsyncClient
    terminal: TextIO
    clock: Clock
    steady: SteadyClock
    random: Random
    on_result: Observer | None
    pace: Pace
    wake: Callable[[Iterable[str]], None]
    """Told the sinks for which something was queued."""
    invite: Callable[[Delivery], Delivery]
    """Puts into what people are sent how they acknowledge it."""


class Attempts:
    """Those at one sink, within the pace's time each."""

    def __init__(self, name: str, shared: Shared) -> None:
        self._name = name
        self._kept = shared.keepsakes.view(name)
        self._client, self._terminal, self._clock = shared.client, shared.terminal, shared.clock
        self._limit = shared.pace.send_timeout
        self._invite = shared.invite
        self._refused: set[str] = set()
        """Ids of the events of which it is certain that no attempt so far was taken. Before a restart nothing is."""

    def context(
        self, memory: dict[str, Any], keep: Callable[[], Awaitable[None]], *, uncertain: bool = False
    ) -> SinkContext:
        return SinkContext(self._client, self._clock.now().at, self._terminal, memory, uncertain, self._kept, keep)

    async def send(
        self,
        sink: Sink,
        said: Delivery,
        rows: Iterable[Delivery],
        memory: dict[str, Any],
        keep: Callable[[], Awaitable[None]],
    ) -> SendFailed | None:
        """Send once. `said` is what the sink is handed, and `rows` are those that it stands for; `keep` makes its
        memory durable meanwhile."""
        uncertain = any(row.attempt > 1 and row.event_id not in self._refused for row in rows)
        context = self.context(memory, keep, uncertain=uncertain)
        said = self._invite(said) if sink.nature is Nature.HUMAN else said
        failure = await self.held_to_time(lambda: sink.send(said, context), event_id=said.event_id)
        certain = failure is not None and not failure.permanent and not failure.uncertain
        for row in rows:
            if certain and (row.attempt == 1 or row.event_id in self._refused):
                self._refused.add(row.event_id)
            else:
                self._refused.discard(row.event_id)
        return failure

    async def held_to_time(self, call: Callable[[], Awaitable[None]], **facts: str) -> SendFailed | None:
        """`call` once; `facts` go on the log with a bug. None: it has returned."""
        task = asyncio.current_task()
        try:
            async with asyncio.timeout(self._limit) as timer:
                await call()
        except SendFailed as error:
            return error
        except asyncio.CancelledError as error:
            if task is not None and task.cancelling():
                raise  # we are being stopped
            return self._bug(error, facts)
        except TimeoutError as error:
            if not timer.expired():
                return self._bug(error, facts)
            return SendFailed(f"no answer within {self._limit:g} s", uncertain=True)
        except MemoryError:
            return SendFailed("the agent has no memory left")
        except (Exception, SystemExit) as error:  # noqa: BLE001  (a sink may be anyone's code)
            return self._bug(error, facts)
        return None

    def _bug(self, error: BaseException, facts: dict[str, str]) -> SendFailed:
        # Only the type: the text of an unforeseen error may hold a URL or a header, and those hold secrets.
        log.error("outbox.sink_bug", sink=self._name, **facts, error=type(error).__name__)
        return SendFailed(f"the sink failed with {type(error).__name__} (a bug in it)", uncertain=True)
