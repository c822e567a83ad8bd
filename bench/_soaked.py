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
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import uvloop

from bench._watched import TICK, queued
from monitor.app import Agent
from monitor.config.load import load
from monitor.core.model import CheckRecord, Look
from monitor.core.world import Decision, World
from monitor.kinds import installed_kinds
from monitor.logs import configure_logs
from monitor.store.sqlite import SqliteStore

LATE = 0.1
"""Seconds by which a look is late enough to ask why."""
SAMPLE_EVERY = 5.0
_REMEMBERED = 2.0
"""Seconds of causes kept: what delayed a look lies right before it."""
_KEPT = 200
"""Late looks told one by one, at most; all are counted."""


@dataclass
class Causes:
    """What may hold the loop, and when it did: spans of the monotonic clock with their seconds."""

    spans: dict[str, deque[tuple[float, float, float]]] = field(default_factory=dict)

    def add(self, cause: str, began: float, ended: float, seconds: float) -> None:
        kept = self.spans.setdefault(cause, deque())
        kept.append((began, ended, seconds))
        while kept and kept[0][1] < ended - _REMEMBERED:
            kept.popleft()

    def of(self, began: float, ended: float) -> dict[str, float]:
        """Seconds of each cause between the two moments; what delayed the loop just before them counts, too."""
        found = {}
        for cause, spans in self.spans.items():
            seconds = sum(held for first, last, held in spans if last > began - LATE and first < ended)
            if seconds:
                found[cause] = round(seconds, 3)
        return found


@dataclass
class Witness:
    causes: Causes = field(default_factory=Causes)
    results: Counter[str] = field(default_factory=Counter)
    looks: int = 0
    late: Counter[str] = field(default_factory=Counter)
    """Late looks by what held the loop most; ``unexplained`` when all that is known is less than half of it."""
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
        causes = self.causes.of(look.began.tick - look.lateness, look.began.tick)
        enough = {cause: seconds for cause, seconds in causes.items() if seconds >= look.lateness / 2}
        cause = max(enough, key=enough.__getitem__) if enough else "unexplained"
        self.late[cause] += 1
        if len(self.told) < _KEPT:
            at = round(look.began.tick - self.began, 1)
            self.told.append({"at": at, "late": round(look.lateness, 3), "cause": cause, "seen": causes})

    def _collected(self, phase: str, _info: dict[str, int]) -> None:
        now = time.monotonic()
        if phase == "start":
            self._collecting = now
        else:
            self.causes.add("garbage collection", self._collecting, now, now - self._collecting)

    async def feel(self) -> None:
        """The core taken by other processes, and by other guests of the host, tick by tick."""
        waited, taken = queued(), stolen()
        while True:
            before = time.monotonic()
            await asyncio.sleep(TICK)
            now, waits, takes = time.monotonic(), queued(), stolen()
            if waits - waited > TICK / 10:
                self.causes.add("other processes", before, now, waits - waited)
            if takes > taken:
                self.causes.add("other guests", before, now, takes - taken)
            waited, taken = waits, takes

    async def sample(self) -> None:
        process = psutil.Process()
        while True:
            self.samples.append(
                (time.monotonic() - self.began, int(process.memory_info().rss), len(os.listdir("/proc/self/fd")))  # noqa: PTH208
            )
            await asyncio.sleep(SAMPLE_EVERY)


def stolen() -> float:
    """Seconds that the host gave to other guests, on all cores together."""
    stat = Path("/proc/stat")
    return int(stat.read_text().split(None, 9)[8]) / os.sysconf("SC_CLK_TCK") if stat.exists() else 0.0


class WatchedStore(SqliteStore):
    """Tells when what the checks remember was being written."""

    causes: Causes

    async def save(self, checks: Sequence[CheckRecord]) -> None:
        began = time.monotonic()
        try:
            await super().save(checks)
        finally:
            now = time.monotonic()
            self.causes.add("flush", began, now, now - began)


async def watch(file: Path, seconds: float) -> dict[str, Any]:
    config = load(file, kinds=installed_kinds(), env=os.environ)
    configure_logs(config.redactor.text)
    witness, stop = Witness(), asyncio.Event()
    store = WatchedStore(config.agent.state_dir, vantage=config.agent.vantage.name)
    store.causes = witness.causes
    with Path(os.devnull).open("w") as terminal:  # noqa: ASYNC230  (before anything runs)
        agent = Agent(config, store=store, terminal=terminal)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(agent.run(stop))
            await agent.started.wait()
            witness.attach(agent.world)
            watching = [group.create_task(witness.feel()), group.create_task(witness.sample())]
            print('"ready"', flush=True)
            await asyncio.sleep(seconds)
            for task in watching:
                task.cancel()
            stop.set()
            await running
    return {
        "looks": witness.looks,
        "results": dict(witness.results),
        "late": dict(witness.late),
        "told": witness.told,
        "samples": witness.samples,
    }


if __name__ == "__main__":
    print(json.dumps(uvloop.run(watch(Path(sys.argv[1]), float(sys.argv[2])))))
