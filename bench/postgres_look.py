"""What one look at PostgreSQL costs the agent, and what it costs the server."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from argparse import Namespace
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

from bench._line import Figure, Line, median, run, spread
from probes._names.system_resolver import SystemResolver
from probes._tls.contexts import SharedTls
from probes.contract import Context, Secret
from probes.postgres import Postgres as Probe
from tests.servers import Absent, wait_until
from tests.servers.pgbouncer import pgbouncer
from tests.servers.postgres import Postgres, postgres

OTHERS = 50
"""Sessions that are there besides, as on a small server of a real application."""
DATABASES = 10

AGENT = 3.0
SERVER = 5.0
"""Limits in milliseconds of CPU a look."""


def measure(options: Namespace) -> Line:
    """Looks on a kept connection, at a server with 50 other sessions; then while some of them wait for locks; then
    through PgBouncer, where nothing can stay prepared."""
    looks, repeats = (20, 1) if options.quick else (200, 5)
    with TemporaryDirectory(prefix="brownout-bench-") as name, ExitStack() as stack:
        server = stack.enter_context(postgres(Path(name), settings={"max_connections": "100"}))
        server.role("monitor", granted="pg_monitor")
        for number in range(DATABASES):
            server.execute(f"CREATE DATABASE shop{number}")
        for number in range(OTHERS):
            stack.enter_context(server.connect(f"shop{number % DATABASES}"))
        calm = [_looks(server.dsn(user="monitor"), server, looks) for _ in range(repeats)]
        figures = [*_figures("", calm)]
        with ExitStack() as locks:
            _pile_up(server, locks)
            figures += _figures("piled_up_", [_looks(server.dsn(user="monitor"), server, looks)])
        try:
            with pgbouncer(server, Path(name) / "pooler", users=("monitor",)) as pooler:
                figures += _figures("pooled_", [_looks(pooler.dsn(user="monitor"), server, looks)])
        except Absent as absent:
            print(absent, file=sys.stderr)
    how = (
        f"CPU (user and system) a look, {looks} at a time, {spread([agent for agent, _ in calm], 'ms')} in the agent"
    )
    return Line("postgres_look", tuple(figures), how)


def _figures(prefix: str, costs: list[tuple[float, float]]) -> list[Figure]:
    agent, server = (median([cost[part] for cost in costs]) for part in (0, 1))
    return [
        Figure(f"{prefix}agent", agent, "ms", AGENT),
        Figure(f"{prefix}server", server, "ms", SERVER),
    ]


def _pile_up(server: Postgres, stack: ExitStack) -> None:
    """One holds a row, five wait for it: a look then asks who blocks whom."""
    server.execute("CREATE TABLE IF NOT EXISTS t AS SELECT 1 AS a")
    sessions = [stack.enter_context(closing(server.connect())) for _ in range(6)]
    sessions[0].execute("BEGIN")
    sessions[0].execute("UPDATE t SET a = 2")
    for session in sessions[1:]:
        session.pgconn.send_query(b"UPDATE t SET a = 3")
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    wait_until(lambda: server.execute(waiting) == [(5,)], "nobody waits")


def _looks(dsn: str, server: Postgres, looks: int) -> tuple[float, float]:
    """Milliseconds of CPU a look: the agent's, the server's."""
    return uvloop.run(_looked(dsn, server, looks))


async def _looked(dsn: str, server: Postgres, looks: int) -> tuple[float, float]:
    probe = Probe(dsn=Secret(dsn))
    resolver = SystemResolver()
    context = Context(5.0, resolver, SharedTls(), {})
    for _ in range(5):
        await _look(probe, context)  # connect, prepare, ask for the size: not at every look
    pids = [row[0] for row in server.execute("SELECT pid FROM pg_stat_activity WHERE usename = 'monitor'")]
    before, here = sum(map(_cpu, pids)), time.process_time()
    for _ in range(looks):
        await _look(probe, context)
    agent, there = time.process_time() - here, sum(map(_cpu, pids)) - before
    await probe.close()
    resolver.close()
    await asyncio.sleep(0)
    return agent / looks * 1e3, there / looks * 1e3


async def _look(probe: Probe, context: Context) -> None:
    seen = await probe.look(context)
    if not seen.ok:
        raise RuntimeError(f"a look failed: {seen.detail}")


def _cpu(pid: int) -> float:
    """Seconds that a process has run: to the nanosecond where the kernel tells, else in ticks of 10 ms."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0]) / 1e9
    except OSError:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    sys.exit(run(measure))
