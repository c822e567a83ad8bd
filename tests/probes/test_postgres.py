"""The postgres probe on servers that are well: its figures, what it needs, and what it leaves behind (nothing)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import psycopg
import pytest

from probes._look import Look
from probes.contract import BadField, Context, Secret
from probes.postgres import Postgres as Probe
from tests.probes.judged import look
from tests.servers import wait_until
from tests.servers.postgres import Postgres, postgres

EVERYWHERE = {
    "query_time", "connections_used", "connections", "active", "idle_in_transaction", "waiting_locks",
    "longest_lock_wait", "longest_transaction", "longest_query", "longest_idle_in_transaction", "replicas",
    "inactive_slots", "slot_retained", "xid_age", "database_size", "uptime",
}  # fmt: skip
SINCE = {
    "cache_hit_ratio", "cache_hits", "cache_lookups", "transaction_rate", "deadlock_rate", "temp_bytes_rate",
    "wal_rate", "checkpoints_requested", "checkpoints",
}  # fmt: skip


@pytest.fixture(scope="module", params=["15", "16", "18"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with postgres(tmp_path_factory.mktemp("postgres"), version=request.param) as server:
        server.role("monitor", granted="pg_monitor")
        server.role("nobody")
        yield server


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """For what does not differ between versions."""
    with postgres(tmp_path_factory.mktemp("postgres")) as server:
        server.role("monitor", granted="pg_monitor")
        yield server


async def rested(seconds: float = 0.6) -> None:
    """Rates want half a second between two looks, by the server's clock."""
    await asyncio.sleep(seconds)


async def test_all_figures_with_pg_monitor_alone(server: Postgres, context: Context) -> None:
    probe = Probe(dsn=Secret(server.dsn(user="monitor")))
    first = await look(probe, context)
    assert first.ok, first
    assert first.measurements.keys() == EVERYWHERE | {"connect_time"}
    assert 0 < first.measurements["query_time"] < 1
    assert first.measurements["connections_used"] == pytest.approx(first.measurements["connections"] / 37)
    assert 5e6 < first.measurements["database_size"] < 5e7
    assert 0 < first.measurements["xid_age"] < 0.001
    await rested()
    server.execute("SELECT count(*) FROM pg_class")  # a session that ends has its blocks counted
    second = await look(probe, context)
    assert second.measurements.keys() == (EVERYWHERE | SINCE), second
    assert 0.9 < second.measurements["cache_hit_ratio"] <= 1.0
    assert second.measurements["deadlock_rate"] == 0.0
    assert all(isinstance(value, float) for value in second.measurements.values())
    await probe.close()


async def test_without_pg_monitor_it_tells_what_it_can_and_what_is_missing(
    server: Postgres, context: Context
) -> None:
    probe = Probe(dsn=Secret(server.dsn(user="nobody")))
    seen = await look(probe, context)
    assert seen.ok, seen
    hidden = {"active", "idle_in_transaction", "waiting_locks", "longest_lock_wait", "longest_transaction",
              "longest_query", "longest_idle_in_transaction", "replicas"}  # fmt: skip
    assert seen.measurements.keys() == EVERYWHERE - hidden | {"connect_time"}
    assert "pg_monitor" in seen.evidence["missing"]
    with server.connect(), server.connect():
        more = await look(probe, context)
    assert more.measurements["connections_used"] > seen.measurements["connections_used"], "others are counted"
    await probe.close()


async def test_the_session_is_bounded_named_and_read_only(one: Postgres, context: Context) -> None:
    probe = Probe(dsn=Secret(one.dsn(user="monitor")))
    await look(probe, context)
    names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout",
             "default_transaction_read_only")  # fmt: skip
    async with probe._server.session(Look(context.timeout), context) as session:
        asked = ", ".join(f"current_setting('{name}') AS {name}" for name in names)
        settings = (await session.rows(f"SELECT {asked}"))[0]
    assert settings == dict(zip(names, ("4501ms", "2250ms", "4501ms", "on"), strict=True))
    assert [row[0] for row in one.execute("SELECT pid FROM pg_stat_activity WHERE application_name = 'brownout'")]
    await probe.close()


async def test_an_extra_look_with_less_time_bounds_the_kept_session_anew(
    one: Postgres, make_context: Callable[..., Context]
) -> None:
    long, short = make_context(8.0), make_context(2.0)
    probe = Probe(dsn=Secret(one.dsn(user="monitor")))
    limits = []
    for context in (long, short, long):
        await look(probe, context)
        async with probe._server.session(Look(context.timeout), context) as session:
            row = (await session.rows("SELECT current_setting('statement_timeout') AS it, pg_backend_pid() AS pid"))[
                0
            ]
            limits.append((row["it"], row["pid"]))
    assert [limit for limit, _ in limits] == ["7201ms", "1801ms", "7201ms"]
    assert len({pid for _, pid in limits}) == 1, "on the same connection"
    await probe.close()


