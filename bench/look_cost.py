"""What one plain-HTTP look costs the CPU, beside the bare dialogue that it cannot do without."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

from bench._line import Figure, Line, median, run, spread
from bench._peer import cores, responder
from bench._responder import HOSTS
from probes._resolve import SystemResolver
from probes._tls import SharedTls
from probes.contract import Context
from probes.http import Http

IN_FLIGHT = 20

BARE = """\
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
static double seconds(struct timeval t) { return t.tv_sec + t.tv_usec / 1e6; }
int main(int argc, char **argv) {
    int hosts = atoi(argv[3]), looks = atoi(argv[2]);
    const char *ask = "GET / HTTP/1.1\\r\\nHost: bench\\r\\nConnection: close\\r\\n\\r\\n";
    char answer[65536];
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
    for (int look = 0; look < looks; look++) {
        to.sin_addr.s_addr = htonl(0x7f000001 + look % hosts);
        int sock = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(sock, (struct sockaddr *)&to, sizeof to) || send(sock, ask, strlen(ask), 0) < 0
            || recv(sock, answer, sizeof answer, 0) <= 0) return 1;
        close(sock);
    }
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    printf("%f\\n", (seconds(used.ru_utime) + seconds(used.ru_stime)) / looks * 1e6);
}
"""
"""The same dialogue in C; it reads once, as the whole answer is one segment."""


def measure(options: Namespace) -> Line:
    """The http probe alone on uvloop, 20 looks in flight, in turns with a blocking socket in Python and one in C."""
    looks, repeats = (200, 1) if options.quick else (5000, 7)
    mine, others = cores()
    probes, sockets, bares = [], [], []
    with TemporaryDirectory(prefix="brownout-bench-") as name, responder(others) as target:
        bare = _compiled(Path(name), target)
        os.sched_setaffinity(0, {mine})
        for _ in range(repeats):
            probes.append(_probe(target, looks))
            sockets.append(_dialogue(target, looks))
            if bare is not None:
                bares.append(bare(looks))
    return Line("look_cost", _figures(probes, sockets, bares), _how(looks, probes))


def _figures(probes: list[float], sockets: list[float], bares: list[float]) -> tuple[Figure, ...]:
    figures = [
        Figure("http_probe", median(probes), "us"),
        Figure("python_socket", median(sockets), "us"),
        Figure("ratio", median([a / b for a, b in zip(probes, sockets, strict=True)]), "x"),
    ]
    if bares:
        figures.append(Figure("c_socket", median(bares), "us"))
        figures.append(Figure("ratio_to_c", median([a / b for a, b in zip(probes, bares, strict=True)]), "x"))
    return tuple(figures)


def _how(looks: int, probes: list[float]) -> str:
    return f"CPU time (user and system) a look, fresh connections, {looks:,} at a time, {spread(probes, 'us')}"


def _probe(port: int, looks: int) -> float:
    return uvloop.run(_probed(port, looks))


async def _probed(port: int, looks: int) -> float:
    resolver = SystemResolver()
    kinds = [Http(url=f"http://{host}:{port}/") for host in HOSTS]
    context = Context(5.0, resolver, SharedTls(), {})

    async def worker(first: int) -> None:
        for number in range(first, looks, IN_FLIGHT):
            if not (await kinds[number % len(kinds)].look(context)).ok:
                raise RuntimeError("a look failed")

    before = time.process_time()
    await asyncio.gather(*map(worker, range(IN_FLIGHT)))
    cost = (time.process_time() - before) / looks * 1e6
    resolver.close()
    return cost


def _dialogue(port: int, looks: int) -> float:
    ask = b"GET / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n"
    before = time.process_time()
    for number in range(looks):
        with socket.socket() as sock:
            sock.connect((HOSTS[number % len(HOSTS)], port))
            sock.send(ask)
            sock.recv(65_536)
    return (time.process_time() - before) / looks * 1e6


def _compiled(folder: Path, port: int) -> Callable[[int], float] | None:
    """The dialogue in C, when there is a compiler."""
    compiler = shutil.which("gcc")
    if compiler is None:
        return None
    source, program = folder / "bare.c", folder / "bare"
    source.write_text(BARE, encoding="utf-8")
    subprocess.run([compiler, "-O2", "-w", "-o", str(program), str(source)], check=True)

    def bare(looks: int) -> float:
        command = [str(program), str(port), str(looks), str(len(HOSTS))]
        return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    return bare


if __name__ == "__main__":
    sys.exit(run(measure))
