"""How long the loop is held when a plug-in is started by an agent of 400 MB."""

from __future__ import annotations

import asyncio
import sys
import time
from argparse import Namespace
from collections.abc import Awaitable, Callable

import uvloop

from bench._line import Figure, Line, median, run, spread
from probes._system import spawn

LIMIT = 5.0
"""Milliseconds that anything may hold the loop."""
BALLAST = 400 << 20


def measure(options: Namespace) -> Line:
    """Starts of /bin/true on uvloop: ours, and uvloop's own for comparison; the longest turn of the loop of each."""
    starts = 5 if options.quick else 100
    ballast = bytearray(BALLAST)
    ballast[::4096] = b"x" * len(ballast[::4096])  # touched, or it would be no memory at all
    ours = uvloop.run(_held(lambda: spawn.run(["/bin/true"], timeout=10), starts))
    theirs = uvloop.run(_held(_uvloops_own, starts))
    figures = (
        Figure("held", median(ours), "ms", LIMIT),
        Figure("held_worst", max(ours), "ms"),
        Figure("uvloops_own", median(theirs), "ms"),
    )
    return Line(
        "spawn", figures, f"{starts} starts of /bin/true with {len(ballast) >> 20} MB held; {spread(ours, 'ms')}"
    )


async def _uvloops_own() -> None:
    process = await asyncio.create_subprocess_exec("/bin/true")
    await process.wait()


async def _held(start: Callable[[], Awaitable[object]], times: int) -> list[float]:
    """The longest turn of the loop during each start, in milliseconds."""
    found = []
    for _ in range(times):
        started = asyncio.ensure_future(start())
        worst, last = 0.0, time.perf_counter()
        while not started.done():
            await asyncio.sleep(0)
            now = time.perf_counter()
            worst, last = max(worst, now - last), now
        await started
        found.append(worst * 1000)
    return found


if __name__ == "__main__":
    sys.exit(run(measure))
