"""The probe `redis` on a real server: its figures, and how it tells of memory, connections, replicas and disks."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis as library

from probes.contract import Context, Reason, Secret
from probes.redis import Redis
from tests.probes.judged import Judged, look
from tests.servers import wait_until
from tests.servers.redis import Redis as Server
from tests.servers.redis import redis_server

Make = Callable[..., Context]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with redis_server(
        tmp_path, {"maxmemory": "20mb", "maxclients": "20", "slowlog-log-slower-than": "1000"}
    ) as server:
        yield server


def probe_of(server: Server) -> Redis:
    return Redis(Secret(server.url()))


def earlier(context: Context, seconds: float = 10.0) -> None:
    """As if the look before had been taken so many seconds ago."""
    at = context.memory["counted_at"]
    assert isinstance(at, float)
    context.memory["counted_at"] = at - seconds


def fill(client: library.Redis) -> None:
    """Write until it refuses."""
    with contextlib.suppress(library.exceptions.OutOfMemoryError):
        for number in range(100):
            client.set(f"k{number}", b"x" * 2**20)


async def until(condition: Callable[[], object], what: str) -> None:
    await asyncio.to_thread(wait_until, condition, what)


async def test_figures_of_a_server_that_is_well(server: Server, context: Context) -> None:
    probe = probe_of(server)
    client = server.client()
    client.set("a", "1")
    first = await look(probe, context)
    assert first.ok, first
    assert first.measurements.keys().isdisjoint({"cpu", "command_rate", "cache_hit_ratio"}), (
        "rates need a look before"
    )
    client.get("a")
    client.get("nothing")
    client.get("a")
    earlier(context)
    seen = await look(probe, context)
    told = seen.measurements
    assert seen.ok, seen
    assert told.keys() <= {measurement.name for measurement in Redis.measurements}
    assert 0 < told["response_time"] < 2
    assert (told["keys"], told["unsaved_changes"], told["replicas"], told["persistence_failed"]) == (1, 1, 0, 0)
    assert (told["cache_hits"], told["cache_lookups"]) == (2, 3)
    assert told["cache_hit_ratio"] == pytest.approx(2 / 3)
    assert 0 < told["command_rate"] < 2
    assert 0 <= told["cpu"] < 0.5
    assert told["eviction_rate"] == told["rejected_connection_rate"] == told["refused_write_rate"] == 0
    assert 0 < told["memory_used"] < 0.5
    assert told["refusable_memory_used"] == told["memory_used"]
    assert told["connections_used"] == pytest.approx(2 / 20)
    assert seen.phases.keys() == {"query"}, "the connection was kept"
    await probe.close()


async def test_full_memory_refuses_writes(server: Server, context: Context) -> None:
    probe, client = probe_of(server), server.client()
    judged = Judged(probe)
    await judged.see(context, 0)
    assert judged.state == "up"
    await asyncio.to_thread(fill, client)
    earlier(context)
    await judged.see(context, 30)
    earlier(context)
    seen = await judged.see(context, 60)
    assert seen.measurements["refusable_memory_used"] > 0.85
    assert judged.state == "degraded"
    assert judged.because.startswith("refusable_memory_used > 85%")
    for at in (90, 120, 150):
        for _ in range(25):
            await asyncio.to_thread(fill, client)
        earlier(context)
        seen = await judged.see(context, at)
    assert seen.measurements["refused_write_rate"] == pytest.approx(2.5, rel=0.2)
    assert "OOM" in seen.evidence["refused"]
    assert seen.evidence["memory_policy"] == "noeviction"
    assert (judged.state, judged.because) == ("down", "refused_write_rate > 1/s for 3 of 5")
    client.flushall()
    for at in range(180, 700, 30):
        earlier(context)
        await judged.see(context, at)
    assert judged.state == "up"
    await probe.close()


async def test_a_cache_that_evicts_is_no_trouble(server: Server, context: Context) -> None:
    probe, client = probe_of(server), server.client()
    client.config_set("maxmemory-policy", "allkeys-lru")
    await look(probe, context)
    await asyncio.to_thread(fill, client)
    earlier(context)
    told = (await look(probe, context)).measurements
    assert told["eviction_rate"] > 0.5
    assert told["memory_used"] > 0.8
    assert "refusable_memory_used" not in told
    assert told["refused_write_rate"] == 0
    await probe.close()


def gone(server: Server) -> bool:
    try:
        return bool(server.client().info("clients")["connected_clients"] < 5)
    except library.exceptions.ConnectionError:  # not even one more is let in
        return False


async def test_connections_exhausted(server: Server, context: Context) -> None:
    probe, late = probe_of(server), probe_of(server)
    judged = Judged(probe)
    await judged.see(context, 0)
    held = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(19)]
    for at in range(30, 120, 15):
        for _ in range(3):
            with pytest.raises(library.exceptions.ConnectionError):
                server.client().ping()
        earlier(context)
        seen = await judged.see(context, at)
        if at == 45:
            assert judged.state == "degraded"
    assert seen.ok, "the kept connection goes on"
    assert seen.measurements["connections_used"] == 1
    assert seen.measurements["rejected_connection_rate"] > 0.1
    assert (judged.state, judged.because) == ("down", "connections_used > 99% for 1m")
    refused = await look(late, context)
    assert (refused.reason, refused.measurements) == (Reason.TOO_MANY_CONNECTIONS, {})
    for each in held:
        each.close()
    await until(lambda: gone(server), "they are gone")
    assert (await look(late, context)).ok
    await probe.close()
    await late.close()


async def test_a_server_that_hangs_and_comes_back(server: Server, make_context: Make) -> None:
    kept, fresh = probe_of(server), probe_of(server)
    context = make_context(0.4)
    assert (await look(kept, context)).ok
    server.process.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    seen = await look(kept, context)
    assert seen.reason is Reason.QUERY_TIMEOUT
    assert seen.measurements["response_time"] >= 0.4
    seen = await look(fresh, context)
    assert seen.reason is Reason.FIRST_BYTE_TIMEOUT, "a hung process still has its kernel accept"
    assert time.monotonic() - began < 1.5
    server.process.send_signal(signal.SIGCONT)
    assert (await look(kept, make_context(5.0))).ok
    await kept.close()
    await fresh.close()


async def test_slow_commands_are_named_without_their_data(server: Server, context: Context) -> None:
    probe, client = probe_of(server), server.client()
    await look(probe, context)
    blocker = server.client()
    connection = blocker.connection_pool.get_connection()
    connection.send_command("EVAL", "local t=redis.call('TIME') while true do local n=redis.call('TIME') "
                            "if (n[1]-t[1])*1e6+n[2]-t[2] > 400000 then return 1 end end", 0, "geheim")  # fmt: skip
    seen = await look(probe, context)
    assert connection.read_response() == 1
    assert seen.ok
    assert seen.measurements["response_time"] > 0.1
    assert "EVAL with 3 arguments" in seen.evidence["slow_commands"]
    assert "geheim" not in str(seen)
    blocker.close()
    client.close()
    await probe.close()


async def test_a_restart_counts_from_zero(tmp_path: Path, make_context: Make) -> None:
    with redis_server(tmp_path) as first:
        probe, context = probe_of(first), make_context()
        for _ in range(50):
            first.client().get("x")
        await look(probe, context)
        await probe.close()
    with redis_server(tmp_path) as second:
        probe = probe_of(second)
        second.client().get("x")
        earlier(context)
        told = (await look(probe, context)).measurements
        assert (told["cache_lookups"], told["cache_hit_ratio"]) == (1, 0)
        assert all(value >= 0 for value in told.values())
        await probe.close()


async def test_the_server_closes_the_kept_connection(server: Server, context: Context) -> None:
    probe, client = probe_of(server), server.client()
    assert (await look(probe, context)).ok
    killed = [each for each in client.client_list() if each["name"] == "brownout"]
    await asyncio.to_thread(client.client_kill, killed[0]["addr"])
    await asyncio.sleep(0.05)  # the loop reads that it is closed
    seen = await look(probe, context)
    assert seen.ok
    assert "closed" in seen.evidence["reconnected"]
    assert "reconnected" not in (await look(probe, context)).evidence
    await probe.close()


async def test_persistence_that_fails(server: Server, tmp_path: Path, context: Context) -> None:
    probe, client = probe_of(server), server.client()
    judged = Judged(probe)
    await judged.see(context, 0)
    folder = tmp_path / "gone"
    folder.mkdir()
    client.config_set("dir", str(folder))
    folder.rmdir()
    client.set("a", 1)
    client.bgsave()
    await asyncio.to_thread(
        wait_until, lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err", "the snapshot has failed"
    )
    for at in (30, 60):
        seen = await judged.see(context, at)
    assert seen.measurements["persistence_failed"] == 1
    assert seen.evidence["persistence"].startswith("snapshot failed; the last good snapshot is")
    assert (judged.state, judged.because) == ("degraded", "persistence_failed > 0")
    client.config_set("dir", str(tmp_path))
    client.bgsave()
    await asyncio.to_thread(
        wait_until, lambda: client.info("persistence")["rdb_last_bgsave_status"] == "ok", "the snapshot is there"
    )
    for at in (90, 120):
        seen = await judged.see(context, at)
    assert seen.measurements["unsaved_changes"] == 0
    assert judged.state == "up"
    await probe.close()


async def test_a_replica_whose_master_is_gone(tmp_path: Path, make_context: Make) -> None:
    (tmp_path / "replica").mkdir()
    with redis_server(tmp_path, {"repl-diskless-sync": "yes", "repl-diskless-sync-delay": "0"}) as master:
        settings = {"replicaof": f"127.0.0.1 {master.port}"}
        with redis_server(tmp_path / "replica", settings) as replica:
            client = replica.client()
            await asyncio.to_thread(
                wait_until, lambda: client.info("replication")["master_link_status"] == "up", "the link is up"
            )
            main, copy = probe_of(master), probe_of(replica)
            context = make_context()
            await asyncio.to_thread(
                wait_until,
                lambda: master.client().info("replication")["slave0"]["state"] == "online",
                "it is in step",
            )
            told = (await look(main, make_context())).measurements
            assert told["replicas"] == 1
            assert told["replication_lag"] <= 2
            assert told["replication_lag_bytes"] >= 0
            seen = await look(copy, context)
            assert seen.measurements["replication_lag"] <= 11, "the master speaks every ten seconds"
            assert "replicas" not in seen.measurements
            master.process.send_signal(signal.SIGKILL)
            await asyncio.to_thread(
                wait_until, lambda: client.info("replication")["master_link_status"] == "down", "the link is down"
            )
            await asyncio.to_thread(
                wait_until, lambda: client.info("replication")["master_link_down_since_seconds"] >= 1, "for a while"
            )
            seen = await look(copy, context)
            assert seen.ok
            assert seen.measurements["replication_lag"] >= 1
            assert seen.evidence["role"] == f"replica of 127.0.0.1:{master.port}, link down"
            client.execute_command("REPLICAOF", "NO", "ONE")
            seen = await look(copy, context)
            assert seen.measurements["replication_lag"] == 0, "promoted: a figure left out would stay bad for ever"
            await main.close()
            await copy.close()
