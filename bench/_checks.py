"""The checks.yaml of a benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench._responder import HOSTS

HEAD = """\
agent:
  listen: 127.0.0.1:{port}
  state_dir: {state}
  vantage: {{name: bench}}
{agent}"""

CHECK = """\
  - name: {name}
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
    folder: Path,
    count: int,
    *,
    port: int,
    target: int,
    every: str,
    sinks: str = SINKS,
    more: str = "",
    names: Sequence[str] = (),
    agent: str = "",
) -> Path:
    """A file with `count` checks of a server on the port `target`, spread over its hosts, and `more` checks. `names`
    are theirs, where it matters which; `agent` are further keys of the agent, as lines of YAML."""
    checks = "".join(
        CHECK.format(
            name=names[number] if names else f"check {number}",
            number=number,
            host=HOSTS[number % len(HOSTS)],
            target=target,
            every=every,
        )
        for number in range(count)
    )
    head = HEAD.format(port=port, state=folder / f"state-{count}", agent=agent)
    text = head + sinks + "checks:\n" + checks + more
    path = folder / f"checks-{count}.yaml"
    path.write_text(text, encoding="utf-8")
    return path
