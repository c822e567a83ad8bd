"""Other processes of a benchmark: started on a core of their own, asked for their port, and never left behind."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

PATIENCE = 120.0
"""Seconds after which a peer that says nothing is taken for dead."""


def cores() -> tuple[int, int]:
    """(core of what is measured, core of everything else); the same one where there is only one."""
    have = sorted(os.sched_getaffinity(0))
    return have[0], have[-1]


@contextmanager
def peer(module: str, *arguments: str, core: int) -> Iterator[subprocess.Popen[str]]:
    """A Python module as a process with pipes; it must end when its stdin does."""
    command = [sys.executable, "-m", module, *arguments]
    with TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True)
        try:
            os.sched_setaffinity(process.pid, {core})
            yield process
        except Exception as error:
            errors.seek(0)
            error.add_note(f"{module} said: {errors.read()[-2000:]}")
            raise
        finally:
            _end(process)


def answer(process: subprocess.Popen[str]) -> Any:
    """The next line of JSON that a peer prints. Raises `RuntimeError` when there is none."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"{process.args!r} ended with {process.wait()}")
    return json.loads(line)


def finish(process: subprocess.Popen[str]) -> Any:
    """Tell a peer to end; its last words."""
    assert process.stdin is not None
    process.stdin.close()
    return answer(process)


def _end(process: subprocess.Popen[Any]) -> None:
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


@contextmanager
def responder(core: int) -> Iterator[int]:
    """A web server on loopback that costs nearly nothing; its port."""
    with peer("bench._responder", core=core) as process:
        yield int(answer(process))


@contextmanager
def agent(file: Path, folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], float]]:
    """A real `brownout run FILE`, and the seconds from starting the process until it said READY=1 to its service
    manager, which is us."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        address = folder / "notify"
        address.unlink(missing_ok=True)
        manager.bind(str(address))
        manager.settimeout(PATIENCE)
        command = [sys.executable, "-m", "monitor.cli", "run", str(file)]
        environ = {**os.environ, "NOTIFY_SOCKET": str(address)}
        began = time.monotonic()
        process = subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            while b"READY=1" not in manager.recv(4096):
                pass
            yield process, time.monotonic() - began
        finally:
            process.terminate()
            _end(process)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
