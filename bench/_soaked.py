"""An agent that is watched for long: `python -m bench._soaked FILE SECONDS`.

As `bench._watched`, but it keeps no figure of each look, only of the late ones, and samples of what must stay flat:
in an hour the witness itself must not grow. Prints "ready", and at the end what was seen, as JSON.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import uvloop

from bench._agent import started
from bench._core import Arrears
from bench._pauses import TICK
from monitor.core.model import Look
from monitor.core.world import Decision, World

LATE = 0.1
"""Seconds by which a look is late enough to ask why."""
SAMPLE_EVERY = 5.0
_KEPT = 200
"""Late looks told one by one, at most; all are counted."""


@dataclass
class Witness:
    arrears: Arrears = field(default_factory=lambda: Arrears(TICK))
    results: Counter[str] = field(default_factory=Counter)
    looks: int = 0
    late: Counter[str] = field(default_factory=Counter)
    """Late looks by what kept the loop longest; ``unexplained`` when all that is known is less than half of it."""
    told: list[dict[str, Any]] = field(default_factory=list)
    samples: list[tuple[float, int, int]] = field(default_factory=list)
    """(seconds since the beginning, bytes of RSS, descriptors)."""
    began: float = field(default_factory=time.monotonic)
    _collecting: float = 0.0

    def attach(self, world: World) -> None:
        observe = world.observe

        def witnessed(look: Look) -> Decision:
            self.looks += 1
            self.results[look.observation.reason.value if look.observation.reason else "ok"] += 1
            if look.lateness > LATE:
                self._explain(look)
            return observe(look)

        setattr(world, "observe", witnessed)  # noqa: B010  (the type of a method cannot be assigned to)
        gc.callbacks.append(self._collected)

    def _explain(self, look: Look) -> None:
        kept = self.arrears.of(look.began.tick - look.lateness, look.began.tick)
        cause = max(kept, key=kept.__getitem__) if sum(kept.values()) >= look.lateness / 2 else "unexplained"
        self.late[cause] += 1
        if len(self.told) < _KEPT or (cause == "unexplained" and self.late[cause] <= _KEPT):
            at, seen = round(look.began.tick - self.began, 1), {name: round(held, 3) for name, held in kept.items()}
            self.told.append({"at": at, "late": round(look.lateness, 3), "cause": cause, "kept": seen})

    def _collected(self, phase: str, _info: dict[str, int]) -> None:
        if phase == "start":
            self._collecting = time.thread_time()
        elif threading.current_thread() is threading.main_thread():
            self.arrears.collected(time.thread_time() - self._collecting)

    async def feel(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            self.arrears.beat()

    async def sample(self) -> None:
        process = psutil.Process()
        while True:
            self.samples.append(
                (time.monotonic() - self.began, int(process.memory_info().rss), len(os.listdir("/proc/self/fd")))  # noqa: PTH208
            )
            await asyncio.sleep(SAMPLE_EVERY)


async def watch(file: Path, seconds: float) -> dict[str, Any]:
    witness = Witness()
    async with started(file) as agent, asyncio.TaskGroup() as group:
        witness.attach(agent.world)
        watching = [group.create_task(witness.feel()), group.create_task(witness.sample())]
        print('"ready"', flush=True)
        await asyncio.sleep(seconds)
        for task in watching:
            task.cancel()
    return {
        "looks": witness.looks,
        "results": dict(witness.results),
        "late": dict(witness.late),
        "told": witness.told,
        "samples": witness.samples,
    }


if __name__ == "__main__":
    print(json.dumps(uvloop.run(watch(Path(sys.argv[1]), float(sys.argv[2])))))
