"""Do the phases tell the truth? An agent at a thousand looks a second, before a server that knows what it did."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from argparse import Namespace
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from tempfile import TemporaryDirectory
from typing import NamedTuple
from urllib.request import urlopen

from bench._checks import HEAD, SINKS
from bench._line import Figure, Line, percentile, run
from bench._peer import answer, cores, finish, free_port, peer
from bench._responder import HOSTS

CHECKS, EVERY = 10_000, 10
"""Checks, and the seconds between two looks at each: a thousand looks a second."""
WARM = 20.0
"""Seconds until the first looks are over."""
SCRAPE = 5.0
PAUSES, PAUSE, REST = 4, 5.0, 6.0
"""How often the agent is stopped (SIGSTOP), for how many seconds, and how long it then runs on."""
OFF, RIGHT, VOID = 1.0, 5.0, 1.0
"""Milliseconds that phases may be off (p99); that each may be off when the agent was stopped; percent of looks that
may be void where it was not: who throws away whatever is hard to measure is right, too."""
ROUNDED = 0.3
"""Seconds; a look's own begin and end are rounded. Looks at one check are further apart."""
KNOWN = 0.0002
"""Seconds that a piece may take to be sent, for the server to know when that was."""

CHECK = """\
  - name: check {number}
    probe: http
    url: http://{host}:{target}/{number}
    every: {every}
    timeout: {timeout}ms
    usual: off
"""


class Truth(NamedTuple):
    """What the server did for one request, by the monotonic clock."""

    came: float
    began: float
    ended: float
    known: bool


@dataclass(frozen=True, slots=True)
class Seen:
    """One look, as the agent tells it, with what the server knows of it (None: it never saw it)."""

    began: float
    ended: float
    reason: str
    phases: dict[str, float]
    truth: Truth | None

    @property
    def void(self) -> bool:
        return self.reason == "late"

    def off(self) -> dict[str, float]:
        """By phase, by how many milliseconds it is longer or shorter than it was; the way (20 us) is in it."""
        if self.truth is None or not self.truth.known or self.reason != "ok":
            return {}
        true = {"first_byte": self.truth.began - self.truth.came, "transfer": self.truth.ended - self.truth.began}
        return {name: (self.phases[name] - took) * 1000 for name, took in true.items()}


def measure(options: Namespace) -> Line:
    """The whole agent on one core, the server on another; then the agent is stopped in mid-flight, some times."""
    mine, others = cores()
    checks, warm, pauses = (200, 3.0, 1) if options.quick else (CHECKS, WARM, PAUSES)
    with TemporaryDirectory(prefix="brownout-bench-") as name:
        folder = Path(name)
        with peer("bench._truth_server", str(folder / "server"), core=others) as server:
            port, target = free_port(), int(answer(server))
            file = _config(folder, checks, port, target, 1 if options.quick else EVERY)
            with peer("bench._truthful", str(file), str(folder / "agent"), core=mine) as agent:
                answer(agent)
                time.sleep(warm)
                began = time.monotonic()
                _scraped(port, began + options.seconds)
                ended = time.monotonic()
                stops = list(_stopped(agent, pauses))
                finish(agent)
            finish(server)
        looks = list(_matched(folder))
    steady = [look for look in looks if began <= look.began and look.ended <= ended]
    stopped = [look for look in looks if any(look.began < stop and look.ended > stop + PAUSE / 2 for stop in stops)]
    return Line("truth", _figures(steady, stopped, ended - began), _how(steady, options.seconds, checks, pauses))


def _config(folder: Path, checks: int, port: int, target: int, every: int) -> Path:
    made = (
        CHECK.format(
            number=number, host=HOSTS[number % len(HOSTS)], target=target, every=f"{every}s", timeout=every * 800
        )
        for number in range(checks)
    )
    path = folder / "checks.yaml"
    path.write_text(HEAD.format(port=port, state=folder / "state", agent="") + SINKS + "checks:\n" + "".join(made))
    return path


def _scraped(port: int, until: float) -> None:
    """Scrape as Prometheus would, only more often."""
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(SCRAPE, left))
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as reply:
            reply.read()


def _stopped(agent: Popen[str], pauses: int) -> Iterator[float]:
    """Stop the agent and let it go on; when each stop was."""
    for _ in range(pauses):
        os.kill(agent.pid, signal.SIGSTOP)
        yield time.monotonic()
        time.sleep(PAUSE)
        os.kill(agent.pid, signal.SIGCONT)
        time.sleep(REST)


def _matched(folder: Path) -> Iterator[Seen]:
    """Each look of the agent with the request that came to the server between its begin and its end."""
    truths: dict[str, list[Truth]] = defaultdict(list)
    for line in (folder / "server").read_text().splitlines():
        number, came, began, slack, ended, end_slack = line.split()
        known = max(float(slack), float(end_slack)) <= KNOWN
        truths[number].append(Truth(float(came), float(began), float(ended), known))
    for each in truths.values():
        each.sort()
    for line in (folder / "agent").read_text().splitlines():
        number, began, ended, reason, phases = line.split(maxsplit=4)
        own = truths.get(number, [])
        place = bisect_left(own, (float(began) - ROUNDED,))
        truth = own[place] if place < len(own) and own[place].came <= float(ended) + ROUNDED else None
        yield Seen(float(began), float(ended), reason, json.loads(phases), truth)


def _figures(steady: list[Seen], stopped: list[Seen], seconds: float) -> tuple[Figure, ...]:
    off: dict[str, list[float]] = defaultdict(list)
    for look in steady:
        for name, by in look.off().items():
            off[name].append(abs(by))
    wrong = [abs(by) for look in stopped for by in look.off().values()]
    unsure = sum(look.truth is None or not look.truth.known for look in steady)
    void = sum(look.void for look in steady) / max(len(steady), 1) * 100
    return (
        *(Figure(f"{name}_off_p99", percentile(all_, 99), "ms", OFF) for name, all_ in off.items()),
        Figure("void", void, "%", VOID),
        Figure("stopped_off_worst", max(wrong, default=0.0), "ms", RIGHT),
        *(Figure(f"{name}_off_worst", max(all_), "ms") for name, all_ in off.items()),
        *(Figure(f"{name}_off_p50", percentile(all_, 50), "ms") for name, all_ in off.items()),
        Figure("held", len(steady) / seconds, "looks/s"),
        Figure("stopped_in_flight", len(stopped), "looks"),
        Figure("stopped_void", sum(look.void for look in stopped), "looks"),
        Figure("server_unsure", unsure / max(len(steady), 1) * 100, "%"),
    )


def _told(reasons: Iterable[str]) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in Counter(reasons).most_common())


def _how(steady: list[Seen], seconds: float, checks: int, pauses: int) -> str:
    return (
        f"{checks:,} http checks for {seconds:g} s on one core, /metrics scraped every {SCRAPE:g} s, then {pauses} "
        f"times SIGSTOP for {PAUSE:g} s; the server takes kernel receive times, answers in 1, 2 or 10 pieces after 0 "
        f"to 50 ms, and leaves out what it does not know itself; {_told(look.reason for look in steady)}"
    )


if __name__ == "__main__":
    sys.exit(run(measure, seconds=60.0))
