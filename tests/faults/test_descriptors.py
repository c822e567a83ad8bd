"""No descriptors left, under a running agent: it cannot look, says so, and pages nobody for that."""

from __future__ import annotations

import asyncio
import resource
from pathlib import Path

import httpx
import psutil
import pytest

from tests.end_to_end.ledger import all_sent, check_journal, check_ledger
from tests.end_to_end.rig import PATIENCE, Receiver, Target, agent, answering, listening, until, until_state
from tests.end_to_end.stage import CALM, page, write_checks


@pytest.mark.timeout(150)
async def test_without_descriptors_it_cannot_tell_and_pages_nobody(tmp_path: Path) -> None:
    async with listening(Receiver()) as receiver, answering(Target()) as good, answering(Target()) as bad:
        file = write_checks(tmp_path, receiver, page("home", good.url), page("shop", bad.url), pace=CALM)
        with agent(tmp_path, "run", file) as running:
            url = await running.started()
            # One connection from before: who watches the agent keeps seeing it.
            async with httpx.AsyncClient(base_url=url, timeout=PATIENCE, trust_env=False) as kept:
                await until_state(url, "home", "up")
                await until_state(url, "shop", "up")
                # An outage whose page the receiver refuses for now, so that it has to be sent again.
                receiver.refuses, bad.status = 503, 500
                await until_state(url, "shop", "down")
                await until(lambda: receiver.refused >= 1, "an attempt to tell")
                await kept.get("/healthz")
                given = await limit_descriptors(running.process.pid)
                await sees(kept, "home", "unknown", "no_descriptors")
                await sees(kept, "shop", "unknown", "no_descriptors")
                metrics = (await kept.get("/metrics")).text
                assert 'result="no_descriptors"' in metrics
                assert running.process.poll() is None
                assert receiver.webhooks == []
                resource.prlimit(running.process.pid, resource.RLIMIT_NOFILE, given)
                receiver.refuses = None
                await sees(kept, "home", "up", None)
            await until(lambda: receiver.open_incidents == 1, "the outage, and nothing but it")
            bad.status = 200
            await until(lambda: receiver.open_incidents == 0, "its end")
            await until_state(url, "shop", "up")
            await all_sent(tmp_path / "state")
            assert await running.stop() == 0
        check_ledger(receiver)
        check_journal(tmp_path / "state", {webhook.id for webhook in receiver.told})
        assert {webhook.event["service"]["id"] for webhook in receiver.told if "incident" in webhook.event} == {
            "shop"
        }
        assert "down" not in {new for _, new, _ in receiver.checks("home")}


async def limit_descriptors(pid: int) -> tuple[int, int]:
    """Not one more than it holds for good, so that none is left for a look; what it was allowed before."""
    process, held = psutil.Process(pid), []
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    for _ in range(20):  # looks come and go
        held.append(process.num_fds())
        await asyncio.sleep(0.02)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (min(held) - 2, before[1]))
    return before


async def sees(kept: httpx.AsyncClient, name: str, state: str, reason: str | None) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            checks = (await kept.get("/api/v1/status")).json()["checks"]
            found = next(check for check in checks if check["id"] == name)
            if (found["state"], found["reason"]) == (state, reason):
                return
            await asyncio.sleep(0.1)
