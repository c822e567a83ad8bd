"""The checks.yaml of a benchmark."""

from __future__ import annotations

from pathlib import Path

from bench._responder import HOSTS

HEAD = """\
agent:
  listen: 127.0.0.1:{port}
  state_dir: {state}
  vantage: {{name: bench}}
"""

CHECK = """\
  - name: check {number}
    probe: http
    url: http://{host}:{target}/{number}
    every: {every}
    timeout: 1s
    labels: {{tier: web}}
    expect: {{status: 200}}
    degraded: p95(response_time, 5m) > 800ms, clear < 600ms
"""
"""Eight keys, one threshold; a service of its own, as it names none: the dearest kind of plain check."""


SINKS = """\
sinks: {terminal: {type: console}}
routes: [{to: [terminal]}]
"""


def written(
    folder: Path, count: int, *, port: int, target: int, every: str, sinks: str = SINKS, more: str = ""
) -> Path:
    """A file with `count` checks of a server on the port `target`, spread over its hosts, and `more` checks."""
    checks = "".join(
        CHECK.format(number=number, host=HOSTS[number % len(HOSTS)], target=target, every=every)
        for number in range(count)
    )
    text = HEAD.format(port=port, state=folder / f"state-{count}") + sinks + "checks:\n" + checks + more
    path = folder / f"checks-{count}.yaml"
    path.write_text(text, encoding="utf-8")
    return path
