"""What judging one look costs the CPU."""

from __future__ import annotations

import os
import sys
import time
from argparse import Namespace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from bench._line import Figure, Line, median, run, spread
from monitor.config.load import load
from monitor.core.event import Source
from monitor.core.model import Journal, Look, Moment
from monitor.core.plan import Plan
from monitor.core.world import World
from monitor.kinds import installed_kinds
from probes.contract import Observation

LIMIT = 10.0
"""Microseconds of CPU a look (the project's own goal), for a check as it comes: with its baseline, without written
thresholds."""
EVERY = 10.0
"""Seconds between two looks at a check: a window of five minutes holds 30 of them."""

CHECK = """\
checks:
  - name: shop
    probe: http
    url: http://127.0.0.1/
    every: 10s
    defaults: off
    degraded: [{conditions}]
"""
NONE = ""
WINDOW = '"p95(response_time, 5m) > 800ms, clear < 600ms"'
DAY = '"p95(response_time, 1d) > 800ms, clear < 600ms"'
TEN = ", ".join(
    f'"{item}"'
    for item in (
        "p95(response_time, 5m) > 800ms, clear < 600ms",
        "p50(response_time, 5m) > 500ms",
        "p99(response_time, 10m) > 2s",
        "mean(response_time, 1m) > 600ms",
        "max(response_time, 5m) > 9s",
        "response_time > 4s for 3 of 5",
        "first_byte_time > 3s for 2m",
        "connect_time > 900ms for 2 of 3",
        "mean(body_size, 5m) > 1MiB",
        "transfer_time > 2s",
    )
)


def measure(options: Namespace) -> Line:
    """Good looks through `World.observe`, one every 10 s of made-up time; the windows are full, at last."""
    looks, repeats = (500, 1) if options.quick else (20_000, 7)
    cases = {"no_threshold": NONE, "one_window": WINDOW, "day_window": DAY, "ten_thresholds": TEN}
    costs: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(repeats):
        for name, conditions in cases.items():
            costs[name].append(_cost(conditions, looks))
    limits = {"no_threshold": LIMIT}
    figures = tuple(Figure(name, median(values), "us", limits.get(name)) for name, values in costs.items())
    how = f"CPU time a look, {looks:,} looks at a time, in turns; one_window {spread(costs['one_window'], 'us')}"
    return Line("judging", figures, how)


def _cost(conditions: str, count: int) -> float:
    world = _world(conditions)
    looks = [_look(number) for number in range(count)]
    for look in looks[:100]:
        world.observe(look)
    before = time.process_time()
    for look in looks[100:]:
        world.observe(look)
    return (time.process_time() - before) / (count - 100) * 1e6


def _world(conditions: str) -> World:
    with TemporaryDirectory(prefix="brownout-bench-") as name:
        file = Path(name) / "checks.yaml"
        text = CHECK.format(conditions=conditions)
        file.write_text(text if conditions else text.replace("    degraded: []\n", ""), encoding="utf-8")
        config = load(file, kinds=installed_kinds(), env=os.environ)
    plan = Plan(config.checks, config.services, config.routes, Source("bench"), frozenset(config.sinks))
    return World(plan, Journal("bench", 1), _moment(0.0))


def _look(number: int) -> Look:
    began = number * EVERY
    seconds = 0.1 + number * 7919 % 1000 / 10_000
    measured = {"response_time": seconds, "connect_time": 0.01, "first_byte_time": 0.05, "transfer_time": 0.01}
    measured |= {"resolve_time": 0.001, "body_size": 5000.0}
    return Look("shop", Observation(measured), _moment(began), _moment(began + seconds))


def _moment(tick: float) -> Moment:
    return Moment(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=tick), tick)


if __name__ == "__main__":
    sys.exit(run(measure))
