"""What a check costs in memory, all in: once it was looked at, and after an hour with a baseline."""

from __future__ import annotations

import sys
import time
from argparse import Namespace
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.request import urlopen

import psutil

from bench._checks import written
from bench._line import Figure, Line, median, run, spread
from bench._peer import PATIENCE, agent, answer, cores, free_port, peer, responder

LIMIT = 12.0
"""KB a check (the project's own goal); a KB is 1,000 bytes."""
FEW = 10


def measure(options: Namespace) -> Line:
    """Resident memory a check: a real agent with many checks less one with few, once each check was looked at and
    /metrics was scraped; then the same of agents that have gone through an hour of made-up time."""
    count, repeats, old = (200, 1, 200) if options.quick else (10_000, 3, 5_000)
    every = "5s" if options.quick else "20s"
    many, few = [], []
    with TemporaryDirectory(prefix="brownout-bench-") as name, responder(cores()[1]) as target:
        for repeat in range(repeats):
            folder = Path(name) / str(repeat)
            folder.mkdir()
            few.append(_resident(folder, FEW, target, every))
            many.append(_resident(folder, count, target, every))
        aged = _grown_old(Path(name), old, target, "1m" if options.quick else every)
        young = few[0] if options.quick else _grown_old(Path(name), FEW, target, every)
    kilobytes = [(a - b) / (count - FEW) / 1000 for a, b in zip(many, few, strict=True)]
    figures = (
        Figure("memory_a_check", median(kilobytes), "KB", LIMIT),
        Figure("after_an_hour_with_baseline", (aged - young) / (old - FEW) / 1000, "KB", LIMIT),
        Figure("agent_alone", median(few) / 1e6, "MB"),
        Figure("agent_full", median(many) / 1e6, "MB"),
    )
    how = (
        f"RSS with {count:,} checks less RSS with {FEW}, all looked at and scraped; {spread(kilobytes, 'KB')}; "
        f"after an hour: {old:,} checks whose looks of 65 minutes went through the core in made-up time"
    )
    return Line("memory", figures, how)


def _resident(folder: Path, count: int, target: int, every: str) -> int:
    """Bytes of RSS after every check was looked at and seen on /metrics."""
    port = free_port()
    file = written(folder, count, port=port, target=target, every=every)
    with agent(file, folder) as (process, _):
        _await_looks(port, count)
        return int(psutil.Process(process.pid).memory_info().rss)


def _grown_old(folder: Path, count: int, target: int, every: str) -> int:
    """The same after an hour of looks."""
    port = free_port()
    file = written(folder, count, port=port, target=target, every=every)
    with peer("bench._aged", str(file), core=cores()[0]) as process:
        answer(process)
        _await_looks(port, count)
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
        answer(process)
        _looked_at(port)
        return int(psutil.Process(process.pid).memory_info().rss)


def _await_looks(port: int, count: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while _looked_at(port) < count:
        if time.monotonic() > deadline:
            raise RuntimeError("not every check was looked at")
        time.sleep(2)


def _looked_at(port: int) -> int:
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE) as response:
        text: bytes = response.read()
    return text.count(b"\nbrownout_check_last_look_timestamp_seconds{")


if __name__ == "__main__":
    sys.exit(run(measure))
