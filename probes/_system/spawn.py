"""Starts programs without stalling the loop, and leaves nothing of them behind.

`subprocess.Popen` uses vfork, so a start costs the same however large the agent is. What may wait for a disk happens
in a thread before it; how many run at a time is bounded.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import weakref
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from errno import EAGAIN, EMFILE, ENFILE, ENOENT, ENOEXEC, ENOMEM
from functools import partial
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from probes._system.child import Child
from probes._system.hang import Asker
from probes.contract import LookFailed, Reason

MOST_RUNNING = 32
"""Programs of one loop that run at a time: a plug-in takes 3 to 30 MB, and the agent's service has 1 GB."""

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_INHERITED = ("HOME", "USER", "LOGNAME", "TZ", "TMPDIR", "XDG_RUNTIME_DIR")
_FAIR = 0.1
"""The part of its time that a program may wait for others before its being late is no longer its own fault."""
_NO_ROOM = (EAGAIN, EMFILE, ENFILE, ENOMEM)


class CannotStart(Exception):
    """The program could not be run; the text says why, for people."""


class Endless(Exception):
    """The program wrote more than anybody will read, and was ended."""


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of a program. `code` is its exit code, or minus the number of the signal that killed it."""

    code: int
    output: bytes
    errors: bytes
    cut: bool
    """Whether it wrote more than is in `output`."""
    left_behind: bool
    """Whether it left processes that were ended after it."""


def clean_environment(path: str = PATH, **more: str) -> dict[str, str]:
    """What a program may know of the agent's environment: nothing that may be secret. Numbers are written in C."""
    kept = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return {"PATH": path, "LC_ALL": "C.UTF-8", **kept, **more}


class _Turn:
    """Of one loop: who may run, and who may start. Each start lets the loop turn before the next."""

    __slots__ = ("running", "starting")

    def __init__(self) -> None:
        self.running = asyncio.Semaphore(MOST_RUNNING)
        self.starting = asyncio.Lock()


_TURNS: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Turn] = weakref.WeakKeyDictionary()


def _turn() -> _Turn:
    loop = asyncio.get_running_loop()
    turn = _TURNS.get(loop)
    if turn is None:
        turn = _TURNS[loop] = _Turn()
    return turn


class _Program(NamedTuple):
    name: str
    path: str
    folder: str


def _find(program: _Program) -> str:
    """The file of a program, its head read, so that exec finds it in memory: vfork waits for the disk otherwise."""
    found = shutil.which(program.name, path=program.path)
    if found is None:
        raise CannotStart(_why_not(program.name, program.path))
    with suppress(PermissionError), Path(found).open("rb") as file:  # one may run what one may not read
        file.read(4096)
    try:
        Path(program.folder).stat()
    except OSError as error:
        raise CannotStart(f"the folder {program.folder} cannot be entered: {error.strerror}") from error
    return found


def _why_not(name: str, path: str) -> str:
    if "/" not in name:
        return f"there is no program {name} in {path}"
    file = Path(name)
    try:
        file.stat()
    except FileNotFoundError:
        return f"there is no program {name}"
    except OSError as error:
        return f"{name} cannot be reached: {error.strerror}"
    return f"{name} is a folder" if file.is_dir() else f"{name} may not be run by the agent's user"


_FINDER: Asker[_Program, str] = Asker(_find, "exec")


async def start(
    command: Sequence[str],
    on_output: Callable[[bytes], None],
    on_errors: Callable[[bytes], None],
    *,
    timeout: float,
    environment: Mapping[str, str] | None = None,
    folder: str = "/",
    nice: int = 0,
    given: int = subprocess.DEVNULL,
) -> Child:
    """Start a program: no shell, a session and group of its own, on its stdin the descriptor `given`, else nothing.

    Raises `CannotStart`; `Hung` when the disk it lies on does not answer within `timeout` seconds; `LookFailed` with
    a reason of ours when there are no descriptors, processes or memory.
    """
    known = clean_environment() if environment is None else environment
    program = await _FINDER.ask(_Program(command[0], known.get("PATH", PATH), folder), timeout)
    async with _turn().starting:
        # 0.5 ms with the loop held: so one at a time, and a turn of the loop for everybody else after each.
        await asyncio.sleep(0)
        return _start([program, *command[1:]], on_output, on_errors, known, folder, nice, given)


