"""BullMQ with its own libraries, of Node and of Python: real jobs, taken by real workers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bullmq
import pytest

from probes.contract import Context, Secret
from probes.queue import Queue
from tests.probes.judged import Judged, look
from tests.probes.queued import queue_of, until, until_state
from tests.servers import Absent, end
from tests.servers.redis import Redis

NODE = Path(__file__).parents[1] / "node"


def command(task: str, server: Redis, queue: str, more: Any = None) -> list[str]:
    program = shutil.which("node")
    if program is None:
        raise Absent("needs node: apt-get install nodejs npm")
    if not (NODE / "node_modules" / "bullmq").is_dir():
        raise Absent("needs BullMQ: npm install --no-save --ignore-scripts --prefix tests/node")
    return [program, str(NODE / "bullmq.js"), task, str(server.port), queue, json.dumps(more or {})]


async def tell(task: str, server: Redis, *jobs: Any, queue: str = "mails") -> None:
    """Add jobs (`data`, `options`), or pause and resume the queue."""
    told = command(task, server, queue, {"jobs": jobs})
    await asyncio.to_thread(subprocess.run, told, check=True, timeout=30, cwd=NODE)


@contextlib.contextmanager
def worker(server: Redis, queue: str = "mails") -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command("work", server, queue), cwd=NODE, start_new_session=True)
    try:
        yield process
    finally:
        end(process, signal.SIGKILL)


async def test_all_figures(redis: Redis, context: Context) -> None:
    await tell(
        "add",
        redis,
        {"data": {"to": "customer@example.com"}},
        {},
        {"options": {"delay": 3_600_000}},
        {"options": {"priority": 5}},
        {"options": {"priority": 9}},
    )
    probe = queue_of(redis, "bullmq", queues=("mails", "misspelt"))
    seen = await look(probe, context)
    assert seen.ok, seen
    expected = {"depth": 4, "scheduled": 1, "in_flight": 0, "failed": 0, "workers": 0, "paused": 0, "held": 0}
    assert {name: seen.measurements[name] for name in expected} == expected
    assert 0 < seen.measurements["lag"] < 20
    assert seen.evidence["never_used"] == "misspelt"
    assert seen.evidence["worst_queue"].endswith(", mail")
    assert "customer" not in str(seen)
    with redis.client() as client:  # the least urgent has waited longest
        job = client.zrange("bull:mails:prioritized", -1, -1)[0].decode()
        client.hset(f"bull:mails:{job}", "timestamp", int((time.time() - 500) * 1000))
    assert (await look(probe, context)).measurements["lag"] == pytest.approx(500, abs=5)
    await probe.close()


async def test_a_paused_queue(redis: Redis, context: Context) -> None:
    await tell("add", redis, {}, {"options": {"priority": 1}})
    await tell("pause", redis)
    probe = queue_of(redis, "bullmq", queues=("mails",))
    seen = await look(probe, context)
    figures = seen.measurements
    assert (figures["depth"], figures["lag"], figures["held"], figures["paused"]) == (0, 0, 2, 1)
    assert seen.evidence["paused"] == "mails"
    await tell("resume", redis)
    assert (await look(probe, context)).measurements["depth"] == 2
    await probe.close()


async def test_workers_that_stop_and_come_back(redis: Redis, context: Context) -> None:
    probe = queue_of(redis, "bullmq", queues=("mails",))
    judged = Judged(probe, degraded=("lag > 300ms",), down=("lag > 1s",))
    with worker(redis):
        await until(probe, context, lambda seen: seen.measurements["workers"] == 1)
        await tell("add", redis, {}, {"data": {"fail": True}})
        seen = await until(probe, context, lambda seen: seen.measurements["failed"] == 1)
        seen = await until(probe, context, lambda seen: seen.measurements["depth"] == 0)
        at = await until_state(judged, context, "up", 0)
    await tell("add", redis, {}, {"data": {"takes": 30_000}})
    at = await until_state(judged, context, "degraded", at)
    at = await until_state(judged, context, "down", at)
    seen = await look(probe, context)
    assert (seen.measurements["workers"], seen.measurements["depth"]) == (0, 2)
    assert "drain_rate" in (await until(probe, context, lambda seen: "growth_rate" in seen.measurements)).measurements
    with worker(redis) as process:
        await until_state(judged, context, "up", at)
        seen = await until(probe, context, lambda seen: seen.measurements["in_flight"] == 1)
        os.killpg(process.pid, signal.SIGSTOP)
        assert (await look(probe, context)).measurements["workers"] == 1, "its connections are there"
        os.killpg(process.pid, signal.SIGCONT)
    await probe.close()


async def test_a_delayed_job_waits_from_when_it_was_due(redis: Redis, context: Context) -> None:
    await tell("add", redis, {"options": {"delay": 60_000}})
    probe = queue_of(redis, "bullmq", queues=("mails",))
    assert (await look(probe, context)).measurements["lag"] == 0
    with redis.client() as client:  # as if it had been added 90 s ago, and nobody promoted it
        due = int((time.time() - 30) * 1000) * 4096
        client.zadd("bull:mails:delayed", {"1": due})
        client.hset("bull:mails:1", "timestamp", int((time.time() - 90) * 1000))
        assert (await look(probe, context)).measurements["lag"] == pytest.approx(30, abs=5)
        client.zrem("bull:mails:delayed", "1")
        client.lpush("bull:mails:wait", "1")
    assert (await look(probe, context)).measurements["lag"] == pytest.approx(30, abs=5), "put among the waiting"
    await probe.close()


async def test_a_job_that_was_tried_before_waits_since_the_agent_saw_it(redis: Redis, context: Context) -> None:
    await tell("add", redis, {})
    with redis.client() as client:
        client.hset("bull:mails:1", mapping={"timestamp": int((time.time() - 900) * 1000), "atm": 1})
    probe = queue_of(redis, "bullmq", queues=("mails",))
    assert (await look(probe, context)).measurements["lag"] == 0
    seen = await until(probe, context, lambda seen: seen.measurements["lag"] > 0.2)
    assert seen.measurements["lag"] < 20
    await probe.close()


async def test_the_library_of_python(redis: Redis, context: Context) -> None:
    options: Any = {"connection": redis.url(), "prefix": "shop"}
    queue = bullmq.Queue("mails", options)
    probe = queue_of(redis, "bullmq", queues=("mails",), prefix="shop")
    started = asyncio.Event()
    go_on = asyncio.Event()

    async def work(job: Any, token: str) -> None:
        started.set()
        await go_on.wait()

    await queue.add("mail", {"to": "customer@example.com"}, {})
    assert (await look(probe, context)).measurements["depth"] == 1
    worker = bullmq.Worker("mails", work, options)
    await asyncio.wait_for(started.wait(), 10)
    seen = await look(probe, context)
    assert (seen.measurements["depth"], seen.measurements["in_flight"]) == (0, 1)
    assert seen.measurements["workers"] >= 1
    go_on.set()
    await until(probe, context, lambda seen: seen.measurements["in_flight"] == 0)
    await worker.close()
    await queue.close()
    await probe.close()


@pytest.mark.parametrize("opts", ["{", "[]", "[" * 60_000, '{"delay": "x"}', '{"delay": 1e308}', "null"])
async def test_jobs_that_are_none(redis: Redis, context: Context, opts: str) -> None:
    with redis.client() as client:
        client.lpush("bull:mails:wait", "1", "2\x00", "x" * 1000)
        client.zadd("bull:mails:prioritized", {"a": float("inf"), "b": float("-inf")})
        for job in ("1", "a"):
            client.hset(f"bull:mails:{job}", mapping={"timestamp": "x", "opts": opts, "data": "y" * 1_000_000})
    probe = queue_of(redis, "bullmq", queues=("mails",))
    seen = await look(probe, context)
    assert seen.ok, seen
    assert seen.measurements["depth"] == 5
    await probe.close()


async def test_without_the_right_to_list_clients_only_the_workers_are_unknown(redis: Redis, context: Context) -> None:
    with redis.client() as client:
        client.execute_command("ACL SETUSER watcher on >word allkeys +@all -client")
    probe = Queue(backend="bullmq", url=Secret(f"redis://watcher:word@127.0.0.1:{redis.port}"), queues=("mails",))
    seen = await look(probe, context)
    assert seen.ok, seen
    assert "workers" not in seen.measurements
    await probe.close()
