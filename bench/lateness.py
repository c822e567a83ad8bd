"""A thousand looks a second of ten thousand checks, held on one core, while their metrics are scraped."""

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

CHECKS, EVERY = 10_000, 10
"""Checks, and the seconds between two looks at each: a thousand looks a second."""
WARM = 25.0
"""Seconds until the first looks are over and what is flushed every 15 s was so once."""
SCRAPE = 5.0
LATENESS, RATE = 20.0, 1000.0
"""Milliseconds, and looks a second (the project's own goals)."""
ROUNDING = 0.999
"""A look that ends just outside the measured time is not a missed one; missed beats are counted by themselves."""


def measure(options: Namespace) -> Line:
    """The whole agent (journal, history, metrics, page) bound to one core, the server it looks at on another."""
    mine, others = cores()
    checks, warm = (200, 2.0) if options.quick else (CHECKS, WARM)
    every = f"{1 if options.quick else EVERY}s"
    with TemporaryDirectory(prefix="brownout-bench-") as name, responder(others) as target:
        port = free_port()
        file = written(Path(name), checks, port=port, target=target, every=every)
        with peer("bench._watched", str(file), str(warm), str(options.seconds), "pauses", core=mine) as process:
            answer(process)
            missed = _scraped(port, time.monotonic() + warm + options.seconds, process)
            seen = answer(process)
    return Line("lateness", _figures(seen, missed), _how(seen, checks, every))


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
    looks, seconds, pause = seen["looks"], seen["seconds"], seen["pause"]
    causes = sorted(pause["causes"].items(), key=lambda item: -item[1])
    return (
        Figure("start_lateness_p99", seen["p99"] * 1000, "ms", LATENESS),
        Figure("held", looks / seconds, "looks/s", RATE * ROUNDING, floor=True),
        Figure("start_lateness_p50", seen["p50"] * 1000, "ms"),
        Figure("start_lateness_worst", seen["worst"] * 1000, "ms"),
        Figure("missed_beats", missed, "in all"),
        Figure("core", seen["cpu"] / seconds * 100, "%"),
        Figure("cpu_a_look", seen["cpu"] / max(looks, 1) * 1e6, "us, all in"),
        Figure("core_taken_by_others", seen["queued"] / seconds * 100, "%"),
        Figure("worst_loop_pause", pause["lasted"] * 1000, "ms"),
        *(Figure(f"of_it_{cause.replace(' ', '_')}", held * 1000, "ms") for cause, held in causes),
    )


def _how(seen: dict[str, Any], checks: int, every: str) -> str:
    results = ", ".join(f"{count:,} {result}" for result, count in seen["results"].items())
    places = "; ".join(f"{place} (seen {count} times)" for place, count in seen["pause"]["places"].items())
    where = f"; own work of the worst pause was in {places}" if places else ""
    return (
        f"{checks:,} http checks every {every} for {seen['seconds']:.0f} s on one core, one agent with journal, "
        f"history and page, /metrics scraped every {SCRAPE:g} s; exact values of all looks, no repeats; "
        f"{results}{where}"
    )


if __name__ == "__main__":
    sys.exit(run(measure, seconds=60.0))
