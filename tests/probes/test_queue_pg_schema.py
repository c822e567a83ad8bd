"""Postgres queues by schema: tables as their migrations make them, in every state a job can be in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from probes.contract import BadField, Context, Observation, Reason, Secret
from probes.queue.probe import Queue
from tests.probes import queue_schemas
from tests.probes.judged import look
from tests.servers.postgres import Postgres

AGO = "timezone('UTC', now() - interval '{}')"
"""An instant as Rails and Ecto write it."""

SOLID = [
    (
        "INSERT INTO solid_queue_jobs (id, queue_name, class_name, created_at, updated_at)"
        " SELECT n, CASE WHEN n < 50 THEN 'default' ELSE 'mail' END, 'J', now(), now() FROM generate_series(1, 99) n"
    ),
    (
        f"INSERT INTO solid_queue_ready_executions (job_id, queue_name, priority, created_at) VALUES"
        f" (1, 'default', 0, {AGO.format('70 s')}), (2, 'default', 10, {AGO.format('100 s')}),"
        f" (50, 'mail', 0, {AGO.format('9 h')})"
    ),
    (
        f"INSERT INTO solid_queue_scheduled_executions (job_id, queue_name, scheduled_at, created_at) VALUES"
        f" (3, 'default', {AGO.format('-1 h')}, now()), (4, 'default', {AGO.format('20 s')}, {AGO.format('1 day')})"
    ),
    (
        f"INSERT INTO solid_queue_processes (id, kind, last_heartbeat_at, pid, metadata, created_at, name) VALUES"
        f" (1, 'Worker', {AGO.format('30 s')}, 1, '{{\"queues\":\"def*,low\"}}', now(), 'a'),"
        f" (2, 'Worker', {AGO.format('1 h')}, 2, '{{\"queues\":\"*\"}}', now(), 'b'),"
        f" (3, 'Worker', {AGO.format('1 s')}, 3, '{{\"queues\":\"mail\"}}', now(), 'c'),"
        f" (4, 'Dispatcher', {AGO.format('1 s')}, 4, '{{}}', now(), 'd')"
    ),
    "INSERT INTO solid_queue_claimed_executions (job_id, process_id, created_at) VALUES (5, 1, now()), (6, 2, now())",
    "INSERT INTO solid_queue_failed_executions (job_id, created_at) VALUES (7, now()), (8, now()), (51, now())",
    (
        "INSERT INTO solid_queue_blocked_executions (job_id, queue_name, concurrency_key, expires_at, created_at)"
        " VALUES (9, 'default', 'k', now(), now())"
    ),
    "INSERT INTO solid_queue_pauses (queue_name, created_at) VALUES ('mail', now())",
]
GOOD = [
    (
        f"INSERT INTO good_job_processes (id, created_at, updated_at) VALUES"
        f" ('00000000-0000-0000-0000-000000000001', now(), {AGO.format('20 s')}),"
        f" ('00000000-0000-0000-0000-000000000002', now(), {AGO.format('2 h')})"
    ),
    (
        "INSERT INTO good_jobs (queue_name, scheduled_at, finished_at, error, locked_by_id, created_at, updated_at)"
        " VALUES"
        f" ('default', {AGO.format('100 s')}, NULL, NULL, NULL, {AGO.format('1 day')}, now()),"
        f" (NULL, NULL, NULL, NULL, NULL, {AGO.format('70 s')}, now()),"
        # Taken by a process that lives, and by one that is gone.
        f" ('default', {AGO.format('1 h')}, NULL, NULL, '00000000-0000-0000-0000-000000000001', now(), now()),"
        f" ('default', {AGO.format('90 s')}, NULL, NULL, '00000000-0000-0000-0000-000000000002', now(), now()),"
        f" ('default', {AGO.format('-1 h')}, NULL, NULL, NULL, now(), now()),"
        f" ('default', {AGO.format('-1 h')}, NULL, 'boom', NULL, now(), now()),"
        f" ('default', {AGO.format('2 h')}, {AGO.format('1 h')}, NULL, NULL, now(), now()),"
        f" ('default', {AGO.format('2 h')}, {AGO.format('1 h')}, 'boom', NULL, now(), now()),"
        f" ('mail', {AGO.format('9 h')}, NULL, NULL, NULL, now(), now())"
    ),
    (
        "INSERT INTO good_job_settings (key, value, created_at, updated_at) VALUES"
        " ('pauses', '{\"queues\": [\"mail\"]}', now(), now()), ('cron_keys_disabled', '[\"x\"]', now(), now())"
    ),
]
QUE = [
    (
        "INSERT INTO que_jobs (id, queue, job_class, run_at, error_count, finished_at, expired_at) VALUES"
        " (1, 'default', 'J', now() - interval '100 s', 0, NULL, NULL),"
        " (2, 'default', 'J', now() - interval '1 h', 0, NULL, NULL),"  # locked by the test
        " (3, 'default', 'J', now() + interval '1 h', 0, NULL, NULL),"
        " (4, 'default', 'J', now() + interval '1 h', 2, NULL, NULL),"
        " (5, 'default', 'J', now() - interval '2 h', 0, now(), NULL),"
        " (6, 'default', 'J', now() - interval '2 h', 9, NULL, now()),"
        " (7, 'mail', 'J', now() - interval '9 h', 0, NULL, NULL)"
    ),
    (
        "INSERT INTO que_lockers VALUES (pg_backend_pid(), 6, '{10}', 1, 'h', '{default,low}', true),"
        " (999999, 5, '{10}', 1, 'h', '{default}', true)"
    ),
]
DELAYED = [
    (
        "INSERT INTO delayed_jobs (queue, handler, run_at, attempts, locked_at, failed_at) VALUES"
        f" (NULL, 'h', {AGO.format('100 s')}, 0, NULL, NULL),"
        f" (NULL, 'h', {AGO.format('1 h')}, 1, {AGO.format('10 s')}, NULL),"
        # Its worker died: it may be taken again since 50 s.
        f" (NULL, 'h', {AGO.format('9 h')}, 1, {AGO.format('4 h 50 s')}, NULL),"
        f" (NULL, 'h', {AGO.format('-1 h')}, 0, NULL, NULL), (NULL, 'h', {AGO.format('-1 h')}, 3, NULL, NULL),"
        f" (NULL, 'h', {AGO.format('2 h')}, 25, NULL, {AGO.format('1 h')})"
    ),
]
OBAN = [
    (
        "INSERT INTO oban_jobs (worker, queue, state, scheduled_at) VALUES"
        f" ('W', 'default', 'available', {AGO.format('100 s')}), ('W', 'default', 'available', {AGO.format('30 s')}),"
        f" ('W', 'default', 'retryable', {AGO.format('60 s')}), ('W', 'default', 'scheduled', {AGO.format('-1 h')}),"
        f" ('W', 'default', 'retryable', {AGO.format('-1 h')}), ('W', 'default', 'executing', {AGO.format('1 h')}),"
        f" ('W', 'default', 'discarded', {AGO.format('9 h')}), ('W', 'default', 'completed', {AGO.format('9 h')}),"
        f" ('W', 'mail', 'available', {AGO.format('9 h')})"
    ),
    f"INSERT INTO oban_peers VALUES ('Oban', 'web@host', now(), {AGO.format('-20 s')})",
]
RIVER = [
    (
        "INSERT INTO river_job (kind, args, max_attempts, queue, state, scheduled_at, finalized_at) VALUES"
        " ('k', '{}', 25, 'default', 'available', now() - interval '100 s', NULL),"
        " ('k', '{}', 25, 'default', 'scheduled', now() - interval '60 s', NULL),"
        " ('k', '{}', 25, 'default', 'scheduled', now() + interval '1 h', NULL),"
        " ('k', '{}', 25, 'default', 'retryable', now() + interval '1 h', NULL),"
        " ('k', '{}', 25, 'default', 'running', now() - interval '1 h', NULL),"
        " ('k', '{}', 25, 'default', 'pending', now() - interval '1 h', NULL),"
        " ('k', '{}', 25, 'default', 'discarded', now() - interval '9 h', now()),"
        " ('k', '{}', 25, 'default', 'completed', now() - interval '9 h', now()),"
        " ('k', '{}', 25, 'mail', 'available', now() - interval '9 h', NULL)"
    ),
    "INSERT INTO river_queue (name, paused_at, updated_at) VALUES ('default', NULL, now()), ('mail', now(), now())",
    "INSERT INTO river_leader VALUES (now(), now() + interval '10 s', 'me')",
]


@dataclass(frozen=True)
class Case:
    """Tables with jobs, and what is to be seen of the queue `default` alone, where it is told apart."""

    backend: str
    tables: str
    rows: list[str]
    figures: dict[str, float]
    paused: bool = False
    """Whether the queue `mail`, whose one job has waited for 9 hours, is paused."""
    queue: str = "default"


CASES = [
    Case(
        "solid_queue", queue_schemas.SOLID_QUEUE, SOLID,
        {"depth": 3, "lag": 100, "scheduled": 1, "in_flight": 2, "failed": 2, "workers": 1}, paused=True,
    ),
    Case(
        "good_job", queue_schemas.GOOD_JOB, GOOD,
        {"depth": 3, "lag": 100, "scheduled": 1, "retry": 1, "in_flight": 1, "failed": 1, "workers": 1}, paused=True,
    ),
    Case(
        "que", queue_schemas.QUE, QUE,
        {"depth": 1, "lag": 100, "scheduled": 1, "retry": 1, "in_flight": 1, "failed": 1, "workers": 6},
    ),
    Case(
        "delayed_job", queue_schemas.DELAYED_JOB, DELAYED,
        {"depth": 2, "lag": 100, "scheduled": 1, "retry": 1, "in_flight": 1, "failed": 1}, queue="",
    ),
    Case(
        "oban", queue_schemas.OBAN, OBAN,
        {"depth": 3, "lag": 100, "scheduled": 1, "retry": 1, "in_flight": 1, "failed": 1, "workers": 1},
    ),
    Case(
        "river", queue_schemas.RIVER, RIVER,
        {"depth": 2, "lag": 100, "scheduled": 1, "retry": 1, "in_flight": 1, "failed": 1, "workers": 1}, paused=True,
    ),
]  # fmt: skip

every = pytest.mark.parametrize("case", CASES, ids=lambda case: case.backend)


def check(server: Postgres, database: str, case: Case, **fields: object) -> Queue:
    return Queue(backend=case.backend, dsn=Secret(server.dsn(database)), **fields)  # type: ignore[arg-type]


async def once(probe: Queue, context: Context) -> Observation:
    try:
        return await look(probe, context)
    finally:
        await probe.close()


@every
async def test_every_state_a_job_can_be_in(
    postgres_server: Postgres, database: str, context: Context, case: Case
) -> None:
    # The role's time zone is not the server's, nor UTC: nothing may depend on it.
    postgres_server.execute(f"ALTER DATABASE {database} SET timezone = 'Asia/Kolkata'")
    postgres_server.execute(case.tables, database)
    with postgres_server.connect(database) as worker:
        worker.execute("SELECT pg_advisory_lock(2)")
        for row in case.rows:
            worker.execute(row)  # type: ignore[call-overload]  # the test's own SQL
        seen = await once(check(postgres_server, database, case, queues=(case.queue,)), context)
        everything = await once(check(postgres_server, database, case), context)
    assert seen.ok, seen
    figures = {name: seen.measurements[name] for name in case.figures}
    assert figures == pytest.approx(case.figures, abs=3)
    assert (figures["depth"], figures["in_flight"]) == (case.figures["depth"], case.figures["in_flight"])
    if case.queue:
        told = everything.measurements
        assert everything.evidence["oldest"].startswith("default" if case.paused else "mail")
        assert (told["paused"], told["held"]) == ((1, 1) if case.paused else (0, 0))
        assert told["lag"] == pytest.approx(100 if case.paused else 9 * 3600, abs=3)
        assert told["depth"] == case.figures["depth"] + (0 if case.paused else 1)


@every
async def test_an_empty_queue_has_no_lag(
    postgres_server: Postgres, database: str, context: Context, case: Case
) -> None:
    postgres_server.execute(case.tables, database)
    seen = await once(check(postgres_server, database, case), context)
    assert seen.ok, seen
    assert (seen.measurements["depth"], seen.measurements["lag"], seen.measurements["held"]) == (0, 0, 0)


@every
async def test_tables_in_a_schema_with_an_odd_name(
    postgres_server: Postgres, database: str, context: Context, case: Case
) -> None:
    name = 'jobs"; -- {t[x]}'
    postgres_server.execute('CREATE SCHEMA "jobs""; -- {t[x]}"', database)
    postgres_server.execute('SET search_path = "jobs""; -- {t[x]}"; ' + case.tables, database)
    queues = ("o'clock \\ %", "{x}", "ü")
    seen = await once(check(postgres_server, database, case, schema=name, queues=queues), context)
    assert seen.ok, seen
    missing = await once(check(postgres_server, database, case, schema="elsewhere"), context)
    assert missing.reason is Reason.MISSING
    assert "wrong database or schema" in missing.detail


async def test_other_versions_and_rights(postgres_server: Postgres, database: str, context: Context) -> None:
    case = CASES[1]
    postgres_server.execute(case.tables, database)
    role = f"role_{database}"
    postgres_server.execute(f"CREATE ROLE {role} LOGIN")
    try:
        probe = Queue(backend="good_job", dsn=Secret(postgres_server.dsn(database, user=role)))
        assert (await once(probe, context)).reason is Reason.DENIED
    finally:
        postgres_server.execute(f"DROP ROLE {role}")
    postgres_server.execute("ALTER TABLE good_jobs DROP COLUMN locked_by_id", database)
    assert (await once(check(postgres_server, database, case), context)).reason is Reason.UNSUPPORTED


async def test_a_table_of_another_name(postgres_server: Postgres, database: str, context: Context) -> None:
    case = CASES[3]
    postgres_server.execute(case.tables + "ALTER TABLE delayed_jobs RENAME TO chores;", database)
    assert (await once(check(postgres_server, database, case, table="chores"), context)).ok
    with pytest.raises(BadField):
        check(postgres_server, database, case, table="x" * 64)


MANY = {
    "solid_queue": "INSERT INTO solid_queue_ready_executions (job_id, queue_name, created_at)"
    " SELECT n, 'q' || n % 7, now() FROM generate_series(1, 100000) n",
    "good_job": "INSERT INTO good_jobs (queue_name, created_at, updated_at, finished_at)"
    " SELECT 'q' || n % 7, now(), now(), CASE WHEN n % 2 = 0 THEN now() END FROM generate_series(1, 200000) n",
    "que": "INSERT INTO que_jobs (queue, job_class) SELECT 'q' || n % 7, 'J' FROM generate_series(1, 100000) n",
    "delayed_job": "INSERT INTO delayed_jobs (queue, handler, run_at)"
    " SELECT 'q' || n % 7, 'h', timezone('UTC', now()) FROM generate_series(1, 100000) n",
    "oban": "INSERT INTO oban_jobs (queue, worker) SELECT 'q' || n % 7, 'W' FROM generate_series(1, 100000) n",
    "river": "INSERT INTO river_job (queue, kind, args, max_attempts)"
    " SELECT 'q' || n % 7, 'k', '{}', 25 FROM generate_series(1, 100000) n",
}


@every
async def test_a_hundred_thousand_jobs_wait(
    postgres_server: Postgres, database: str, make_context: Callable[..., Context], case: Case
) -> None:
    postgres_server.execute(f"{case.tables}; {MANY[case.backend]}", database)
    seen = await once(check(postgres_server, database, case), make_context(10.0))
    assert seen.ok, seen
    assert seen.measurements["depth"] == 100_000
    print(f"{case.backend}: {seen.phases['query'] * 1000:.0f} ms")
    assert seen.phases["query"] < 5, "one pass over what waits"
