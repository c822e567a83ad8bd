"""How long looks at a check may take: extra ones, and a scheduled one until it is suspicious."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from monitor.core.model import Look
from monitor.core.snapshot import read_seconds
from probes.contract import Reason

EXTRA_TIMEOUT = 2.0
"""Seconds an extra look may take, or three times what a slow good look takes, if that is more; the full time limit
once extra looks have timed out where the full one would perhaps have sufficed."""

SOFT_DEADLINE = 0.75
"""Seconds after which a look that is still under way is suspicious, or three times what a slow good look takes, if
that is more: extra looks begin without its end, or a target that swallows packets would be confirmed late."""

_UP, _DOWN = 1.2, 0.998
"""A look that took longer raises what counts as slow by a fifth, another lowers it by a 500th: both are in balance
where one look in a hundred takes longer (quantile by stochastic approximation)."""

_SHORTEST = 0.01
"""Seconds: looks are timed in coarse steps (`quantise`), and none takes no time at all."""


class Patience:
    """Learns by each good look; it decides when to look, and how long, never what a look means."""

    __slots__ = ("_impatient", "_last", "_swallowed", "awaited", "slow")

    def __init__(self) -> None:
        self.slow = 0.0
        """Seconds that one good look in a hundred exceeds, about; 0: not known yet."""
        self._last = 0.0
        """Seconds that the last good look took."""
        self._swallowed = False
        """Whether the last look with the full time limit ran into it."""
        self._impatient = False
        """Whether extra looks have timed out where the full limit would perhaps have sufficed."""
        self.awaited = False
        """Whether a scheduled look has been under way for suspiciously long."""

    def limit(self, full: float) -> float:
        """Seconds an extra look may take: short, or a target that swallows packets is confirmed late. A scheduled
        look that still waits will tell whether more time would have sufficed."""
        patient = self._impatient and not self.awaited
        return full if patient else min(full, max(EXTRA_TIMEOUT, 3 * self._longest))

    def soft(self, full: float) -> float | None:
        """Seconds after which a scheduled look that is still under way is suspicious; None: it never is."""
        soft = max(SOFT_DEADLINE, 3 * self._longest)
        return soft if self.slow and soft < full else None

    @property
    def _longest(self) -> float:
        """A target that has just become slow is so at the next look, too."""
        return max(self._last, self.slow)

    def see(self, look: Look, full: float) -> bool:
        """Take in a look. True: it failed only by our impatience, perhaps, and the next ones may take their time.

        A connection that is not answered is no slowness: the kernel of the target answers, not its application."""
        reason = look.observation.reason
        if reason is None:
            self._learn(look.ended.tick - look.began.tick)
        timed_out = reason is not None and reason.timed_out
        if look.limit >= full:
            self._swallowed, self._impatient = timed_out, False
        elif timed_out and not self._swallowed and reason is not Reason.CONNECT_TIMEOUT:
            self._impatient = True
            return True
        return False

    def _learn(self, seconds: float) -> None:
        took = self._last = seconds if seconds > _SHORTEST else _SHORTEST
        slow = self.slow
        if took <= slow:
            lowered = slow * _DOWN
            self.slow = lowered if lowered > took else took
        else:
            self.slow = min(slow * _UP, took) if slow else took

    def dump(self) -> list[float | bool]:
        return [self.slow, self._last, self._swallowed, self._impatient]

    def load(self, dumped: Sequence[Any]) -> None:
        slow, last, self._swallowed, self._impatient = dumped
        self.slow, self._last = max(read_seconds(slow), 0.0), max(read_seconds(last), 0.0)
