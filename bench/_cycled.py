"""The whole cycle of a look in the real agent: scheduled, taken, judged, counted, kept in the history.

A thousand checks that are all due at the same place of the grid, and room for 20 looks at once: so every second a
thousand looks are taken with 20 of them in flight at any moment, as the probe alone is measured.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.request import urlopen

from bench._blackbox import cpu_of
from bench._checks import written
from bench._peer import agent, free_port

CHECKS, TOGETHER = 1000, 0.02
"""Checks, looked at every second each; they are due within so much of it (s)."""
IN_FLIGHT = 20
WARM, MEASURED = 3.0, 15.0
"""Seconds: until the first looks are over; then, for as long as there is between two flushes of what checks remember.
In the middle of it the metrics are scraped, as every 15 s."""
_LOOKS = "brownout_check_looks_total{"


def cycle(target: int, *, quick: bool) -> float:
    """Microseconds of the agent's CPU time a look, all in: also its journal, history, page and metrics. It is bound
    to the cores that we are bound to."""
    warm, seconds = (1.0, 2.0) if quick else (WARM, MEASURED)
    with TemporaryDirectory(prefix="brownout-bench-") as name:
        port = free_port()
        names = together(100 if quick else CHECKS)
        more = f"  limits: {{looks: {IN_FLIGHT}, looks_per_host: {IN_FLIGHT}}}\n"
        file = written(Path(name), len(names), port=port, target=target, every="1s", names=names, agent=more)
        with agent(file, Path(name)) as (process, _):
            time.sleep(warm)
            looks, used = _looks(port), cpu_of(process.pid)
            time.sleep(seconds / 2)
            _looks(port)
            time.sleep(seconds / 2)
            used = cpu_of(process.pid) - used
            seen = _looks(port) - looks
    good = seen.pop("ok", 0)
    if not good or set(seen) - {"late"}:
        raise RuntimeError(f"looks have failed: {seen}")
    # Those that are void, as others had the core, may have cost next to nothing: they do not count.
    return used / good * 1e6


def _looks(port: int) -> Counter[str]:
    """Looks so far, by their result, as the agent tells them."""
    found: Counter[str] = Counter()
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as reply:
        text: str = reply.read().decode()
    for line in text.splitlines():
        if line.startswith(_LOOKS):
            labels, _, number = line.rpartition(" ")
            found[labels.rpartition('result="')[2].rstrip('"}')] += int(number)
    return found


def together(number: int) -> list[str]:
    """Ids of so many checks that have their places on the grid beside one another (`monitor.grid.until_beat`)."""
    found: list[str] = []
    for candidate in count():
        name = f"check {candidate}"
        if int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest()) / 2**64 < TOGETHER:
            found.append(name)
            if len(found) == number:
                return found
    raise AssertionError