def _start(
    command: Sequence[str],
    on_output: Callable[[bytes], None],
    on_errors: Callable[[bytes], None],
    environment: Mapping[str, str],
    folder: str,
    nice: int,
    given: int,
) -> Child:
    try:
        popen = subprocess.Popen(  # noqa: S603  (the command is the configuration's; no shell)
            command,
            bufsize=0,
            stdin=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise LookFailed(Reason.NO_DESCRIPTORS, f"no program can be started: {error.strerror}") from error
        raise CannotStart(_why_refused(error, command[0], folder)) from error
    except ValueError as error:
        raise CannotStart(f"{command[0]}: {error}") from error  # a NUL in an argument
    try:
        pidfd = os.pidfd_open(popen.pid)
    except OSError as error:
        popen.kill()
        with popen:
            raise LookFailed(Reason.NO_DESCRIPTORS, f"no program can be watched: {error.strerror}") from error
    if nice:
        with suppress(OSError):  # ended already, or it was not nicer than we
            os.setpriority(os.PRIO_PGRP, popen.pid, nice)
    return Child(popen, pidfd, on_output, on_errors)


def _why_refused(error: OSError, program: str, folder: str) -> str:
    if error.filename == folder:
        return f"the folder {folder} cannot be entered: {error.strerror}"
    if error.errno == ENOEXEC:
        return f"{program} is neither a program nor a script that begins with #!"
    if error.errno == ENOENT:
        return f"{program} needs an interpreter that is not there: see its first line"
    return f"{program} cannot be run: {error.strerror}"


@asynccontextmanager
async def room(timeout: float) -> AsyncIterator[None]:
    """A place among the programs that run. Raises `LookFailed` when there is none within `timeout` seconds."""
    running = _turn().running
    try:
        async with asyncio.timeout(timeout):
            await running.acquire()
    except TimeoutError:
        raise LookFailed(Reason.LATE, f"{MOST_RUNNING} programs were running all the time") from None
    try:
        yield
    finally:
        running.release()


class _Bounded:
    """Keeps the beginning of what is written, and notices when it never ends."""

    __slots__ = ("_endless", "_most", "kept", "overflow", "taken")

    def __init__(self, most: int, endless: int) -> None:
        self._most = most
        self._endless = endless
        self.kept = bytearray()
        self.taken = 0
        self.overflow: Callable[[], None] | None = None

    @property
    def endless(self) -> bool:
        return self.taken > self._endless

    def take(self, piece: bytes) -> None:
        self.taken += len(piece)
        self.kept += piece[: self._most - len(self.kept)]
        if self.endless and self.overflow is not None:
            self.overflow()


async def run(
    command: Sequence[str],
    *,
    timeout: float,
    most: int = 65536,
    endless: int = 8 << 20,
    environment: Mapping[str, str] | None = None,
    folder: str = "/",
    nice: int = 0,
    started: Callable[[Child], None] | None = None,
    given: int = subprocess.DEVNULL,
) -> Ended:
    """Run a program to its end, keeping the first `most` bytes of each of its outputs and dropping the rest.

    Raises `TimeoutError` after `timeout` seconds, `Endless` after `endless` bytes, else as `start`; `LookFailed` when
    it had not its whole time, as others were running. In every case the
    program and its session are gone half a second later, save what sleeps in the kernel: `started` is handed the
    child, whose `code` tells.
    """
    until = monotonic() + timeout
    output, errors = _Bounded(most, endless), _Bounded(most, endless)
    async with room(timeout):
        waited = timeout - (until - monotonic())
        child = await start(
            command, output.take, errors.take, timeout=max(0.0, until - monotonic()),
            environment=environment, folder=folder, nice=nice, given=given,
        )  # fmt: skip
        output.overflow = errors.overflow = partial(child.signal, signal.SIGKILL)
        if started is not None:
            started(child)
        try:
            async with asyncio.timeout(max(0.0, until - monotonic())):
                alone = await child.finished()
        except TimeoutError:
            if waited > timeout * _FAIR:
                raise LookFailed(Reason.LATE, f"it waited {waited:.1f} s for {MOST_RUNNING} other programs") from None
            if not child.over:
                raise
            alone = True  # the agent was late to see it
        finally:
            await asyncio.shield(child.end())
    if output.endless or errors.endless:
        raise Endless(f"it wrote more than {endless >> 20} MiB and was stopped")
    assert child.code is not None, "it has finished"  # noqa: S101
    return Ended(child.code, bytes(output.kept), bytes(errors.kept), output.taken > most, not alone)
