"""From the decision to the webhook that was accepted."""

from __future__ import annotations

import base64
import secrets
import sys
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench._checks import written
from bench._line import Figure, Line, percentile, run
from bench._peer import answer, cores, finish, free_port, peer, responder
from bench._responder import HOSTS, PARTS, PERIOD

LIMIT = 100.0
"""Milliseconds (the project's own goal)."""
LATENESS_LIMIT = 20.0
"""Milliseconds, as above."""
CHECKS = 1_000
FLIPS = 500
"""Checks that change once in the server's period, and make two webhooks each time: 200 a second. By looks further
apart it would not be seen that they are well again."""
WARM = 8.0
QUICK = 5
"""What the quick form divides checks by: an agent is started three times."""

SINKS = """\
sinks:
  hook: {{type: webhook, url: "http://127.0.0.1:{port}/hook", secret: "{secret}"}}
routes:
  - {{to: [hook]}}
  - {{when: event = check.changed, to: [hook]}}
defaults: {{flapping: off}}
"""
"""Otherwise nobody would be told of the third change on."""

FLIPPING = """\
  - name: flip {number}
    probe: http
    url: http://{host}:{target}/flip/{part}
    every: {every}
    degraded: body_size > 500B for 1 of 1
"""
"""Degraded and well again at each look after the server has turned: nothing has to be confirmed."""


def measure(options: Namespace) -> Line:
    """The whole agent on one core with 1,000 checks, of which 100 are looked at every second and always changing, the
    others every 30 s; then all of them every second; then 500 every 2 s that change so often that 200 webhooks a
    second go to the one sink. Everything else runs on another core. Both ends read the same monotonic clock."""
    usual = _seen(options, every="30s", flips=PARTS, flip_every="1s")
    busy = _seen(options, every="1s", flips=PARTS, flip_every="1s")
    stream = _seen(options, every="30s", flips=FLIPS, flip_every="2s")
    figures = (
        Figure("decision_to_accepted_p99", percentile(usual.spans, 99), "ms", LIMIT),
        Figure("p50", percentile(usual.spans, 50), "ms"),
        Figure("worst", max(usual.spans, default=0.0), "ms"),
        Figure("lost", usual.lost + busy.lost + stream.lost, "events", 0),
        Figure("p99_at_1000_looks_a_second", percentile(busy.spans, 99), "ms"),
        Figure("p50_at_1000_looks_a_second", percentile(busy.spans, 50), "ms"),
        Figure("stream", stream.rate, "webhooks/s"),
        Figure("stream_p99", percentile(stream.spans, 99), "ms"),
        Figure("stream_start_lateness_p99", stream.lateness, "ms", LATENESS_LIMIT),
        Figure("start_lateness_p99_without", usual.lateness, "ms"),
        Figure("stream_cpu", stream.busy, "% of the core"),
    )
    checks = CHECKS // QUICK if options.quick else CHECKS
    how = (
        f"{len(usual.spans):,} and {len(stream.spans):,} webhooks in {options.seconds:g} s from {checks:,} checks, "
        "each verified and answered; agent on one core, which others had for "
        f"{stream.queued:.0f} % of the time; journal synced to disk before each send; exact values of all, no repeats"
    )
    return Line("delivery", figures, how)


@dataclass(frozen=True, slots=True)
class Seen:
    spans: list[float]
    """Milliseconds from each decision to its webhook."""
    lost: int
    """Webhooks that never came."""
    rate: float
    """Webhooks a second."""
    lateness: float
    """Milliseconds: p99 of the start of looks."""
    busy: float
    queued: float
    """Percent of the time in which the agent had its core, and in which others had it while the agent wanted it."""


def _seen(options: Namespace, *, every: str, flips: int, flip_every: str) -> Seen:
    mine, others = cores()
    checks, flips = (CHECKS // QUICK, flips // QUICK) if options.quick else (CHECKS, flips)
    key = secrets.token_bytes(32)
    with (
        TemporaryDirectory(prefix="brownout-bench-") as name,
        responder(others) as target,
        peer("bench._receiver", key.hex(), core=others) as receiver,
    ):
        sinks = SINKS.format(port=answer(receiver), secret="whsec_" + base64.b64encode(key).decode())
        more = _flipping(target, flips, flip_every)
        file = written(
            Path(name), checks - flips, port=free_port(), target=target, every=every, sinks=sinks, more=more
        )
        drained = () if options.quick else ("drained",)
        warm = 1.0 if options.quick else WARM
        with peer("bench._watched", str(file), str(warm), str(options.seconds), *drained, core=mine) as process:
            answer(process)
            told = answer(process)
        accepted: dict[str, float] = finish(receiver)
    decided: dict[str, float] = told["decided"]
    spans = [(accepted[event] - at) * 1000 for event, at in decided.items() if event in accepted]
    seconds = told["seconds"]
    return Seen(
        spans,
        len(decided) - len(spans),
        len(spans) / seconds,
        told["p99"] * 1000,
        told["cpu"] / seconds * 100,
        told["queued"] / seconds * 100,
    )


def _flipping(target: int, count: int, every: str) -> str:
    """Checks whose changes are spread evenly over the server's period."""
    return "".join(
        FLIPPING.format(
            number=number, host=HOSTS[number % len(HOSTS)], target=target, part=number * PARTS // count, every=every
        )
        for number in range(count)
    )


if __name__ == "__main__":
    sys.exit(run(measure, seconds=4 * PERIOD + 10))
