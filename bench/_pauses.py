"""Pauses of a loop, and what each came from: others on its core, our own threads, the collector, or which callback.

A beat is felt every `TICK`. What kept the loop from it is read in the kernel's figures (`bench._core`); what is left
is work of its own, and of that a timer of the process, which strikes only when a beat is overdue, notes where the
interpreter is. So nothing is spent while all is well.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from bench._core import COLLECTOR, Reading, kept_from, read

TICK = 0.01
"""Seconds between two beats."""
OVERDUE, NOTED_EVERY = 0.005, 0.002
"""Seconds by which a beat is overdue when it is first noted where the interpreter is, and between two such notes."""
OWN = "own work"
_ROOT = str(Path(__file__).parent.parent)
_DEEP = 3
"""Calls that are told of each place, the innermost first."""


@dataclass(slots=True)
class Pause:
    """`lasted` and `causes` are seconds; `places` tells where its own work was, and how often that was seen."""

    lasted: float = 0.0
    causes: dict[str, float] = field(default_factory=dict)
    places: Counter[str] = field(default_factory=Counter)

    def as_json(self) -> dict[str, Any]:
        causes = {cause: round(held, 4) for cause, held in self.causes.items() if held >= 0.0005}
        return {"lasted": self.lasted, "causes": causes, "places": dict(self.places.most_common(3))}


@dataclass(slots=True)
class Pauses:
    """`feel` beats until it is cancelled; `worst` is the longest pause since `begin`."""

    worst: Pause = field(default_factory=Pause)
    spent: float = 0.0
    """Seconds of the loop's CPU time that went into feeling."""
    _places: Counter[str] = field(default_factory=Counter)
    _collected: float = 0.0
    _collecting: float = 0.0

    def begin(self) -> None:
        self.worst, self.spent = Pause(), 0.0

    async def feel(self) -> None:
        signal.signal(signal.SIGALRM, self._note)
        gc.callbacks.append(self._collect)
        before = read()
        try:
            while True:
                signal.setitimer(signal.ITIMER_REAL, TICK + OVERDUE, NOTED_EVERY)
                await asyncio.sleep(TICK)
                before = self._beat(before)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            gc.callbacks.remove(self._collect)

    def _beat(self, before: Reading) -> Reading:
        used, now = time.thread_time(), read()
        lasted = now.at - before.at - TICK
        if lasted > self.worst.lasted:
            causes = {**kept_from(before, now, TICK), COLLECTOR: self._collected}
            causes[OWN] = max(lasted - sum(causes.values()), 0.0)
            self.worst = Pause(lasted, causes, Counter(self._places))
        self._places.clear()
        self._collected = 0.0
        self.spent += time.thread_time() - used
        return now

    def _note(self, _number: int, frame: FrameType | None) -> None:
        """Where the interpreter is, as far as that is code of ours."""
        calls: list[str] = []
        while frame is not None and len(calls) < _DEEP:
            code = frame.f_code
            if code.co_filename.startswith(_ROOT) and ".venv" not in code.co_filename:
                calls.append(f"{Path(code.co_filename).name}:{frame.f_lineno} {code.co_name}")
            frame = frame.f_back
        self._places[" < ".join(calls) or "outside of our code"] += 1

    def _collect(self, phase: str, _info: dict[str, int]) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        if phase == "start":
            self._collecting = time.thread_time()
        else:
            self._collected += time.thread_time() - self._collecting
