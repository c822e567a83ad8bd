"""Looks under way, each of which is suspicious if it is so for too long. Nearly none is: they are only queued, and
have no timer of their own before the earliest time at which any can be suspicious."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable

from monitor.core.patience import SOFT_DEADLINE
from monitor.grid import Slot


class Hanging:
    """Scheduled looks in the order of their begin; what is over leaves the queue a little later."""

    __slots__ = ("_looks", "_overdue")

    def __init__(self, overdue: Callable[[Slot], None]) -> None:
        """`overdue` is told of each look that is still under way when it is suspicious."""
        self._overdue = overdue
        self._looks: deque[tuple[float, float, Slot]] = deque()

    def watch(self, slot: Slot, now: float, soft: float) -> float:
        """A look has begun, and is suspicious in `soft` seconds. When (a tick) to look for hanging ones, at the
        latest."""
        self._looks.append((now, soft, slot))
        return now + SOFT_DEADLINE

    def find(self, now: float) -> float:
        """Tell of those that are suspicious by now; when (a tick) to look again."""
        looks = self._looks
        while looks:
            began, soft, slot = looks[0]
            under_way = slot.began == began
            if under_way and began + SOFT_DEADLINE > now:
                return began + SOFT_DEADLINE
            looks.popleft()
            if under_way:
                left = began + soft - now
                if left > 0.0:
                    asyncio.get_running_loop().call_later(left, self._find_one, slot, began)
                else:
                    self._overdue(slot)
        return math.inf

    def _find_one(self, slot: Slot, began: float) -> None:
        if slot.began == began:
            self._overdue(slot)
