"""An agent in a process of its own, being watched: `python -m bench._watched FILE WARM SECONDS`.

The real `Agent` with all its parts; only `World.observe` is wrapped, to take exact figures where histograms have
buckets. Prints "ready", and at the end what was seen in the `SECONDS` after `WARM`, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvloop

from bench._line import percentile
from monitor.app import Agent
from monitor.config.load import load
from monitor.core.model import Look
from monitor.core.world import Decision, World
from monitor.kinds import installed_kinds
from monitor.logs import configure_logs

TICK = 0.01
"""Seconds between two feelings of the loop's pulse."""


@dataclass(slots=True)
class Witness:
    """What is seen between `begin` and `end`. Times are seconds."""

    watching: bool = False
    lateness: list[float] = field(default_factory=list)
    results: Counter[str] = field(default_factory=Counter)
    decided: dict[str, float] = field(default_factory=dict)
    """Ids of the events that are for somebody, and the monotonic time of the decision that made them."""
    pause: float = 0.0
    began: float = 0.0
    cpu: float = 0.0
    queued: float = 0.0

    def attach(self, world: World) -> None:
        observe = world.observe

        def witnessed(look: Look) -> Decision:
            decision = observe(look)
            if self.watching:
                self._see(look, decision)
            return decision

        setattr(world, "observe", witnessed)  # noqa: B010  (the type of a method cannot be assigned to)

    def _see(self, look: Look, decision: Decision) -> None:
        self.lateness.append(look.lateness)
        self.results[look.observation.reason.value if look.observation.reason else "ok"] += 1
        if decision.change is not None:
            for event in filter(lambda event: event.sinks, decision.change.events):
                self.decided[event.id] = look.ended.tick

    async def feel(self) -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(TICK)
            if self.watching:
                self.pause = max(self.pause, time.monotonic() - before - TICK)

    def begin(self) -> None:
        self.watching, self.began, self.cpu, self.queued = True, time.monotonic(), _cpu(), queued()

    def end(self) -> dict[str, Any]:
        self.watching = False
        seconds, cpu = time.monotonic() - self.began, _cpu() - self.cpu
        return {
            "seconds": seconds,
            "cpu": cpu,
            "queued": queued() - self.queued,
            "looks": len(self.lateness),
            "results": dict(self.results),
            "p50": percentile(self.lateness, 50),
            "p99": percentile(self.lateness, 99),
            "worst": max(self.lateness, default=0.0),
            "pause": self.pause,
            "decided": self.decided,
        }


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def queued() -> float:
    """Seconds that our main thread could have run but had no core, as another process had it."""
    schedstat = Path("/proc/self/schedstat")
    return int(schedstat.read_text().split()[1]) / 1e9 if schedstat.exists() else 0.0


async def watch(file: Path, warm: float, seconds: float) -> dict[str, Any]:
    config = load(file, kinds=installed_kinds(), env=os.environ)
    configure_logs(config.redactor.text)
    witness, stop = Witness(), asyncio.Event()
    with Path(os.devnull).open("w") as terminal:  # noqa: ASYNC230  (before anything runs)
        agent = Agent(config, terminal=terminal)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(agent.run(stop))
            feeling = group.create_task(witness.feel())
            await agent.started.wait()
            witness.attach(agent.world)
            print('"ready"', flush=True)
            await asyncio.sleep(warm)
            witness.begin()
            await asyncio.sleep(seconds)
            seen = witness.end()
            await asyncio.sleep(1)  # what was decided last is still on its way
            stop.set()
            await running
            feeling.cancel()
    return seen


if __name__ == "__main__":
    print(json.dumps(uvloop.run(watch(Path(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])))))
