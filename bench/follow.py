"""What following a busy log costs, and what it costs everybody else on the loop."""

from __future__ import annotations

import asyncio
import os
import resource
import sys
import time
from argparse import Namespace
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

from bench._line import Figure, Line, percentile, run
from bench._peer import answer, cores, finish, peer
from probes._names.system_resolver import SystemResolver
from probes._tls.contexts import SharedTls
from probes.contract import Context
from probes.error_rate import ErrorRate

RATE = 50_000
"""Lines a second (the project's own goal)."""
BEAT = 0.001
"""Seconds between ticks, each of which stands for a look that is due."""
LOOK_EVERY = 5.0
CORE, LATE, MEMORY = 100.0, 10.0, 16.0
"""Percent of a core, milliseconds, and MB (the project's own goals)."""


@dataclass
class Seen:
    """Of one run."""

    lines: float = 0.0
    seconds: float = 0.0
    cpu: float = 0.0
    memory: float = 0.0
    late: list[float] = field(default_factory=list)
    own: list[float] = field(default_factory=list)
    """Of each delay no more than the CPU time that this process took in it: what others took is not ours."""


def measure(options: Namespace) -> Line:
    """A check follows an access log that another process writes, while the loop ticks every millisecond."""
    mine, others = cores()
    with TemporaryDirectory(prefix="brownout-bench-") as name:
        log = Path(name) / "access.log"
        log.touch()
        os.sched_setaffinity(0, {mine})
        alone = uvloop.run(_ticked(options.seconds / 2))
        with peer("bench._log_writer", str(log), str(RATE), core=others) as writer:
            answer(writer)
            seen = uvloop.run(_followed(log, options.seconds))
            written = float(finish(writer))
    return Line("follow", _figures(seen, alone, written), _how(seen))


def _figures(seen: Seen, alone: Seen, written: float) -> tuple[Figure, ...]:
    worst, rate = max(seen.late) * 1000, seen.lines / seen.seconds
    core = (seen.cpu / seen.seconds - alone.cpu / alone.seconds) * 100
    return (
        Figure("followed", rate, "lines/s", RATE * 0.98, floor=True),
        Figure("worst_own_delay", max(seen.own) * 1000, "ms", LATE),
        Figure("of_the_limit", max(seen.own) * 1000 / LATE, "x"),
        Figure("worst_delay", worst, "ms"),
        Figure("delay_p99", percentile(seen.late, 99) * 1000, "ms"),
        Figure("delay_p50", percentile(seen.late, 50) * 1000, "ms"),
        Figure("worst_delay_without", max(alone.late) * 1000, "ms"),
        Figure("delay_p99_without", percentile(alone.late, 99) * 1000, "ms"),
        Figure("core", core, "%", CORE),
        Figure("cpu_a_line", core / 100 / rate * 1e6, "us"),
        Figure("memory_more", seen.memory, "MB", MEMORY),
        Figure("unread", written - seen.lines, "lines at the end"),
    )


def _how(seen: Seen) -> str:
    return (
        f"combined lines of 230 bytes with two times, written by another process to a file for {seen.seconds:.0f} s; "
        f"one check looks every {LOOK_EVERY:g} s; {len(seen.late):,} ticks, exact values; own delay: "
        "what this process itself used of it; core: less that of the ticks alone"
    )


async def _ticked(seconds: float) -> Seen:
    """The ticks alone: what the machine itself does to them."""
    seen = Seen()
    await _tick(seen, time.monotonic() + seconds)
    return seen


async def _followed(log: Path, seconds: float) -> Seen:
    resolver = SystemResolver()
    probe = ErrorRate(log=(str(log),))
    context = Context(10.0, resolver, SharedTls(), {})
    await probe.look(context)
    before = _peak()
    seen = Seen()
    end = time.monotonic() + seconds
    ticking = asyncio.create_task(_tick(seen, end))
    while time.monotonic() < end:
        await asyncio.sleep(min(LOOK_EVERY, max(0.0, end - time.monotonic())))
        looked = await probe.look(context)
        if not looked.ok:
            raise RuntimeError(f"a look failed: {looked}")
        seen.lines += looked.measurements["requests"]
    await ticking
    seen.memory = _peak() - before
    await probe.close()
    resolver.close()
    return seen


async def _tick(seen: Seen, end: float) -> None:
    began, cpu = time.perf_counter(), time.process_time()
    while time.monotonic() < end:
        used, due = time.process_time(), time.perf_counter() + BEAT
        await asyncio.sleep(BEAT)
        late = max(0.0, time.perf_counter() - due)
        seen.late.append(late)
        seen.own.append(min(late, time.process_time() - used))
    seen.seconds, seen.cpu = time.perf_counter() - began, time.process_time() - cpu


def _peak() -> float:
    """MB of memory at most so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


if __name__ == "__main__":
    sys.exit(run(measure, seconds=20.0))
