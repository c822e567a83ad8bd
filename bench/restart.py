"""Killing an agent with 10,000 checks and starting it again."""

from __future__ import annotations

import socket
import sqlite3
import sys
import threading
import time
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from bench._checks import written
from bench._line import Figure, Line, median, run, spread
from bench._peer import PATIENCE, agent, free_port
from bench._responder import reply

LIMIT = 5.0
"""Seconds from the start of the process to the first look (the project's own goal)."""


class Target(threading.Thread):
    """A web server on all of loopback that remembers when it was first asked since `forget`."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._listening = socket.create_server(("0.0.0.0", 0), backlog=4096)
        self.port = int(self._listening.getsockname()[1])
        self.first: float | None = None
        self.asked = 0

    def run(self) -> None:
        answer = reply(b"ok")
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return  # closed
            self.first = self.first or time.monotonic()
            self.asked += 1
            with connection:
                try:
                    connection.recv(4096)
                    connection.sendall(answer)
                except OSError:
                    pass  # an agent that was killed

    def forget(self) -> None:
        self.first, self.asked = None, 0

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


def measure(options: Namespace) -> Line:
    """From starting the process to the first look that the target sees, on a journal that knows all checks; and how
    many transitions the journal has more when each check was looked at again (there should be none)."""
    count, repeats, every = (50, 1, "1s") if options.quick else (10_000, 3, "30s")
    target = Target()
    target.start()
    firsts, readies, cpu = [], [], []
    with TemporaryDirectory(prefix="brownout-bench-") as name:
        folder = Path(name)
        file = written(folder, count, port=free_port(), target=target.port, every=every)
        journal = folder / f"state-{count}" / "brownout.db"
        with agent(file, folder) as (process, _):
            _until(lambda: _known(journal) == count, "all checks to be known")
            process.kill()
            process.wait()
        before = _transitions(journal)
        for _ in range(repeats):
            target.forget()
            with agent(file, folder) as (process, ready):
                began = time.monotonic() - ready
                _until(lambda: target.first is not None, "a first look")
                firsts.append((target.first or 0.0) - began)
                spent = psutil.Process(process.pid).cpu_times()
                cpu.append(spent.user + spent.system)
                readies.append(ready)
                _until(lambda: target.asked >= count, "every check to be looked at")
                process.kill()
                process.wait()
        false = _transitions(journal) - before
    target.close()
    figures = (
        Figure("to_first_look", median(firsts), "s", LIMIT),
        Figure("to_ready", median(readies), "s"),
        Figure("cpu_to_first_look", median(cpu), "s"),
        Figure("false_transitions", false, "in all", 0),
    )
    how = f"{count:,} http checks, kill -9, then from exec to the first look at the target; {spread(firsts, 's')}"
    return Line("restart", figures, how)


def _until(holds: Callable[[], bool], what: str) -> None:
    give_up = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > give_up:
            raise RuntimeError(f"waited in vain for {what}")
        time.sleep(0.05)


def _known(journal: Path) -> int:
    return _count(journal, "SELECT COUNT(*) FROM checks WHERE state = 'up'")


def _transitions(journal: Path) -> int:
    return _count(journal, "SELECT COUNT(*) FROM transitions")


def _count(journal: Path, query: str) -> int:
    db = sqlite3.connect(f"file:{journal}?mode=ro", uri=True)
    try:
        return int(db.execute(query).fetchone()[0])
    finally:
        db.close()


if __name__ == "__main__":
    sys.exit(run(measure))
