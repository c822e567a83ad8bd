"""Since when the agent has been there without a gap: it was not off, not stopped, and the machine did not sleep."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from enum import StrEnum
from secrets import token_hex

from monitor.clock import Clock
from probes.contract import Presence

BEAT = 1.0
"""Seconds between two signs of life."""
GAP = 5.0
"""Seconds between two signs that are a gap. Connections of a shorter one still wait with the kernel."""


def uptime() -> float:
    """Seconds on a clock that nobody sets, and that goes on while the machine sleeps, where there is one."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class Listener(StrEnum):
    """Where somebody may come to; also a label."""

    INNER = "inner"
    PUBLIC = "public"


class Attendance:
    """Kept by `watch`, for as long as the agent listens."""

    def __init__(self, clock: Clock, uptime: Callable[[], float] = uptime) -> None:
        self._clock = clock
        self._uptime = uptime
        self._last = uptime()
        self._awaited = {Listener.INNER}
        self._cut_off = False
        self._arrive(self._last)

    def read(self) -> Presence:
        """The clocks now, and since when we have been here."""
        self._beat()
        now = self._clock.now().at.timestamp()
        return Presence(now, self._last, now - (self._last - self._since), self._name, self._crowded)

    def reachable(self) -> Presence | None:
        """The same; None while what is sent to us cannot arrive."""
        return None if self._cut_off else self.read()

    def cut_off(self, *, yes: bool) -> None:
        """Our own network is gone, or back: what was sent meanwhile is lost, as if nobody had been here."""
        if self._cut_off and not yes:
            self._arrive(self._uptime())
        self._cut_off = yes

    def heard(self, listener: Listener) -> None:
        """Something was sent to a check there."""
        self._awaited.add(listener)

    def turned_away(self, listener: Listener) -> None:
        """Somebody was not let in: whatever they brought is lost, as if nobody had been here. In the world's listener
        that counts only once a check was sent something there: who may not write must not be able to excuse."""
        if listener in self._awaited:
            self._arrive(self._uptime(), crowded=True)

    async def watch(self) -> None:
        """Notice gaps, for ever."""
        while True:
            self._beat()
            await asyncio.sleep(BEAT)

    def _beat(self) -> None:
        now = self._uptime()
        if now - self._last > GAP:
            self._arrive(now)
        self._last = now

    def _arrive(self, now: float, *, crowded: bool = False) -> None:
        self._since = self._last = now
        self._crowded = crowded
        self._name = token_hex(8)
