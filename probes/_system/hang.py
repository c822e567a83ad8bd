"""Calls that may never come back: each in a daemon thread, never two for the same thing.

A call into a dead NFS server or FUSE daemon, or about a process that the kernel holds, cannot be ended. So it happens
in a thread that may be left behind; as long as it hangs, whoever asks again is told so at once, without another one.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Hashable
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import Generic, TypeVar

from probes.contract import LookFailed, Reason

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class Hung(Exception):
    """The call has not come back in time, or an earlier one has not come back yet."""


class Asker(Generic[K, T]):
    """Calls `ask(key)` in threads; at most one call is under way for a key, and its answer is for all who ask."""

    __slots__ = ("_ask", "_lock", "_name", "_under_way")

    def __init__(self, ask: Callable[[K], T], name: str) -> None:
        """`name` is what the threads are called, before the key."""
        self._ask = ask
        self._name = name
        self._under_way: dict[K, tuple[float, list[tuple[asyncio.AbstractEventLoop, asyncio.Future[T]]]]] = {}
        self._lock = threading.Lock()

    async def ask(self, key: K, timeout: float) -> T:
        """Raises `Hung` after `timeout` seconds, or at once when a call has hung that long; else as the call does."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        with self._lock:
            under_way = self._under_way.get(key)
            if under_way is None:
                self._start(key, loop, answer)
            elif monotonic() - under_way[0] > timeout:
                raise Hung(key)
            else:
                under_way[1].append((loop, answer))
        try:
            return await asyncio.wait_for(answer, timeout)
        except TimeoutError:
            raise Hung(key) from None

    def _start(self, key: K, loop: asyncio.AbstractEventLoop, answer: asyncio.Future[T]) -> None:
        thread = threading.Thread(target=self._call, args=(key,), name=f"{self._name} {key}", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            raise LookFailed(Reason.NO_DESCRIPTORS, f"no thread to look at {key}: {error}") from error
        self._under_way[key] = (monotonic(), [(loop, answer)])

    def _call(self, key: K) -> None:
        settle: Callable[[asyncio.Future[T]], None]
        try:
            settle = partial(_answer, answer=self._ask(key))
        except Exception as error:  # noqa: BLE001  (handed to whoever waits)
            settle = partial(_fail, error=error)
        with self._lock:
            _, waiters = self._under_way.pop(key)
        for loop, future in waiters:
            # A loop that has closed meanwhile has nobody who waits.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(settle, future)


def _answer(future: asyncio.Future[T], answer: T) -> None:
    if not future.done():
        future.set_result(answer)


def _fail(future: asyncio.Future[T], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
