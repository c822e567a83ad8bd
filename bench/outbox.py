"""What the outbox bears: a storm at once, a steady stream, a sink that hangs, and what was given up."""

from __future__ import annotations

import asyncio
import base64
import resource
import secrets
import sys
import time
from argparse import Namespace
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench._line import Figure, Line, percentile, run
from bench._peer import answer, cores, peer
from bench._posting import event
from monitor.core.model import Change, State, Transition, Verdict
from monitor.store._database import connect
from monitor.store.sqlite import SqliteStore
from monitor.writer import COMMIT_BATCH

STORM = 10_000
RATE = 200
NOBODY: frozenset[str] = frozenset()


def measure(options: Namespace) -> Line:
    """A storm and dead letters: the journal alone, as the agent writes them. The stream: an outbox on one core, its
    receiver, which verifies signatures, on another; with and without a second sink that takes connections and never
    answers."""
    count = 500 if options.quick else STORM
    disk, memory = asyncio.run(_dead(count))  # first, as only the peak of memory is told
    storm = asyncio.run(_storm(count))
    calm, stuck = _posted(options.seconds, hung="no"), _posted(options.seconds, hung="yes")
    calm_p99, stuck_p99 = (percentile(told["took"], 99) * 1000 for told in (calm, stuck))
    figures = (
        Figure("storm_durable", storm, "s", 2.0),
        Figure("accepted_a_second", calm["rate"], "webhooks", RATE * 0.95, floor=True),
        Figure("accepted_p99", calm_p99, "ms"),
        Figure("loop_lateness_p99", percentile(calm["lags"], 99) * 1000, "ms", 20.0),
        Figure("accepted_p99_beside_a_hung_sink", stuck_p99, "ms", calm_p99 * 1.1),
        Figure("lost", calm["sent"] + stuck["sent"] - len(calm["took"]) - len(stuck["took"]), "events", 0),
        Figure("dead_letters_disk", disk, "MB", 20.0),
        Figure("dead_letters_memory", memory, "MB", 20.0),
    )
    how = (
        f"{count:,} transitions with an event each, in transactions of {COMMIT_BATCH}; {count:,} dead letters: "
        f"file, and peak of memory over making and listing them; {RATE} events a second for {options.seconds:g} s, "
        "once each way"
    )
    return Line("outbox", figures, how)


async def _storm(count: int) -> float:
    """Seconds."""
    now = datetime.now(UTC)
    verdict = Verdict(State.DOWN, None, "connection refused")
    changes = [
        Change(
            transitions=(Transition("check", f"check {number}", 1, now, now, "up", "down", verdict),),
            events=(event(number, ("hook",), now),),
        )
        for number in range(count)
    ]
    with TemporaryDirectory(prefix="brownout-bench-") as folder:
        store = SqliteStore(Path(folder))
        await store.open()
        began = time.perf_counter()
        for start in range(0, count, COMMIT_BATCH):
            await store.commit(changes[start : start + COMMIT_BATCH], NOBODY)
        took = time.perf_counter() - began
        await store.close()
    return took


async def _dead(count: int) -> tuple[float, float]:
    """Megabytes that dead letters take on the disk, and of memory."""
    now = datetime.now(UTC)
    with TemporaryDirectory(prefix="brownout-bench-") as folder:
        path = Path(folder) / "brownout.db"
        store = SqliteStore(Path(folder))
        await store.open()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for start in range(0, count, COMMIT_BATCH):
            numbers = range(start, min(start + COMMIT_BATCH, count))
            await store.commit([Change(events=tuple(event(item, ("hook",), now) for item in numbers))], NOBODY)
            for row in await store.claim("hook", now, now + timedelta(minutes=1), COMMIT_BATCH):
                await store.dead(row, now, "answered 410 (Gone): it wants nothing more")
        await store.backlog()
        await store.dead_letters(200)
        memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        await store.close()
        with closing(connect(path, timedelta(seconds=5))) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return path.stat().st_size / 1e6, memory


def _posted(seconds: float, *, hung: str) -> Any:
    mine, others = cores()
    key = secrets.token_bytes(32)
    secret = "whsec_" + base64.b64encode(key).decode()
    with peer("bench._receiver", key.hex(), core=others) as receiver:
        url = f"http://127.0.0.1:{answer(receiver)}/hook"
        with peer("bench._posting", url, secret, str(seconds), str(RATE), hung, core=mine) as process:
            return answer(process)


if __name__ == "__main__":
    sys.exit(run(measure, seconds=30))
