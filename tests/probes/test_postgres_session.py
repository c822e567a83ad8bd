"""Sessions with PostgreSQL, as probes share them: what comes back, what is bounded, and what an error means."""

from __future__ import annotations

import math
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from probes._look import Look
from probes._pg.errors import failure
from probes._pg.session import PgServer, Session, literal
from probes.contract import Context, LookFailed, Reason, Secret
from probes.postgres import Postgres as Probe
from tests.probes.judged import look
from tests.servers import wait_until
from tests.servers.pgbouncer import PgBouncer, pgbouncer
from tests.servers.postgres import Postgres, postgres


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with postgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture(scope="module")
def pooler(server: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PgBouncer]:
    with pgbouncer(server, tmp_path_factory.mktemp("pooler"), settings={"pool_mode": "transaction"}) as pooler:
        yield pooler


@pytest.fixture(params=["direct", "pooled"])
def dsn(request: pytest.FixtureRequest, server: Postgres, pooler: PgBouncer) -> str:
    return server.dsn() if request.param == "direct" else pooler.dsn()


@asynccontextmanager
async def session(dsn: str, context: Context, timeout: float = 5.0) -> AsyncIterator[Session]:
    there = PgServer(Secret(dsn))
    look = Look(timeout)
    try:
        async with there.session(look, context) as opened:
            yield opened
    finally:
        look.close()
        there.close()


@pytest.mark.parametrize("keep", [False, True])
async def test_rows_are_as_json_has_them(dsn: str, context: Context, keep: bool) -> None:
    asked = (
        r"SELECT 1 AS n, 0.5::float AS f, 1e3::numeric AS d, NULL AS nothing, true AS yes, E'a\\b\n\t''é' AS text;"
    )
    async with session(dsn, context) as opened:
        for _ in range(2):
            assert await opened.rows(asked, keep=keep) == [
                {"n": 1, "f": 0.5, "d": 1000, "nothing": None, "yes": True, "text": "a\\b\n\t'é"}
            ]
        assert await opened.rows("SELECT 1 WHERE false", keep=keep) == []
        assert len(await opened.rows("SELECT generate_series(1, 100) AS n", limit=7, keep=keep)) == 7
        assert opened.version // 10_000 == 16
        assert not math.isnan(await opened.ping())


async def test_a_query_that_is_wrong_leaves_the_session_well(dsn: str, context: Context) -> None:
    async with session(dsn, context) as opened:
        for sql, word in (("SELECT nope", "42703"), ("SELEC 1", "42601"), ("SELECT 1/0", "22012")):
            with pytest.raises(LookFailed, match=word) as error:
                await opened.rows(sql)
            assert error.value.reason is Reason.QUERY
        assert await opened.rows("SELECT 1 AS n") == [{"n": 1}]


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM kept",
        "WITH gone AS (DELETE FROM kept RETURNING n) SELECT * FROM gone",
        "SELECT 1) AS q) TO STDOUT; DELETE FROM kept; COPY (SELECT 1 FROM (SELECT 1",
        "SELECT nextval('counted')",
    ],
)
async def test_nothing_can_be_written(server: Postgres, dsn: str, context: Context, sql: str) -> None:
    server.execute("CREATE TABLE IF NOT EXISTS kept AS SELECT 1 AS n; CREATE SEQUENCE IF NOT EXISTS counted")
    with pytest.raises(LookFailed):
        async with session(dsn, context) as opened:
            await opened.rows(sql)
    assert server.execute("SELECT count(*) FROM kept") == [(1,)]


async def test_the_server_itself_ends_what_takes_too_long(server: Postgres, dsn: str, context: Context) -> None:
    with pytest.raises(LookFailed) as error:
        async with session(dsn, context, timeout=0.6) as opened:
            await opened.rows("SELECT pg_sleep(30)")
    assert error.value.reason is Reason.QUERY_TIMEOUT
    assert "57014" in error.value.detail
    sleeping = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    wait_until(lambda: not server.execute(sleeping), "it still sleeps", 5)


async def test_an_answer_that_is_too_large(dsn: str, context: Context) -> None:
    with pytest.raises(LookFailed) as error:
        async with session(dsn, context) as opened:
            await opened.rows("SELECT repeat('x', 1000) AS x FROM generate_series(1, 1000)", most_bytes=50_000)
    assert error.value.reason is Reason.TOO_LARGE


@pytest.mark.parametrize("text", ["plain", "it's", "back\\slash", "\\'; DROP TABLE x; --", "é\n\t", ""])
@pytest.mark.parametrize("conforming", ["on", "off"])
async def test_literals(server: Postgres, text: str, conforming: str) -> None:
    with server.connect() as connection:
        connection.execute(f"SET standard_conforming_strings = {conforming}")
        assert connection.execute(f"SELECT {literal(text)}").fetchone() == (text,)


async def test_a_backend_that_crashes_takes_all_sessions_along(tmp_path: Path, context: Context) -> None:
    with postgres(tmp_path) as server:
        probe = Probe(dsn=Secret(server.dsn()))
        assert (await look(probe, context)).ok
        with server.connect() as victim:
            (pid,) = victim.execute("SELECT pg_backend_pid()").fetchone() or (0,)
            os.kill(pid, signal.SIGKILL)
        reasons = []
        for _ in range(100):
            seen = await look(probe, context)
            reasons.append(seen.reason)
            if seen.ok:
                break
        assert reasons[-1] is None
        assert set(reasons) <= {None, Reason.NOT_READY, Reason.RESET, Reason.EMPTY_REPLY}, reasons
        await probe.close()


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ("40001", Reason.NOT_READY),
        ("53100", Reason.NOT_SERVING),
        ("53200", Reason.NOT_SERVING),
        ("57P02", Reason.RESET),
        ("57P05", Reason.RESET),
        ("58030", Reason.NOT_SERVING),
        ("XX001", Reason.NOT_SERVING),
        ("42501", Reason.DENIED),
        ("25006", Reason.QUERY),
    ],
)
async def test_what_cannot_be_made_to_happen_here(state: str, reason: Reason) -> None:
    look = Look(1.0)
    error = asyncpg.PostgresError.new({"C": state, "M": "words", "S": "FATAL"})
    assert failure(look, error).reason is reason
    look.close()
