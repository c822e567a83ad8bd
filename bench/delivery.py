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
    """The whole agent on one core with 1,000 checks every second, of which some are always changing; everything else on
    another core. Both ends read the same monotonic clock."""
    mine, others = cores()
    key = secrets.token_bytes(32)
    with (
        TemporaryDirectory(prefix="brownout-bench-") as name,
        responder(others) as target,
        peer("bench._receiver", key.hex(), core=others) as receiver,
    ):
        secret = "whsec_" + base64.b64encode(key).decode()
        sinks = SINKS.format(port=answer(receiver), secret=secret)
        file = written(
            Path(name), CALM, port=free_port(), target=target, every="1s", sinks=sinks, more=_flipping(target)
        )
        warm = 3.0 if options.quick else WARM
        with peer("bench._watched", str(file), str(warm), str(options.seconds), core=mine) as process:
            answer(process)
            decided: dict[str, float] = answer(process)["decided"]
        accepted: dict[str, float] = finish(receiver)
    return _line(decided, accepted, options.seconds)


def _line(decided: dict[str, float], accepted: dict[str, float], seconds: float) -> Line:
    spans = [(accepted[event] - at) * 1000 for event, at in decided.items() if event in accepted]
    figures = (
        Figure("decision_to_accepted_p99", percentile(spans, 99), "ms", LIMIT),
        Figure("p50", percentile(spans, 50), "ms"),
        Figure("worst", max(spans, default=0.0), "ms"),
        Figure("lost", len(decided) - len(spans), "events", 0),
    )
    how = (
        f"{len(spans):,} webhooks in {seconds:g} s from {CALM + PARTS:,} checks every 1s, each verified and answered; "
        "journal synced to disk before each send; exact values, no repeats"
    )
    return Line("delivery", figures, how)


def _flipping(target: int) -> str:
    """Checks whose changes are spread evenly over the server's period."""
    return "".join(
        FLIPPING.format(number=part, host=HOSTS[part % len(HOSTS)], target=target, part=part) for part in range(PARTS)
    )


if __name__ == "__main__":
    sys.exit(run(measure, seconds=4 * PERIOD + 10))
