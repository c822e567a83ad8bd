"""Celery on Redis with its own library: real messages, taken by real workers."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from probes.contract import Context
from tests.probes.judged import Judged, look
from tests.probes.queued import queue_of, until, until_state
from tests.servers import end
from tests.servers.redis import Redis

ROOT = Path(__file__).parents[2]
Send = Callable[..., None]


@contextlib.contextmanager
def worker(server: Redis, folder: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A worker in a process of its own, one task at a time."""
    command = [sys.executable, "-m", "celery", "-A", "tests.probes.celery_app", "worker", "-P", "solo", "-l", "ERROR"]
    with (folder / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, *arguments],
            cwd=ROOT,
            env={**os.environ, "TEST_BROKER": server.url()},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        end(process, signal.SIGKILL)


@pytest.fixture
def send(redis: Redis) -> Iterator[Send]:
    """Sends a task `shop.nap`; keywords as in `send_task`."""
    app = Celery("client", broker=redis.url())
    app.conf.broker_transport_options = {"priority_steps": [0, 3, 6, 9]}

    def send(seconds: float = 0.0, **options: Any) -> None:
        app.send_task("shop.nap", args=(seconds, "customer@example.com"), **options)

    yield send
    app.close()


async def test_depth_is_of_all_priorities(redis: Redis, send: Send, context: Context) -> None:
    for priority in (0, 3, 5, 9):
        send(priority=priority)
    send(queue="mails")
    probe = queue_of(redis, "celery", queues=("celery", "mails"))
    seen = await look(probe, context)
    assert seen.ok, seen
    assert seen.measurements["depth"] == 5
    assert seen.measurements["workers"] == 0
    assert "shop.nap" in seen.evidence["worst_queue"]
    assert "customer" not in str(seen)
    await probe.close()
    default = queue_of(redis, "celery")
    assert (await look(default, context)).measurements["depth"] == 4
    await default.close()


@pytest.mark.parametrize("header", ["timestamp", "sentry-task-enqueued-time"])
async def test_a_message_that_says_when_it_was_sent_is_believed(
    redis: Redis, send: Send, context: Context, header: str
) -> None:
    send(headers={header: f"{time.time() - 75:.6f}"})
    probe = queue_of(redis, "celery")
    assert (await look(probe, context)).measurements["lag"] == pytest.approx(75, abs=3)
    await probe.close()


async def test_a_task_of_the_future_is_not_late_and_one_of_the_past_is(
    redis: Redis, send: Send, context: Context
) -> None:
    send(eta=datetime.now(UTC) + timedelta(hours=1))
    probe = queue_of(redis, "celery")
    assert (await look(probe, context)).measurements["lag"] == 0
    with redis.client() as client:
        client.delete("celery")
    send(eta=datetime.now(UTC) - timedelta(seconds=50))
    assert (await look(probe, context)).measurements["lag"] == pytest.approx(50, abs=3)
    await probe.close()


async def test_others_are_timed_by_the_agent(redis: Redis, send: Send, context: Context) -> None:
    send()
    probe = queue_of(redis, "celery")
    assert (await look(probe, context)).measurements["lag"] == 0
    seen = await until(probe, context, lambda seen: seen.measurements["lag"] > 0.5)
    assert seen.measurements["lag"] < 20
    await probe.close()


async def test_workers_that_stop_and_come_back(redis: Redis, send: Send, context: Context, tmp_path: Path) -> None:
    probe = queue_of(redis, "celery")
    judged = Judged(probe, degraded=("lag > 300ms",), down=("lag > 1s",))
    with worker(redis, tmp_path):
        await until(probe, context, lambda seen: seen.measurements.get("workers") == 1, 40)
        send()
        await until(probe, context, lambda seen: seen.measurements["depth"] + seen.measurements["in_flight"] == 0)
        send(countdown=3600)
        seen = await until(probe, context, lambda seen: seen.measurements["in_flight"] == 1)
        assert seen.measurements["depth"] == 0, "a worker holds what is for later"
        assert seen.measurements["taken_for"] < 20
        at = await until_state(judged, context, "up", 0)
    send()
    at = await until_state(judged, context, "degraded", at)
    at = await until_state(judged, context, "down", at)
    assert judged.because == "lag > 1s"
    assert (await look(probe, context)).measurements.get("workers") == 0
    with worker(redis, tmp_path):
        await until_state(judged, context, "up", at, 40)
    await probe.close()


async def test_workers_that_nobody_can_call_are_not_said_to_be_gone(redis: Redis, context: Context) -> None:
    """Workers without remote control and gossip, as CLIENT LIST shows them: they wait in BRPOP, and that is all."""
    probe = queue_of(redis, "celery")
    with redis.client() as client, redis.client() as waiting:
        client.lpush("other", "x")
        waiting.brpop(["other"])
        assert "workers" not in (await look(probe, context)).measurements
    await probe.close()


@pytest.mark.parametrize(
    "message",
    [
        b"{",
        b"[" * 60_000,
        b"null",
        json.dumps({"headers": [1], "properties": "x"}).encode(),
        json.dumps({"headers": {"task": ["x"], "eta": 5, "timestamp": {"a": 1}}}).encode(),
        json.dumps({"body": "x" * 1_000_000, "headers": {"task": "shop.nap", "eta": None}}).encode(),
    ],
)
async def test_messages_that_are_none(redis: Redis, context: Context, message: bytes) -> None:
    with redis.client() as client:
        client.lpush("celery", message)
    probe = queue_of(redis, "celery")
    seen = await look(probe, context)
    assert seen.ok, seen
    assert (seen.measurements["depth"], seen.measurements["lag"]) == (1, 0)
    await until(probe, context, lambda seen: seen.measurements["lag"] > 0)
    await probe.close()


async def test_a_prefix_of_all_keys(redis: Redis, context: Context) -> None:
    with redis.client() as client:
        client.lpush("shop:celery", b"{}")
        client.lpush("celery", b"{}", b"{}")
    probe = queue_of(redis, "celery", prefix="shop:")
    assert (await look(probe, context)).measurements["depth"] == 1
    await probe.close()
