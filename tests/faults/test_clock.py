"""The wall clock is set, an hour and a day, both ways, under a real agent: only the names of moments change."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from tests.end_to_end.ledger import all_sent, check_journal, check_ledger
from tests.end_to_end.rig import (
    Receiver,
    Target,
    agent,
    answering,
    check_status,
    listening,
    look_times,
    status,
    until,
    until_state,
)
from tests.end_to_end.stage import page, write_checks
from tests.faults.wall_clock import COMPILER, WallClock

TOKEN = "backup-0123456789abcdef"
JOB = f"""\
  - name: backup
    probe: heartbeat
    token: {TOKEN}
    period: 3s
    grace: 2s
"""
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
STEPS = (HOUR, -HOUR, DAY, timedelta(0))


@pytest.mark.timeout(150)
@pytest.mark.skipif(COMPILER is None, reason="no C compiler here: apt-get install gcc libc6-dev")
async def test_setting_the_clock_is_nobodys_trouble(tmp_path: Path) -> None:
    clock = WallClock(tmp_path)
    async with listening(Receiver()) as receiver, answering(Target()) as target:
        file = write_checks(tmp_path, receiver, page("home", target.url), JOB)
        with agent(tmp_path, "run", file, env=clock.env) as running:
            url = await running.started()
            async with asyncio.TaskGroup() as group:
                job = group.create_task(ping(f"{url}/ping/{TOKEN}"))
                await until_state(url, "home", "up")
                await until_state(url, "backup", "up")
                before = await check_status(url, "home")
                await steps_change_nothing(clock, url, target)
                assert (await check_status(url, "home"))["since"] == before["since"]
                assert receiver.webhooks == []
                await an_outage_across_a_step(clock, url, receiver, target)
                job.cancel()
            # A step hides no dead job either.
            await until(lambda: receiver.open_incidents == 1, "the job that is missing")
            async with asyncio.TaskGroup() as group:
                job = group.create_task(ping(f"{url}/ping/{TOKEN}"))
                await until_state(url, "backup", "up")
                await until(lambda: receiver.open_incidents == 0, "its end")
                job.cancel()
            await all_sent(tmp_path / "state")
            assert await running.stop() == 0
        check_ledger(receiver)
        check_journal(tmp_path / "state", {webhook.id for webhook in receiver.told})


async def ping(url: str) -> None:
    """A job that is alive."""
    async with httpx.AsyncClient(trust_env=False) as client:
        while True:
            (await client.get(url)).raise_for_status()
            await asyncio.sleep(0.5)


async def steps_change_nothing(clock: WallClock, url: str, target: Target) -> None:
    for ahead in STEPS:
        clock.set(ahead)
        asked, began = target.requests, time.monotonic()
        await look_times(url, "home", 2)
        beats = (time.monotonic() - began) / 0.5
        # Not that of an hour; but on a busy machine a look may fail, and ten extra ones settle that.
        assert 1 <= target.requests - asked <= beats + 12, "the grid goes on: neither a herd of looks nor none"
        document = await status(url)
        assert {check["state"] for check in document["checks"]} == {"up"}, ahead


async def an_outage_across_a_step(clock: WallClock, url: str, receiver: Receiver, target: Target) -> None:
    """It begins in a wrong hour, and its webhooks, which the receiver refuses for their hour, wait for the right one:
    set back by an hour, the clock must not make that an hour."""
    clock.set(HOUR)
    target.status = 500
    await until_state(url, "home", "down")
    await until(lambda: len(receiver.forged) >= 2, "webhooks of a wrong hour")
    clock.set(timedelta(0))
    await until(lambda: receiver.open_incidents == 1, "the outage")
    receiver.forged.clear()
    target.status = 200
    await until(lambda: receiver.open_incidents == 0, "its end")
    for webhook in receiver.told:
        event = webhook.event
        assert event.get("incident", {}).get("duration_seconds", 0) >= 0
        assert abs(datetime.fromisoformat(event["since"]) - datetime.now(UTC)) < HOUR + timedelta(minutes=5)
