"""RQ with its own library: real jobs, put in by a client and taken by real workers."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import rq
import rq.suspension

from probes.contract import Context
from tests.probes.judged import Judged, look
from tests.probes.queued import queue_of, until, until_state
from tests.servers import end
from tests.servers.redis import Redis


@contextlib.contextmanager
def worker(server: Redis, folder: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A worker of the queues `arguments`, in a process of its own."""
    command = [sys.executable, "-m", "rq.cli", "worker", "--url", server.url(), "--quiet", *arguments]
    with (folder / "worker.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        yield process
    finally:
        end(process, signal.SIGKILL)


@pytest.fixture
def jobs(redis: Redis) -> Iterator[rq.Queue]:
    with redis.client() as client:
        yield rq.Queue("default", connection=client)


async def test_all_figures(redis: Redis, jobs: rq.Queue, context: Context) -> None:
    mails = rq.Queue("mails", connection=jobs.connection)
    first = jobs.enqueue("operator.add", "customer@example.com", 1)
    jobs.enqueue("operator.add", 1, 2)
    jobs.enqueue_in(timedelta(hours=1), "operator.add", 1, 2)
    jobs.enqueue("operator.add", 1, 2, depends_on=first)
    mails.enqueue("time.sleep", 0)
    probe = queue_of(redis, "rq")
    seen = await look(probe, context)
    assert seen.ok, seen
    figures = seen.measurements
    expected = {"depth": 3, "scheduled": 2, "in_flight": 0, "failed": 0, "workers": 0, "paused": 0}
    assert {name: figures[name] for name in expected} == expected
    assert 0 < figures["lag"] < 10
    assert seen.evidence["worst_queue"].endswith(", operator.add")
    assert "customer" not in str(seen)
    await probe.close()
    ours = queue_of(redis, "rq", queues=("mails", "misspelt"))
    seen = await look(ours, context)
    assert seen.measurements["depth"] == 1
    assert seen.evidence["never_used"] == "misspelt"
    await ours.close()


async def test_a_job_that_was_deleted_and_left_its_id(redis: Redis, jobs: rq.Queue, context: Context) -> None:
    gone = jobs.enqueue("operator.add", 1, 2)
    jobs.enqueue("operator.add", 1, 2)
    jobs.connection.delete(gone.key)
    probe = queue_of(redis, "rq")
    assert 0 < (await look(probe, context)).measurements["lag"] < 10
    await probe.close()


async def test_a_suspended_rq_is_paused(redis: Redis, jobs: rq.Queue, context: Context) -> None:
    jobs.enqueue("operator.add", 1, 2)
    rq.suspension.suspend(jobs.connection)
    probe = queue_of(redis, "rq")
    figures = (await look(probe, context)).measurements
    assert (figures["depth"], figures["lag"], figures["held"], figures["paused"]) == (0, 0, 1, 1)
    rq.suspension.resume(jobs.connection)
    assert (await look(probe, context)).measurements["depth"] == 1
    await probe.close()


async def test_a_job_whose_time_has_come_without_a_scheduler(redis: Redis, jobs: rq.Queue, context: Context) -> None:
    jobs.enqueue_at(datetime.now(UTC) - timedelta(seconds=45), "operator.add", 1, 2)
    jobs.enqueue_at(datetime.now(UTC) + timedelta(seconds=45), "operator.add", 1, 2)
    probe = queue_of(redis, "rq", queues=("default",))
    figures = (await look(probe, context)).measurements
    assert figures["lag"] == pytest.approx(45, abs=3)
    assert (figures["depth"], figures["scheduled"]) == (1, 1)
    await probe.close()


async def test_workers_that_stop_and_come_back(
    redis: Redis, jobs: rq.Queue, context: Context, tmp_path: Path
) -> None:
    probe = queue_of(redis, "rq", queues=("default",))
    judged = Judged(probe, degraded=("lag > 300ms",), down=("lag > 1s",))
    with worker(redis, tmp_path, "default"):
        await until(probe, context, lambda seen: seen.measurements["workers"] == 1)
        jobs.enqueue("operator.add", 1, 2)
        jobs.enqueue("operator.truediv", 1, 0)
        seen = await until(probe, context, lambda seen: seen.measurements["failed"] == 1)
        assert seen.measurements["depth"] == 0
        at = await until_state(judged, context, "up", 0)
    jobs.enqueue("operator.add", 1, 2)
    at = await until_state(judged, context, "degraded", at)
    assert judged.because == "lag > 300ms"
    at = await until_state(judged, context, "down", at)
    jobs.connection.delete(*jobs.connection.keys("rq:worker*"))  # the key of a killed worker is there for minutes
    with worker(redis, tmp_path, "default"):
        await until_state(judged, context, "up", at)
        jobs.enqueue("time.sleep", 30)
        # RQ takes a job from its queue and notes that it runs in two steps; a look may fall between them.
        taken = {"in_flight": 1, "depth": 0, "workers": 1}
        await until(probe, context, lambda seen: taken.items() <= dict(seen.measurements).items())
    await probe.close()


async def test_a_worker_that_hangs(redis: Redis, jobs: rq.Queue, context: Context, tmp_path: Path) -> None:
    probe = queue_of(redis, "rq", queues=("default",))
    with worker(redis, tmp_path, "default") as process:
        await until(probe, context, lambda _: jobs.connection.info("clients")["blocked_clients"] == 1)
        os.killpg(process.pid, signal.SIGSTOP)
        jobs.enqueue("operator.add", 1, 2)
        jobs.enqueue("operator.add", 1, 2)
        seen = await until(probe, context, lambda seen: seen.measurements["lag"] > 0.5)
        assert (seen.measurements["in_flight"], seen.measurements["depth"]) == (1, 1), "one went to it all the same"
        assert seen.measurements["workers"] == 1, "it looks alive: only the work tells"
        os.killpg(process.pid, signal.SIGCONT)
        await until(probe, context, lambda seen: seen.measurements["depth"] == 0)
    await probe.close()
