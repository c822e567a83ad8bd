"""Was it them, or were we late? A loop's pulse: it notices when its loop did not turn.

A figure that a busy agent measures is worthless when the answer lay unread in the socket meanwhile. The pulse beats
while anybody measures, and so knows the last time its loop stood still.

It also watches their sockets, by one descriptor of its own that the loop watches: a socket is registered once, and
the kernel tells what is new there (epoll, edge-triggered). Had the loop to watch each for reading and for writing in
turns, a look would make eight system calls more. And it glances at them at each beat and whenever a look begins or
ends: a loop that has thirty looks to go on with does so before it asks its sockets again, and what comes meanwhile is
merged. So they are read in time, and what was not there at the last glance had not come (`_wire.arrival`).
"""

from __future__ import annotations

import asyncio
import math
import select
import weakref
from collections.abc import Callable
from time import perf_counter
from typing import Protocol

BEAT = 0.002
"""Seconds between beats: 0.4 % of a core, and the doubt about what came in several pieces (`arrival.TOLERATED`)."""

STALL = 0.025
"""Seconds; a loop that stands still for less was late, but not absent."""


_APART = 0.0005
"""Seconds between two glances, at least, but for those at beats."""

_MOST = 64
"""Sockets that the kernel is asked for at once; a glance goes on until it has no more."""

INPUT = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
OUTPUT = select.EPOLLOUT | select.EPOLLHUP | select.EPOLLERR
END = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
"""What is told of a socket: there is something to read, or the end; it takes bytes, or never will; behind what can be
read now comes the end. Each is told once, when it becomes so."""
_ALL = INPUT | OUTPUT | select.EPOLLET


class Measuring(Protocol):
    """Whoever measures, within a time limit."""

    def expire(self) -> None:
        """The limit is over."""


class Pulse:
    """Tells how late the loop may have been in seeing what happened at its sockets."""

    __slots__ = (
        "_due",
        "_epoll",
        "_last",
        "_listening",
        "_loop",
        "_measuring",
        "_soonest",
        "_stall",
        "_stalled_until",
        "_timer",
        "_told",
        "glanced",
        "turned",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        # Weak, or the value would keep its own key alive in `_PULSES`.
        self._loop = weakref.ref(loop)
        self._timer: asyncio.TimerHandle | None = None
        self._measuring: dict[Measuring, float] = {}
        """Whose limit is over when. Nearly none ever is, so that no timer is made for any: when there may be one, all
        are asked, which is once in as many seconds as a limit has."""
        self._soonest = math.inf
        """No limit is over before that."""
        self._due = 0.0
        self._stall = 0.0
        self._stalled_until = 0.0
        self._last = 0.0
        self._epoll: select.epoll | None = None
        self._listening = False
        """Whether the loop watches our descriptor."""
        self._told: dict[int, Callable[[int], None]] = {}
        self.turned = 0.0
        """After this time (`perf_counter`) the loop has looked at all of its sockets at least once, and told whoever
        watched one that had something to read. It is that of the last beat but one: between two beats lies such a
        look on every loop, while the last one may be of the turn that is still under way."""
        self.glanced = 0.0
        """The time of the last glance: what a watched socket had by then was read."""

    def enter(self, who: Measuring, limit: float) -> float:
        """Somebody begins to measure, for `limit` seconds at most. What time it is (`perf_counter`)."""
        now = perf_counter()
        self._measuring[who] = at = now + limit
        if at < self._soonest:
            self._soonest = at
        if self._timer is None:
            self._last = self.turned = self.glanced = now
            self._beat(now)
            self._listen()
        else:
            # A look that begins with the first breath after a stall is behind it: it must not be seen as within.
            if now - self._due > STALL:
                self._notice(now)
            if now - self.glanced > _APART:
                self._glance(now)
        return now

    def leave(self, who: Measuring) -> None:
        """They are done; the pulse stops by itself when the last one left."""
        del self._measuring[who]
        now = perf_counter()
        if now - self.glanced > _APART:
            self._glance(now)

    def watch(self, fd: int, told: Callable[[int], None]) -> None:
        """Have `told` called with what is new at a socket (`INPUT`, `OUTPUT`, `END`) while anybody measures; it must
        bear that there is nothing. Raises OSError when there is no room for it."""
        if self._epoll is None:
            self._epoll = select.epoll()
        if not self._listening:
            self._listen()
        self._epoll.register(fd, _ALL)
        self._told[fd] = told

    def unwatch(self, fd: int, *, closing: bool = True) -> None:
        """Call it before the descriptor is closed, or, if it is not, with that said."""
        if self._told.pop(fd, None) is not None and not closing and self._epoll is not None:
            self._epoll.unregister(fd)

    def _listen(self) -> None:
        if self._epoll is not None and not self._listening:
            self._listening = True
            self._own_loop().add_reader(self._epoll.fileno(), self._on_news)

    def _on_news(self) -> None:
        self._glance(perf_counter())

    def _glance(self, now: float) -> None:
        """Tell of what is new at the sockets that are watched."""
        found = _MOST if self._told and self._epoll is not None else 0
        while found == _MOST and self._epoll is not None:
            news = self._epoll.poll(0, _MOST)
            found = len(news)
            for fd, events in news:
                told = self._told.get(fd)
                if told is not None:
                    told(events)
        self.glanced = now  # what was just read came before that, and after the last one

    def lateness(self, now: float, since: float) -> float:
        """Seconds before `now` in which the loop may have missed what happened at a socket that is waited for since
        `since` (both `perf_counter`); 0.0 for less than `STALL`.

        After a stall of n seconds everything that is seen within n seconds more is suspect: the backlog is worked off
        one callback at a time. What began behind the stall is not: after a minute's pause no minute need be lost.
        """
        overdue = now - self._due
        if overdue > STALL:
            return overdue
        if since < self._stalled_until and now - self._stalled_until <= self._stall:
            return self._stall
        return 0.0

    def _beat(self, now: float) -> None:
        self._due = now + BEAT
        self._timer = self._own_loop().call_later(BEAT, self._on_timer)

    def _on_timer(self) -> None:
        now = perf_counter()
        self._notice(now)
        self.turned, self._last = self._last, now
        self._timer = None
        self._glance(now)
        if now >= self._soonest:
            self._end_limits(now)
        if self._measuring:
            self._beat(now)
        elif self._listening and self._epoll is not None:
            self._listening = False
            self._own_loop().remove_reader(self._epoll.fileno())

    def _end_limits(self, now: float) -> None:
        for who, at in list(self._measuring.items()):
            if at <= now:
                self._measuring[who] = math.inf
                who.expire()
        self._soonest = min(self._measuring.values(), default=math.inf)

    def _own_loop(self) -> asyncio.AbstractEventLoop:
        loop = self._loop()
        assert loop is not None, "a pulse is only felt on its own loop"  # noqa: S101
        return loop

    def _notice(self, now: float) -> None:
        late = now - self._due
        if late > STALL:
            self._stall, self._stalled_until = late, now
            self._due = now + BEAT


_PULSES: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Pulse] = weakref.WeakKeyDictionary()


def pulse_of(loop: asyncio.AbstractEventLoop) -> Pulse:
    """The one pulse of a loop: how late a loop is belongs to the loop, not to a probe or a context."""
    pulse = _PULSES.get(loop)
    if pulse is None:
        pulse = _PULSES[loop] = Pulse(loop)
    return pulse
