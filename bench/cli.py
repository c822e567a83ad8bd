"""How long a person waits for `brownout --help`."""

from __future__ import annotations

import subprocess
import sys
import time
from argparse import Namespace
from pathlib import Path

from bench._line import Figure, Line, median, run, spread

LIMIT = 200.0
"""Milliseconds (the project's own goal)."""


def measure(options: Namespace) -> Line:
    """`brownout --help` beside `python -c pass`, taken in turns."""
    repeats = 2 if options.quick else 10
    command = Path(sys.executable).with_name("brownout")
    helps, bares = [], []
    for _ in range(repeats):
        helps.append(_milliseconds([str(command), "--help"]))
        bares.append(_milliseconds([sys.executable, "-c", "pass"]))
    figures = (Figure("help", median(helps), "ms", LIMIT), Figure("python_alone", median(bares), "ms"))
    return Line("cli", figures, f"wall time of `brownout --help`; {spread(helps, 'ms')}")


def _milliseconds(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    sys.exit(run(measure))
