"""An hour at 500 looks a second: what must stay flat, and every late look with its cause."""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser, Namespace
from pathlib import Path
from subprocess import Popen
from tempfile import TemporaryDirectory
from typing import Any
from urllib.request import urlopen

from bench._checks import written
from bench._line import Figure, Line, median, run
from bench._peer import answer, cores, free_port, peer, responder

CHECKS = 500
"""Looked at every second each."""
MINUTES = 60.0
WARM = 360.0
"""Seconds: a window of 5 minutes is full, and everything was scraped, shown and flushed many times."""
GROWTH, MORE = 2.0, 2.0
"""Percent of RSS, and descriptors (the project's own goals)."""
SCRAPE = 15.0


def measure(options: Namespace) -> Line:
    """The whole agent on one core, the server it looks at on another, /metrics and the page's status asked for every
    15 s. Flat: the median of the last fifth of the time after the warm-up against that of the first fifth. A look
    that begins 100 ms late or more is explained by what kept the loop from its work for at least half of that, by the
    kernel's own figures (`bench._core`): other processes on the core, our own threads, other guests of the host; or
    by the garbage collector."""
    seconds = 2.0 if options.quick else _minutes() * 60
    warm = min(WARM, seconds / 2)
    mine, others = cores()
    with TemporaryDirectory(prefix="brownout-bench-") as name, responder(others) as target:
        port = free_port()
        file = written(Path(name), CHECKS, port=port, target=target, every="1s")
        with peer("bench._soaked", str(file), str(seconds), core=mine) as process:
            answer(process)
            missed = _scraped(port, time.monotonic() + seconds - 1, process)
            seen = answer(process)
    return Line("soak", _figures(seen, warm, seconds, missed), _how(seen, warm, seconds))


def _minutes() -> float:
    parser = ArgumentParser(add_help=False)
    parser.add_argument("--minutes", type=float, default=MINUTES)
    return float(parser.parse_known_args()[0].minutes)


def _scraped(port: int, until: float, process: Popen[str]) -> float:
    """Ask as Prometheus and a browser would; the beats missed by the last time."""
    missed = 0.0
    while process.poll() is None and (left := until - time.monotonic()) > 0:
        time.sleep(min(SCRAPE, left))
        try:
            _get(port, "/api/v1/status")
            text = _get(port, "/metrics")
        except OSError:
            break  # it has ended meanwhile
        missed = next(
            float(line.split()[1]) for line in text.splitlines() if line.startswith("brownout_missed_beats_")
        )
    return missed


def _get(port: int, path: str) -> str:
    with urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as reply:
        text: str = reply.read().decode()
    return text


def _figures(seen: dict[str, Any], warm: float, seconds: float, missed: float) -> tuple[Figure, ...]:
    flat = [sample for sample in seen["samples"] if sample[0] >= warm] or seen["samples"][-1:]
    part = max(len(flat) // 5, 1)
    first, last = flat[:part], flat[-part:]
    memory = [median([rss for _, rss, _ in samples]) for samples in (first, last)]
    descriptors = [median([held for _, _, held in samples]) for samples in (first, last)]
    late = dict(seen["late"])
    unexplained = late.pop("unexplained", 0)
    return (
        Figure("memory_growth", (memory[1] / memory[0] - 1) * 100, "%", GROWTH),
        Figure("memory", memory[1] / 1e6, "MB"),
        Figure("descriptors_more", descriptors[1] - descriptors[0], "open", MORE),
        Figure("descriptors", descriptors[1], "open"),
        Figure("late_unexplained", unexplained, "looks", 0),
        *(Figure(f"late_by_{cause.replace(' ', '_')}", count, "looks") for cause, count in sorted(late.items())),
        Figure("missed_beats", missed, "in all"),
        Figure("held", seen["looks"] / seconds, "looks/s"),
    )


def _how(seen: dict[str, Any], warm: float, seconds: float) -> str:
    results = ", ".join(f"{count:,} {result}" for result, count in seen["results"].items())
    worst = max(seen["told"], key=lambda look: (look["cause"] == "unexplained", float(look["late"])), default=None)
    told = f"; worst of the late looks that were kept: {worst}" if worst else ""
    return (
        f"{CHECKS} http checks every 1s for {seconds / 60:.3g} min, {warm / 60:.3g} of them warm-up; {results}{told}"
    )


if __name__ == "__main__":
    sys.exit(run(measure))
