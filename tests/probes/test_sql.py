"""The probe `sql` over both kinds of database: figures by column, what is refused, and what can never happen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from probes.contract import BadField, Context, Observation, Reason, Secret, Unit
from probes.sql import Sql
from tests.probes.judged import Judged, look
from tests.servers.mariadb import MariaDb, mariadb
from tests.servers.postgres import Postgres, postgres

Make = Callable[..., Context]
SCHEMA = ("CREATE TABLE jobs (id INT PRIMARY KEY, age INT, name VARCHAR(20))", "INSERT INTO jobs VALUES (1, 40, 'a')")


@pytest.fixture(scope="module")
def pg(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with postgres(tmp_path_factory.mktemp("postgres")) as server:
        for statement in SCHEMA:
            server.execute(statement)
        yield server


@pytest.fixture(scope="module")
def maria(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDb]:
    with mariadb(tmp_path_factory.mktemp("mariadb")) as server:
        server.execute("CREATE DATABASE shop", "USE shop", *SCHEMA)
        yield server


@pytest.fixture(params=["postgresql", "mysql"])
def dsn(request: pytest.FixtureRequest, pg: Postgres, maria: MariaDb) -> Secret:
    return Secret(pg.dsn() if request.param == "postgresql" else maria.dsn(database="shop"))


async def asked(dsn: Secret, context: Context, query: str, **columns: Unit) -> Observation:
    probe = Sql(dsn, query, columns)
    try:
        seen = await look(probe, context)
        assert seen.measurements.keys() <= {measurement.name for measurement in probe.measured}
        return seen
    finally:
        await probe.close()


async def test_a_row_of_figures(dsn: Secret, context: Context) -> None:
    query = "SELECT max(age) AS age, count(*) AS depth, 0.25 AS part, NULL AS gone, 'x' AS note FROM jobs;"
    seen = await asked(dsn, context, query, age=Unit.SECONDS, depth=Unit.COUNT, part=Unit.RATIO, gone=Unit.COUNT)
    assert seen.ok, seen
    told = dict(seen.measurements)
    assert 0 < told.pop("query_time") < 2
    assert told == {"rows": 1, "age": 40, "depth": 1, "part": 0.25}, "NULL is left out"


async def test_no_row_is_told_and_several_are_refused(dsn: Secret, context: Context) -> None:
    seen = await asked(dsn, context, "SELECT age FROM jobs WHERE id = 9", age=Unit.SECONDS)
    assert (seen.ok, seen.measurements["rows"]) == (True, 0)
    assert "age" not in seen.measurements
    seen = await asked(dsn, context, "SELECT 1 AS age UNION ALL SELECT 2", age=Unit.SECONDS)
    assert (seen.reason, seen.detail.split(":")[0]) == (Reason.QUERY, "the query gives several rows")


async def test_without_columns_the_rows_are_counted(dsn: Secret, context: Context) -> None:
    seen = await asked(dsn, context, "SELECT name FROM jobs -- all of them")
    assert seen.measurements["rows"] == 1
    seen = await asked(dsn, context, "SELECT 1 AS a UNION ALL SELECT 2 UNION ALL SELECT 3")
    assert seen.measurements["rows"] == 3


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("SELECT name AS age FROM jobs", "the column age is a text"),
        ("SELECT age AS old FROM jobs", "the query gives no column age, but old"),
        ("SELECT age FROM nothing", "nothing"),
        ("SELECT nonsense(", "the server answers: "),
        ("SELECT 1 AS age; SELECT 2 AS age", "syntax"),
    ],
)
async def test_a_query_that_is_wrong_cannot_tell(dsn: Secret, context: Context, query: str, says: str) -> None:
    seen = await asked(dsn, context, query, age=Unit.SECONDS)
    assert seen.reason is Reason.QUERY, seen
    assert says in seen.detail
    assert seen.reason.blame.value == "cannot tell"


async def test_a_text_is_never_shown(dsn: Secret, context: Context) -> None:
    seen = await asked(dsn, context, "SELECT 'Ada Lovelace' AS age", age=Unit.SECONDS)
    assert seen.reason is Reason.QUERY
    assert "Ada" not in str(seen)


async def test_spans_and_dates_are_told_how_to_be_written(pg: Postgres, maria: MariaDb, context: Context) -> None:
    seen = await asked(Secret(pg.dsn()), context, "SELECT interval '5 minutes' AS age", age=Unit.SECONDS)
    assert "extract(epoch FROM ...) AS age" in seen.detail
    for query, advice in (
        ("SELECT TIMEDIFF('10:00', '09:00') AS age", "TIME_TO_SEC"),
        ("SELECT NOW() AS age", "DIFF"),
    ):
        seen = await asked(Secret(maria.dsn()), context, query, age=Unit.SECONDS)
        assert (seen.reason, advice in seen.detail) == (Reason.QUERY, True)


async def test_figures_beyond_all_bounds(dsn: Secret, context: Context) -> None:
    seen = await asked(dsn, context, f"SELECT 1{'0' * 60} AS age", age=Unit.SECONDS)
    assert seen.measurements["age"] == 1e60
    seen = await asked(dsn, context, "SELECT true AS age", age=Unit.SECONDS)
    assert seen.measurements["age"] == 1


async def test_nothing_is_ever_written(pg: Postgres, maria: MariaDb, context: Context) -> None:
    pg.execute("CREATE OR REPLACE FUNCTION grab() RETURNS int LANGUAGE sql AS 'DELETE FROM jobs RETURNING id'")
    seen = await asked(Secret(pg.dsn()), context, "SELECT grab() AS age", age=Unit.COUNT)
    assert seen.reason is Reason.QUERY
    assert "read-only" in seen.detail
    with_delete = "WITH gone AS (DELETE FROM jobs RETURNING age) SELECT age FROM gone"
    assert (await asked(Secret(pg.dsn()), context, with_delete, age=Unit.COUNT)).reason is Reason.QUERY
    maria.execute(
        "DROP FUNCTION IF EXISTS shop.grab",
        "CREATE FUNCTION shop.grab() RETURNS INT BEGIN DELETE FROM shop.jobs; RETURN 1; END",
    )
    seen = await asked(Secret(maria.dsn(database="shop")), context, "SELECT grab() AS age", age=Unit.COUNT)
    assert seen.reason is Reason.QUERY
    assert "READ ONLY" in seen.detail
    assert len(pg.execute("SELECT 1 FROM jobs")) == len(maria.execute("SELECT 1 FROM shop.jobs")) == 1


async def test_a_slow_query_ends_in_time_also_in_the_server(pg: Postgres, maria: MariaDb, make_context: Make) -> None:
    for dsn, query in ((pg.dsn(), "SELECT pg_sleep(20) AS a"), (maria.dsn(), "SELECT SLEEP(20) AS a")):
        seen = await asked(Secret(dsn), make_context(0.6), query)
        assert seen.reason is Reason.QUERY_TIMEOUT
        assert 0.6 <= seen.measurements["query_time"] < 1.2
    left = pg.execute("SELECT 1 FROM pg_stat_activity WHERE query LIKE '%sleep(20)%' AND pid <> pg_backend_pid()")
    assert left == []
    assert [row for row in maria.execute("SHOW PROCESSLIST") if "SLEEP(20)" in str(row)] == []


async def test_from_up_to_down_and_back(dsn: Secret, context: Context, pg: Postgres, maria: MariaDb) -> None:
    def set_age(seconds: int) -> None:
        if "postgres" in dsn.reveal():
            pg.execute(f"UPDATE jobs SET age = {seconds}")
        else:
            maria.execute(f"UPDATE shop.jobs SET age = {seconds}")

    probe = Sql(dsn, "SELECT age FROM jobs", {"age": Unit.SECONDS})
    judged = Judged(probe, degraded=("age > 1m",), down=("age > 1h",))
    states, at = [], 0
    for age in (40, 90, 4000, 40):
        set_age(age)
        for _ in range(12 if age == 40 else 2):
            await judged.see(context, at := at + 30)
        states.append(judged.state)
    assert states == ["up", "degraded", "down", "up"]
    await probe.close()


@pytest.mark.parametrize(
    ("fields", "field", "says"),
    [
        ({"dsn": "oracle://u:tell-no-one@h/d"}, "dsn", "postgresql:// nor mysql://"),
        ({"dsn": "mysql://u:tell-no-one@h:99999/d"}, "dsn", "from 1 to 65535"),
        ({"dsn": "mysql://h/d"}, "dsn", "names no user"),
        ({"dsn": "mysql://u:tell-no-one@h/d?ssl-mode=PERHAPS"}, "dsn", "ssl-mode is one of"),
        ({"query": " ; "}, "query", "is empty"),
        ({"query": "DELETE FROM jobs"}, "query", "only reads"),
        ({"columns": {"rows": Unit.COUNT}}, "columns.rows", "the probe itself measures"),
        ({"columns": {"Age": Unit.COUNT}}, "columns.Age", "use AS"),
    ],
)
def test_faults_of_the_config(fields: dict[str, Any], field: str, says: str) -> None:
    given = {"dsn": "postgresql://u:tell-no-one@h/d", "query": "SELECT 1", "columns": {}} | fields
    with pytest.raises(BadField) as caught:
        Sql(Secret(given["dsn"]), given["query"], given["columns"])
    assert caught.value.field == field
    assert says in str(caught.value)
    assert "tell-no-one" not in str(caught.value)
