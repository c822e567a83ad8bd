"""An application that counts its requests with prometheus_client, and a Prometheus server that scrapes it.

Run as a program, this file is the application: see `_serve`.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import parse_qs, quote, urlsplit
from urllib.request import urlopen

from tests.servers import daemon, find, free_port

_ROOT = Path(__file__).parent.parent.parent
_APART = 0.05
"""Seconds between the starts of workers: the kernel tells the start of a process to 0.01 s."""


@dataclass(frozen=True)
class Application:
    """An application of one or more workers on one port."""

    port: int
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/metrics"

    def work(self, count: int, status: int = 200, seconds: float = 0.05, path: str = "/") -> None:
        """Let one of the workers count so many requests."""
        _fetch(f"http://127.0.0.1:{self.port}/work?{count}&{status}&{seconds}&{quote(path, safe='')}")


@contextmanager
def application(folder: Path, *, workers: int = 1, shared: bool = False, port: int = 0) -> Iterator[Application]:
    """`shared`: the workers add up their counts (prometheus_client's multiprocess mode)."""
    port = port or free_port()
    counts = folder / f"counts-{time.monotonic_ns()}"
    counts.mkdir()
    env = {"PYTHONPATH": str(_ROOT)} | ({"PROMETHEUS_MULTIPROC_DIR": str(counts)} if shared else {})
    command = [sys.executable, __file__, str(port), str(workers)]
    with daemon(command, folder, lambda: _answers(f"http://127.0.0.1:{port}/metrics"), env=env) as process:
        yield Application(port, process)


@dataclass(frozen=True)
class Prometheus:
    """A server that scrapes its targets several times a second."""

    port: int
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, query: str) -> list[dict[str, Any]]:
        """The result of an instant query, as the API has it."""
        answer = json.loads(_fetch(f"{self.url}/api/v1/query?query={quote(query, safe='')}"))
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result


@contextmanager
def prometheus_server(folder: Path, *targets: int, every: str = "200ms") -> Iterator[Prometheus]:
    """`targets`: ports to scrape. Raises `Absent`."""
    binary = find("prometheus", "prometheus")
    port = free_port()
    config = folder / f"prometheus-{port}.yml"
    scrape = {"job_name": "shop", "static_configs": [{"targets": [f"127.0.0.1:{target}" for target in targets]}]}
    config.write_text(json.dumps({"global": {"scrape_interval": every}, "scrape_configs": [scrape]}))
    command = [
        binary, f"--config.file={config}", f"--storage.tsdb.path={folder / f'tsdb-{port}'}",
        f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn",
    ]  # fmt: skip
    with daemon(command, folder, lambda: _answers(f"http://127.0.0.1:{port}/-/ready")) as process:
        yield Prometheus(port, process)


def _fetch(url: str) -> str:
    with urlopen(url, timeout=10) as answer:
        text: str = answer.read().decode()
    return text


def _answers(url: str) -> bool:
    try:
        _fetch(url)
    except (URLError, OSError):
        return False
    return True


# --- the application ------------------------------------------------------------------------------------------


def _serve(port: int, workers: int) -> None:
    """Workers that share one listening socket, as those of a pre-forking server do; the first is their parent."""
    with socket.create_server(("127.0.0.1", port), backlog=128) as listener:
        for _ in range(workers - 1):
            if os.fork() == 0:
                break
            time.sleep(_APART)
        handler = _handler()
        server = HTTPServer(("127.0.0.1", port), handler, bind_and_activate=False)
        server.socket.close()
        server.socket = listener
        server.serve_forever()


def _handler() -> type[BaseHTTPRequestHandler]:
    # After the fork: in multiprocess mode each process has a file of its own from the first import on.
    from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
    from prometheus_client.multiprocess import MultiProcessCollector

    shared = "PROMETHEUS_MULTIPROC_DIR" in os.environ
    registry = CollectorRegistry()
    if not shared:
        ProcessCollector(registry=registry)
    names = ("method", "path", "status")
    requests = Counter("http_requests", "Requests.", names, registry=None if shared else registry)
    times = Histogram("http_request_duration_seconds", "Times.", ("path",), registry=None if shared else registry)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            text = b""
            if parts.path == "/work":
                count, status, seconds, path = (
                    next(iter(parse_qs(f"x={each}")["x"])) for each in parts.query.split("&")
                )
                requests.labels("GET", path, status).inc(float(count))
                for _ in range(int(count)):
                    times.labels(path).observe(float(seconds))
            elif shared:
                everybody = CollectorRegistry()
                MultiProcessCollector(everybody)  # type: ignore[no-untyped-call]  # it has no types
                text = generate_latest(everybody)
            else:
                text = generate_latest(registry)
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            """Nowhere."""

    return Handler


if __name__ == "__main__":
    _serve(int(sys.argv[1]), int(sys.argv[2]))
