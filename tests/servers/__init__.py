"""Real servers for tests: each module starts one kind on loopback, in a folder of the test's, and stops it.

The functions are plain context managers without pytest, so that examples and benchmarks can use them.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

PATIENCE = 60.0
"""Seconds that a server may take to start on a busy machine."""

_SEARCHED = ("/usr/sbin", "/sbin", "/usr/local/sbin")


class Absent(Exception):
    """A server is not installed; the text names the Debian package that brings it."""


class NotStarted(Exception):
    """A server ended or did not answer in time; the text has the end of its log."""


def find(command: str, package: str) -> str:
    """The path of a system's command, looked for in the sbin folders as well. Raises `Absent`."""
    path = shutil.which(command) or shutil.which(command, path=os.pathsep.join(_SEARCHED))
    if path is None:
        raise Absent(f"needs {command}: apt-get install {package}")
    return path


def free_port() -> int:
    """A TCP port on 127.0.0.1 that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def listens(port: int) -> bool:
    """Whether something accepts connections there."""
    try:
        socket.create_connection(("127.0.0.1", port), 0.5).close()
    except OSError:
        return False
    return True


def wait_until(condition: Callable[[], object], what: str, patience: float = PATIENCE) -> None:
    """Poll until `condition` is true; raises `NotStarted` after `patience` seconds."""
    end = time.monotonic() + patience
    while not condition():
        if time.monotonic() > end:
            raise NotStarted(f"{what} within {patience:g} s")
        time.sleep(0.02)


def not_as_root(command: Sequence[str]) -> list[str]:
    """The command such that a server which refuses to run as root runs: for root, in a user namespace of its own,
    where files that are root's belong to it."""
    if os.geteuid() != 0:
        return list(command)
    namespace = [find("unshare", "util-linux"), "--user", "--map-user=1000", "--map-group=1000", "--"]
    return [*namespace, *_with_us(command)]


def _with_us(command: Sequence[str]) -> list[str]:
    """The command such that it is killed when the process that starts it ends, however it ends."""
    return [find("setpriv", "util-linux"), "--pdeathsig", "KILL", "--", *command]


@contextmanager
def daemon(
    command: Sequence[str],
    folder: Path,
    ready: Callable[[], object],
    *,
    env: Mapping[str, str] | None = None,
    stop: signal.Signals = signal.SIGTERM,
) -> Iterator[subprocess.Popen[bytes]]:
    """A server in a process group of its own, once `ready` says so; killed with all it started at the end."""
    log = folder / f"{Path(command[0]).name}-{time.monotonic_ns()}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            _with_us(command),
            cwd=folder,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        wait_until(lambda: process.poll() is not None or ready(), f"{command[0]} did not answer")
        if process.poll() is not None:
            raise NotStarted(f"{command[0]} ended: {log.read_text(errors='replace')[-2000:]}")
        yield process
    finally:
        end(process, stop)


def end(process: subprocess.Popen[bytes], how: signal.Signals = signal.SIGTERM, patience: float = 10.0) -> None:
    """Stop a process and its group; SIGKILL for what has not gone by then."""
    group = process.pid
    for number, seconds in ((how, patience), (signal.SIGKILL, patience)):
        if process.poll() is None:
            _signal(group, signal.SIGCONT)  # a test may have paused it
            process.send_signal(number)
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                continue
    _signal(group, signal.SIGKILL)  # what it left behind


def _signal(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return
