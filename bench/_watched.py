"""An agent in a process of its own, being watched: `python -m bench._watched FILE WARM SECONDS [pauses]
[drained]`.

The real `Agent` with all its parts; only `World.observe` is wrapped, to take exact figures where histograms have
buckets. Prints "ready", and at the end what was seen in the `SECONDS` after `WARM`, as JSON; with `pauses` also what
the worst pause of its loop came from, which costs the core some CPU time of its own (not counted as the agent's).
With `drained` it has longer to send what was decided last.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvloop

from bench._agent import started
from bench._line import percentile
from bench._pauses import Pauses
from monitor.core.model import Look
from monitor.core.world import Decision, World


@dataclass(slots=True)
class Witness:
    """What is seen between `begin` and `end`. Times are seconds."""

    watching: bool = False
    lateness: list[float] = field(default_factory=list)
    results: Counter[str] = field(default_factory=Counter)
    decided: dict[str, float] = field(default_factory=dict)
    """Ids of the events that are for somebody, and the monotonic time of the decision that made them."""
    pauses: Pauses = field(default_factory=Pauses)
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

    def begin(self) -> None:
        self.pauses.begin()
        self.watching, self.began, self.cpu, self.queued = True, time.monotonic(), _cpu(), queued()

    def end(self) -> dict[str, Any]:
        self.watching = False
        seconds, cpu = time.monotonic() - self.began, _cpu() - self.cpu
        return {
            "seconds": seconds,
            "cpu": cpu - self.pauses.spent,
            "queued": queued() - self.queued,
            "looks": len(self.lateness),
            "results": dict(self.results),
            "p50": percentile(self.lateness, 50),
            "p99": percentile(self.lateness, 99),
            "worst": max(self.lateness, default=0.0),
            "pause": self.pauses.worst.as_json(),
            "decided": self.decided,
        }


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def queued() -> float:
    """Seconds that our main thread could have run but had no core, as another process had it."""
    schedstat = Path("/proc/self/schedstat")
    return int(schedstat.read_text().split()[1]) / 1e9 if schedstat.exists() else 0.0


async def watch(file: Path, warm: float, seconds: float, *, pauses: bool, drained: bool) -> dict[str, Any]:
    witness = Witness()
    async with started(file) as agent, asyncio.TaskGroup() as group:
        feeling = [group.create_task(witness.pauses.feel())] if pauses else []
        witness.attach(agent.world)
        print('"ready"', flush=True)
        await asyncio.sleep(warm)
        witness.begin()
        await asyncio.sleep(seconds)
        seen = witness.end()
        await asyncio.sleep(5 if drained else 1)  # what was decided last is still on its way
        for task in feeling:
            task.cancel()
    return seen


if __name__ == "__main__":
    also = {"pauses": "pauses" in sys.argv, "drained": "drained" in sys.argv}
    told = watch(Path(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]), **also)
    print(json.dumps(uvloop.run(told)))
