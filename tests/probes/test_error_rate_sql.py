"""error_rate counted by a query, in both kinds of database."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from probes.contract import BadField, Context, Reason, Secret
from probes.error_rate import ErrorRate
from tests.probes.judged import Judged, look
from tests.servers.mariadb import MariaDb, mariadb
from tests.servers.postgres import Postgres, postgres

TABLE = "CREATE TABLE requests (id SERIAL PRIMARY KEY, status INT, seconds REAL)"
EVER = (
    "SELECT count(*) AS total, sum(CASE WHEN status >= 500 THEN 1 ELSE 0 END) AS bad, max(seconds) AS p99"
    " FROM requests"
)


@pytest.fixture(scope="module")
def pg(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with postgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture(scope="module")
def maria(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDb]:
    with mariadb(tmp_path_factory.mktemp("mariadb")) as server:
        server.execute("CREATE DATABASE shop")
        yield server


class Shop:
    """A table of requests."""

    def __init__(self, server: Postgres | MariaDb) -> None:
        self._server = server
        self.do("DROP TABLE IF EXISTS requests", TABLE)

    @property
    def dsn(self) -> Secret:
        return Secret(self._server.dsn(database="postgres" if isinstance(self._server, Postgres) else "shop"))

    def do(self, *statements: str) -> None:
        if isinstance(self._server, Postgres):
            for statement in statements:
                self._server.execute(statement)
        else:
            self._server.execute("USE shop", *statements)

    def serve(self, status: int, times: int) -> None:
        self.do(f"INSERT INTO requests (status, seconds) VALUES {', '.join([f'({status}, 0.5)'] * times)}")


@pytest.fixture(params=["postgresql", "mysql"])
def shop(request: pytest.FixtureRequest, pg: Postgres, maria: MariaDb) -> Shop:
    return Shop(pg if request.param == "postgresql" else maria)


def rate(shop: Shop, sql: str = EVER, **fields: Any) -> ErrorRate:
    return ErrorRate(sql=sql, dsn=shop.dsn, traffic="sporadic", **fields)


async def test_counters_are_told_by_what_they_gained(shop: Shop, context: Context) -> None:
    probe = rate(shop)
    shop.serve(200, 50)
    shop.serve(500, 5)
    first = await look(probe, context)
    assert first.ok, first
    assert "requests" not in first.measurements
    shop.serve(200, 30)
    shop.serve(503, 10)
    seen = await look(probe, context)
    told = seen.measurements
    assert (told["requests"], told["bad_requests"], told["error_rate"]) == (40, 10, 0.25)
    assert told["latency_p99"] == pytest.approx(0.5)
    shop.do("DELETE FROM requests")
    shop.serve(200, 7)
    shop.serve(500, 1)
    told = (await look(probe, context)).measurements
    assert (told["requests"], told["bad_requests"]) == (8, 1), "what fell began again at 0"
    await probe.close()


async def test_a_table_that_is_cleaned_makes_no_burst_of_errors(shop: Shop, context: Context) -> None:
    probe = rate(shop)
    shop.serve(200, 300)
    shop.serve(500, 9)
    await look(probe, context)
    shop.do("DELETE FROM requests WHERE status = 500")
    shop.serve(200, 60)
    shop.serve(500, 8)
    told = (await look(probe, context)).measurements
    assert (told["requests"], told["bad_requests"]) == (368, 8), "not 8 bad ones of 59"
    await probe.close()


async def test_an_interval_gives_its_part(shop: Shop, context: Context) -> None:
    probe = rate(shop, counts="interval", interval=timedelta(seconds=60))
    assert (await look(probe, context)).ok, "no rows yet: SUM is NULL"
    shop.serve(500, 60)
    told = (await look(probe, context)).measurements
    assert told["error_rate"] == 1
    assert 0 < told["requests"] < 30
    await probe.close()


async def test_a_burst_of_errors_turns_it_down_and_back(pg: Postgres, context: Context) -> None:
    shop = Shop(pg)
    probe = rate(shop)
    judged = Judged(probe)
    shop.serve(200, 10)
    states, at = [], 0
    for good, bad, looks in ((100, 0, 4), (98, 4, 2), (50, 50, 5), (100, 0, 14)):
        for _ in range(looks):
            shop.serve(200, good)
            if bad:
                shop.serve(500, bad)
            await judged.see(context, at := at + 30)
        states.append(judged.state)
    assert states == ["up", "degraded", "down", "up"]
    await probe.close()


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("SELECT 1 AS total", "the query gives no column bad, but total"),
        ("SELECT 1 AS total, NULL AS bad", "total or bad is NULL"),
        ("SELECT -1 AS total, 0 AS bad", "below 0"),
        ("SELECT 1 AS total, 'x' AS bad", "the column bad is a text"),
        ("SELECT total, bad FROM nowhere", "nowhere"),
        ("SELECT 1 AS total, 0 AS bad UNION ALL SELECT 2, 1", "several rows"),
        ("SELECT 1 AS total, 0 AS bad FROM requests WHERE status = 1", "no row"),
    ],
)
async def test_what_cannot_be_counted_cannot_tell(shop: Shop, context: Context, sql: str, says: str) -> None:
    probe = rate(shop, sql)
    seen = await look(probe, context)
    assert seen.reason is Reason.QUERY, seen
    assert says in seen.detail
    await probe.close()


async def test_a_database_that_is_gone_cannot_tell(context: Context, closed_port: int) -> None:
    for scheme in ("postgresql", "mysql"):
        probe = ErrorRate(sql="SELECT 1", dsn=Secret(f"{scheme}://u:tell-no-one@127.0.0.1:{closed_port}/d"))
        seen = await look(probe, context)
        assert seen.reason is Reason.SOURCE
        assert seen.detail.startswith("the database: refused")
        assert "tell-no-one" not in repr(probe) + str(seen) + probe.target
        await probe.close()


def test_faults_of_the_config() -> None:
    with pytest.raises(BadField) as caught:
        ErrorRate(sql="SELECT 1")
    assert (caught.value.field, "sql needs it" in str(caught.value)) == ("dsn", True)
    with pytest.raises(BadField) as caught:
        ErrorRate(sql="TRUNCATE x", dsn=Secret("mysql://u:p@h/d"))
    assert caught.value.field == "sql"
