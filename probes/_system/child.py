"""A program that runs: what it writes, its end, and the end of all that it has started.

Its end is told by a pidfd, its output by pipes, both read by the loop: no thread a process, no child watcher, no
SIGCHLD. It leads a session of its own, so that all of it can be found and ended; what leaves the session escapes.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from probes._system.hang import Asker, Hung
from probes.contract import LookFailed

_CHUNK = 65536
_LAST_WORDS = 0.25
"""Seconds that the pipes of an ended child are still read for, should others hold them open."""
_MERCY = 0.15
"""Seconds between SIGTERM and SIGKILL: for a plug-in to end what it has started elsewhere."""
_BURIAL = 0.25
"""Seconds that SIGKILL may take to work; only a process that sleeps in the kernel takes longer."""
_SWEEP = 0.5
"""Seconds that reading /proc once may take."""


class Child:
    """A program that runs. `on_output` and `on_errors` are handed each piece it writes, on the loop.

    Whoever starts one ends it: ``await child.end()`` in a ``finally``.
    """

    __slots__ = ("_closed", "_dead", "_given_up", "_loop", "_pidfd", "_popen", "_readers", "pid")

    def __init__(
        self,
        popen: subprocess.Popen[bytes],
        pidfd: int,
        on_output: Callable[[bytes], None],
        on_errors: Callable[[bytes], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._popen = popen
        self._pidfd = pidfd
        self.pid = popen.pid
        self._dead = asyncio.Event()
        """Set when it has ended. It is reaped later: until then its number, and its group's, is nobody else's."""
        self._closed = asyncio.Event()
        """Set when both pipes are at their end."""
        self._given_up = False
        self._readers: dict[int, Callable[[bytes], None]] = {}
        for pipe, handle in ((popen.stdout, on_output), (popen.stderr, on_errors)):
            assert pipe is not None, "both are piped"  # noqa: S101
            os.set_blocking(pipe.fileno(), False)
            self._readers[pipe.fileno()] = handle
        self._loop.add_reader(pidfd, self._died)
        self.resume()

    @property
    def code(self) -> int | None:
        """The exit code, or minus the signal's number; None until it was reaped."""
        return self._popen.returncode

    @property
    def stuck(self) -> bool:
        """Whether it could not be ended: it sleeps in the kernel, and is reaped when it wakes up."""
        return self._popen.stdout is not None and self._popen.stdout.closed and not self._dead.is_set()

    def pause(self) -> None:
        """Read nothing for now: the pipe fills up, and the program waits."""
        for pipe in self._readers:
            self._loop.remove_reader(pipe)

    def resume(self) -> None:
        for pipe in self._readers:
            self._loop.add_reader(pipe, self._read, pipe)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to it and its group."""
        if self.code is None:
            with suppress(ProcessLookupError, PermissionError):  # a plug-in that is setuid root, say
                os.killpg(self.pid, number)

    @property
    def over(self) -> bool:
        """Whether it has ended and all that it wrote was read."""
        return self._dead.is_set() and self._closed.is_set()

    async def finished(self) -> bool:
        """Wait until it has ended and all it wrote was read; False when others of it still hold its pipes."""
        await self._dead.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS):
                await self._closed.wait()
        return self._closed.is_set()

    async def end(self) -> None:
        """End it with all of its session, and reap it: asked to by SIGTERM, then made to by SIGKILL.

        Should it sleep in the kernel, it cannot be ended now: `code` stays None until it is, whenever it wakes up.
        """
        if self._given_up:
            return
        self._given_up = True
        clean = self.over
        for number, patience in ((signal.SIGTERM, _MERCY), (signal.SIGKILL, _BURIAL)):
            if not self._dead.is_set():
                self.signal(number)
                with suppress(TimeoutError):
                    async with asyncio.timeout(patience):
                        await self._dead.wait()
        self.signal(signal.SIGKILL)
        self._close_pipes()
        if not clean:
            # What has left the group (timeout(1) does, and so do shells with job control) is still in the session.
            with suppress(Hung, LookFailed):
                await _SWEEPER.ask(self.pid, _SWEEP)
        if self._dead.is_set():
            self._reap()

    def _died(self) -> None:
        stuck = self.stuck
        self._loop.remove_reader(self._pidfd)
        self._dead.set()
        if stuck:
            self._reap()  # long after `end`

    def _reap(self) -> None:
        if self.code is None:
            self._popen.poll()
            os.close(self._pidfd)
            _bury(self.pid)

    def _read(self, pipe: int) -> None:
        try:
            piece = os.read(pipe, _CHUNK)
        except BlockingIOError:
            return
        if piece:
            self._readers[pipe](piece)
            return
        self._loop.remove_reader(pipe)
        del self._readers[pipe]
        if not self._readers:
            self._closed.set()

    def _close_pipes(self) -> None:
        self.pause()
        self._readers.clear()
        for pipe in (self._popen.stdout, self._popen.stderr):
            if pipe is not None:
                pipe.close()


def _kill_session(session: int) -> None:
    """SIGKILL to all of a session whose leader is not reaped, so that the number cannot be another's."""
    for entry in os.scandir("/proc"):
        if entry.name.isdecimal() and _session_of(entry.name) == session:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(int(entry.name), signal.SIGKILL)


def _session_of(process: str) -> int | None:
    try:
        # "pid (name) state ppid pgrp session ...", and a name may hold anything.
        return int(Path(f"/proc/{process}/stat").read_bytes().rpartition(b")")[2].split()[3])
    except (OSError, IndexError):
        return None


_SWEEPER: Asker[int, None] = Asker(_kill_session, "kill session")

_UNBURIED: set[int] = set()
"""Groups of which the kernel has handed us processes that are not dead yet: where we are a container's init."""


def _bury(group: int) -> None:
    """Reap what was orphaned to us of a group whose leader has gone, and of earlier ones."""
    _UNBURIED.add(group)
    for each in tuple(_UNBURIED):
        try:
            while os.waitpid(-each, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            _UNBURIED.discard(each)
