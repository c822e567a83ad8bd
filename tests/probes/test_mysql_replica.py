"""The probe `mysql` at a replica: one that lags, one whose threads stop, and what MySQL 8 calls all this."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from probes._look import Look
from probes._mysql import figures
from probes.contract import Context, LookFailed, Reason, Secret
from probes.mysql import Mysql
from tests.probes.judged import Judged, look
from tests.probes.mysql_server import until
from tests.servers.mariadb import MariaDb, mariadb


@pytest.fixture(scope="module")
def primary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDb]:
    settings = {"server-id": "1", "log-bin": "binlog", "binlog-format": "ROW"}
    with mariadb(tmp_path_factory.mktemp("primary"), settings) as server:
        server.execute("CREATE USER copy IDENTIFIED BY 'tell-no-one'", "GRANT REPLICATION SLAVE ON *.* TO copy")
        yield server


@pytest.fixture(scope="module")
def replica(primary: MariaDb, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDb]:
    with mariadb(tmp_path_factory.mktemp("replica"), {"server-id": "2"}) as server:
        ((file, position, *_),) = primary.execute("SHOW MASTER STATUS")
        server.execute(
            f"CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT={primary.port}, MASTER_USER='copy', "
            f"MASTER_PASSWORD='tell-no-one', MASTER_LOG_FILE='{file}', MASTER_LOG_POS={position}, "
            "MASTER_CONNECT_RETRY=1",
            "START SLAVE",
        )
        primary.execute("CREATE DATABASE shop", "CREATE TABLE shop.orders (id INT AUTO_INCREMENT PRIMARY KEY)")
        yield server


async def test_a_replica_that_lags(primary: MariaDb, replica: MariaDb, context: Context) -> None:
    probe = Mysql(Secret(replica.dsn(database="")))
    judged = Judged(probe, degraded=("replication_lag > 0.5s",))
    orders = "SELECT COUNT(*) FROM information_schema.tables WHERE table_name = 'orders'"
    await until(lambda: replica.execute(orders) == [(1,)], "it has copied the table")
    await until(lambda: _behind(replica) == "0", "it has caught up")
    seen = await judged.see(context, 0)
    assert (seen.measurements["replication_lag"], seen.measurements["replication_stopped"]) == (0, 0)
    with closing(replica.connect()) as holder, holder.cursor() as cursor:
        cursor.execute("LOCK TABLES shop.orders READ")
        primary.execute("INSERT INTO shop.orders VALUES ()")
        await until(lambda: _behind(replica) not in ("0", "None"), "it falls behind")
        await judged.see(context, 30)
        seen = await judged.see(context, 60)
        assert seen.measurements["replication_lag"] >= 1
        assert seen.measurements["replication_stopped"] == 0
        assert judged.state == "degraded"
    await until(lambda: _behind(replica) == "0", "it has caught up")
    for at in (90, 120):
        await judged.see(context, at)
    assert judged.state == "up"
    await probe.close()


async def test_a_replica_whose_threads_stop(replica: MariaDb, context: Context) -> None:
    probe = Mysql(Secret(replica.dsn(database="")))
    judged = Judged(probe)
    replica.execute("STOP SLAVE SQL_THREAD")
    for at in (0, 30):
        seen = await judged.see(context, at)
    assert seen.measurements["replication_stopped"] == 1
    assert "replication_lag" not in seen.measurements, "nobody knows while it is stopped"
    assert seen.evidence["replication"].startswith("Slave_IO_Running Yes, Slave_SQL_Running No: stopped by hand?")
    assert (judged.state, judged.because) == ("degraded", "replication_stopped > 0")
    replica.execute("STOP SLAVE", "CHANGE MASTER TO MASTER_PASSWORD='wrong-word'", "START SLAVE")
    await until(lambda: "Access denied" in str(replica.execute("SHOW SLAVE STATUS")), "it is refused")
    seen = await look(probe, context)
    assert "Access denied" in seen.evidence["replication"]
    assert "wrong-word" not in str(seen)
    replica.execute("STOP SLAVE", "CHANGE MASTER TO MASTER_PASSWORD='tell-no-one'", "START SLAVE")
    await until(lambda: _behind(replica) == "0", "it follows again")
    for at in (60, 90):
        seen = await judged.see(context, at)
    assert judged.state == "up"
    await probe.close()


async def test_a_stopped_replica_that_is_promoted_recovers(replica: MariaDb, context: Context) -> None:
    probe = Mysql(Secret(replica.dsn(database="")))
    judged = Judged(probe)
    replica.execute("STOP SLAVE")
    for at in (0, 30):
        await judged.see(context, at)
    assert (judged.state, judged.because) == ("degraded", "replication_stopped > 0")
    replica.execute("RESET SLAVE ALL")
    for at in (60, 90):
        seen = await judged.see(context, at)
    assert seen.measurements["replication_stopped"] == seen.measurements["replication_lag"] == 0
    assert judged.state == "up"
    await probe.close()


def _behind(replica: MariaDb) -> str:
    with closing(replica.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("SHOW SLAVE STATUS")
        names = [column[0] for column in cursor.description]
        return str(dict(zip(names, cursor.fetchone(), strict=True))["Seconds_Behind_Master"])


class Eight:
    """Answers as MySQL 8 does, by its documentation."""

    is_mariadb = False

    def __init__(self, version: str, answers: dict[str, list[dict[str, Any]]]) -> None:
        self.version = version
        self._answers = answers
        self.asked: list[str] = []

    async def rows(self, sql: str) -> list[dict[str, Any]]:
        self.asked.append(sql)
        for part, rows in self._answers.items():
            if part in sql:
                return rows
        raise LookFailed(Reason.QUERY, "no such table")


async def test_rows_of_something_else_are_no_figures() -> None:
    watch = Look(2.0)
    liar: Any = Eight("8.0.36", {"innodb_trx": [{"row_waits": 1, "row_wajt": 2}]})
    with pytest.raises(LookFailed, match="other columns"):
        await figures.work(watch, liar)
    watch.close()


async def test_the_words_of_mysql_8() -> None:
    watch = Look(2.0)
    status = {"Replica_IO_Running": "Yes", "Replica_SQL_Running": "Yes", "Seconds_Behind_Source": 7}
    new: Any = Eight("8.0.36", {"SHOW REPLICA STATUS": [status], "innodb_metrics": [{"deadlocks": 3}]})
    assert await figures.replication(watch, new, {}) == {"replication_lag": 7, "replication_stopped": 0}
    assert await figures.deadlocks(watch, new) == "3"
    old: Any = Eight("5.7.44-log", {"SHOW SLAVE STATUS": []})
    assert await figures.replication(watch, old, {}) == {}
    await figures.explain(watch, new, {"waiting_locks": 1})
    assert "performance_schema.data_lock_waits" in new.asked[-1]
    assert "who blocks whom" in watch.evidence["not_permitted"]
    watch.close()


def test_counters_over_a_restart_and_a_clock_that_is_set() -> None:
    memory: dict[str, float | str] = {}

    def at(now: float, uptime: int, questions: int) -> float | None:
        facts = {"Uptime": str(uptime), "Questions": str(questions)}
        return figures.gained(facts, memory, now, scheduled=True).get("query_rate")

    assert at(1000, 500, 9000) is None
    assert at(1010, 510, 9100) == 10
    assert at(1050, 520, 9200) == 2.5, "a clock that was set does not make another run of it"
    assert at(1060, 4, 20) == 2, "a restart counts from zero"
    assert at(1160, 104, 9300) == 92.8
