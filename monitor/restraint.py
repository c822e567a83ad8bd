"""When a sink may be sent to: what it has asked for, its breaker, what people can read. Pure: told what happens, and
when (monotonic seconds)."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable

from monitor.sending import Pace
from monitor.sinks.contract import Most

_DOWN_AFTER = 3
"""So many failures in a row, of whatever streams, and the sink is thought to be down rather than picky."""


class Restraint:
    """Of one sink."""

    def __init__(self, pace: Pace, most: Most | None, *, gathers: bool, told: Iterable[float] = ()) -> None:
        """`gathers`: messages are for people, and `pace.gather` seconds apart. `told`: when some were sent before."""
        self._pace = pace
        self._most = most
        self._gathers = gathers
        self._failures: int | None = None
        """In a row; None before the first outcome: what waited before a restart is brought forward by a success."""
        self._asked_until = self._trial_at = self._gathers_until = -math.inf
        self.told: deque[float] = deque(told)
        """When messages were sent, within the span of `most`."""
        self.disabled = ""
        """Why nothing is sent any more; empty while it is."""

    @property
    def broken(self) -> bool:
        """Whether the breaker is open."""
        return (self._failures or 0) >= self._pace.breaks_after

    @property
    def at_once(self) -> int:
        """How many sends may be under way."""
        return 1 if self._gathers or self.broken else self._pace.streams

    def wait(self, now: float) -> float:
        """Seconds until something may be sent; not above 0: now."""
        return max(self._asked_until, self._trial_at, self._gathers_until, self._readable_at(now)) - now

    def sent(
        self, now: float, *, accepted: bool, trouble: bool = True, asked: float = 0.0, retry: float = 0.0
    ) -> bool:
        """An attempt has ended. `asked`: for how many seconds the sink has asked to be left alone, `retry`: in how
        many it is tried again. `trouble`: whether that is what was told of. Whether the sink is thought to be back
        after it was down."""
        self._asked_until = max(self._asked_until, now + asked)
        if accepted:
            was_down = self._failures is None or self._failures >= _DOWN_AFTER
            self._failures, self._trial_at = 0, -math.inf
            if trouble:  # a deploy is none, and what breaks behind it must not wait
                self._gathers_until = now + self._pace.gather if self._gathers else -math.inf
            if self._most is not None:
                self.told.append(now)
            return was_down and self._asked_until <= now
        self._failures = (self._failures or 0) + 1
        if self.broken:
            doubled = min(self._failures - self._pace.breaks_after, 10)
            self._trial_at = now + min(self._pace.trial * 2**doubled, self._pace.longest_trial)
        if self._gathers:
            self._gathers_until = now + min(retry, self._pace.gather)
        return False

    def _readable_at(self, now: float) -> float:
        """When the next message may go by `most`. The first half of them goes as it comes; the second half is spread
        over the span, so that nobody ever waits for the end of it."""
        if self._most is None:
            return -math.inf
        span, told = self._most.per.total_seconds(), self.told
        while told and told[0] + span <= now:
            told.popleft()
        if len(told) >= self._most.count:
            return told[-self._most.count] + span
        if 2 * len(told) < self._most.count:
            return -math.inf
        return told[-1] + 2 * span / self._most.count
