"""Loading 10,000 checks and starting to watch them."""

from __future__ import annotations

import os
import sys
import time
from argparse import Namespace
from pathlib import Path
from tempfile import TemporaryDirectory

from bench._checks import written
from bench._line import Figure, Line, median, run, spread
from bench._peer import agent, free_port
from monitor.config.load import load
from monitor.kinds import installed_kinds

LIMIT = 4.0
"""Seconds (the project's own goal)."""


def measure(options: Namespace) -> Line:
    """From starting `brownout run` to READY=1, seen from outside; nothing needs to answer its looks."""
    count, repeats = (200, 1) if options.quick else (10_000, 5)
    starts, loads = [], []
    with TemporaryDirectory(prefix="brownout-bench-") as name:
        folder = Path(name)
        # The looks that begin meanwhile are refused at once.
        file = written(folder, count, port=free_port(), target=free_port(), every="30s")
        for _ in range(repeats):
            loads.append(_loaded(file))
            with agent(file, folder) as (_, seconds):
                starts.append(seconds)
    figures = (Figure("load_and_start", median(starts), "s", LIMIT), Figure("load_alone", median(loads), "s"))
    how = f"{count:,} http checks of 8 keys, from exec to READY=1; {spread(starts, 's')}"
    return Line("start", figures, how)


def _loaded(file: Path) -> float:
    began = time.perf_counter()
    load(file, kinds=installed_kinds(), env=os.environ)
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(run(measure))
