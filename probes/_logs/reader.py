"""Reads on in files between looks, in a thread, and hands over at a look what has been read since the last.

A disk that hangs holds the thread and nothing else. The thread reads small slices, and each read gives up the
interpreter lock: so a loop that wants it waits for one slice at most (figures in docs/performance.md).
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Generic, TypeVar

from probes._logs.following import Counts, Following, Handed
from probes._system.hang import Hung
from probes.contract import LookFailed, Reason

_SLACK = 0.7
"""The part of a look's time after which what has been read by then is handed over."""
_FAREWELL = 1.0
"""Seconds that the thread may take to end."""
_PAUSES = (0.05, 0.25, 1.0)
"""Seconds between turns: when much was read, when something was, when nothing was."""
_MUCH = 65_536
_BREATH = 0.0003
"""Seconds of sleep after each slice. Giving the interpreter up for a read is too short: the loop's thread, woken on
the same core, finds it taken again, up to the 5 ms after which Python makes a thread let go."""

C = TypeVar("C", bound=Counts)


class _Request(Generic[C]):
    """Somebody waits for what has been read."""

    __slots__ = ("answer", "loop", "until")

    def __init__(self, timeout: float) -> None:
        self.loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[Handed[C]] = self.loop.create_future()
        self.until = time.monotonic() + timeout * _SLACK


class Reader(Generic[C]):
    """The thread. It begins with the first look, and ends with `close`."""

    def __init__(self, patterns: Sequence[str], new_counts: Callable[[], C], most: int) -> None:
        self._patterns = patterns
        self._new_counts = new_counts
        self._most = most
        self._requests: deque[_Request[C]] = deque()
        self._undelivered: deque[Handed[C]] = deque()
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._busy_since: float | None = None
        self._ending = threading.Lock()
        self._fault: Exception | None = None
        """What ended the thread, until somebody is told."""

    async def hand_over(self, resume: str, timeout: float) -> Handed[C]:
        """What was read since the last time, all that is there by now included if `timeout` seconds suffice for it.

        Raises `Hung` when the disk does not answer; at once when it has not answered for so long.
        """
        self._raise_fault()
        if self._thread is None:
            self._start(resume)
        busy_since = self._busy_since
        if busy_since is not None and time.monotonic() - busy_since > timeout:
            raise Hung(self._patterns[0])
        request: _Request[C] = _Request(timeout)
        with self._ending:
            self._requests.append(request)
        self._raise_fault()
        self._wake.set()
        try:
            handed = await asyncio.wait_for(request.answer, timeout)
        except TimeoutError:
            raise Hung(self._patterns[0]) from None
        while self._undelivered:
            handed = handed.after(self._undelivered.popleft())
        return handed

    async def close(self) -> None:
        """End the thread; one that hangs is left behind, and ends when it wakes up."""
        thread, self._thread = self._thread, None
        self._stop.set()
        self._wake.set()
        if thread is not None:
            await asyncio.to_thread(thread.join, _FAREWELL)

    def _raise_fault(self) -> None:
        with self._ending:
            fault, self._fault = self._fault, None
            if fault is not None:
                self._thread = None
                self._requests.clear()
                raise fault

    def _start(self, resume: str) -> None:
        self._stop, self._wake, self._busy_since = threading.Event(), threading.Event(), None
        following = Following(self._patterns, self._new_counts, self._most)
        name = f"follow {self._patterns[0]}"
        thread = threading.Thread(target=self._run, args=(following, resume, self._stop), name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            raise LookFailed(Reason.NO_DESCRIPTORS, f"no thread to read {self._patterns[0]}: {error}") from error
        self._thread = thread

    # --- in the thread ------------------------------------------------------------------------------------------

    def _run(self, following: Following[C], resume: str, stop: threading.Event) -> None:
        wake = self._wake
        try:
            self._busy_since = time.monotonic()
            following.start(resume, _now(), time.time())
            taken = 0
            while not stop.is_set():
                asked = len(self._requests)  # whoever asks during a turn may mean what it has not seen
                self._busy_since = time.monotonic()
                more = following.turn(_now(), self._breathe)
                self._answer(following, asked, caught_up=not more)
                if more or self._requests:
                    continue
                self._busy_since = None
                wake.wait(_pause(following.taken - taken))
                wake.clear()
                taken = following.taken
        except Exception as error:  # noqa: BLE001  (whoever waits is told, or whoever asks next)
            with self._ending:
                waiting = [request for request in self._requests if not request.answer.done()]
                self._requests.clear()
                if waiting:
                    self._thread = None
                else:
                    self._fault = error
            for request in waiting:
                _settle(request, error)
        finally:
            following.close()

    def _breathe(self) -> None:
        time.sleep(_BREATH)
        self._busy_since = time.monotonic()  # the disk answers

    def _answer(self, following: Following[C], asked: int, *, caught_up: bool) -> None:
        for _ in range(asked):
            request = self._requests[0]
            if not caught_up and time.monotonic() < request.until:
                return
            self._requests.popleft()
            if not request.answer.done():
                handed = following.hand_over(_now(), time.time())
                _settle(request, handed, self._undelivered.append)


def _settle(
    request: _Request[C], answer: Handed[C] | Exception, refused: Callable[[Handed[C]], None] | None = None
) -> None:
    """Answer on the asker's loop; what it no longer waits for goes to `refused`."""

    def settle() -> None:
        if request.answer.done():
            if refused is not None and isinstance(answer, Handed):
                refused(answer)
        elif isinstance(answer, Exception):
            request.answer.set_exception(answer)
        else:
            request.answer.set_result(answer)

    with suppress(RuntimeError):  # the loop has closed: the agent is gone
        request.loop.call_soon_threadsafe(settle)


def _pause(taken: int) -> float:
    much, little, nothing = _PAUSES
    return much if taken > _MUCH else little if taken > 0 else nothing


def _now() -> float:
    """Seconds that go on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