async def test_one_connection_is_kept_and_no_transaction_is_left_open(one: Postgres, context: Context) -> None:
    probe = Probe(dsn=Secret(one.dsn(user="monitor")))
    seen: set[tuple[object, ...]] = set()
    stop = threading.Event()

    def watch() -> None:
        with one.connect() as outside:
            while not stop.is_set():
                seen.update(outside.execute(
                    "SELECT pid, state, xact_start IS NOT NULL FROM pg_stat_activity"
                    " WHERE application_name = 'brownout'"
                ).fetchall())  # fmt: skip

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        for _ in range(20):
            assert (await look(probe, context)).ok
    finally:
        stop.set()
        watcher.join()
    idle = one.execute(
        "SELECT state, xact_start, backend_xmin FROM pg_stat_activity WHERE application_name = 'brownout'"
    )
    assert idle == [("idle", None, None)]
    assert len({pid for pid, _, _ in seen}) == 1, "one connection for all looks"
    assert not [state for _, state, _ in seen if str(state).startswith("idle in transaction")]
    assert all(state == "active" for _, state, within in seen if within)
    await probe.close()
    ours = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'brownout'"
    wait_until(lambda: not one.execute(ours), "the session is still there")


async def test_overlapping_looks_open_a_second_connection_and_close_it(one: Postgres, context: Context) -> None:
    probe = Probe(dsn=Secret(one.dsn(user="monitor")))
    looks = await asyncio.gather(*(look(probe, context) for _ in range(3)))
    assert all(each.ok for each in looks), looks
    ours = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'brownout'"
    wait_until(lambda: one.execute(ours) == [(1,)], "there are more connections than the one that is kept")
    await probe.close()


async def test_a_lost_connection_is_evidence_and_the_look_goes_on(one: Postgres, context: Context) -> None:
    probe = Probe(dsn=Secret(one.dsn(user="monitor")))
    first = await look(probe, context)
    assert "reconnected" not in first.evidence
    one.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'brownout'")
    await asyncio.sleep(0.05)  # the loop hears of it
    second = await look(probe, context)
    assert second.ok, second
    assert second.evidence["reconnected"]
    assert "connect_time" in second.measurements
    third = await look(probe, context)
    assert "reconnected" not in third.evidence
    assert "connect_time" not in third.measurements
    await probe.close()


async def test_sessions_are_told_apart(server: Postgres, context: Context) -> None:
    probe = Probe(dsn=Secret(server.dsn(user="monitor")))
    before = (await look(probe, context)).measurements
    with server.connect() as idle, server.connect() as busy:
        idle.execute("BEGIN")
        idle.execute("SELECT 1")
        sleeper = threading.Thread(target=lambda: busy.execute("SELECT pg_sleep(0.5)"), daemon=True)
        sleeper.start()
        wait_until(
            lambda: server.execute("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"), "no sleeper"
        )
        await rested(0.1)
        during = (await look(probe, context)).measurements
        sleeper.join()
    assert during["connections"] == before["connections"] + 2
    assert during["active"] == 1
    assert during["idle_in_transaction"] == 1
    assert during["longest_query"] >= 0.1
    assert during["longest_transaction"] >= during["longest_idle_in_transaction"] >= 0.1
    after = (await look(probe, context)).measurements
    assert after["longest_transaction"] == after["longest_query"] == after["idle_in_transaction"] == 0.0
    await probe.close()


async def test_what_is_to_take_long_is_left_out_of_the_ages(one: Postgres, context: Context) -> None:
    probes = [Probe(dsn=Secret(one.dsn(user="monitor"))),
              Probe(dsn=Secret(one.dsn(user="monitor")), ignore=("night's \\work",))]  # fmt: skip
    for name, expected in (("pg_dump", (True, False)), ("night's \\work", (False, True))):
        with psycopg.connect(one.dsn(), application_name=name) as job:
            job.execute("SELECT 1")  # in a transaction
            figures = [(await look(probe, context)).measurements for probe in probes]
        assert tuple(seen["longest_transaction"] == 0.0 for seen in figures) == expected
        assert all(seen["idle_in_transaction"] == 1 for seen in figures), "counted all the same"
    for probe in probes:
        await probe.close()


