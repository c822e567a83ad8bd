"""Home-made queues in PostgreSQL and MariaDB: what a query may give, and what it may not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from probes.contract import BadField, Context, Reason, Secret
from probes.queue import Queue
from tests.probes.judged import Judged, look
from tests.probes.queued import until_state
from tests.servers.mariadb import MariaDb, mariadb
from tests.servers.postgres import Postgres

TABLE = """
CREATE TABLE exports (id serial, queue text, state text DEFAULT 'new', run_at timestamptz DEFAULT now());
INSERT INTO exports (queue, run_at) VALUES ('mail', now() - interval '90 s'), ('mail', now()),
    ('pdf', now() - interval '300 s'), ('pdf', now() + interval '1 h');
"""
QUERY = """SELECT count(*) AS depth, extract(epoch FROM now() - min(run_at)) AS lag
    FROM exports WHERE state = 'new' AND run_at <= now()"""


def check(server: Postgres, database: str, query: str) -> Queue:
    return Queue(backend="sql", dsn=Secret(server.dsn(database)), query=query)


async def ask(server: Postgres, database: str, query: str, context: Context) -> Any:
    probe = check(server, database, query)
    seen = await look(probe, context)
    await probe.close()
    return seen


async def test_one_row(postgres_server: Postgres, database: str, context: Context) -> None:
    postgres_server.execute(TABLE, database)
    seen = await ask(postgres_server, database, QUERY, context)
    assert (seen.measurements["depth"], seen.measurements["lag"]) == (3, pytest.approx(300, abs=3))
    seen = await ask(postgres_server, database, QUERY.replace("'new'", "'none'"), context)
    assert (seen.measurements["depth"], seen.measurements["lag"]) == (0, 0), "min of no rows is NULL"
    more = QUERY.replace("SELECT", "SELECT 7 AS in_flight, 2 AS failed, 3 AS workers, 99 AS completed,").replace(
        "AS lag", "AS age"
    )
    figures = (await ask(postgres_server, database, more, context)).measurements
    assert (figures["in_flight"], figures["failed"], figures["workers"]) == (7, 2, 3)
    assert figures["lag"] == pytest.approx(300, abs=3)


async def test_a_row_a_queue(postgres_server: Postgres, database: str, context: Context) -> None:
    postgres_server.execute(TABLE, database)
    grouped = QUERY.replace("SELECT", "SELECT queue,") + " GROUP BY queue"
    seen = await ask(postgres_server, database, grouped, context)
    assert (seen.measurements["depth"], seen.measurements["lag"]) == (3, pytest.approx(300, abs=3))
    assert seen.evidence["oldest"].startswith("pdf: 30")
    postgres_server.execute("DELETE FROM exports", database)
    seen = await ask(postgres_server, database, grouped, context)
    assert (seen.measurements["depth"], seen.measurements["lag"]) == (0, 0)


async def test_an_age_that_nobody_knows(postgres_server: Postgres, database: str, context: Context) -> None:
    seen = await ask(postgres_server, database, "SELECT 5 AS depth, NULL::float AS lag", context)
    assert seen.ok
    assert seen.measurements["depth"] == 5
    assert "lag" not in seen.measurements


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("SELECT 1 AS depth", Reason.QUERY),
        ("SELECT 1 AS depth, 'x' AS lag", Reason.QUERY),
        ("SELECT -1 AS depth, 1 AS lag", Reason.QUERY),
        ("SELECT count(*) AS depth, 0 AS lag FROM nowhere", Reason.QUERY),
        ("SELECT 1 AS depth, 1 AS lag FROM generate_series(1, 101)", Reason.QUERY),
        ("SELECT 1 AS depth, 1 AS lag FROM pg_sleep(60)", Reason.QUERY_TIMEOUT),
    ],
)
async def test_queries_that_tell_nothing(
    postgres_server: Postgres, database: str, make_context: Any, query: str, reason: Reason
) -> None:
    seen = await ask(postgres_server, database, query, make_context(1.0))
    assert seen.reason is reason, seen


def test_faults_of_the_config() -> None:
    for keys in (
        {"dsn": Secret("sqlite:///x"), "query": QUERY},
        {"dsn": Secret("postgresql://h/d"), "query": "DELETE FROM exports"},
        {"dsn": Secret("postgresql://h/d")},
    ):
        with pytest.raises(BadField):
            Queue(backend="sql", **keys)  # type: ignore[arg-type]


async def test_a_consumer_that_stops_degrades_then_down_and_back(
    postgres_server: Postgres, database: str, context: Context
) -> None:
    postgres_server.execute(TABLE, database)
    probe = check(postgres_server, database, QUERY)
    judged, at = Judged(probe), 0.0
    at = await until_state(judged, context, "degraded", at)
    postgres_server.execute("UPDATE exports SET run_at = run_at - interval '1 h'", database)
    at = await until_state(judged, context, "down", at)
    postgres_server.execute("UPDATE exports SET state = 'done'", database)
    await until_state(judged, context, "up", at)
    await probe.close()


@pytest.fixture(scope="module")
def maria(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDb]:
    with mariadb(tmp_path_factory.mktemp("mariadb")) as server:
        yield server


async def test_mysql(maria: MariaDb, context: Context) -> None:
    maria.execute(
        "CREATE DATABASE IF NOT EXISTS app",
        "CREATE TABLE IF NOT EXISTS app.chores (run_at datetime)",
        "DELETE FROM app.chores",
        "INSERT INTO app.chores VALUES (now() - INTERVAL 90 SECOND), (now()), (now() + INTERVAL 1 HOUR)",
    )
    query = """SELECT count(*) AS depth, timestampdiff(SECOND, min(run_at), now()) AS lag
        FROM chores WHERE run_at <= now()"""
    probe = Queue(backend="sql", dsn=Secret(maria.dsn(database="app")), query=query)
    seen = await look(probe, context)
    assert (seen.measurements["depth"], seen.measurements["lag"]) == (2, pytest.approx(90, abs=3))
    maria.execute("DELETE FROM app.chores")
    seen = await look(probe, context)
    assert (seen.measurements["depth"], seen.measurements["lag"]) == (0, 0)
    await probe.close()
