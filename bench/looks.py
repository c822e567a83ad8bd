"""A thousand looks a second, held, on one core."""

from __future__ import annotations

import sys
import time
from argparse import Namespace
from pathlib import Path
from subprocess import Popen
from tempfile import TemporaryDirectory
from typing import Any
from urllib.request import urlopen

from bench._checks import written
from bench._line import Figure, Line, run
from bench._peer import answer, cores, free_port, peer, responder

CHECKS = 1000
"""Looked at every second each: as many looks as 30,000 checks every 30 s."""
WARM = 5.0
"""Seconds until the first looks are over and the windows have something in them."""
SCRAPE = 5.0
LATENESS, RATE = 20.0, 1000.0
"""Milliseconds, and looks a second (the project's own goals)."""
ROUNDING = 0.999
"""A look that ends just outside the measured time is not a missed one; missed beats are counted by themselves."""


def measure(options: Namespace) -> Line:
    """The whole agent (journal, metrics, page) bound to one core, the server it looks at on another."""
    mine, others = cores()
    with TemporaryDirectory(prefix="brownout-bench-") as name, responder(others) as target:
        port = free_port()
        file = written(Path(name), CHECKS, port=port, target=target, every="1s")
        warm = 2.0 if options.quick else WARM
        with peer("bench._watched", str(file), str(warm), str(options.seconds), core=mine) as process:
            answer(process)
            missed = _scraped(port, time.monotonic() + warm + options.seconds, process)
            seen = answer(process)
    return Line("looks", _figures(seen, missed), _how(seen))


def _scraped(port: int, until: float, process: Popen[str]) -> float:
    """Scrape as Prometheus would, only more often; the beats missed by the last time."""
    missed = 0.0
    while process.poll() is None and (left := until - time.monotonic()) > 0:
        time.sleep(min(SCRAPE, left))
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as reply:
            text: str = reply.read().decode()
        missed = next(
            float(line.split()[1]) for line in text.splitlines() if line.startswith("brownout_missed_beats_")
        )
    return missed


def _figures(seen: dict[str, Any], missed: float) -> tuple[Figure, ...]:
    looks, seconds = seen["looks"], seen["seconds"]
    return (
        Figure("start_lateness_p99", seen["p99"] * 1000, "ms", LATENESS),
        Figure("held", looks / seconds, "looks/s", RATE * ROUNDING, floor=True),
        Figure("start_lateness_p50", seen["p50"] * 1000, "ms"),
        Figure("start_lateness_worst", seen["worst"] * 1000, "ms"),
        Figure("missed_beats", missed, "in all"),
        Figure("core", seen["cpu"] / seconds * 100, "%"),
        Figure("cpu_a_look", seen["cpu"] / max(looks, 1) * 1e6, "us, all in"),
        Figure("core_taken_by_others", seen["queued"] / seconds * 100, "%"),
        Figure("worst_loop_pause", seen["pause"] * 1000, "ms"),
    )


def _how(seen: dict[str, Any]) -> str:
    results = ", ".join(f"{count:,} {result}" for result, count in seen["results"].items())
    return (
        f"{CHECKS:,} http checks every 1s for {seen['seconds']:.0f} s on one core, one agent with journal and page, "
        f"/metrics scraped every {SCRAPE:g} s; exact values of all looks, no repeats; {results}"
    )


if __name__ == "__main__":
    sys.exit(run(measure, seconds=60.0))