async def test_rates_count_what_happened_between_scheduled_looks(server: Postgres, context: Context) -> None:
    probe = Probe(dsn=Secret(server.dsn(user="monitor")))
    await look(probe, context)
    kept = dict(context.memory)
    await rested()
    extra = Context(context.timeout, context.resolver, context.tls, context.memory, scheduled=False)
    server.execute("CREATE TABLE sorted AS SELECT generate_series(1, 300000) AS n")
    with server.connect() as session:
        session.execute("SET work_mem = '64kB'")
        session.execute("SELECT count(*) FROM (SELECT n FROM sorted ORDER BY n DESC OFFSET 0) AS s")
        session.execute("CHECKPOINT")
    server.execute("DROP TABLE sorted")
    seen = (await look(probe, extra)).measurements
    assert seen["temp_bytes_rate"] > 1e5
    assert seen["wal_rate"] > 1e6
    assert seen["checkpoints_requested"] == seen["checkpoints"] == 1.0 == seen["forced_checkpoint_ratio"]
    assert {name: context.memory[name] for name in kept if name != "size_at"} == {
        name: kept[name] for name in kept if name != "size_at"
    }, "an extra look does not take it away from the next scheduled one"
    again = (await look(probe, context)).measurements
    assert again["checkpoints"] == 1.0
    await rested()
    assert (await look(probe, context)).measurements["checkpoints"] == 0.0
    await probe.close()


async def test_a_deadlock_is_counted(one: Postgres, context: Context) -> None:
    probe = Probe(dsn=Secret(one.dsn(user="monitor")))
    one.execute("DROP TABLE IF EXISTS d; CREATE TABLE d AS SELECT 1 AS a UNION SELECT 2")
    await look(probe, context)
    with one.connect() as left, one.connect() as right:
        for session, mine in ((left, 1), (right, 2)):
            session.execute("SET deadlock_timeout = '50ms'; BEGIN")
            session.execute(f"UPDATE d SET a = a WHERE a = {mine}")

        def other() -> None:
            with suppress(psycopg.errors.DeadlockDetected):
                left.execute("UPDATE d SET a = a WHERE a = 2")
            left.execute("ROLLBACK")

        waiting = threading.Thread(target=other, daemon=True)
        waiting.start()
        with suppress(psycopg.errors.DeadlockDetected):
            right.execute("UPDATE d SET a = a WHERE a = 1")
        right.execute("ROLLBACK")
        waiting.join()
    await rested()
    wait_until(lambda: one.execute("SELECT sum(deadlocks) FROM pg_stat_database")[0][0] > 0, "none counted")
    assert (await look(probe, context)).measurements["deadlock_rate"] > 0
    await probe.close()


async def test_counters_that_fell_and_servers_that_restarted_give_no_rate(one: Postgres, context: Context) -> None:
    probe = Probe(dsn=Secret(one.dsn(user="monitor")))
    await look(probe, context)
    memory = context.memory
    await rested()
    one.execute("SELECT pg_stat_reset()")
    seen = (await look(probe, context)).measurements
    assert "cache_hit_ratio" not in seen
    assert all(value >= 0 for value in seen.values())
    memory["server"] = "another"
    await rested()
    assert not SINCE & (await look(probe, context)).measurements.keys()
    await rested()
    one.execute("SELECT count(*) FROM pg_class")
    assert (await look(probe, context)).measurements.keys() >= SINCE
    await probe.close()


@pytest.mark.parametrize(
    ("dsn", "told"),
    [
        ("mysql://u:hunter2@h/d", "does not begin with postgresql://"),
        ("host=h password=hunter2", "does not begin with postgresql://"),
        ("postgresql://u:hunter2@a,b/d", "several hosts"),
        ("postgresql://u:hunter2@h:99999/d", "port"),
        ("postgresql://u:hunter2@h:x/d", "host cannot be read"),
        ("postgresql:///d", "host cannot be read"),
        ("postgresql://u:hunter2@h/d?sslmode=perhaps", "sslmode is one of"),
        ("postgresql://u:hunter2\n@h/d", "control character"),
    ],
)
def test_what_is_wrong_with_a_dsn_is_told_without_it(dsn: str, told: str) -> None:
    with pytest.raises(BadField, match=told) as error:
        Probe(dsn=Secret(dsn))
    assert error.value.field == "dsn"
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(
    ("dsn", "target", "user", "password", "host"),
    [
        ("postgresql://u:p%40ss@DB.example.com/shop", "db.example.com:5432/shop", "u", "p@ss", "db.example.com"),
        ("postgres://u:a/b#c@d@[::1]:6432/shop?pool=5", "[::1]:6432/shop", "u", "a/b#c@d", "::1"),
        ("postgresql+asyncpg://u@h", "h:5432/u", "u", None, "h"),
        ("postgresql://?host=/run/pg&dbname=d&user=u", "/run/pg/.s.PGSQL.5432 d", "u", None, None),
        ("postgresql://u@%2Frun%2Fpg:6432/d", "/run/pg/.s.PGSQL.6432 d", "u", None, None),
    ],
)
def test_dsns_as_applications_write_them(
    dsn: str, target: str, user: str, password: str | None, host: str | None
) -> None:
    probe = Probe(dsn=Secret(dsn))
    assert (probe.target, probe.host) == (target, host)
    found = probe._server.place
    assert (found.user, found.password) == (user, Secret(password) if password else None)
