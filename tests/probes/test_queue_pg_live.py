"""Postgres queues whose own libraries put and take the jobs: procrastinate, pgmq, graphile-worker."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import procrastinate
import psycopg
import pytest
from pgmq import PGMQueue
from pgmq.install import get_embedded_install_sql

from probes.contract import Context, Observation, Reason, Secret
from probes.queue import Queue
from tests.probes.judged import Judged, look
from tests.probes.queued import until, until_state
from tests.servers import Absent, end, find
from tests.servers.postgres import Postgres, postgres

NODE = Path(__file__).parent.parent / "node"


@asynccontextmanager
async def checked(server: Postgres, database: str, backend: str, **fields: Any) -> AsyncIterator[Queue]:
    probe = Queue(backend=backend, dsn=Secret(server.dsn(database)), **fields)
    try:
        yield probe
    finally:
        await probe.close()


def figures(seen: Observation, *names: str) -> tuple[float | None, ...]:
    assert seen.ok, seen
    return tuple(seen.measurements.get(name) for name in names)


# --- procrastinate ------------------------------------------------------------------------------------------------


@pytest.fixture
async def app(postgres_server: Postgres, database: str) -> AsyncIterator[procrastinate.App]:
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=postgres_server.dsn(database)))

    @app.task(name="send", queue="mail")
    async def send() -> None:
        pass

    @app.task(name="fail", queue="mail", retry=procrastinate.RetryStrategy(max_attempts=2, wait=3600))
    async def fail() -> None:
        raise ValueError("no")

    @app.task(name="break", queue="mail")
    async def break_() -> None:
        raise ValueError("no")

    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        yield app


@asynccontextmanager
async def worker(app: procrastinate.App) -> AsyncIterator[None]:
    task = asyncio.create_task(app.run_worker_async(install_signal_handlers=False, fetch_job_polling_interval=0.1))
    yield
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_procrastinate_jobs_wait_run_fail_and_come_later(
    app: procrastinate.App, postgres_server: Postgres, database: str, context: Context
) -> None:
    async with checked(postgres_server, database, "procrastinate") as probe:
        assert figures(await look(probe, context), "depth", "lag", "workers") == (0, 0, 0)
        for task in ("send", "send", "fail", "break"):
            await app.configure_task(task).defer_async()
        later = datetime.now(UTC) + timedelta(hours=1)
        await app.configure_task("send", schedule_at=later).defer_async()
        seen = await look(probe, context)
        assert figures(seen, "depth", "scheduled", "in_flight", "failed") == (4, 1, 0, 0)
        # They have waited for two minutes, says the table where the library writes it.
        postgres_server.execute("UPDATE procrastinate_events SET at = at - interval '2 minutes'", database)
        assert (await look(probe, context)).measurements["lag"] == pytest.approx(120, abs=3)
        async with worker(app):
            seen = await until(probe, context, lambda seen: seen.measurements["depth"] == 0)
            assert figures(seen, "lag", "workers", "scheduled") == (0, 1, 1)
            seen = await until(probe, context, lambda seen: seen.measurements["failed"] == 1)
            assert figures(seen, "retry") == (1,)
        seen = await look(probe, context)
        assert figures(seen, "depth", "workers") == (0, 0)


async def test_procrastinate_locks_and_the_dead(
    app: procrastinate.App, postgres_server: Postgres, database: str, context: Context
) -> None:
    async with checked(postgres_server, database, "procrastinate", queues=("mail",)) as probe:
        for _ in range(3):
            await app.configure_task("send", lock="one").defer_async()
        await app.configure_task("send", queue="other").defer_async()
        seen = await look(probe, context)
        assert figures(seen, "depth") == (1,)
        assert seen.evidence["behind_a_lock"] == "2"
        # A worker takes the first and is killed: what the library has written then, its heartbeat an hour old.
        postgres_server.execute(
            """INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - interval '1 hour');
            SELECT procrastinate_fetch_job_v2('{mail}', (SELECT id FROM procrastinate_workers))""",
            database,
        )
        seen = await look(probe, context)
        assert figures(seen, "depth", "lag", "in_flight", "workers") == (0, 0, 1, 0)
        assert (seen.evidence["abandoned"], seen.evidence["behind_a_lock"]) == ("1", "2")


async def test_stopped_workers_degrade_then_down_and_back(
    app: procrastinate.App, postgres_server: Postgres, database: str, context: Context
) -> None:
    async with checked(postgres_server, database, "procrastinate") as probe:
        judged, at = Judged(probe), 0.0
        async with worker(app):
            await app.configure_task("send").defer_async()
            at = await until_state(judged, context, "up", at)
        for _ in range(3):
            await app.configure_task("send").defer_async()
        for age, state in (("90 seconds", "degraded"), ("20 minutes", "down")):
            postgres_server.execute(f"UPDATE procrastinate_events SET at = now() - interval '{age}'", database)
            at = await until_state(judged, context, state, at)
            assert judged.because.startswith("lag >")
        async with worker(app):
            at = await until_state(judged, context, "up", at)


async def test_procrastinate_100_000_jobs_wait(
    app: procrastinate.App, postgres_server: Postgres, database: str, make_context: Callable[..., Context]
) -> None:
    postgres_server.execute(
        """SET session_replication_role = replica;
        INSERT INTO procrastinate_jobs (queue_name, task_name, lock)
        SELECT 'q' || n % 7, 'send', CASE WHEN n % 2 = 0 THEN 'lock ' || n % 1000 END
        FROM generate_series(1, 100000) n; ANALYZE procrastinate_jobs""",
        database,
    )
    async with checked(postgres_server, database, "procrastinate") as probe:
        seen = await look(probe, make_context(20.0))
        assert figures(seen, "depth") == (50_500,)
        print(f"procrastinate: {seen.phases['query'] * 1000:.0f} ms")
        assert seen.phases["query"] < 5


# --- pgmq ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def messages(postgres_server: Postgres, database: str) -> Iterator[PGMQueue]:
    postgres_server.execute(get_embedded_install_sql(), database)
    queue = PGMQueue(conn_string=postgres_server.dsn(database), init_extension=False, pool_size=1)
    yield queue
    queue.close()


async def test_pgmq(messages: PGMQueue, postgres_server: Postgres, database: str, context: Context) -> None:
    async with (
        checked(postgres_server, database, "pgmq") as every,
        checked(postgres_server, database, "pgmq", queues=("Orders",)) as orders,
    ):
        assert figures(await look(every, context), "depth", "lag") == (0, 0)
        assert (await look(orders, context)).reason is Reason.MISSING
        for queue in ("Orders", "mail"):
            messages.create_queue(queue)
        for _ in range(3):
            messages.send("Orders", {"customer": "secret"})
        messages.send("Orders", {}, delay=3600)
        messages.send("mail", {})
        postgres_server.execute("UPDATE pgmq.q_mail SET vt = now() - interval '1 hour'", database)
        postgres_server.execute("UPDATE pgmq.q_orders SET vt = vt - interval '2 minutes'", database)
        seen = await look(orders, context)
        assert figures(seen, "depth", "scheduled", "in_flight") == (3, 1, 0)
        assert seen.measurements["lag"] == pytest.approx(120, abs=3)
        assert "secret" not in repr(seen)
        taken = messages.read("Orders", vt=60)
        seen = await look(every, context)
        assert figures(seen, "depth", "in_flight", "scheduled") == (3, 1, 1)
        assert seen.evidence["oldest"].startswith("mail: 36")
        messages.delete("Orders", taken.msg_id)
        # A reader that never comes back: visible again, and it has waited since then, not since it was sent.
        messages.read("Orders", vt=60)
        postgres_server.execute(
            "UPDATE pgmq.q_orders SET vt = now() - interval '30 s' WHERE read_ct > 0; DELETE FROM pgmq.q_orders"
            " WHERE read_ct = 0",
            database,
        )
        seen = await look(orders, context)
        assert figures(seen, "depth", "in_flight") == (1, 0)
        assert seen.measurements["lag"] == pytest.approx(30, abs=3)


async def test_pgmq_100_000_messages(
    messages: PGMQueue, postgres_server: Postgres, database: str, make_context: Callable[..., Context]
) -> None:
    messages.create_queue("many")
    postgres_server.execute(
        "SELECT pgmq.send_batch('many', array_agg('{}'::jsonb)) FROM generate_series(1, 100000)", database
    )
    async with checked(postgres_server, database, "pgmq") as probe:
        seen = await look(probe, make_context(20.0))
        assert figures(seen, "depth") == (100_000,)
        print(f"pgmq: {seen.phases['query'] * 1000:.0f} ms")


# --- graphile-worker -----------------------------------------------------------------------------------------------


def node(*arguments: str) -> list[str]:
    program = find("node", "nodejs")
    if not (NODE / "node_modules" / "graphile-worker").is_dir():
        raise Absent("needs graphile-worker: npm install --no-save --ignore-scripts --prefix tests/node")
    return [program, str(NODE / "graphile.mjs"), *arguments]


@contextmanager
def graphile_worker(dsn: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        node("work", dsn), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        yield process
    finally:
        end(process)


async def test_graphile_worker(postgres_server: Postgres, database: str, context: Context) -> None:
    dsn = postgres_server.dsn(database)
    async with checked(postgres_server, database, "graphile_worker") as probe:
        assert (await look(probe, context)).reason is Reason.MISSING, "nobody has made the tables"
        await asyncio.to_thread(subprocess.run, node("migrate", dsn), check=True, capture_output=True)
        with psycopg.connect(dsn, autocommit=True) as sql:
            add = "SELECT graphile_worker.add_job(%s, queue_name => %s, run_at => now() + %s, max_attempts => %s)"
            minute = timedelta(minutes=1)
            for task, line, run_at, attempts in (
                ("mail", None, -2 * minute, 25),
                ("mail", None, -minute, 25),
                ("mail", None, 60 * minute, 25),
                ("broken", None, -minute, 25),
                ("broken", None, -minute, 1),
            ):
                sql.execute(add, (task, line, run_at, attempts))
            sql.execute("UPDATE graphile_worker._private_jobs SET created_at = created_at - interval '1 day'")
            seen = await look(probe, context)
            assert figures(seen, "depth", "scheduled", "in_flight", "failed") == (4, 1, 0, 0)
            assert seen.measurements["lag"] == pytest.approx(120, abs=3)
            assert seen.evidence["oldest"].startswith("mail")
            with graphile_worker(dsn) as process:
                seen = await until(probe, context, lambda seen: seen.measurements["depth"] == 0)
                await until(probe, context, lambda seen: seen.measurements["retry"] == 1)
                for _ in range(3):
                    sql.execute(add, ("endless", "one at a time", timedelta(), 25))
                seen = await until(probe, context, lambda seen: seen.measurements["in_flight"] == 1)
                assert figures(seen, "depth", "lag", "scheduled", "failed") == (0, 0, 1, 1)
                assert seen.evidence["behind_another"] == "2"
                os.killpg(process.pid, signal.SIGKILL)
            seen = await look(probe, context)
            assert figures(seen, "depth", "in_flight") == (0, 1), "its lock holds for 4 hours"
            sql.execute(
                "UPDATE graphile_worker._private_jobs SET run_at = run_at - interval '5 hours',"
                " created_at = created_at - interval '5 hours' WHERE locked_at IS NOT NULL"
            )
            for table in ("jobs", "job_queues"):
                sql.execute(
                    f"UPDATE graphile_worker._private_{table} SET locked_at = now() - interval '4 hours 30 s'"
                    " WHERE locked_at IS NOT NULL"
                )
            seen = await look(probe, context)
            assert figures(seen, "depth", "in_flight") == (3, 0)
            assert seen.measurements["lag"] == pytest.approx(30, abs=5)


# --- the server ----------------------------------------------------------------------------------------------------


async def test_a_hung_database_a_dead_one_and_one_that_comes_back(
    tmp_path: Path, make_context: Callable[..., Context]
) -> None:
    with postgres(tmp_path) as server:
        server.execute("CREATE SCHEMA pgmq; CREATE TABLE pgmq.meta (queue_name text)")
        async with checked(server, "postgres", "pgmq") as probe:
            assert (await look(probe, make_context())).ok
            # The sessions are process groups of their own.
            stopped = [server.process.pid, *server.backends()]
            for process in stopped:
                os.kill(process, signal.SIGSTOP)
            hung = make_context(0.5)
            await until(probe, hung, lambda seen: seen.reason is not None and seen.reason.timed_out)
            for process in stopped:
                os.kill(process, signal.SIGCONT)
            await until(probe, make_context(), lambda seen: seen.ok)
            end(server.process, signal.SIGQUIT)
            seen = await look(probe, make_context())
            assert seen.reason in (Reason.REFUSED, Reason.RESET)
