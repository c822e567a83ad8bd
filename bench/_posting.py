"""Outboxes at work, each on a journal of its own: `python -m bench._posting URL KEY SECONDS RATE`.

So many events a second are committed for one sink, in rounds, in turns: by an outbox that has this sink alone, and by
one that has a second sink, too, which is told of the same and takes connections, and never answers. Prints what came
of each round as a line of JSON.
"""

from __future__ import annotations

import asyncio
import io
import json
import resource
import socket
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import uvloop

from monitor.app import SWITCH_INTERVAL
from monitor.clock import SystemClock
from monitor.core.model import Change, Event, EventType
from monitor.logs import configure_logs
from monitor.outbox import Outbox, Outcome
from monitor.sinks._http import new_client
from monitor.sinks.contract import Sink
from monitor.sinks.webhook import Webhook
from monitor.store.contract import Delivery
from monitor.store.sqlite import SqliteStore
from probes.contract import Secret

BATCHES = 20
"""Commits a second."""
ROUND = 3.0
"""Seconds; a round alone and one beside the hung sink are compared."""
WARM = 1.0
"""Seconds at the beginning that are not counted."""
HANGS = timedelta(seconds=2)
"""So long the hung sink is waited for: shorter than any user's, so that each minute has what an hour has."""
PATIENCE = 10.0
"""Seconds for the last of a round to be accepted."""
TICK = 0.001


@dataclass(slots=True)
class Round:
    """Times are seconds."""

    hung: bool
    sent: int = 0
    accepted: list[float] = field(default_factory=list)
    """When, on the monotonic clock."""
    cpu: float = 0.0
    took: list[float] = field(default_factory=list)
    """From each commit to each acceptance."""
    lags: list[float] = field(default_factory=list)


def event(number: int, sinks: tuple[str, ...], at: datetime) -> Event:
    name = f"evt_{number:026}"
    body: Mapping[str, Any] = {
        "id": name,
        "type": "check.changed",
        "at": at.isoformat(),
        "sentence": f"check {number} is degraded: response time 2.4 s, limit 800 ms (p95 over 5 min).",
        "state": {"old": "up", "new": "degraded"},
        "evidence": {"facts": {f"fact {item}": "x" * 60 for item in range(12)}},
    }
    return Event(name, EventType.CHECK_CHANGED, at, f"check:{number}", body, sinks)


class Posting:
    """One outbox, its journal and its client."""

    def __init__(self, store: SqliteStore, outbox: Outbox, sinks: tuple[str, ...]) -> None:
        self._store = store
        self._outbox = outbox
        self._sinks = sinks
        self._committed: dict[str, float] = {}
        self._number = 0
        self._round = Round(hung=False)

    def settled(self, row: Delivery, outcome: Outcome, _seconds: float, _error: str) -> None:
        if row.sink == "hook" and outcome is Outcome.ACCEPTED:
            now = time.monotonic()
            self._round.accepted.append(now)
            self._round.took.append(now - self._committed.pop(row.event_id))

    async def post(self, seconds: float, rate: int) -> Round:
        now = self._round = Round(hung=len(self._sinks) > 1)
        began, cpu = time.monotonic(), _cpu()
        ticking = asyncio.create_task(_tick(now.lags))
        for beat in range(round(seconds * BATCHES)):
            await asyncio.sleep(max(began + beat / BATCHES - time.monotonic(), 0))
            await self._commit(rate // BATCHES)
        give_up = time.monotonic() + PATIENCE
        while len(now.took) < now.sent and time.monotonic() < give_up:  # noqa: ASYNC110  (polled)
            await asyncio.sleep(TICK)
        now.cpu = _cpu() - cpu
        ticking.cancel()
        return now

    async def _commit(self, count: int) -> None:
        at = datetime.now(UTC)
        events = tuple(event(self._number + item, self._sinks, at) for item in range(count))
        self._number += count
        self._round.sent += count
        self._committed |= dict.fromkeys((item.id for item in events), time.monotonic())
        await self._store.commit([Change(events=events)], frozenset())
        self._outbox.wake(self._sinks)


@asynccontextmanager
async def posting(url: str, key: str, silent: str | None) -> AsyncIterator[Posting]:
    """With a `silent` URL there is a second sink."""
    sinks: dict[str, Sink] = {"hook": Webhook(url, secret=(Secret(key),))}
    if silent is not None:
        sinks["stuck"] = Webhook(silent, timeout=HANGS)
    with TemporaryDirectory(prefix="brownout-bench-") as folder:
        store = SqliteStore(Path(folder))
        await store.open()
        async with new_client() as client:
            outbox = Outbox(
                store, sinks, client=client, terminal=io.StringIO(), clock=SystemClock(), random=Random(1),
                on_result=lambda *told: made.settled(*told),
            )  # fmt: skip
            made = Posting(store, outbox, tuple(sinks))
            running = asyncio.create_task(outbox.run())
            yield made
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        await store.close()


async def rounds(url: str, key: str, seconds: float, rate: int) -> AsyncIterator[Round]:
    """So many seconds in all, half of them beside the hung sink."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(64)  # the kernel takes connections, and nobody answers
        async with AsyncExitStack() as stack:
            alone = await stack.enter_async_context(posting(url, key, None))
            beside = await stack.enter_async_context(
                posting(url, key, f"http://127.0.0.1:{silent.getsockname()[1]}/")
            )
            for made in (alone, beside):
                await made.post(WARM, rate)
            length = min(ROUND, seconds / 2)
            for number in range(round(seconds / length / 2)):
                # Whoever is second has what the first has left behind: each is it as often.
                for made in (alone, beside) if number % 2 else (beside, alone):
                    yield await made.post(length, rate)


async def _tick(lags: list[float]) -> None:
    while True:
        before = time.monotonic()
        await asyncio.sleep(TICK)
        lags.append(max(time.monotonic() - before - TICK, 0.0))


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def told(url: str, key: str, seconds: float, rate: int) -> list[dict[str, Any]]:
    return [asdict(item) async for item in rounds(url, key, seconds, rate)]


if __name__ == "__main__":
    sys.setswitchinterval(SWITCH_INTERVAL)
    configure_logs(lambda text: text)
    print(json.dumps(uvloop.run(told(sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4])))))
