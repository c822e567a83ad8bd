"""Time limits of looks, by tasks that are cancelled. Nearly none is ever reached: they are only queued."""

from __future__ import annotations

import asyncio
from collections import deque


class Limit:
    """As `asyncio.timeout`, which takes five times as long, and every look has one. Its task is cancelled when it
    strikes, unless `end` comes before."""

    __slots__ = ("_before", "_task", "at", "struck", "struck_alone")

    def __init__(self, at: float, loop: asyncio.AbstractEventLoop) -> None:
        """`at`: by the loop's clock (s). To be made in the task. To be asked which loop runs costs a system call."""
        task = asyncio.current_task(loop)
        assert task is not None  # noqa: S101  (a coroutine asks)
        self._task: asyncio.Task[object] | None = task
        self._before = task.cancelling()
        self.at = at
        self.struck = False
        self.struck_alone = False
        """Whether nobody else has asked for the task to be cancelled; known once it has ended."""

    @property
    def over(self) -> bool:
        return self._task is None

    def strike(self) -> None:
        if self._task is not None:
            self.struck = True
            self._task.cancel()

    def end(self) -> None:
        if self.struck and self._task is not None:
            self.struck_alone = self._task.uncancel() <= self._before
        self._task = None


class Limits:
    """Those of as many seconds strike in the order of their begin: so each queue has one timer, for its first."""

    __slots__ = ("_queues",)

    def __init__(self) -> None:
        self._queues: dict[float, deque[Limit]] = {}

    def begin(self, seconds: float) -> Limit:
        """One for the present task."""
        loop = asyncio.get_running_loop()
        limit = Limit(loop.time() + seconds, loop)
        queue = self._queues.get(seconds)
        if queue is None:
            queue = self._queues[seconds] = deque()
            loop.call_at(limit.at, self._sweep, seconds)
        queue.append(limit)
        return limit

    def _sweep(self, seconds: float) -> None:
        loop, queue = asyncio.get_running_loop(), self._queues[seconds]
        now = loop.time()
        while queue and (queue[0].over or queue[0].at <= now):
            queue.popleft().strike()
        if queue:
            loop.call_at(queue[0].at, self._sweep, seconds)
        else:
            del self._queues[seconds]
