"""The wall clock is set, an hour and a day, both ways, under a real agent: only the names of moments change."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from tests.end_to_end.ledger import check_journal, check_ledger
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
from tests.faults.wall_clock import LIBRARY, WallClock

TOKEN = "backup-0123456789abcdef"
JOB = f"""\
  - name: backup
    probe: heartbeat
    token: {TOKEN}
    period: 2s
    grace: 1s
"""
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
STEPS = (HOUR, timedelta(0), -HOUR, timedelta(0), DAY, timedelta(0))


@pytest.mark.timeout(150)
@pytest.mark.skipif(LIBRARY is None, reason="libfaketime is not installed here: apt-get install libfaketime")
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
                assert await missed_beats(url) <= 2, "the grid goes on: neither a herd of looks nor none"
                await an_outage_across_a_step(clock, url, receiver, target)
                job.cancel()
            # A step hides no dead job either.
            await until(lambda: ("up", "down", "missing") in short(receiver), "the job that is missing")
            async with asyncio.TaskGroup() as group:
                job = group.create_task(ping(f"{url}/ping/{TOKEN}"))
                await until_state(url, "backup", "up")
                await until(lambda: len(receiver.told) == 10, "its end")
                job.cancel()
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
        asked = target.requests
        await look_times(url, "home", 2)
        assert 2 <= target.requests - asked <= 12
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
    await until(lambda: len(receiver.told) == 2, "the outage")
    receiver.forged.clear()
    target.status = 200
    await until(lambda: len(receiver.told) == 6, "its end")
    for webhook in receiver.told:
        event = webhook.event
        assert event.get("incident", {}).get("duration_seconds", 0) >= 0
        assert abs(datetime.fromisoformat(event["since"]) - datetime.now(UTC)) < HOUR + timedelta(minutes=5)


def short(receiver: Receiver) -> list[tuple[str, str, str | None]]:
    return receiver.checks("backup")


async def missed_beats(url: str) -> float:
    async with httpx.AsyncClient(trust_env=False) as client:
        text = (await client.get(f"{url}/metrics")).text
    return float(
        next(line.split()[1] for line in text.splitlines() if line.startswith("brownout_missed_beats_total"))
    )
