"""An agent in a process of its own whose loop ticks: `python -m bench._ticking FILE`.

The real `Agent` with all its parts; of `Checks` it is only seen when an answer is being made. Prints "ready". For
each line that it reads every check is seen again, as if all had been looked at, and it prints "seen"; when its stdin
ends it prints the delays of ticks while answers were made (ms), as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import uvloop

from bench._agent import started
from bench._line import percentile
from monitor.app import Agent
from monitor.core.judge import Judge
from monitor.core.model import Moment
from monitor.web.checks import Checks

BEAT = 0.001
"""Seconds between ticks, each of which stands for a look that is due."""
SLICE = 100


@dataclass
class Ticks:
    """Of each tick while an answer is made: how late it was (ms), and no more of it than the loop's own CPU time."""

    answering: int = 0
    raw: list[float] = field(default_factory=list)
    own: list[float] = field(default_factory=list)

    def attach(self) -> None:
        pieces = Checks._pieces  # noqa: SLF001  (seen from outside, changed in nothing)

        async def seen(checks: Checks, judges: Iterable[Judge]) -> AsyncIterator[bytes]:
            self.answering += 1
            try:
                async for piece in pieces(checks, judges):
                    yield piece
            finally:
                self.answering -= 1

        setattr(Checks, "_pieces", seen)  # noqa: B010  (the type of a method cannot be assigned to)

    async def run(self) -> None:
        while True:
            answering, used, due = self.answering, time.thread_time(), time.perf_counter() + BEAT
            await asyncio.sleep(BEAT)
            late = max(0.0, time.perf_counter() - due)
            if answering or self.answering:
                self.raw.append(late * 1000)
                self.own.append(min(late, time.thread_time() - used) * 1000)

    def told(self) -> dict[str, float]:
        return {
            "worst": max(self.own, default=0.0),
            "p99": percentile(self.own, 99),
            "raw": max(self.raw, default=0.0),
        }


async def tick(file: Path) -> dict[str, float]:
    ticks = Ticks()
    ticks.attach()
    async with started(file) as agent, asyncio.TaskGroup() as group:
        ticking = group.create_task(ticks.run())
        print('"ready"', flush=True)
        while await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline):
            await see_all(agent)
            print('"seen"', flush=True)
        ticking.cancel()
    return ticks.told()


async def see_all(agent: Agent) -> None:
    """Each check is seen once more, as it was seen last."""
    for place, judge in enumerate(list(agent.world.judges.values())):
        if (last := judge.last) is not None:
            began, ended = (Moment(item.micros + 30_000_000, item.tick + 30) for item in (last.began, last.ended))
            agent.world.observe(replace(last, began=began, ended=ended))
        if place % SLICE == 0:
            await asyncio.sleep(0)


if __name__ == "__main__":
    print(json.dumps(uvloop.run(tick(Path(sys.argv[1])))))
