"""Tasks that take up one piece of work after another: making a task for each takes longer than scheduling a look."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")

IDLE = 32
"""Tasks that are kept for what comes next, at most."""


class Crew(Generic[T]):
    """Work is begun in the loop's next turn, as a new task's would be. What it raises ends the group of its tasks."""

    __slots__ = ("_group", "_idle", "_loop", "_work")

    def __init__(self, work: Callable[[T], Coroutine[Any, Any, None]], group: asyncio.TaskGroup) -> None:
        """The group must have been entered."""
        self._work = work
        self._group = group
        self._loop = asyncio.get_running_loop()
        self._idle: list[asyncio.Future[T]] = []
        """Those who wait; the last to have worked is the first to do so again."""

    def begin(self, item: T) -> None:
        while self._idle:
            waiter = self._idle.pop()
            if not waiter.done():  # its task may have been cancelled
                waiter.set_result(item)
                return
        self._group.create_task(self._serve(item))

    async def _serve(self, item: T) -> None:
        while True:
            await self._work(item)
            if len(self._idle) >= IDLE:
                return
            waiter = self._loop.create_future()
            self._idle.append(waiter)
            item = await waiter
