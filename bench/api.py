"""Ten thousand checks as JSON, while the agent goes on looking."""

from __future__ import annotations

import http.client
import json
import sys
import time
from argparse import Namespace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench._checks import written
from bench._line import Figure, Line, median, run, spread
from bench._peer import PATIENCE, answer, cores, finish, free_port, peer, responder

LIMIT, DELAY = 150.0, 10.0
"""Milliseconds: for the whole answer, and by which it may delay a look (the project's own goals)."""
REPEATS = 3


def measure(options: Namespace) -> Line:
    """`/api/v1/checks` of a real agent on one core, asked from another, all checks looked at between two answers."""
    count = 200 if options.quick else 10_000
    every = 2.0 if options.quick else 30.0
    mine, others = cores()
    with TemporaryDirectory(prefix="brownout-bench-") as name, responder(others) as target:
        port = free_port()
        file = written(Path(name), count, port=port, target=target, every=f"{every:g}s")
        with peer("bench._ticking", str(file), core=mine) as process:
            answer(process)
            _await_looks(port, count)
            cold, size = _asked(port, count)
            times, again = [], []
            for _ in range(2 if options.quick else REPEATS):
                time.sleep(every)
                times.append(_asked(port, count)[0])
                again.append(_asked(port, count)[0])
            ticks = finish(process)
    return Line("api", _figures(cold, times, again, size, ticks), _how(count, times, every))


def _await_looks(port: int, count: int) -> None:
    """Until each check was looked at."""
    deadline = time.monotonic() + PATIENCE
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read()
        connection.close()
        if text.count(b"\nbrownout_check_last_look_timestamp_seconds{") >= count:
            return
        if time.monotonic() > deadline:
            raise RuntimeError("not every check was looked at")
        time.sleep(1)


def _asked(port: int, count: int) -> tuple[float, int]:
    """Milliseconds until the last byte, and how many bytes there were."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    began = time.perf_counter()
    connection.request("GET", "/api/v1/checks")
    body = connection.getresponse().read()
    took = (time.perf_counter() - began) * 1000
    connection.close()
    if json.loads(body)["count"] != count:
        raise RuntimeError("the answer is not whole")
    return took, len(body)


def _figures(
    cold: float, times: list[float], again: list[float], size: int, ticks: dict[str, Any]
) -> tuple[Figure, ...]:
    return (
        Figure("all_checks", median(times), "ms", LIMIT),
        Figure("delay_of_a_look", ticks["asked"], "ms", DELAY),
        Figure("first_answer", cold, "ms"),
        Figure("again_at_once", median(again), "ms"),
        Figure("cpu_of_rendering", ticks["rendering"], "ms"),
        Figure("size", size / 1e6, "MB"),
        Figure("delay_p99", ticks["asked_p99"], "ms"),
        Figure("delay_else", ticks["else"], "ms"),
        Figure("raw_delay", ticks["asked_raw"], "ms"),
        Figure("raw_delay_else", ticks["else_raw"], "ms"),
    )


def _how(count: int, times: list[float], every: float) -> str:
    return (
        f"{count:,} checks, each looked at between two answers (every {every:g} s), by an agent on one core, asked "
        f"from another; {spread(times, 'ms')}; delays of ticks a millisecond apart, no more than the CPU time of the "
        "loop in them: the worst while an answer was made, and else; raw: with what others took"
    )


if __name__ == "__main__":
    sys.exit(run(measure))
