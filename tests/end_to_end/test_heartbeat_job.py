"""A job as cron runs it, a shell script with curl, under the eyes of a real agent; what the webhooks tell of it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.end_to_end.rig import (
    BROWNOUT,
    Agent,
    Receiver,
    agent,
    check_status,
    environment,
    free_address,
    listening,
    look_times,
    until,
    until_state,
)

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl: apt-get install curl")

TOKEN, ORDERS = "backup-0123456789abcdef", "orders-0123456789abcdef"

CHECKS = """\
agent:
  listen: {listen}
  state_dir: state
  vantage: {{name: test}}
sinks:
  hook: {{type: webhook, url: "{hook}", secret: "${{HOOK_SECRET}}"}}
checks:
  - name: backup
    probe: heartbeat
    token: "${{BACKUP_TOKEN}}"
    period: {period}
    grace: 4s
    every: {every}
  - name: orders
    probe: push
    token: "${{ORDERS_TOKEN}}"
    figures: {{orders: count}}
    expire_after: 5m
    down: orders < 1
routes:
  - {{to: [hook]}}
  - {{when: event = check.changed, to: [hook]}}
"""

JOB = """\
#!/bin/sh
PING="curl -fsS -m 5 -o /dev/null"
$PING "$URL/start"
OUT=$(sleep 0.3; echo "copied"; [ ! -e broken ] || { echo "no space left on device"; exit 3; } )
$PING --data-raw "$OUT" "$URL/$?"
"""


class Place:
    """A folder with checks.yaml and the job, and the address of the agent to be."""

    def __init__(self, folder: Path, hook: str, period: str = "4s", every: str = "5s") -> None:
        self.folder = folder
        host, port = free_address()
        self.url = f"http://{host}:{port}"
        self.file = folder / "checks.yaml"
        self.file.write_text(CHECKS.format(listen=f"{host}:{port}", hook=hook, period=period, every=every))
        self.job = folder / "job.sh"
        self.job.write_text(JOB)
        self.env = {"BACKUP_TOKEN": TOKEN, "ORDERS_TOKEN": ORDERS}

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[Agent]:
        with agent(self.folder, "run", self.file, env=self.env) as running:
            await running.started()
            yield running

    def run_job(self) -> None:
        subprocess.run(["sh", self.job], cwd=self.folder, env=self._env, check=True, timeout=30)

    @contextmanager
    def cron(self) -> Iterator[None]:
        """Runs the job again and again, whether it can tell anybody or not."""
        script = 'while :; do sh "$0" || :; sleep 1; done'
        process = subprocess.Popen(
            ["sh", "-c", script, str(self.job)], cwd=self.folder, env=self._env, start_new_session=True,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def look(self) -> subprocess.CompletedProcess[str]:
        """`brownout look`, which asks the running agent."""
        command = [BROWNOUT, "look", self.file, "backup"]
        return subprocess.run(command, env=environment(self.env), capture_output=True, text=True, check=False)

    @property
    def _env(self) -> dict[str, str]:
        return {**environment(), "URL": f"{self.url}/ping/{TOKEN}"}

    async def ping(self, rest: str = "") -> None:
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.post(f"{self.url}/ping/{TOKEN}{rest}")
        assert (answer.status_code, answer.text) == (200, "OK")


UP_DEGRADED_DOWN_UP = [("up", "degraded", "threshold"), ("degraded", "down", "threshold"), ("down", "up", None)]


@pytest.mark.early
@pytest.mark.timeout(120)
async def test_a_job_that_stops_is_late_then_missing_and_comes_back(tmp_path: Path) -> None:
    async with listening(Receiver()) as receiver:
        place = Place(tmp_path, receiver.url)
        async with place.watched() as running:
            with place.cron():
                await until_state(place.url, "backup", "up")
                await look_times(place.url, "backup", 6)
                figures = (await check_status(place.url, "backup"))["last"]["measurements"]
                assert 0.25 < figures["run_time"]["value"] < 5
                assert figures["exit_code"]["value"] == 0
            assert receiver.webhooks == [], "a job that does its work is no news"
            stopped = time.monotonic()
            await until(lambda: len(receiver.checks("backup")) == 1, "late")
            assert 4 + 2 - 1.5 < time.monotonic() - stopped < 4 + 2 + 4
            await until(lambda: len(receiver.checks("backup")) == 2, "missing")
            assert time.monotonic() - stopped < 4 + 4 + 5
            came_back = time.monotonic()
            place.run_job()
            await until(lambda: len(receiver.checks("backup")) == 3, "back")
            assert time.monotonic() - came_back < 5
            await until(lambda: len(receiver.incidents()) == 3, "the end of the incident")
            assert receiver.checks("backup") == UP_DEGRADED_DOWN_UP
            assert receiver.incidents() == [("opened", "degradation"), ("updated", "outage"), ("resolved", "outage")]
            await a_run_that_fails(place, receiver)
            assert TOKEN not in running.log
            assert TOKEN not in b"".join(hook.body for hook in receiver.webhooks).decode()
            assert receiver.forged == []
            told = place.look()
            assert told.returncode in (0, 1)
            assert "last_ping_age" in told.stdout
            assert TOKEN not in told.stdout + told.stderr
            assert await running.stop() == 0
        told = place.look()
        assert told.returncode == 2
        assert "handed what arrives" in told.stderr


async def a_run_that_fails(place: Place, receiver: Receiver) -> None:
    told = len(receiver.checks("backup"))
    (place.folder / "broken").touch()
    place.run_job()
    await until(lambda: len(receiver.checks("backup")) == told + 1, "the failure", patience=5)
    assert receiver.checks("backup")[-1] == ("up", "down", "threshold")
    event = [hook.event for hook in receiver.told if hook.event["type"] == "check.changed"][-1]
    assert r"copied\nno space left on device" in json.dumps(event).replace("\\\\", "\\")
    assert "exit code 3" in json.dumps(event)
    (place.folder / "broken").unlink()
    with place.cron():
        await until(lambda: len(receiver.checks("backup")) == told + 2, "the success", patience=5)
        assert receiver.checks("backup")[-1] == ("down", "up", None)


@pytest.mark.early
@pytest.mark.timeout(120)
async def test_restarts_and_pauses_alarm_nobody_and_a_dead_job_is_found(tmp_path: Path) -> None:
    async with listening(Receiver()) as receiver:
        place = Place(tmp_path, receiver.url, period="2s", every="1s")
        with place.cron():
            async with place.watched() as running:
                await until_state(place.url, "backup", "up")
                await look_times(place.url, "backup", 3)
                await running.kill()
            await quiet_for(5)  # more than two periods
            async with place.watched() as running:
                await look_times(place.url, "backup", 2)
                await running.kill()  # right after the start
            async with place.watched() as running:
                await look_times(place.url, "backup", 2)
                running.process.send_signal(signal.SIGSTOP)
                await quiet_for(7)
                running.process.send_signal(signal.SIGCONT)
                await look_times(place.url, "backup", 4)
                assert await running.stop() == 0
            async with place.watched() as running:
                await look_times(place.url, "backup", 2)
                assert receiver.webhooks == []
                await running.kill()
        # The job dies while nobody is there; nothing is told before it could have pinged again.
        await quiet_for(5)
        async with place.watched() as running:
            began = time.monotonic()
            await until(lambda: len(receiver.checks("backup")) == 2, "the dead job")
            assert time.monotonic() - began > 2 + 4 - 0.5
            assert receiver.checks("backup") == UP_DEGRADED_DOWN_UP[:2]
            # Down stays down over a kill, and is not told again.
            await running.kill()
        async with place.watched() as running:
            await look_times(place.url, "backup", 3)
            assert (await check_status(place.url, "backup"))["state"] == "down"
            await place.ping()
            await until(lambda: len(receiver.checks("backup")) == 3, "back")
            await until(lambda: len(receiver.incidents()) == 3, "the end of the incident")
        assert receiver.checks("backup") == UP_DEGRADED_DOWN_UP
        assert receiver.incidents() == [("opened", "degradation"), ("updated", "outage"), ("resolved", "outage")]


async def quiet_for(seconds: float) -> None:
    """Real time in which nobody listens: what is tested is its passing."""
    ends = time.monotonic() + seconds
    await until(lambda: time.monotonic() >= ends, "time to pass")


@pytest.mark.timeout(120)
async def test_what_was_answered_survives_kill_9(tmp_path: Path) -> None:
    async with listening(Receiver()) as receiver:
        place = Place(tmp_path, receiver.url, period="10m", every="1s")
        for code in (1, 2, 3):
            async with place.watched() as running:
                await place.ping(f"/{code}")
                running.process.kill()  # in the same instant
                await running.ended()
            async with place.watched() as running:
                figures = (await looked_at(place))["measurements"]
                assert figures["exit_code"]["value"] == code
                assert figures["failures"]["value"] == code
                await running.kill()
        async with httpx.AsyncClient(trust_env=False) as client:
            async with place.watched() as running:
                answer = await client.post(f"{place.url}/push/{ORDERS}", json={"orders": 0})
                assert answer.status_code == 200
                running.process.kill()
                await running.ended()
            async with place.watched():
                await until_state(place.url, "orders", "down")
                with contextlib.suppress(httpx.TransportError):
                    await client.post(f"{place.url}/push/{ORDERS}", json={"orders": 5})
                await until_state(place.url, "orders", "up")


async def looked_at(place: Place) -> dict[str, dict[str, dict[str, float]]]:
    """The first look after a start."""
    await look_times(place.url, "backup", 0)
    last: dict[str, dict[str, dict[str, float]]] = (await check_status(place.url, "backup"))["last"]
    return last
