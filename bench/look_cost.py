"""What one look costs the CPU, beside what it cannot do without, and beside blackbox_exporter."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

from bench import _bare
from bench._blackbox import blackbox
from bench._cycled import cycle
from bench._line import Figure, Line, median, run, spread
from bench._peer import cores, responder
from bench._responder import HOSTS
from bench._web_server import NAME, WebServer, nginx
from probes._names.system_resolver import SystemResolver
from probes._tls.contexts import SharedTls
from probes.contract import Context, Reason
from probes.http import Http
from tests.servers import Absent

IN_FLIGHT = 20
PROBE, CYCLE, TLS, BLACKBOX = 3.0, 4.0, 1.1, 10.0
"""Times the bare dialogue in C, plain (the probe alone, and the whole cycle) and with TLS, at most; and how many
times what the probe costs blackbox_exporter costs, at least (the project's own goals)."""

Rounds = dict[str, list[float]]
"""Microseconds of CPU time a look, by what was measured; all have had their turn as often."""


def measure(options: Namespace) -> Line:
    """The http probe alone on uvloop with 20 looks in flight, in turns with the bare dialogue in C and in Python,
    blackbox_exporter, and the whole agent; then the same with TLS. All of them on one core, nginx on the other."""
    looks, repeats = (200, 1) if options.quick else (5000, 7)
    with TemporaryDirectory(prefix="brownout-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        rounds = _turns(folder, looks, quick=options.quick, stack=stack)
        mine, _ = cores()
        os.sched_setaffinity(0, {mine})
        seen: Rounds = {label: [] for label in rounds}
        for _ in range(repeats):
            for label, measured in rounds.items():
                seen[label].append(measured())
    return Line("look_cost", _figures(seen), _how(looks, seen))


def _turns(folder: Path, looks: int, *, quick: bool, stack: ExitStack) -> dict[str, Callable[[], float]]:
    """What is measured, in the order of its turns; what cannot be had here is left out."""
    mine, others = cores()
    server = stack.enter_context(_server(folder, others))
    port = server.plain
    urls = [f"http://{host}:{port}/" for host in HOSTS]
    turns = {"http_probe": lambda: uvloop.run(_probed([Http(url=url) for url in urls], looks))}
    if (bare := _bare.plain(folder, len(HOSTS))) is not None:
        turns["c_socket"] = lambda: bare(port, looks)
    if (bare_many := _bare.many(folder, len(HOSTS), IN_FLIGHT)) is not None:
        turns["c_epoll"] = lambda: bare_many(port, looks)
    turns["python_socket"] = lambda: _dialogue(port, looks)
    try:
        exporter = stack.enter_context(blackbox(folder, mine, others))
    except Absent:
        pass
    else:
        turns["blackbox_exporter"] = lambda: exporter.look(urls, max(looks // 3, 200), IN_FLIGHT)
    turns["whole_cycle"] = lambda: cycle(port, quick=quick)
    if server.tls:
        secret = [
            Http(url=f"https://{host}:{server.tls}/", ca_file=str(server.authority), server_name=NAME)
            for host in HOSTS
        ]
        fewer = max(looks // 4, 50)
        turns["https_probe"] = lambda: uvloop.run(_probed(secret, fewer))
        if (bare_tls := _bare.tls(folder, len(HOSTS), server.authority)) is not None:
            turns["c_openssl"] = lambda: bare_tls(server.tls, fewer)
    return turns


@contextmanager
def _server(folder: Path, core: int) -> Iterator[WebServer]:
    """nginx; where that is not installed a server of our own, without TLS."""
    with ExitStack() as stack:
        try:
            server = stack.enter_context(nginx(folder, core))
        except Absent:
            server = WebServer(stack.enter_context(responder(core)), 0, folder)
        yield server


def _figures(seen: Rounds) -> tuple[Figure, ...]:
    figures = [Figure(label, median(costs), "us") for label, costs in seen.items()]
    for label, ours, other, limit in (
        ("probe_to_c", "http_probe", "c_socket", PROBE),
        ("cycle_to_c", "whole_cycle", "c_socket", CYCLE),
        ("https_to_c", "https_probe", "c_openssl", TLS),
    ):
        if ours in seen and other in seen:
            figures.append(Figure(label, _ratio(seen, ours, other), "x", limit))
    if "blackbox_exporter" in seen:
        times = _ratio(seen, "blackbox_exporter", "http_probe")
        figures.append(Figure("blackbox_to_probe", times, "x", BLACKBOX, floor=True))
        figures.append(Figure("blackbox_to_cycle", _ratio(seen, "blackbox_exporter", "whole_cycle"), "x"))
        figures += [
            Figure(f"blackbox_to_{label}", _ratio(seen, "blackbox_exporter", label), "x")
            for label in ("c_socket", "c_epoll")
            if label in seen
        ]
    return tuple(figures)


def _ratio(seen: Rounds, ours: str, other: str) -> float:
    """The median of the rounds: both had their turn within seconds."""
    return median([a / b for a, b in zip(seen[ours], seen[other], strict=True)])


def _how(looks: int, seen: Rounds) -> str:
    spreads = ", ".join(f"{label} {spread(costs, 'us')}" for label, costs in seen.items())
    return (
        f"CPU time (user and system) a look, fresh connections, {looks:,} at a time, {IN_FLIGHT} at once; {spreads}"
    )


async def _probed(kinds: list[Http], looks: int) -> float:
    """Every look must be good, or void because others had the core; that costs as much."""
    resolver = SystemResolver()
    context = Context(5.0, resolver, SharedTls(), {})

    async def worker(numbers: range) -> None:
        for number in numbers:
            seen = await kinds[number % len(kinds)].look(context)
            if seen.reason not in (None, Reason.LATE):
                raise RuntimeError(f"a look failed: {seen}")

    await worker(range(len(kinds)))
    before = time.process_time()
    await asyncio.gather(*(worker(range(first, looks, IN_FLIGHT)) for first in range(IN_FLIGHT)))
    cost = (time.process_time() - before) / looks * 1e6
    resolver.close()
    return cost


def _dialogue(port: int, looks: int) -> float:
    """On a bare blocking socket in Python."""
    ask = b"GET / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n"
    before = time.process_time()
    for number in range(looks):
        with socket.socket() as sock:
            sock.connect((HOSTS[number % len(HOSTS)], port))
            sock.send(ask)
            sock.recv(65_536)
    return (time.process_time() - before) / looks * 1e6


if __name__ == "__main__":
    sys.exit(run(measure))
