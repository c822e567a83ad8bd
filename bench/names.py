"""What turning a name into addresses costs, and whether names that hang hold up others."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from argparse import Namespace
from contextlib import suppress

import uvloop

from bench._line import Figure, Line, median, percentile, run
from bench._peer import answer, cores, peer
from probes._names.resolv_conf import ResolvConf, Watched
from probes._names.stub_resolver import KEPT, StubResolver
from probes.contract import LookFailed

ASKED, CACHED = 300, 20_000
HANGING = 1_000
"""Names without an answer that are asked for at the same time: as many looks as an agent has under way at most."""
TIMES = 5
_NAMES = 500
"""Enough for the hanging ones to be asked for again meanwhile."""
LIMIT_CACHED, LIMIT_WAIT = 5.0, 20.0
"""us of CPU time, and ms that a name which is answered takes while the others hang (the project's own goals)."""


def measure(options: Namespace) -> Line:
    """Names of a name server in another process: from the cache, asked for anew, and beside a thousand that hang."""
    mine, others = cores()
    os.sched_setaffinity(0, {mine})
    with peer("bench._name_server", core=others) as server:
        port = int(answer(server))
        cached, asked, quiet, waited, own = uvloop.run(_measured(port, 1 if options.quick else TIMES))
    return Line(
        "names",
        (
            Figure("cached", cached, "us", LIMIT_CACHED),
            Figure("asked", asked, "us"),
            Figure("wait_p50", median(quiet) * 1000, "ms"),
            Figure("wait_p50_while_others_hang", median(waited) * 1000, "ms"),
            Figure("wait_p99_while_others_hang", percentile(waited, 99) * 1000, "ms"),
            Figure("own_wait_p99", percentile(own, 99) * 1000, "ms", LIMIT_WAIT),
        ),
        f"CPU time of this thread; asked: A and AAAA, one name after another; while {HANGING:,} names hang, "
        f"{len(waited)} others are asked for, each alone; a name server that costs little on another core; "
        "own: no more of a wait than the CPU time that this process used in it",
    )


async def _measured(port: int, times: int) -> tuple[float, float, list[float], list[float], list[float]]:
    kept, anew = _resolver(port), _resolver(port, keep=0)
    cached, asked = [], []
    for _ in range(times):
        cached.append(await _cpu(kept, CACHED))
        asked.append(await _cpu(anew, ASKED))
    quiet, _ = await _waits(kept, "quiet")
    hanging = [asyncio.create_task(_in_vain(kept, f"hangs{number}.example")) for number in range(HANGING)]
    await asyncio.sleep(0.5)  # until all of them have been asked for
    waited, own = await _waits(kept, "beside")
    for task in hanging:
        task.cancel()
    await asyncio.gather(*hanging, return_exceptions=True)
    for resolver in (kept, anew):
        resolver.close()
    return median(cached), median(asked), quiet, waited, own


def _resolver(port: int, keep: float = KEPT) -> StubResolver:
    conf = ResolvConf(timeout=30, attempts=5)
    return StubResolver((("127.0.0.1", port),), keep, Watched(os.devnull, lambda _: conf))


async def _cpu(resolver: StubResolver, count: int) -> float:
    """us of one of so many."""
    await resolver.resolve("good.example", 80, 5)
    since = time.thread_time()
    for _ in range(count):
        await resolver.resolve("good.example", 80, 5)
    return (time.thread_time() - since) / count * 1e6


async def _waits(resolver: StubResolver, name: str) -> tuple[list[float], list[float]]:
    """Seconds of each name; and of those no more than this process used meanwhile."""
    found, own = [], []
    for number in range(_NAMES):
        since, used = time.perf_counter(), time.process_time()
        await resolver.resolve(f"good-{name}-{number}.example", 80, 30)
        found.append(time.perf_counter() - since)
        own.append(min(found[-1], time.process_time() - used))
    return found, own


async def _in_vain(resolver: StubResolver, host: str) -> None:
    with suppress(LookFailed):
        await resolver.resolve(host, 80, 60)


if __name__ == "__main__":
    sys.exit(run(measure))
