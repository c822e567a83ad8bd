"""From the decision to the webhook that was accepted."""

from __future__ import annotations

import base64
import secrets
import sys
from argparse import Namespace
from pathlib import Path
from tempfile import TemporaryDirectory

from bench._checks import written
from bench._line import Figure, Line, percentile, run
from bench._peer import answer, cores, finish, free_port, peer, responder
from bench._responder import HOSTS, PARTS, PERIOD

LIMIT = 100.0
"""Milliseconds (the project's own goal)."""
CALM = 900
WARM = 8.0

SINKS = """\
sinks:
  hook: {{type: webhook, url: "http://127.0.0.1:{port}/hook", secret: "{secret}"}}
routes:
  - {{to: [hook]}}
  - {{when: event = check.changed, to: [hook]}}
"""

FLIPPING = """\
  - name: flip {number}
    probe: http
    url: http://{host}:{target}/flip/{part}
    every: 1s
    degraded: body_size > 500B for 1 of 1
"""
"""Degraded and well again at each look after the server has turned: nothing has to be confirmed."""


def measure(options: Namespace) -> Line:
    """The whole agent on one core with 1,000 checks, of which 100 are looked at every second and always changing, the
    others every 30 s; then the same with all of them every second. Everything else runs on another core. Both ends
    read the same monotonic clock."""
    usual, lost = _spans("30s", options)
    busy, lost_busy = _spans("1s", options)
    figures = (
        Figure("decision_to_accepted_p99", percentile(usual, 99), "ms", LIMIT),
        Figure("p50", percentile(usual, 50), "ms"),
        Figure("worst", max(usual, default=0.0), "ms"),
        Figure("lost", lost + lost_busy, "events", 0),
        Figure("p99_at_1000_looks_a_second", percentile(busy, 99), "ms"),
        Figure("p50_at_1000_looks_a_second", percentile(busy, 50), "ms"),
    )
    how = (
        f"{len(usual):,} webhooks in {options.seconds:g} s from {CALM + PARTS:,} checks, each verified and answered; "
        f"agent on one core; journal synced to disk before each send; exact values of all, no repeats"
    )
    return Line("delivery", figures, how)


def _spans(every: str, options: Namespace) -> tuple[list[float], int]:
    """Milliseconds from each decision to its webhook, and how many webhooks never came."""
    mine, others = cores()
    key = secrets.token_bytes(32)
    with (
        TemporaryDirectory(prefix="brownout-bench-") as name,
        responder(others) as target,
        peer("bench._receiver", key.hex(), core=others) as receiver,
    ):
        sinks = SINKS.format(port=answer(receiver), secret="whsec_" + base64.b64encode(key).decode())
        more = _flipping(target)
        file = written(Path(name), CALM, port=free_port(), target=target, every=every, sinks=sinks, more=more)
        warm = 3.0 if options.quick else WARM
        with peer("bench._watched", str(file), str(warm), str(options.seconds), core=mine) as process:
            answer(process)
            decided: dict[str, float] = answer(process)["decided"]
        accepted: dict[str, float] = finish(receiver)
    spans = [(accepted[event] - at) * 1000 for event, at in decided.items() if event in accepted]
    return spans, len(decided) - len(spans)


def _flipping(target: int) -> str:
    """Checks whose changes are spread evenly over the server's period."""
    return "".join(
        FLIPPING.format(number=part, host=HOSTS[part % len(HOSTS)], target=target, part=part) for part in range(PARTS)
    )


if __name__ == "__main__":
    sys.exit(run(measure, seconds=4 * PERIOD + 10))
