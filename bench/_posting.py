"""An outbox at work on a journal of its own: `python -m bench._posting URL KEY SECONDS RATE HUNG`.

So many events a second are committed for one sink; with HUNG `yes` also for a second one that takes connections and
never answers. Prints what came of it as JSON.
"""

from __future__ import annotations

import asyncio
import io
import json
import socket
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import uvloop

from monitor.clock import SystemClock
from monitor.core.model import Change, Event, EventType
from monitor.outbox import Outbox, Outcome
from monitor.sinks._http import new_client
from monitor.sinks.contract import Sink
from monitor.sinks.webhook import Webhook
from monitor.store.contract import Delivery
from monitor.store.sqlite import SqliteStore
from probes.contract import Secret

BATCHES = 20
"""Commits a second."""
TICK = 0.001


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


async def post(url: str, key: str, seconds: float, rate: int, *, hung: bool) -> dict[str, Any]:
    committed: dict[str, float] = {}
    took: list[float] = []
    lags: list[float] = []

    def settled(row: Delivery, outcome: Outcome, _seconds: float, _error: str) -> None:
        if row.sink == "hook" and outcome is Outcome.ACCEPTED:
            took.append(time.monotonic() - committed[row.event_id])

    with TemporaryDirectory(prefix="brownout-bench-") as folder, socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(64)  # the kernel takes connections, and nobody answers
        sinks: dict[str, Sink] = {"hook": Webhook(url, secret=(Secret(key),))}
        if hung:
            sinks["stuck"] = Webhook(f"http://127.0.0.1:{silent.getsockname()[1]}/")
        store = SqliteStore(Path(folder))
        await store.open()
        async with new_client() as client:
            outbox = Outbox(
                store, sinks, client=client, terminal=io.StringIO(), clock=SystemClock(), random=Random(1),
                on_result=settled,
            )  # fmt: skip
            running, ticking = asyncio.create_task(outbox.run()), asyncio.create_task(_tick(lags))
            began, number = time.monotonic(), 0
            while (beat := number // (rate // BATCHES)) < seconds * BATCHES:
                await asyncio.sleep(max(began + beat / BATCHES - time.monotonic(), 0))
                now = datetime.now(UTC)
                events = [event(number + item, tuple(sinks), now) for item in range(rate // BATCHES)]
                committed |= dict.fromkeys((item.id for item in events), time.monotonic())
                await store.commit([Change(events=tuple(events))], frozenset())
                outbox.wake(sinks)
                number += len(events)
            give_up = time.monotonic() + 5
            while len(took) < number and time.monotonic() < give_up:  # noqa: ASYNC110  (polled)
                await asyncio.sleep(0.05)
            lasted = time.monotonic() - began
            for task in (running, ticking):
                task.cancel()
            await asyncio.gather(running, ticking, return_exceptions=True)
        await store.close()
    return {"took": took, "lags": lags, "sent": number, "rate": len(took) / lasted}


async def _tick(lags: list[float]) -> None:
    while True:
        before = time.monotonic()
        await asyncio.sleep(TICK)
        lags.append(max(time.monotonic() - before - TICK, 0.0))


if __name__ == "__main__":
    told = uvloop.run(post(sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4]), hung=sys.argv[5] == "yes"))
    print(json.dumps(told))
