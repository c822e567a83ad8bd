"""The postgres probe while a server is in trouble for real: told before it is an outage, with who is to blame."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from probes.contract import Context, Secret
from probes.postgres import Postgres as Probe
from tests.probes.judged import Judged, look
from tests.servers import wait_until
from tests.servers.postgres import Postgres, postgres, replica


@pytest.fixture(scope="module", params=["15", "16", "18"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with postgres(tmp_path_factory.mktemp("postgres"), version=request.param) as server:
        server.role("monitor", granted="pg_monitor")
        yield server


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with postgres(tmp_path_factory.mktemp("postgres"), settings={"max_connections": "20"}) as server:
        server.role("monitor", granted="pg_monitor")
        yield server


def probe_of(server: Postgres) -> Probe:
    return Probe(dsn=Secret(server.dsn(user="monitor")))


@asynccontextmanager
async def pile_up(server: Postgres, waiting: int) -> AsyncIterator[psycopg.Connection[Any]]:
    """A session that holds a row and idles, and others that wait for it with statements full of customers' data."""
    server.execute("DROP TABLE IF EXISTS customers; CREATE TABLE customers AS SELECT 1 AS id, 'x' AS mail")
    with ExitStack() as stack:
        holder = stack.enter_context(server.connect())
        holder.execute("SET application_name = 'checkout'")
        holder.execute("BEGIN")
        holder.execute("UPDATE customers SET mail = 'holder@example.com' -- anna")
        threads = []
        for number in range(waiting):
            session = stack.enter_context(server.connect())
            session.execute(f"SET application_name = 'web{number}'")
            statement = f"UPDATE customers SET mail = 'secret{number}@example.com' WHERE id = 1 /* bert */"
            thread = threading.Thread(target=session.execute, args=(statement,), daemon=True)
            thread.start()
            threads.append(thread)
            waits = f"SELECT count(*) = {number + 1} FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            wait_until(lambda asked=waits: server.execute(asked) == [(True,)], "nobody waits")  # type: ignore[misc]
        try:
            yield holder
        finally:
            holder.execute("ROLLBACK")
            await asyncio.to_thread(lambda: [thread.join(10) for thread in threads])


async def test_who_blocks_whom(server: Postgres, context: Context) -> None:
    probe = probe_of(server)
    async with pile_up(server, 3) as holder:
        seen = await look(probe, context)
        pid = holder.info.backend_pid
    assert seen.measurements["waiting_locks"] == 3
    assert 0 < seen.measurements["longest_lock_wait"] < 10
    tree = seen.evidence["blocking"]
    root, *rest = tree.split(" | ")
    assert root.startswith(f"{pid} postgres/checkout, idle in transaction")
    assert root.endswith("UPDATE customers SET mail = ?")
    assert [part.partition(" ")[0] for part in rest][:1] == [">"]
    assert "postgres/web0 waits" in rest[0]
    assert len(rest) == 3
    assert "Lock:" in seen.evidence["waits"]
    assert not [word for word in ("secret", "example", "anna", "bert", "= 1") if word in str(seen.evidence)]
    assert all(len(text) <= 300 for text in seen.evidence.values())
    after = await look(probe, context)
    assert after.measurements["waiting_locks"] == after.measurements["longest_lock_wait"] == 0.0
    assert "blocking" not in after.evidence
    await probe.close()


async def test_a_pile_up_is_bounded(one: Postgres, context: Context) -> None:
    probe = probe_of(one)
    async with pile_up(one, 9):
        seen = await look(probe, context)
    assert "holds up 9" in seen.evidence["blocking"]
    assert len(seen.evidence["blocking"]) <= 300
    await probe.close()


async def test_a_pile_up_turns_degraded_and_well_again(one: Postgres, context: Context) -> None:
    watched = Judged(probe_of(one), degraded=("longest_lock_wait > 200ms", "waiting_locks > 1"))
    for at in (0, 30):
        await watched.see(context, at)
    assert watched.state == "up"
    async with pile_up(one, 2):
        await asyncio.sleep(0.3)
        for at in (60, 90):
            await watched.see(context, at)
        assert watched.state == "degraded"
        assert watched.because in ("longest_lock_wait > 200ms", "waiting_locks > 1")
    for at in (120, 150):
        await watched.see(context, at)
    assert watched.state == "up"
    await watched.judge.check.probe.close()


async def test_advisory_locks_are_waited_for_by_design(one: Postgres, context: Context) -> None:
    probe = probe_of(one)
    with one.connect() as leader, one.connect() as second:
        leader.execute("SELECT pg_advisory_lock(1)")
        thread = threading.Thread(target=second.execute, args=("SELECT pg_advisory_lock(1)",), daemon=True)
        thread.start()
        wait_until(
            lambda: one.execute("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'advisory'"), "nobody waits"
        )
        seen = await look(probe, context)
        assert seen.measurements["waiting_locks"] == seen.measurements["longest_lock_wait"] == 0.0
        leader.execute("SELECT pg_advisory_unlock(1)")
        thread.join(10)
    await probe.close()


