"""Resque by schema: keys as its source lays them out."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from probes.contract import Context
from tests.probes.judged import Judged, look
from tests.probes.queued import Clock, queue_of, until, until_state
from tests.servers.redis import Redis


class Resque:
    """Puts keys where Resque puts them."""

    def __init__(self, server: Redis, namespace: str = "resque") -> None:
        self.redis = server.client()
        self.before = f"{namespace}:"

    def push(self, queue: str = "default", *arguments: Any, title: str = "MailJob") -> None:
        self.push_raw(queue, json.dumps({"class": title, "args": arguments}))

    def push_raw(self, queue: str, text: str) -> None:
        self.redis.sadd(f"{self.before}queues", queue)
        self.redis.rpush(f"{self.before}queue:{queue}", text)

    def work(self, worker: str, *, ago: float = 0.0, busy: bool = False) -> None:
        self.redis.sadd(f"{self.before}workers", worker)
        beat = datetime.fromtimestamp(time.time() - ago, UTC).isoformat()
        self.redis.hset(f"{self.before}workers:heartbeat", worker, beat)
        if busy:
            self.redis.set(f"{self.before}worker:{worker}", "{}")


@pytest.fixture
def resque(redis: Redis) -> Resque:
    return Resque(redis)


async def test_all_figures(redis: Redis, resque: Resque, context: Context) -> None:
    resque.push("default", "customer@example.com")
    resque.push("default", 2)
    resque.push("mails", 3)
    resque.redis.rpush("resque:failed", "{}", "{}")
    resque.work("web1:5:default,mails", busy=True)
    resque.work("web1:6:*")
    resque.work("web2:7:reports", busy=True)
    resque.work("web3:8:default", ago=1000, busy=True)
    probe = queue_of(redis, "resque", queues=("default", "mails", "misspelt"))
    seen = await look(probe, context)
    assert seen.ok, seen
    expected = {"depth": 3, "failed": 2, "workers": 2, "in_flight": 1, "lag": 0, "paused": 0}
    assert {name: seen.measurements[name] for name in expected} == expected
    assert seen.evidence["worst_queue"].endswith("MailJob")
    assert seen.evidence["never_used"] == "misspelt"
    assert "customer" not in str(seen)
    await probe.close()


async def test_jobs_are_timed_by_the_agent(redis: Redis, resque: Resque, context: Context) -> None:
    resque.push("default", 1)
    probe = queue_of(redis, "resque")
    judged = Judged(probe, degraded=("lag > 200ms",), down=("lag > 700ms",))
    at = await until_state(judged, context, "up", 0)
    at = await until_state(judged, context, "degraded", at)
    at = await until_state(judged, context, "down", at)
    resque.redis.lpop("resque:queue:default")  # a worker is back
    await until_state(judged, context, "up", at)
    await probe.close()


async def test_jobs_of_active_job_say_since_when_they_wait(redis: Redis, resque: Resque, context: Context) -> None:
    at = datetime.fromtimestamp(time.time() - 65, UTC).isoformat().replace("+00:00", "Z")
    inside = {"job_class": "InvoiceJob", "arguments": ["customer@example.com"], "enqueued_at": at}
    resque.push("default", inside, title="ActiveJob::QueueAdapters::ResqueAdapter::JobWrapper")
    probe = queue_of(redis, "resque")
    seen = await look(probe, context)
    assert seen.measurements["lag"] == pytest.approx(65, abs=3)
    assert seen.evidence["worst_queue"].endswith("InvoiceJob")
    await probe.close()


async def test_what_is_processed_is_counted_for_all_queues(redis: Redis, resque: Resque, context: Context) -> None:
    clock = Clock()
    resque.push("default", 1)
    resque.push("mails", 1)
    for queues, counted in (((), True), (("mails",), False)):
        context.memory.clear()
        probe = queue_of(redis, "resque", clock=clock, queues=queues)
        resque.redis.set("resque:stat:processed", 5)
        await look(probe, context)
        resque.redis.set("resque:stat:processed", 25)
        clock.now += 10
        figures = (await look(probe, context)).measurements
        assert figures.get("drain_rate") == (pytest.approx(2.0) if counted else None)
        await probe.close()


async def test_all_workers_paused(redis: Redis, resque: Resque, context: Context) -> None:
    resque.push("default", 1)
    resque.redis.set("resque:pause-all-workers", "true")
    probe = queue_of(redis, "resque")
    figures = (await look(probe, context)).measurements
    assert (figures["depth"], figures["lag"], figures["held"], figures["paused"]) == (0, 0, 1, 1)
    await probe.close()


async def test_a_scheduler_that_is_gone(redis: Redis, resque: Resque, context: Context) -> None:
    now = int(time.time())
    resque.redis.zadd("resque:delayed_queue_schedule", {str(now - 90): now - 90, str(now + 90): now + 90})
    probe = queue_of(redis, "resque")
    assert (await look(probe, context)).measurements["lag"] == pytest.approx(90, abs=3)
    await probe.close()


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[1]",
        "[" * 60_000,
        '{"class": 5, "args": {"a": 1}}',
        '{"class": "' + "x" * 1_000_000 + '", "args": [[]]}',
    ],
)
async def test_a_job_that_is_no_job(redis: Redis, resque: Resque, context: Context, text: str) -> None:
    resque.push_raw("default", text)
    probe = queue_of(redis, "resque")
    seen = await look(probe, context)
    assert seen.ok, seen
    assert (seen.measurements["depth"], seen.measurements["lag"]) == (1, 0)
    await until(probe, context, lambda seen: seen.measurements["lag"] > 0)
    await probe.close()


async def test_another_namespace(redis: Redis, context: Context) -> None:
    Resque(redis, "shop").push("default", 1)
    probe = queue_of(redis, "resque", namespace="shop")
    assert (await look(probe, context)).measurements["depth"] == 1
    await probe.close()
