"""What a check costs in memory, all in."""

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
from bench._peer import PATIENCE, agent, cores, free_port, responder

LIMIT = 12.0
"""KB a check (the project's own goal); a KB is 1,000 bytes."""
FEW = 10


def measure(options: Namespace) -> Line:
    """Resident memory a check: a real agent with many checks less one with few, once each check was looked at and
    /metrics was scraped."""
    count, repeats = (200, 1) if options.quick else (10_000, 3)
    every = "5s" if options.quick else "20s"
    many, few = [], []
    with TemporaryDirectory(prefix="brownout-bench-") as name, responder(cores()[1]) as target:
        for repeat in range(repeats):
            folder = Path(name) / str(repeat)
            folder.mkdir()
            few.append(_resident(folder, FEW, target, every))
            many.append(_resident(folder, count, target, every))
    kilobytes = [(a - b) / (count - FEW) / 1000 for a, b in zip(many, few, strict=True)]
    figures = (
        Figure("memory_a_check", median(kilobytes), "KB", LIMIT),
        Figure("agent_alone", median(few) / 1e6, "MB"),
        Figure("agent_full", median(many) / 1e6, "MB"),
    )
    how = (
        f"RSS with {count:,} checks less RSS with {FEW}, each looked at, /metrics scraped; {spread(kilobytes, 'KB')}"
    )
    return Line("memory", figures, how)


def _resident(folder: Path, count: int, target: int, every: str) -> int:
    """Bytes of RSS after every check was looked at and seen on /metrics."""
    port = free_port()
    file = written(folder, count, port=port, target=target, every=every)
    with agent(file, folder) as (process, _):
        deadline = time.monotonic() + PATIENCE
        while _looked_at(port) < count:
            if time.monotonic() > deadline:
                raise RuntimeError("not every check was looked at")
            time.sleep(2)
        return int(psutil.Process(process.pid).memory_info().rss)


def _looked_at(port: int) -> int:
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        text: bytes = answer.read()
    return text.count(b"\nbrownout_check_last_look_timestamp_seconds{")


if __name__ == "__main__":
    sys.exit(run(measure))
