"""SIGTERM while everything hangs: how long until the process has ended."""

from __future__ import annotations

import signal
import socket
import sys
import time
from argparse import Namespace
from pathlib import Path
from tempfile import TemporaryDirectory

from bench._line import Figure, Line, median, run, spread
from bench._peer import PATIENCE, agent, free_port

LIMIT = 5.0
"""Seconds (the project's own goal)."""

FILE = """\
agent:
  listen: 127.0.0.1:{port}
  state_dir: {state}
  vantage: {{name: bench}}
  limits: {{looks: 2000, looks_per_host: 2000}}
defaults: {{every: 60s, timeout: 50s, confirm: {{policy: consecutive, looks: 2, span: 200ms}}}}
sinks:
  hook:
    type: webhook
    url: http://127.0.0.1:{hook}/
    secret: whsec_dGhlIGtleSBvZiB0aGlzIGJlbmNobWFyaywgMzIgYiE=
routes: [{{to: [hook]}}]
checks:
  - {{name: closed, probe: http, url: "http://127.0.0.1:{closed}/"}}
"""
CHECK = '  - {{name: hung {number}, probe: http, url: "http://127.0.0.1:{silent}/"}}\n'


def measure(options: Namespace) -> Line:
    """The looks' target and the webhook's receiver take connections and never answer; a client of the page has sent
    half a request."""
    count, repeats = (50, 1) if options.quick else (500, 5)
    seconds = []
    with (
        socket.create_server(("127.0.0.1", 0), backlog=4096) as silent,
        socket.create_server(("127.0.0.1", 0)) as hook,
    ):
        hook.settimeout(PATIENCE)
        for _ in range(repeats):
            with TemporaryDirectory(prefix="brownout-bench-") as name:
                seconds.append(_stopped(Path(name), count, silent, hook))
    how = f"{count} looks in flight, a webhook under way, half a request of a client; {spread(seconds, 's')}"
    return Line("stop", (Figure("sigterm_to_end", median(seconds), "s", LIMIT),), how)


def _stopped(folder: Path, count: int, silent: socket.socket, hook: socket.socket) -> float:
    port, target = free_port(), silent.getsockname()[1]
    file = folder / "checks.yaml"
    head = FILE.format(port=port, state=folder / "state", hook=hook.getsockname()[1], closed=free_port())
    file.write_text(head + "".join(CHECK.format(number=number, silent=target) for number in range(count)))
    with agent(file, folder) as (process, _), socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"GET /api/v1/status HTTP/1.1\r\n")
        sending, _ = hook.accept()
        time.sleep(count / 150)  # until the last first look is under way
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)
        sending.close()
        return time.monotonic() - began


if __name__ == "__main__":
    sys.exit(run(measure))
