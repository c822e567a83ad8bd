"""An agent in a process of its own that reloads while its loop ticks: `python -m bench._reloading FILE REST`.

Prints "ready". For each line that it reads, a text of YAML for the file as JSON, it writes the file, reloads, and
prints what the ticks saw meanwhile and what the slices of taking over took; it ends when its stdin does.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvloop

from bench._line import percentile
from monitor.app import Agent
from monitor.config.load import load
from monitor.core.world import World
from monitor.kinds import installed_kinds
from monitor.logs import configure_logs
from monitor.reload import Accepted
from monitor.scheduler import FIRST_LOOKS_A_SECOND
from monitor.takeover import Takeover

BEAT = 0.001
"""Seconds between ticks, each of which stands for a look that is due."""


@dataclass
class Ticks:
    """How late ticks were (ms), and no more of it than the loop's own CPU time, by the phase that they fall in."""

    phase: str = "before"
    raw: dict[str, list[float]] = field(default_factory=dict)
    own: dict[str, list[float]] = field(default_factory=dict)
    met: str | None = None
    """The phase that has begun and ended since the last tick."""

    async def run(self) -> None:
        while True:
            used, due = time.thread_time(), time.perf_counter() + BEAT
            await asyncio.sleep(BEAT)
            late = max(0.0, time.perf_counter() - due)
            phase, self.met = self.met or self.phase, None
            self.raw.setdefault(phase, []).append(late * 1000)
            self.own.setdefault(phase, []).append(min(late, time.thread_time() - used) * 1000)

    def told(self) -> dict[str, Any]:
        told = {
            name: {
                "worst": max(self.own[name]),
                "p99": percentile(self.own[name], 99),
                "raw": max(raw),
                "raw_p99": percentile(raw, 99),
                "seconds": len(raw) * BEAT,
            }
            for name, raw in self.raw.items()
        }
        self.raw, self.own = {}, {}
        return told


class Watched(Agent):
    """An agent that says when it takes over what it has read."""

    ticks: Ticks
    took: float = 0.0
    held: list[float]
    """CPU time (ms) of each slice."""

    async def _adopt(self, found: Accepted) -> None:
        self.held = []
        with self._phase("taking_over"):
            await super()._adopt(found)

    def attach(self) -> None:
        step = Takeover.step

        def timed(takeover: Takeover) -> World:
            began = time.thread_time()
            try:
                return step(takeover)
            finally:
                self.held.append((time.thread_time() - began) * 1000)

        setattr(Takeover, "step", timed)  # noqa: B010  (the type of a method cannot be assigned to)

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        before, self.ticks.phase, began = self.ticks.phase, name, time.perf_counter()
        yield
        self.ticks.phase, self.ticks.met, self.took = before, name, time.perf_counter() - began


async def reload(file: Path, rest: float) -> None:
    """`rest`: seconds before and after each reload in which nothing is done."""
    kinds, ticks, stop = installed_kinds(), Ticks(), asyncio.Event()
    config = load(file, kinds=kinds, env=os.environ)
    configure_logs(config.redactor.text)
    with Path(os.devnull).open("w") as terminal:  # noqa: ASYNC230  (before anything runs)
        agent = Watched(config, load=lambda: load(file, kinds=kinds, env=os.environ), terminal=terminal)
        agent.ticks = ticks
        agent.attach()
        async with asyncio.TaskGroup() as group:
            running = group.create_task(agent.run(stop))
            await agent.started.wait()
            await asyncio.sleep(len(config.checks) / FIRST_LOOKS_A_SECOND + 5 * rest)  # the first looks
            ticking = group.create_task(ticks.run())
            print('"ready"', flush=True)
            while line := await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline):
                await asyncio.to_thread(file.write_text, json.loads(line), "utf-8")
                await asyncio.sleep(2 * rest)
                ticks.told()
                await asyncio.sleep(rest)  # how it is without a reload
                ticks.phase = "reading"
                outcome = await agent._reloader.wait()  # noqa: SLF001  (as the API asks)
                ticks.phase = "after"
                await asyncio.sleep(rest)
                ticks.phase = "before"
                told = {
                    "took": agent.took,
                    "ticks": ticks.told(),
                    "slices": len(agent.held),
                    "slice": max(agent.held),
                }
                print(json.dumps({"outcome": outcome, **told}), flush=True)
            ticking.cancel()
            stop.set()
            await running


if __name__ == "__main__":
    uvloop.run(reload(Path(sys.argv[1]), float(sys.argv[2])))
