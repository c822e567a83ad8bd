"""The runs of a job that are under way: begun by a ping, not ended by one yet; a few, kept as one text."""

from __future__ import annotations

import json
from dataclasses import dataclass

from probes._passive.attendance import Memory

MOST = 20
"""Runs kept at once; the oldest is forgotten for a new one."""
_KEY = "runs"


@dataclass(slots=True)
class Run:
    """`begun` is a Unix time. `sure`: the agent has been there all the while, so its end cannot have been missed."""

    begun: float
    sure: bool = True


class Runs:
    """Read from a check's memory; `keep` writes them back. Keys are run ids, or empty for a job that names none."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        text = memory.get(_KEY)
        read = json.loads(text) if isinstance(text, str) and text else {}
        self.open = {rid: Run(begun, sure) for rid, (begun, sure) in read.items()}

    def begin(self, rid: str, at: float) -> None:
        self.open.pop(rid, None)
        while len(self.open) >= MOST:
            del self.open[min(self.open, key=lambda name: self.open[name].begun)]
        self.open[rid] = Run(at)

    def end(self, rid: str, at: float, patience: float) -> float | None:
        """How long it took (s), if its beginning is known. Runs begun before it that are older than `patience` (s)
        are given up: they were killed without a word, and the job goes on without them."""
        run = self.open.pop(rid, None)
        begun = run.begun if run else at
        for name, other in list(self.open.items()):
            if other.begun < begun and at - other.begun > patience:
                del self.open[name]
        return max(0.0, at - run.begun) if run else None

    def doubt(self) -> None:
        """Nobody was there for a while: any of them may have ended."""
        for run in self.open.values():
            run.sure = False

    def move(self, step: float, now: float) -> None:
        for run in self.open.values():
            run.begun = min(run.begun + step, now)

    def ages(self, now: float, *, sure: bool = False) -> list[float]:
        """Seconds that each has been under way; only of those whose end cannot have been missed, if `sure`."""
        return [max(0.0, now - run.begun) for run in self.open.values() if run.sure or not sure]

    def keep(self) -> None:
        if self.open:
            self._memory[_KEY] = json.dumps({rid: (run.begun, run.sure) for rid, run in self.open.items()})
        else:
            self._memory.pop(_KEY, None)
