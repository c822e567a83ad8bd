"""What the outbox bears: a storm at once, a steady stream, a sink that hangs, and what was given up."""

from __future__ import annotations

import asyncio
import base64
import resource
import secrets
import sys
import time
from argparse import Namespace
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench._line import Figure, Line, median, percentile, run, spread
from bench._peer import answer, cores, peer
from bench._posting import BATCHES, event
from monitor.core.model import Change, State, Transition, Verdict
from monitor.store._database import connect
from monitor.store.sqlite import SqliteStore
from monitor.writer import COMMIT_BATCH

STORM = 10_000
STORMS = 5
RATE = 200
NOBODY: frozenset[str] = frozenset()


def measure(options: Namespace) -> Line:
    """A storm and dead letters: the journal alone, as the agent writes them. The stream: outboxes on one core, their
    receiver, which verifies signatures, on another; in rounds, in turns with and without a second sink that takes
    connections and never answers. The effect of that sink is the median over pairs of rounds."""
    count = 500 if options.quick else STORM
    disk, memory = asyncio.run(_dead(count))  # first, as only the peak of memory is told
    storms = [asyncio.run(_storm(count)) for _ in range(1 if options.quick else STORMS)]
    told = _posted(options.seconds)
    calm, stuck = ([item for item in told if item["hung"] is hung] for hung in (False, True))
    pairs = list(zip(stuck, calm, strict=True))
    ratios = [_took(one, 99) / _took(other, 99) for one, other in pairs]
    usual = [_took(one, 50) / _took(other, 50) for one, other in pairs]
    figures = (
        Figure("storm_durable", median([wall for wall, _ in storms]), "s", 2.0),
        Figure("storm_cpu", median([cpu for _, cpu in storms]), "s"),
        Figure(
            "accepted_a_second",
            median(list(map(_rate, calm))),
            "webhooks",
            RATE * 0.95,
            floor=True,
        ),
        Figure("accepted_p99", median([_took(item, 99) for item in calm]), "ms"),
        Figure("loop_lateness_p99", median([percentile(item["lags"], 99) * 1000 for item in calm]), "ms", 20.0),
        Figure("cpu", median(list(map(_cpu, calm))), "ms/webhook"),
        Figure("cpu_beside_a_hung_sink", median(list(map(_cpu, stuck))), "ms/webhook"),
        Figure("p99_beside_a_hung_sink", median([_took(item, 99) for item in stuck]), "ms"),
        Figure("hung_to_calm_p99", median(ratios), "times", 1.1),
        Figure("lost", sum(item["sent"] - len(item["took"]) for item in told), "events", 0),
        Figure("dead_letters_disk", disk, "MB", 20.0),
        Figure("dead_letters_memory", memory, "MB", 20.0),
    )
    how = (
        f"{count:,} transitions with an event each, in transactions of {COMMIT_BATCH}, median of {len(storms)}; "
        f"{count:,} dead letters: file, and peak of memory over making and listing them; {RATE} events a second in "
        f"{len(told)} rounds of {told[0]['sent'] / RATE:g} s, medians of them; times of p99 in pairs of rounds: "
        f"{spread(ratios)}; of p50: {spread(usual)}"
    )
    return Line("outbox", figures, how)


def _rate(told: Mapping[str, Any]) -> float:
    """Acceptances a second, from the first to the last; the last commit stands for its beat."""
    accepted: list[float] = told["accepted"]
    return len(accepted) / (max(accepted) - min(accepted) + 1 / BATCHES)


def _cpu(told: Mapping[str, Any]) -> float:
    """Milliseconds a webhook."""
    spent: float = told["cpu"]
    return spent / int(told["sent"]) * 1000


def _took(told: Mapping[str, Any], percent: float) -> float:
    """Milliseconds from commit to acceptance, of a round."""
    return percentile(told["took"], percent) * 1000


async def _storm(count: int) -> tuple[float, float]:
    """Seconds: by the clock, and of CPU time."""
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
        began, cpu = time.perf_counter(), time.process_time()
        for start in range(0, count, COMMIT_BATCH):
            await store.commit(changes[start : start + COMMIT_BATCH], NOBODY)
        took = time.perf_counter() - began, time.process_time() - cpu
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
            rows = await store.claim("hook", now, now + timedelta(minutes=1), COMMIT_BATCH)
            await store.dead(rows, now, "answered 410 (Gone): it wants nothing more")
        await store.backlog()
        await store.dead_letters(200)
        memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        await store.close()
        with closing(connect(path, timedelta(seconds=5))) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return path.stat().st_size / 1e6, memory


def _posted(seconds: float) -> list[dict[str, Any]]:
    mine, others = cores()
    key = secrets.token_bytes(32)
    secret = "whsec_" + base64.b64encode(key).decode()
    with peer("bench._receiver", key.hex(), core=others) as receiver:
        url = f"http://127.0.0.1:{answer(receiver)}/hook"
        with peer("bench._posting", url, secret, str(seconds), str(RATE), core=mine) as process:
            told: list[dict[str, Any]] = answer(process)
    return told


if __name__ == "__main__":
    sys.exit(run(measure, seconds=72))
