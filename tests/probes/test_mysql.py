"""The probe `mysql` on a real MariaDB: its figures, and how it tells of locks, connections, replicas and rights."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing

import pymysql
import pytest

from probes._look import Look
from probes._mysql import figures
from probes._mysql.session import MysqlServer
from probes.contract import Context, Reason, Secret
from probes.mysql import Mysql
from tests.probes.judged import Judged, look
from tests.probes.mysql_server import running, until
from tests.servers.mariadb import MariaDb, mariadb

Make = Callable[..., Context]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDb]:
    with mariadb(tmp_path_factory.mktemp("mariadb"), {"max-connections": "20"}) as server:
        server.execute(
            "CREATE DATABASE shop",
            "CREATE TABLE shop.orders (id INT PRIMARY KEY, customer VARCHAR(40), paid INT) ENGINE=InnoDB",
            "INSERT INTO shop.orders VALUES (1, 'Ada', 0), (2, 'Bo', 0)",
            "CREATE USER brownout IDENTIFIED BY 'tell-no-one'",
            "GRANT PROCESS, REPLICA MONITOR ON *.* TO brownout",
            "CREATE USER humble IDENTIFIED BY 'tell-no-one'",
        )
        yield server


@pytest.fixture
async def probe(server: MariaDb) -> AsyncIterator[Mysql]:
    probe = Mysql(Secret(server.dsn("brownout", "tell-no-one", "")))
    yield probe
    await probe.close()


def earlier(context: Context, seconds: float = 10.0) -> None:
    """As if the look before had been taken so many seconds ago."""
    at = context.memory["counted_at"]
    assert isinstance(at, float)
    context.memory["counted_at"] = at - seconds


async def test_figures_of_a_server_that_is_well(server: MariaDb, probe: Mysql, context: Context) -> None:
    first = await look(probe, context)
    assert first.ok, first
    assert "query_rate" not in first.measurements, "rates need a look before"
    earlier(context)
    server.execute("SELECT SLEEP(0)", "SELECT COUNT(*) FROM shop.orders")
    seen = await look(probe, context)
    told = seen.measurements
    assert seen.ok, seen
    assert told.keys() <= {measurement.name for measurement in Mysql.measurements}
    assert 0 < told["query_time"] < 2
    assert told["connections"] >= 1
    assert 0 < told["connections_used"] <= 0.5
    assert told["waiting_locks"] == told["longest_lock_wait"] == told["longest_transaction"] == 0
    assert told["deadlock_rate"] == told["rejected_connection_rate"] == 0
    assert told["query_rate"] > 0
    assert 0 <= told["cache_hit_ratio"] <= 1
    assert "replication_lag" not in told, "it is no replica"
    assert "not_permitted" not in seen.evidence
    assert seen.phases.keys() == {"query"}, "the connection was kept"
    await probe.close()


async def test_a_lock_that_is_held(server: MariaDb, probe: Mysql, context: Context) -> None:
    judged = Judged(probe, degraded=("waiting_locks > 0",))
    await judged.see(context, 0)
    assert judged.state == "up"
    with closing(server.connect(autocommit=False, database="shop")) as holder, holder.cursor() as cursor:
        cursor.execute("UPDATE orders SET paid = 1 WHERE customer = 'Ada'")
        waits = 'UPDATE shop.orders SET paid = 2 WHERE id = 1 AND customer = "Ada" -- geheim'
        with running(server, waits):
            await until(
                lambda: server.execute("SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'")[0][1] == "1",
                "somebody waits",
            )
            await judged.see(context, 30)
            seen = await judged.see(context, 60)
            told = seen.measurements
            assert told["waiting_locks"] == 1
            assert 0 < told["longest_lock_wait"] < 30
            assert told["longest_transaction"] >= told["longest_lock_wait"]
            assert f"{holder.thread_id()} root, open for" in seen.evidence["blocking"]
            assert "idle (Sleep)" in seen.evidence["blocking"]
            assert "UPDATE shop.orders SET paid = ? WHERE id = ? AND customer = ?" in seen.evidence["blocking"]
            assert "Ada" not in str(seen)
            assert "geheim" not in str(seen)
            assert judged.state == "degraded"
        holder.rollback()
    # InnoDB gives innodb_trx as it was at a read less than 0.1 s ago (trx0i_s.cc, CACHE_MIN_IDLE_TIME_NS).
    await asyncio.sleep(0.15)
    for at in (90, 120):
        seen = await judged.see(context, at)
    assert seen.measurements["waiting_locks"] == 0
    assert "blocking" not in seen.evidence
    assert judged.state == "up"
    await probe.close()


async def test_a_table_that_is_locked(server: MariaDb, probe: Mysql, context: Context) -> None:
    with closing(server.connect()) as holder, holder.cursor() as cursor:
        cursor.execute("LOCK TABLES shop.orders WRITE")
        with running(server, "SELECT * FROM shop.orders"):
            await until(
                lambda: server.execute(
                    "SELECT 1 FROM information_schema.processlist WHERE state LIKE 'Waiting for%'"
                ),
                "somebody waits",
            )
            seen = await look(probe, context)
            assert seen.ok
            assert seen.measurements["waiting_locks"] == 1
    await probe.close()


async def test_connections_exhausted(server: MariaDb, probe: Mysql, context: Context) -> None:
    late = Mysql(Secret(server.dsn("brownout", "tell-no-one", "")))
    judged = Judged(probe)
    await judged.see(context, 0)
    held: list[pymysql.Connection[bytes]] = []
    with pytest.raises(pymysql.err.OperationalError, match="Too many connections"):
        held.extend(server.connect(user="humble", password="tell-no-one") for _ in range(30))
    assert (await look(late, context)).reason is Reason.TOO_MANY_CONNECTIONS
    aborted = 0.0
    for at in range(30, 120, 15):
        earlier(context)
        seen = await judged.see(context, at)
        aborted += seen.measurements["aborted_connect_rate"]
        if at == 45:
            assert judged.state == "degraded"
    assert seen.ok, "the kept connection goes on"
    assert seen.measurements["connections_used"] >= 1
    assert (judged.state, judged.because) == ("down", "connections_used > 99% for 1m")
    for each in held:
        each.close()
    await until(lambda: len(server.execute("SHOW PROCESSLIST")) < 10, "they are gone")
    assert aborted > 0, "MariaDB counts them there, and never in Connection_errors_max_connections"
    assert (await look(late, context)).ok
    for at in range(130, 700, 30):
        await judged.see(context, at)
    assert judged.state == "up"
    await probe.close()
    await late.close()


async def test_a_server_that_hangs_and_comes_back(server: MariaDb, probe: Mysql, make_context: Make) -> None:
    fresh = Mysql(Secret(server.dsn("brownout", "tell-no-one", "")))
    assert (await look(probe, make_context())).ok
    server.process.send_signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        seen = await look(probe, make_context(0.4))
        assert seen.reason is Reason.QUERY_TIMEOUT
        assert seen.measurements["query_time"] >= 0.4
        assert (await look(fresh, make_context(0.4))).reason is Reason.FIRST_BYTE_TIMEOUT
        assert time.monotonic() - began < 1.5
    finally:
        server.process.send_signal(signal.SIGCONT)
    assert (await look(probe, make_context())).ok
    await probe.close()
    await fresh.close()


async def test_with_less_rights_it_tells_less(server: MariaDb, context: Context) -> None:
    probe = Mysql(Secret(server.dsn("humble", "tell-no-one", "")))
    seen = await look(probe, context)
    assert seen.ok
    assert seen.measurements["connections_used"] > 0
    assert seen.measurements.keys().isdisjoint({"longest_query", "longest_transaction", "waiting_locks"})
    assert "PROCESS" in seen.evidence["not_permitted"]
    assert "REPLICA MONITOR" in seen.evidence["not_permitted"]
    await probe.close()


async def test_the_connection_is_killed(server: MariaDb, probe: Mysql, context: Context) -> None:
    assert (await look(probe, context)).ok
    (mine,) = server.execute("SELECT id FROM information_schema.processlist WHERE user = 'brownout'")
    server.execute(f"KILL {mine[0]}")
    await until(lambda: len(server.execute("SHOW PROCESSLIST")) == 1, "it is gone")
    assert (await look(context=context, probe=probe)).evidence["reconnected"]
    await probe.close()


async def test_no_transaction_stays_open(server: MariaDb, probe: Mysql, context: Context) -> None:
    await look(probe, context)
    assert server.execute("SELECT COUNT(*) FROM information_schema.innodb_trx") == [(0,)]
    await probe.close()
    await until(
        lambda: not server.execute("SELECT 1 FROM information_schema.processlist WHERE user = 'brownout'"),
        "it is gone",
    )


async def test_what_runs_is_shown_in_shapes(server: MariaDb, context: Context) -> None:
    database = MysqlServer(Secret(server.dsn("brownout", "tell-no-one", "")))
    with running(server, "SELECT SLEEP(60), 'geheim'"):
        await until(lambda: "SLEEP" in str(server.execute("SHOW PROCESSLIST")), "it sleeps")
        watch = Look(5.0)
        async with database.session(watch, context) as session:
            await figures.explain(watch, session, {"longest_query": 31.0, "active": 21.0})
    assert "SELECT SLEEP(?), ?" in watch.evidence["longest_query"]
    assert "1 User sleep" in watch.evidence["states"]
    assert "geheim" not in str(watch.evidence)
    watch.close()
    database.close()
