"""Streams of a real Redis, read by groups of consumers. The wheel's is 6.2: what Redis 7 adds is played to it."""

from __future__ import annotations

import time
from typing import Any

import pytest
import redis as library

from probes.contract import Context, Observation, Reason, Secret
from probes.queue import Queue
from tests.probes.conftest import Serve
from tests.probes.judged import Judged, look
from tests.probes.queued import Clock, queue_of, until, until_state
from tests.servers.redis import Redis


@pytest.fixture
def client(redis: Redis) -> library.Redis:
    client = redis.client()
    client.xgroup_create("orders", "billing", id="0", mkstream=True)
    return client


def add(client: library.Redis, count: int, *, ago: float = 0.0, name: str = "orders") -> None:
    start = int((time.time() - ago) * 1000)
    for number in range(count):
        client.xadd(name, {"customer": "customer@example.com"}, id=f"{start}-{number}" if ago else "*")


def read(client: library.Redis, count: int, consumer: str = "c1") -> list[Any]:
    found = client.xreadgroup("billing", consumer, {"orders": ">"}, count=count)
    return [entry[0] for entry in found[0][1]] if found else []


async def seen_in(server: Redis, context: Context, **keys: Any) -> Observation:
    probe = queue_of(server, "redis_streams", **{"stream": "orders", "group": "billing", **keys})
    seen = await look(probe, context)
    await probe.close()
    return seen


async def test_all_figures(redis: Redis, client: library.Redis, context: Context) -> None:
    add(client, 3, ago=50)
    add(client, 4)
    given = read(client, 2)
    client.xack("orders", "billing", given[0])
    seen = await seen_in(redis, context)
    assert seen.ok, seen
    expected = {"depth": 5, "in_flight": 1, "workers": 1, "paused": 0}
    assert {name: seen.measurements[name] for name in expected} == expected
    assert seen.measurements["lag"] == pytest.approx(50, abs=3)
    assert seen.measurements["taken_for"] < 10
    assert seen.evidence["oldest_pending"].startswith("given to c1 0.")
    assert "customer" not in str(seen)


async def test_all_delivered_is_no_lag_and_what_nobody_acknowledges_grows_old(
    redis: Redis, client: library.Redis, context: Context
) -> None:
    add(client, 2, ago=500)
    read(client, 2)
    seen = await seen_in(redis, context)
    assert (seen.measurements["lag"], seen.measurements["depth"], seen.measurements["in_flight"]) == (0, 0, 2)
    probe = queue_of(redis, "redis_streams", stream="orders", group="billing")
    await until(probe, context, lambda seen: seen.measurements["taken_for"] > 0.2)
    await probe.close()


async def test_an_empty_stream(redis: Redis, client: library.Redis, context: Context) -> None:
    seen = await seen_in(redis, context)
    assert seen.ok, seen
    assert (seen.measurements["lag"], seen.measurements["depth"], seen.measurements["drain_time"]) == (0, 0, 0)


async def test_many_are_estimated_and_few_are_read(redis: Redis, client: library.Redis, context: Context) -> None:
    first = int(time.time() * 1000) - 40_000
    with client.pipeline() as pipe:
        for number in range(20_000):
            pipe.xadd("orders", {"n": number}, id=f"{first + number}-0")
        pipe.execute()
    read(client, 5_000)
    seen = await seen_in(redis, context)
    assert seen.measurements["depth"] == pytest.approx(15_000, rel=0.01)
    assert seen.measurements["lag"] == pytest.approx(time.time() - (first + 5_000) / 1000, abs=3)
    assert seen.evidence["waiting"].startswith("estimated")


async def test_a_stream_or_a_group_that_is_not_there(redis: Redis, client: library.Redis, context: Context) -> None:
    client.xgroup_create("orders", "shipping", id="0")
    seen = await seen_in(redis, context, group="biling")
    assert (seen.reason, seen.detail) == (
        Reason.MISSING,
        "the stream orders has no group biling; there are: billing, shipping",
    )
    seen = await seen_in(redis, context, stream="order")
    assert (seen.reason, seen.detail) == (Reason.MISSING, "there is no stream order in this database")
    client.set("order", "x")
    seen = await seen_in(redis, context, stream="order")
    assert seen.reason is Reason.QUERY
    assert "WRONGTYPE" in seen.detail


async def test_ids_that_are_no_times(redis: Redis, client: library.Redis, context: Context) -> None:
    for number in range(1, 4):
        client.xadd("orders", {"n": number}, id=f"{number}-1")
    seen = await seen_in(redis, context)
    assert seen.measurements["depth"] == 3
    assert "lag" not in seen.measurements


async def test_consumers_that_stop_and_come_back(redis: Redis, client: library.Redis, context: Context) -> None:
    probe = queue_of(redis, "redis_streams", stream="orders", group="billing")
    judged = Judged(probe, degraded=("lag > 300ms",), down=("lag > 1s",))
    add(client, 1)
    read(client, 1)
    at = await until_state(judged, context, "up", 0)
    add(client, 3)
    at = await until_state(judged, context, "degraded", at)
    at = await until_state(judged, context, "down", at)
    assert len(read(client, 10)) == 3
    await until_state(judged, context, "up", at)
    await probe.close()


def bulk(*parts: Any) -> bytes:
    """RESP of lists, texts and numbers."""
    lines = []
    for part in parts:
        if isinstance(part, list):
            lines.append(b"*%d\r\n" % len(part) + bulk(*part))
        elif part is None:
            lines.append(b"$-1\r\n")
        elif isinstance(part, int):
            lines.append(b":%d\r\n" % part)
        else:
            lines.append(b"$%d\r\n%s\r\n" % (len(part), part.encode()))
    return b"".join(lines)


async def test_redis_7_knows_more(serve: Serve, context: Context) -> None:
    clock = Clock()

    def answers(read: int, lag: int | None, added: int) -> bytes:
        group = ["name", "billing", "consumers", 1, "pending", 2, "last-delivered-id", "1800000000000-0"]
        group += ["entries-read", read, "lag", lag]
        entries = [["1800000040000-0", ["k", "v"]]]
        info = ["length", 500, "entries-added", added, "first-entry", entries[0], "last-entry", entries[0]]
        return bulk(["1800000100", "0"], [group], entries, info, [["name", "c1", "pending", 2, "idle", 900_000]], [])

    scripts = [[b"+OK\r\n" + answers(100, 40, 140)], [b"+OK\r\n" + answers(150, 50, 200)]]
    server = await serve(*scripts, ask=False, end="hang")

    async def next_look() -> Observation:
        url = Secret(f"redis://127.0.0.1:{server.port}")
        probe = Queue(backend="redis_streams", url=url, stream="orders", group="billing", _clock=clock)
        seen = await look(probe, context)
        await probe.close()
        server.requests.append(b"")  # the next connection gets the next script
        return seen

    first = await next_look()
    assert (first.measurements["depth"], first.measurements["lag"]) == (40, 60)
    assert first.measurements["workers"] == 0, "work waits, and the only consumer was not heard of for long"
    clock.now += 10
    second = (await next_look()).measurements
    assert (second["arrival_rate"], second["drain_rate"]) == (pytest.approx(6), pytest.approx(5))
