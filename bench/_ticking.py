"""An agent in a process of its own whose loop ticks: `python -m bench._ticking FILE`.

The real `Agent` with all its parts; of `Checks` it is only seen when an answer is being made. Prints "ready", and
when its stdin ends the worst delays of a tick (ms), as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from bench._line import percentile
from monitor.app import Agent
from monitor.config.load import load
from monitor.core.judge import Judge
from monitor.kinds import installed_kinds
from monitor.logs import configure_logs
from monitor.web.checks import TURN, Checks

BEAT = 0.001
"""Seconds between ticks, each of which stands for a look that is due."""


@dataclass
class Delays:
    """Of each tick: how late it was, and no more of it than the CPU time that the loop's thread took in it."""

    raw: list[float] = field(default_factory=list)
    own: list[float] = field(default_factory=list)


@dataclass
class Ticks:
    answering: int = 0
    rendering: list[float] = field(default_factory=list)
    """CPU of making the pieces of each answer (ms)."""
    asked: Delays = field(default_factory=Delays)
    others: Delays = field(default_factory=Delays)

    def attach(self) -> None:
        pieces = Checks._pieces  # noqa: SLF001  (seen from outside, changed in nothing)

        async def seen(checks: Checks, judges: Iterable[Judge]) -> AsyncIterator[bytes]:
            self.answering += 1
            used = time.thread_time()
            rendering = 0.0
            try:
                async for piece in pieces(checks, judges):
                    # What the loop did between two pieces is in it only as far as its turn was this one's.
                    rendering += min(time.thread_time() - used, 2 * TURN)
                    yield piece
                    used = time.thread_time()
            finally:
                self.answering -= 1
                self.rendering.append(rendering * 1000)

        setattr(Checks, "_pieces", seen)  # noqa: B010  (the type of a method cannot be assigned to)

    async def run(self) -> None:
        while True:
            answering, used, due = self.answering, time.thread_time(), time.perf_counter() + BEAT
            await asyncio.sleep(BEAT)
            late = max(0.0, time.perf_counter() - due)
            delays = self.asked if answering or self.answering else self.others
            delays.raw.append(late * 1000)
            delays.own.append(min(late, time.thread_time() - used) * 1000)

    def told(self) -> dict[str, float]:
        return {
            "asked": max(self.asked.own, default=0.0),
            "rendering": max(self.rendering[1:], default=0.0),
            "asked_p99": percentile(self.asked.own, 99),
            "asked_raw": max(self.asked.raw, default=0.0),
            "else": max(self.others.own, default=0.0),
            "else_raw": max(self.others.raw, default=0.0),
        }


async def tick(file: Path) -> dict[str, float]:
    config = load(file, kinds=installed_kinds(), env=os.environ)
    configure_logs(config.redactor.text)
    ticks, stop = Ticks(), asyncio.Event()
    ticks.attach()
    with Path(os.devnull).open("w") as terminal:  # noqa: ASYNC230  (before anything runs)
        agent = Agent(config, terminal=terminal)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(agent.run(stop))
            await agent.started.wait()
            ticking = group.create_task(ticks.run())
            print('"ready"', flush=True)
            await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
            ticking.cancel()
            told = ticks.told()
            stop.set()
            await running
    return told


if __name__ == "__main__":
    print(json.dumps(uvloop.run(tick(Path(sys.argv[1])))))
