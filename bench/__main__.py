"""All benchmarks but the long ones, one after another, each in a process of its own so that none burdens the next."""

from __future__ import annotations

import subprocess
import sys

NAMES = (
    "cli",
    "start",
    "restart",
    "stop",
    "reload",
    "memory",
    "judging",
    "answers",
    "look_cost",
    "lateness",
    "names",
    "truth",
    "spawn",
    "follow",
    "postgres_look",
    "delivery",
    "outbox",
    "api",
    "history",
)
LONG = ("judgement", "soak")
"""A quarter of an hour, and an hour: to be started by name."""


def main() -> int:
    over = 0
    for name in NAMES:
        over |= subprocess.run([sys.executable, "-m", f"bench.{name}", *sys.argv[1:]], check=False).returncode
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
