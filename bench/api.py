"""Ten thousand checks as JSON, while the agent goes on looking."""

from __future__ import annotations

import http.client
import json
import sys
import time
from argparse import Namespace
from pathlib import Path
from subprocess import Popen
from tempfile import TemporaryDirectory

import psutil

from bench._checks import written
from bench._line import Figure, Line, median, run, spread
from bench._peer import PATIENCE, answer, cores, finish, free_port, peer, responder

LIMIT, DELAY = 150.0, 10.0
"""Milliseconds: for the whole answer, and by which it may delay a look (the project's own goals)."""
REPEATS = 15


def measure(options: Namespace) -> Line:
    """`/api/v1/checks` of a real agent on one core, asked from another, all checks looked at between two answers."""
    count = 200 if options.quick else 10_000
    mine, others = cores()
    with TemporaryDirectory(prefix="brownout-bench-") as name, responder(others) as target:
        port = free_port()
        file = written(Path(name), count, port=port, target=target, every="5m")
        with peer("bench._ticking", str(file), core=mine) as process:
            answer(process)
            _await_looks(port, count)
            first, size = _asked(port, count)
            times, again, used = [], [], 0.0
            for _ in range(2 if options.quick else REPEATS):
                _have_seen(process)
                before = _cpu(process.pid)
                times.append(_asked(port, count)[0])
                used += _cpu(process.pid) - before
                again.append(_asked(port, count)[0])
            ticks = finish(process)
    figures = (
        Figure("all_checks", median(times), "ms", LIMIT),
        Figure("delay_of_a_look", ticks["worst"], "ms", DELAY),
        Figure("first_answer", first, "ms"),
        Figure("again_at_once", median(again), "ms"),
        Figure("cpu", used / len(times) * 1000, "ms"),
        Figure("size", size / 1e6, "MB"),
        Figure("delay_p99", ticks["p99"], "ms"),
        Figure("delay_with_what_others_took", ticks["raw"], "ms"),
    )
    how = (
        f"{count:,} checks, each seen again between two answers, by an agent on one core with 33 looks a "
        f"second, asked from another; {spread(times, 'ms')}; delay: the worst of ticks a millisecond apart while an "
        "answer was made, no more than the loop's CPU time in it"
    )
    return Line("api", figures, how)


def _cpu(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def _have_seen(process: Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    answer(process)


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


if __name__ == "__main__":
    sys.exit(run(measure))
