"""`make fuzz`: every target by atheris, guided by what code its inputs reach, two at a time; and how many there were.

What broke something stands in build/fuzz/TARGET/crash-*; `python -m tests.fuzz --again FILE TARGET` tries it again.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.seeds import seeds
from tests.fuzz.targets import TARGETS

_FOLDER = Path("build/fuzz")
_DONE = re.compile(r"Done (\d+) runs in (\d+) second")
_HANG = 5
"""Seconds after which an input is taken for one that hangs."""
_MEMORY = 1024
"""MiB of a process, its interpreter included."""


@dataclass(frozen=True)
class Ran:
    """How one target did."""

    target: str
    inputs: int
    seconds: int
    failed: bool

    def __str__(self) -> str:
        rate = self.inputs / max(1, self.seconds)
        said = f"FAILED: see {_FOLDER / self.target}" if self.failed else "nothing broke"
        return f"{self.target:14}{self.inputs:12,} inputs{self.seconds:7} s{rate:10,.0f}/s   {said}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzz what parses bytes of a target.")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; all without any")
    parser.add_argument("--seconds", type=int, default=3600, help="in all, an hour if not given")
    parser.add_argument("--again", type=Path, metavar="FILE", help="try one input again")
    given = parser.parse_args()
    unknown = [name for name in given.targets if name not in TARGETS]
    if unknown:
        parser.error(f"{unknown[0]} is none of {', '.join(TARGETS)}")
    names = given.targets or list(TARGETS)
    if given.again is not None:
        for name in names:
            TARGETS[name](given.again.read_bytes())
        return 0
    at_once = min(len(os.sched_getaffinity(0)), len(names))
    each = max(1, given.seconds * at_once // len(names))
    with ThreadPoolExecutor(at_once) as pool:
        ran = []
        for one in pool.map(lambda name: _fuzz(name, each), names):
            print(one, flush=True)
            ran.append(one)
    inputs, seconds = sum(one.inputs for one in ran), sum(one.seconds for one in ran)
    print(f"{inputs:,} inputs in all, {inputs / max(1, seconds):,.0f} a second on each of {at_once} cores")
    return 1 if any(one.failed for one in ran) else 0


def _fuzz(name: str, seconds: int) -> Ran:
    folder = _FOLDER / name
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds(name)):
        (corpus / f"seed-{number}").write_bytes(seed)
    limits = (f"-max_total_time={seconds}", f"-timeout={_HANG}", f"-rss_limit_mb={_MEMORY}", "-max_len=4096")
    command = (sys.executable, "-m", "tests.fuzz.guided", name, str(corpus), *limits, f"-artifact_prefix={folder}/")
    done = subprocess.run(command, check=False, capture_output=True, text=True, errors="replace")
    (folder / "log").write_text(done.stdout + done.stderr)
    found = _DONE.findall(done.stderr)
    inputs, took = map(int, found[-1]) if found else (0, 0)
    return Ran(name, inputs, took, failed=done.returncode != 0 or not found)


if __name__ == "__main__":
    sys.exit(main())
