"""The journal's disk is full or read-only, or the file is damaged: a real agent pages, and writes it down later."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.end_to_end.disks import small_disk
from tests.end_to_end.rig import (
    PATIENCE,
    Receiver,
    Target,
    agent,
    answering,
    listening,
    look_times,
    until,
    until_state,
)
from tests.end_to_end.stage import CALM, page, tell_also, write_checks
from tests.end_to_end.test_kill import CHANGES, OUTAGE
from tests.faults.peer import Peer, peering
from tests.sinks.test_pagerduty import KEY, Service

pytestmark = pytest.mark.timeout(120)


async def test_a_full_disk_silences_nobody(tmp_path: Path) -> None:
    """Outage and its end are told while the disk is full, and an alert that was opened is closed; nothing is told
    again when it is mended."""
    service = Service()
    with small_disk(tmp_path / "state") as disk:
        async with (
            listening(Receiver()) as receiver,
            peering(Peer(service.take)) as peer,
            answering(Target()) as target,
        ):
            file = write_checks(tmp_path, receiver, page("home", target.url), pace=CALM)
            tell_also(file, pager=f"type: pagerduty, routing_key: {KEY}, url: {peer.url!r}")
            with agent(tmp_path, "run", file) as running:
                url = await running.started()
                await until_state(url, "home", "up")
                disk.fill()
                target.status = 500
                await until(lambda: len(receiver.told) == 2, "the outage")
                assert all(hook.event["durable"] is False for hook in receiver.told)
                await until(lambda: len(service.open) == 1, "the alert")
                await trouble_is_told(url, "the disk is full")
                target.status = 200
                await until(lambda: len(receiver.told) == 6, "the recovery")
                await until(lambda: service.open == {}, "the alert's end")
                disk.empty()
                await until(lambda: bool(running.lines("journal_written_again")), "the journal")
                await healthy(url)
                assert await metric(url, "brownout_journal_writable") == 1
                assert len(running.lines("journal_failed")) <= 3, "the log is not flooded"
                assert await running.stop() == 0
            assert (receiver.checks("home"), receiver.incidents()) == (CHANGES, OUTAGE)
            assert receiver.repeated == [], "what a sink has accepted is not sent again"
            assert owed(disk.folder, receiver) == 0
            with agent(tmp_path, "run", file) as running:
                url = await running.started()
                await until_state(url, "home", "up")
                await look_times(url, "home", 2)
                await running.stop()
            assert receiver.repeated == []
            assert len(receiver.told) == 6
    assert (service.open, service.paged) == ({}, ["critical"])


async def test_what_was_not_accepted_in_time_is_sent_from_the_journal(tmp_path: Path) -> None:
    """The sink is away, too. Both come back; a row queued before the disk was full goes out first."""
    with small_disk(tmp_path / "state") as disk:
        async with answering(Target()) as target, listening(Receiver()) as receiver:
            receiver.answering.clear()
            file = write_checks(tmp_path, receiver, page("home", target.url), pace=CALM)
            with agent(tmp_path, "run", file) as running:
                url = await running.started()
                await until_state(url, "home", "up")
                target.status = 500
                await until(lambda: len(receiver.told) == 2, "the outage, which is not answered")
                disk.fill()
                target.status = 200
                await until_state(url, "home", "up")
                await until(lambda: bool(running.lines("journal_failed")), "the journal's trouble")
                disk.empty()
                await until(lambda: bool(running.lines("journal_written_again")), "the journal")
                await running.kill()
            receiver.answering.set()
            with agent(tmp_path, "run", file) as running:
                await running.started()
                await until(lambda: len(receiver.told) == 6, "all of it")
                await running.stop()
            assert (receiver.checks("home"), receiver.incidents()) == (CHANGES, OUTAGE)
            assert [hook.event.get("durable", True) for hook in receiver.told] == [True] * 2 + [False] * 4
            orders = {stream: [h.id for h in receiver.told if h.stream == stream] for stream in streams(receiver)}
            assert all(len(ids) == 3 for ids in orders.values())


async def test_kill_9_while_the_disk_is_full_tells_it_again_with_the_same_id(tmp_path: Path) -> None:
    """What was in memory alone is gone; it still holds, so it is decided again, on a disk that is still full."""
    with small_disk(tmp_path / "state") as disk:
        async with listening(Receiver()) as receiver, answering(Target()) as target:
            file = write_checks(tmp_path, receiver, page("home", target.url), pace=CALM)
            with agent(tmp_path, "run", file) as running:
                await until_state(await running.started(), "home", "up")
                disk.fill()
                target.status = 500
                await until(lambda: ids(receiver) == {"check.changed": 1, "incident.opened": 1}, "the outage")
                await running.kill()
            with agent(tmp_path, "run", file) as running:
                url = await running.started()
                assert running.lines("journal_failed"), "it was started on a full disk, and watches"
                await until(lambda: len(receiver.webhooks) == 4, "the outage, again")
                assert ids(receiver) == {"check.changed": 1, "incident.opened": 1}, "with the ids of before"
                disk.empty()
                await until(lambda: bool(running.lines("journal_written_again")), "the journal")
                target.status = 200
                await until_state(url, "home", "up")
                await until(lambda: sum(ids(receiver).values()) == 6, "the end")
                await running.stop()
            assert all(count == 1 for hook, count in Counter(later(receiver, 4)).items())
            assert owed(disk.folder, receiver) == 0


async def test_a_read_only_disk_at_the_start_and_back(tmp_path: Path) -> None:
    with small_disk(tmp_path / "state") as disk:
        async with listening(Receiver()) as receiver, answering(Target()) as target:
            file = write_checks(tmp_path, receiver, page("home", target.url), pace=CALM)
            with agent(tmp_path, "run", file) as running:
                await until_state(await running.started(), "home", "up")
                target.status = 500
                await until(lambda: len(receiver.told) == 2, "the outage")
                await running.kill()
            disk.read_only(yes=True)
            with agent(tmp_path, "run", file) as running:
                url = await running.started()
                await look_times(url, "home", 3)
                assert len(receiver.webhooks) <= 4, "the state is known, though it cannot be written"
                await trouble_is_told(url, "read-only")
                target.status = 200
                await until(lambda: len(receiver.told) == 6, "the recovery")
                disk.read_only(yes=False)
                await until(lambda: bool(running.lines("journal_written_again")), "the journal")
                await running.stop()
            assert (receiver.checks("home"), receiver.incidents()) == (CHANGES, OUTAGE)
            assert owed(disk.folder, receiver) == 0


async def test_a_journal_that_was_damaged_while_the_agent_was_away(tmp_path: Path) -> None:
    """The incident is open, the journal is garbage from the middle on. It is kept aside, and the story goes on."""
    state = tmp_path / "state"
    async with listening(Receiver()) as receiver, answering(Target()) as target:
        file = write_checks(tmp_path, receiver, page("home", target.url), pace=CALM)
        with agent(tmp_path, "run", file) as running:
            await until_state(await running.started(), "home", "up")
            target.status = 500
            await until(lambda: len(receiver.told) == 2, "the outage")
            await running.stop()
        with closing(sqlite3.connect(state / "brownout.db")) as db:
            root = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'transitions'").fetchone()[0]
        with (state / "brownout.db").open("r+b") as raw:
            raw.seek(4096 * (root - 1))
            raw.write(b"\xa5" * 4096)
        with agent(tmp_path, "run", file) as running:
            url = await running.started()
            [said] = running.lines("journal_damaged")
            assert (said["brought_over"]["incidents"], said["event_ids"]) == (1, "go on")
            assert "kept as" in (await health(url))["output"]
            assert await metric(url, "brownout_journal_damaged_total") == 1
            target.status = 200
            await until(lambda: len(receiver.told) == 6, "the recovery")
            await running.stop()
        assert (receiver.checks("home"), receiver.incidents()) == (CHANGES, OUTAGE)
        assert receiver.repeated == []
        assert len(list(state.glob("journal-damaged-*.db"))) == 1


async def trouble_is_told(url: str, word: str) -> None:
    loop = asyncio.get_running_loop()
    give_up = loop.time() + 20
    while word not in (found := await health(url)).get("output", ""):
        assert loop.time() < give_up, found
        await asyncio.sleep(0.05)
    assert found["checks"]["journal:writable"][0]["status"] == "warn"
    assert "durable: false" in found["output"]
    assert await metric(url, "brownout_journal_writable") == 0


async def healthy(url: str) -> None:
    """Wait until it has been well for a while: a disk that is full every other second is trouble all the time."""
    give_up = asyncio.get_running_loop().time() + PATIENCE
    while (document := await health(url))["status"] != "pass":
        assert asyncio.get_running_loop().time() < give_up, document["output"]
        await asyncio.sleep(0.1)


async def health(url: str) -> dict[str, Any]:
    async with httpx.AsyncClient(trust_env=False) as client:
        document: dict[str, Any] = (await client.get(f"{url}/healthz")).json()
    return document


async def metric(url: str, name: str) -> float:
    async with httpx.AsyncClient(trust_env=False) as client:
        text = (await client.get(f"{url}/metrics")).text
    return next(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))


def owed(state: Path, receiver: Receiver) -> int:
    """How many rows the journal owes to sinks; it has every event that was told."""
    with closing(sqlite3.connect(state / "brownout.db")) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert {hook.id for hook in receiver.webhooks} <= {row[0] for row in db.execute("SELECT id FROM events")}
        return int(db.execute("SELECT COUNT(*) FROM outbox").fetchone()[0])


def ids(receiver: Receiver) -> Counter[str]:
    """How many different events of each type came."""
    return Counter({hook.id: hook.event["type"] for hook in receiver.webhooks}.values())


def later(receiver: Receiver, first: int) -> list[str]:
    return [hook.id for hook in receiver.webhooks[first:]]


def streams(receiver: Receiver) -> set[str]:
    return {hook.stream for hook in receiver.told}