async def test_connections_run_out_by_the_default_thresholds(one: Postgres, context: Context) -> None:
    """20 less 3 for superusers are 17: degraded above 13.6, down when none is left, though ours is kept."""
    watched = Judged(probe_of(one))
    for at in (0, 30):
        await watched.see(context, at)
    assert watched.state == "up"
    with ExitStack() as stack:
        for _ in range(14):
            stack.enter_context(one.connect(user="monitor"))
        for at in (60, 90):
            seen = await watched.see(context, at)
        assert watched.state == "degraded", seen
        assert watched.because.startswith("connections_used > 80%")
        assert "monitor" in seen.evidence["connections"]
        with suppress(psycopg.OperationalError):
            while True:
                stack.enter_context(one.connect(user="monitor"))
        await watched.see(context, 120)
        assert watched.state == "degraded"  # it may be a spike
        for at in (150, 180):
            await watched.see(context, at)
        assert watched.state == "down"
        assert watched.because.startswith("connections_used > 99%")
        stranger = await look(probe_of(one), context)
        assert stranger.reason is not None
        assert stranger.reason.value == "too_many_connections"
    ours = "SELECT count(*) <= 1 FROM pg_stat_activity WHERE usename = 'monitor'"
    wait_until(lambda: one.execute(ours) == [(True,)], "the connections are still there")
    for at in range(210, 930, 30):
        await watched.see(context, at)
        if watched.state == "up":
            break
    assert watched.state == "up"
    await watched.judge.check.probe.close()


async def test_the_oldest_transaction_is_named(one: Postgres, context: Context) -> None:
    probe = probe_of(one)
    with one.connect() as forgotten:
        forgotten.execute("SET application_name = 'console'")
        forgotten.execute("BEGIN")
        forgotten.execute("SELECT 'top secret'")
        await asyncio.sleep(2.1)  # younger ones are nobody's trouble, and not asked for
        seen = await look(probe, context)
        pid = forgotten.info.backend_pid
    assert seen.evidence["oldest_transaction"].startswith(f"{pid} postgres/console, idle in transaction 2s")
    assert seen.evidence["oldest_transaction"].endswith(": SELECT ?")
    await probe.close()


@pytest.mark.parametrize("version", ["18"])  # 16 is cut off below
async def test_a_replica_that_pauses(tmp_path: Path, context: Context, version: str) -> None:
    with postgres(tmp_path, version=version) as primary:
        primary.role("monitor", granted="pg_monitor")
        primary.execute("CREATE TABLE t (a int)")
        with replica(primary, tmp_path, version=version, slot="standby") as standby:
            there = Judged(probe_of(standby), degraded=("replication_lag > 500ms",), down=("replication_lag > 1s",))
            here = probe_of(primary)
            for at in (0, 30):
                seen = await there.see(context, at)
            assert there.state == "up", seen
            assert seen.measurements["replication_lag"] == seen.measurements["replication_lag_bytes"] == 0.0
            assert seen.measurements["streaming"] == 1.0
            assert (await look(here, context)).measurements["replicas"] == 1.0

            primary.execute("INSERT INTO t VALUES (1)")
            count = "SELECT count(*) FROM t"
            wait_until(lambda: standby.execute(count) == [(1,)], "it does not replay")
            standby.execute("SELECT pg_wal_replay_pause()")
            primary.execute("INSERT INTO t VALUES (2)")
            received = "SELECT pg_last_wal_receive_lsn() > pg_last_wal_replay_lsn()"
            wait_until(lambda: standby.execute(received) == [(True,)], "nothing was received")
            await asyncio.sleep(0.6)
            for at in (60, 90):
                seen = await there.see(context, at)
            assert there.state == "degraded", seen
            assert seen.measurements["replication_lag_bytes"] > 0
            assert (await look(here, context)).measurements["replication_lag_bytes"] > 0
            await asyncio.sleep(0.6)
            for at in (120, 150):
                await there.see(context, at)
            assert there.state == "down"

            standby.execute("SELECT pg_wal_replay_resume()")
            wait_until(lambda: standby.execute(count) == [(2,)], "it does not replay")
            for at in range(210, 930, 30):
                await there.see(context, at)
                if there.state == "up":
                    break
            assert there.state == "up"
            await there.judge.check.probe.close()
            await here.close()


async def test_a_replica_that_is_cut_off_and_one_that_is_gone(tmp_path: Path, context: Context) -> None:
    with postgres(tmp_path) as primary:
        primary.role("monitor", granted="pg_monitor")
        here = probe_of(primary)
        with replica(primary, tmp_path, slot="standby") as standby:
            there = probe_of(standby)
            seen = (await look(here, context)).measurements
            assert (seen["replicas"], seen["inactive_slots"]) == (1.0, 0.0)
            senders = primary.backends("walsender")
            standby.execute("ALTER SYSTEM SET primary_conninfo = 'host=127.0.0.1 port=1'")
            standby.execute("SELECT pg_reload_conf()")
            for pid in senders:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
            gone = "SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming'"
            wait_until(lambda: standby.execute(gone) == [(0,)], "it still streams")
            primary.execute("CREATE TABLE t AS SELECT generate_series(1, 1000)")
            cut = (await look(there, context)).measurements
            assert cut["streaming"] == 0.0
            seen = (await look(here, context)).measurements
            assert (seen["replicas"], seen["inactive_slots"]) == (0.0, 1.0)
            assert seen["slot_retained"] > 10_000
            standby.execute("SELECT pg_promote()")
            promoted = (await look(there, context)).measurements
            assert (promoted["streaming"], promoted["replication_lag"]) == (1.0, 0.0), "or it was bad for ever"
            await there.close()
        await here.close()
