"""Was it them, or were we late? A loop's pulse: it notices when its loop did not turn.

A figure that a busy agent measures is worthless when the answer lay unread in the socket meanwhile. The pulse beats
while connections are open (40 times a second, 0.01 % of a core) and remembers the last time its loop stood still.
"""

from __future__ import annotations

import asyncio
import weakref
from time import perf_counter

BEAT = 0.025
"""Seconds between beats; a loop that stands still for less than this is not noticed, nor need it be."""


class Pulse:
    """Tells how late the loop may have been in seeing what happened at its sockets."""

    __slots__ = ("_due", "_loop", "_open", "_stall", "_stalled_until", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        # Weak, or the value would keep its own key alive in `_PULSES`.
        self._loop = weakref.ref(loop)
        self._timer: asyncio.TimerHandle | None = None
        self._open = 0
        self._due = 0.0
        self._stall = 0.0
        self._stalled_until = 0.0

    def enter(self) -> None:
        """Somebody begins to measure."""
        self._open += 1
        now = perf_counter()
        if self._timer is None:
            self._beat(now)
        else:
            # A look that begins with the first breath after a stall is behind it: it must not be seen as within.
            self._notice(now)

    def leave(self) -> None:
        """They are done; the pulse stops by itself when the last one left."""
        self._open -= 1

    def lateness(self, now: float, since: float) -> float:
        """Seconds before `now` in which the loop may have missed what happened at a socket that is waited for since
        `since` (both `perf_counter`).

        After a stall of n seconds everything that is seen within n seconds more is suspect: the backlog is worked off
        one callback at a time. What began behind the stall is not: after a minute's pause no minute need be lost.
        """
        overdue = now - self._due
        if overdue > 0.0:
            return overdue
        if since < self._stalled_until and now - self._stalled_until <= self._stall:
            return self._stall
        return 0.0

    def _beat(self, now: float) -> None:
        loop = self._loop()
        assert loop is not None, "a pulse is only felt on its own loop"  # noqa: S101
        self._due = now + BEAT
        self._timer = loop.call_later(BEAT, self._on_timer)

    def _on_timer(self) -> None:
        now = perf_counter()
        self._notice(now)
        self._timer = None
        if self._open > 0:
            self._beat(now)

    def _notice(self, now: float) -> None:
        late = now - self._due
        if late > BEAT:
            self._stall, self._stalled_until = late, now
            self._due = now + BEAT


_PULSES: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Pulse] = weakref.WeakKeyDictionary()


def pulse_of(loop: asyncio.AbstractEventLoop) -> Pulse:
    """The one pulse of a loop: how late a loop is belongs to the loop, not to a probe or a context."""
    pulse = _PULSES.get(loop)
    if pulse is None:
        pulse = _PULSES[loop] = Pulse(loop)
    return pulse
