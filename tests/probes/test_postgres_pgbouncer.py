"""The postgres probe through PgBouncer as Debian brings it: its defaults, both ways of pooling, its own troubles."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from probes.contract import Context, Reason, Secret
from probes.postgres import Postgres as Probe
from tests.probes.judged import look
from tests.servers.pgbouncer import pgbouncer
from tests.servers.postgres import Postgres, postgres


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with postgres(tmp_path_factory.mktemp("postgres"), version="15") as server:
        server.role("monitor", granted="pg_monitor")
        yield server


@pytest.mark.parametrize("mode", ["session", "transaction"])
async def test_a_look_through_it_is_whole_and_leaves_nothing(
    server: Postgres, tmp_path: Path, context: Context, mode: str
) -> None:
    with pgbouncer(server, tmp_path, users=("monitor",), settings={"pool_mode": mode}) as pooler:
        probe = Probe(dsn=Secret(pooler.dsn(user="monitor")))
        for _ in range(3):
            seen = await look(probe, context)
            assert seen.ok, seen
            assert {"connections_used", "query_time", "longest_transaction"} <= seen.measurements.keys()
        assert "reconnected" not in seen.evidence
        idle = server.execute("SELECT state, xact_start FROM pg_stat_activity WHERE usename = 'monitor'")
        assert idle == [("idle", None)]
        await probe.close()
        with pooler.connect(user="monitor") as next_client:
            assert next_client.execute("SHOW statement_timeout").fetchone() == ("0",), "nobody inherits our limits"
            assert next_client.execute("SHOW default_transaction_read_only").fetchone() == ("off",)


async def test_the_limits_hold_through_it(
    server: Postgres, tmp_path: Path, make_context: Callable[..., Context]
) -> None:
    context = make_context(1.0)
    with pgbouncer(server, tmp_path, users=("monitor",), settings={"pool_mode": "transaction"}) as pooler:
        probe = Probe(dsn=Secret(pooler.dsn(user="monitor")))
        assert (await look(probe, context)).ok
        with server.connect() as other:
            other.execute("BEGIN")
            other.execute("LOCK TABLE pg_catalog.pg_database IN ACCESS EXCLUSIVE MODE")
            seen = await look(probe, context)
            other.execute("ROLLBACK")
        assert seen.reason is Reason.QUERY_TIMEOUT, seen
        assert "55P03" in seen.detail, "the server's own limit ended it"
        assert (await look(probe, context)).ok
        await probe.close()


async def test_clients_that_share_its_connections(server: Postgres, tmp_path: Path, context: Context) -> None:
    """One connection for all: what would be prepared, or set for a session, would meet others or be lost."""
    settings = {"pool_mode": "transaction", "default_pool_size": "2"}
    with (
        pgbouncer(server, tmp_path, users=("monitor",), settings=settings) as pooler,
        ExitStack() as stack,
    ):
        probe = Probe(dsn=Secret(pooler.dsn(user="monitor")))
        others = [stack.enter_context(pooler.connect(user="monitor")) for _ in range(4)]
        for number in range(8):
            others[number % 4].execute("SELECT 1")
            assert (await look(probe, context)).ok
        await probe.close()


async def test_one_that_ignores_the_settings(server: Postgres, tmp_path: Path, context: Context) -> None:
    ignored = "statement_timeout,lock_timeout,idle_in_transaction_session_timeout,default_transaction_read_only"
    settings = {"pool_mode": "transaction", "ignore_startup_parameters": ignored}
    with pgbouncer(server, tmp_path, users=("monitor",), settings=settings) as pooler:
        probe = Probe(dsn=Secret(pooler.dsn(user="monitor")))
        assert (await look(probe, context)).ok
        assert probe._server._pooled, "found out, so that each question is bounded by itself"
        assert (await look(probe, context)).ok
        await probe.close()


async def test_its_pool_is_exhausted(server: Postgres, tmp_path: Path, context: Context) -> None:
    settings = {"pool_mode": "transaction", "default_pool_size": "1", "query_wait_timeout": "1"}
    with (
        pgbouncer(server, tmp_path, users=("monitor",), settings=settings) as pooler,
        pooler.connect(user="monitor") as hog,
    ):
        hog.execute("BEGIN")
        probe = Probe(dsn=Secret(pooler.dsn(user="monitor")))
        seen = await look(probe, context)
        assert seen.reason is Reason.TOO_MANY_CONNECTIONS, seen
        hog.execute("ROLLBACK")
        assert (await look(probe, context)).ok
        await probe.close()


async def test_it_takes_no_more_clients(server: Postgres, tmp_path: Path, context: Context) -> None:
    with (
        pgbouncer(server, tmp_path, users=("monitor",), settings={"max_client_conn": "2"}) as pooler,
        pooler.connect(user="monitor"),
        pooler.connect(user="monitor"),
    ):
        probe = Probe(dsn=Secret(pooler.dsn(user="monitor")))
        seen = await look(probe, context)
        assert seen.reason is Reason.TOO_MANY_CONNECTIONS, seen
        await probe.close()


async def test_it_knows_neither_the_database_nor_the_user(server: Postgres, tmp_path: Path, context: Context) -> None:
    with pgbouncer(server, tmp_path, users=("monitor",)) as pooler:
        assert (await look(Probe(dsn=Secret(pooler.dsn(user="stranger"))), context)).reason is Reason.DENIED
        gone = await look(Probe(dsn=Secret(pooler.dsn(database="gone", user="monitor"))), context)
        assert gone.reason is Reason.MISSING, gone


async def test_the_server_behind_it_is_gone_or_silent(tmp_path: Path, make_context: Callable[..., Context]) -> None:
    context = make_context(1.0)
    with postgres(tmp_path) as server:
        server.role("monitor", granted="pg_monitor")
        settings = {"server_login_retry": "1", "server_connect_timeout": "1"}
        with pgbouncer(server, tmp_path / "bouncer", users=("monitor",), settings=settings) as pooler:
            probe = Probe(dsn=Secret(pooler.dsn(user="monitor")))
            assert (await look(probe, context)).ok
            server.process.send_signal(signal.SIGQUIT)
            server.process.wait(10)
            reasons = {(await look(probe, context)).reason for _ in range(3)}
            assert not reasons - {
                Reason.RESET, Reason.NOT_SERVING, Reason.FIRST_BYTE_TIMEOUT, Reason.QUERY_TIMEOUT, Reason.EMPTY_REPLY
            }, reasons  # fmt: skip
            await probe.close()
