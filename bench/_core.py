"""What keeps a thread from its core, in the kernel's own figures, and how much of that is still to be caught up with.

A thread that has work runs, waits for a core (the run delay of `/proc/self/schedstat`), or is blocked. What waits for
a core has it taken by another process or by a thread of ours; what is blocked with work to do waits for the
interpreter lock, whose holder runs or itself waits for a core, or the host has given the core to another guest.
"""

from __future__ import annotations

import os
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

PROCESSES, THREADS, GUESTS, COLLECTOR = "other processes", "own threads", "other guests", "garbage collection"
CAUGHT_UP = 0.005
"""Seconds of its own work by which a beat may come late and the loop still has nothing to catch up with."""
_REMEMBERED = 10.0
"""Seconds: a look is explained when it ends, and what delayed it lies before its beginning."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Seconds since some beginning, but for `at`: all of them only grow, unless a thread of ours has ended."""

    at: float
    """Of the monotonic clock."""
    ran: float
    """That the thread had a core; it must be the main thread, and the one that asks."""
    waited: float
    """That it could have run and had none."""
    others_ran: float
    """That our other threads had a core."""
    others_waited: float
    stolen: float
    """That the host gave to other guests, on all cores together."""


def read() -> Reading:
    mine = str(os.getpid())
    ran = time.thread_time()
    others = sum(_delay(task) for task in os.listdir("/proc/self/task") if task != mine)  # noqa: PTH208  (100 a second)
    return Reading(
        at=time.monotonic(),
        ran=ran,
        waited=_delay(mine),
        others_ran=time.process_time() - ran,
        others_waited=others,
        stolen=_stolen(),
    )


def _delay(task: str) -> float:
    try:
        return int(Path(f"/proc/self/task/{task}/schedstat").read_bytes().split()[1]) / 1e9
    except (FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
        return 0.0


def _stolen() -> float:
    with Path("/proc/stat").open("rb") as stat:
        return int(stat.readline().split()[8]) / os.sysconf("SC_CLK_TCK")


def kept_from(before: Reading, after: Reading, rest: float) -> dict[str, float]:
    """Seconds by cause, none of them counted twice. For `rest` of the time the thread wanted to be blocked."""

    def grown(name: str) -> float:
        return max(float(getattr(after, name) - getattr(before, name)), 0.0)

    waited, ours = grown("waited"), grown("others_ran")
    blocked = max(after.at - before.at - grown("ran") - waited - rest, 0.0)
    by_threads = min(waited, ours)
    by_guests = min(blocked, grown("stolen"))
    behind_waiting = min(blocked - by_guests, grown("others_waited"))
    behind_running = min(blocked - by_guests - behind_waiting, ours - by_threads)
    return {
        PROCESSES: waited - by_threads + behind_waiting,
        THREADS: by_threads + behind_running,
        GUESTS: by_guests,
    }


@dataclass
class Arrears:
    """What the loop was kept from since it last had nothing to catch up with: that is what may delay a look now, and
    no more, however much was lost before. Told at each beat of a pulse that rests for `rest` seconds between two."""

    rest: float
    _last: Reading = field(default_factory=read)
    _open: dict[str, float] = field(default_factory=dict)
    """Seconds by cause, at the last beat."""
    _collected: float = 0.0
    """Seconds since the last beat."""
    _past: deque[tuple[float, dict[str, float]]] = field(default_factory=deque)

    def beat(self) -> None:
        now = read()
        kept, took = self._kept(now), now.at - self._last.at
        if took - self.rest - sum(kept.values()) > CAUGHT_UP:  # the loop had work of its own, which is late as well
            kept = _together(self._open, kept)
        self._last, self._open, self._collected = now, kept, 0.0
        self._past.append((now.at, kept))
        while self._past[0][0] < now.at - _REMEMBERED:
            self._past.popleft()

    def collected(self, seconds: float) -> None:
        """The garbage collector had the thread."""
        self._collected += seconds

    def at(self, moment: float) -> dict[str, float]:
        """Seconds by cause, as they stood at the first beat after `moment`; now, where there was none yet."""
        found = next((kept for at, kept in self._past if at >= moment), None)
        return _together(self._open, self._kept(read())) if found is None else found

    def _kept(self, now: Reading) -> dict[str, float]:
        return {**kept_from(self._last, now, self.rest), COLLECTOR: self._collected}


def _together(one: dict[str, float], other: dict[str, float]) -> dict[str, float]:
    return {cause: one.get(cause, 0.0) + seconds for cause, seconds in other.items()}
