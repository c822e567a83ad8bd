"""What keeps a thread from its core, in the kernel's own figures, and how much of that is still to be caught up with.

A thread that has work runs, waits for a core (the run delay of `/proc/self/schedstat`), or is blocked. What waits for
a core has it taken by another process or by a thread of ours; what is blocked with work to do waits for the
interpreter lock, whose holder runs or itself waits for a core, or the host has given the core to another guest.
"""

from __future__ import annotations

import os
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

PROCESSES, THREADS, GUESTS, COLLECTOR = "other processes", "own threads", "other guests", "garbage collection"
CAUGHT_UP = 0.005
"""Seconds of its own work by which a beat may come late and the loop still has nothing to catch up with."""
LOOK_BACK = 3.0
"""Seconds: what was lost before has been caught up with, or left out: a look a whole interval late is not taken."""
_REMEMBERED = 1000
"""Beats: a look is explained when it ends, and what delayed it lies before its beginning."""


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


@dataclass(frozen=True, slots=True)
class Beat:
    at: float
    totals: dict[str, float]
    """Seconds by cause, since the first beat."""
    caught_up: float
    """The moment since when the loop has something to catch up with."""


@dataclass
class Arrears:
    """What the loop was kept from since it last had nothing to catch up with, in the last `LOOK_BACK` seconds:
    that is what may delay a look now. Told at each beat of a pulse that rests for `rest` seconds between two."""

    rest: float
    read: Callable[[], Reading] = read
    _collected: float = 0.0
    """Seconds since the last beat."""
    _beats: list[Beat] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._last = self.read()

    def beat(self) -> None:
        now = self.read()
        self._beats.append(self._next(now))
        self._last, self._collected = now, 0.0
        if len(self._beats) > 2 * _REMEMBERED:
            del self._beats[:_REMEMBERED]

    def collected(self, seconds: float) -> None:
        """The garbage collector had the thread."""
        self._collected += seconds

    def of(self, due: float, began: float) -> dict[str, float]:
        """Seconds by cause, for what was due at the one moment and began at the other: meanwhile the loop had that to
        catch up with, and before, since it last had nothing."""
        start = max(min(self._first_after(due).caught_up, due), began - LOOK_BACK)
        before = bisect_right(self._beats, start, key=_at) - 1
        totals = self._beats[before].totals if before >= 0 else {}
        return {cause: seconds - totals.get(cause, 0.0) for cause, seconds in self._first_after(began).totals.items()}

    def _first_after(self, moment: float) -> Beat:
        """The first beat after `moment`; one that is made now, where there was none yet."""
        place = bisect_left(self._beats, moment, key=_at)
        return self._beats[place] if place < len(self._beats) else self._next(self.read())

    def _next(self, now: Reading) -> Beat:
        kept = {**kept_from(self._last, now, self.rest), COLLECTOR: self._collected}
        # The loop had work of its own, which is late as well.
        behind = now.at - self._last.at - self.rest - sum(kept.values()) > CAUGHT_UP
        before = self._beats[-1] if self._beats else Beat(self._last.at, {}, self._last.at)
        totals = {cause: before.totals.get(cause, 0.0) + seconds for cause, seconds in kept.items()}
        return Beat(now.at, totals, before.caught_up if behind else before.at)


def _at(beat: Beat) -> float:
    return beat.at
