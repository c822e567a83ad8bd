"""No more memory for a running agent: it lives on, or dies and is started again; it never hangs and loses nothing."""

from __future__ import annotations

import asyncio
import resource
from pathlib import Path

import httpx
import pytest

from tests.end_to_end.ledger import all_sent, check_journal, check_ledger
from tests.end_to_end.rig import PATIENCE, Agent, Receiver, Target, agent, answering, listening, until, until_state
from tests.end_to_end.stage import CALM, page, write_checks

STARVED = 3.0
"""Seconds without a page of memory more."""


@pytest.mark.timeout(150)
async def test_a_memory_limit_costs_no_event(tmp_path: Path) -> None:
    async with listening(Receiver()) as receiver, answering(Target()) as target, answering(Target()) as fine:
        checks = [page(f"page {number}", fine.url) for number in range(6)]
        file = write_checks(tmp_path, receiver, page("home", target.url), *checks, pace=CALM)
        with agent(tmp_path, "run", file) as running:
            url = await running.started()
            await until_state(url, "home", "up")
            resource.prlimit(running.process.pid, resource.RLIMIT_AS, (1 << 20, resource.RLIM_INFINITY))
            target.status = 500
            ended = await starved(running, url)
            if not ended:
                resource.prlimit(running.process.pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
                await the_rest(running, receiver, target, tmp_path)
        if ended:
            # As systemd would.
            with agent(tmp_path, "run", file) as running:
                await the_rest(running, receiver, target, tmp_path)
        assert set(receiver.incidents()) >= {("opened", "outage")}
        assert {webhook.event["incident"]["root"] for webhook in receiver.told if "incident" in webhook.event} == {
            "home"
        }
        check_ledger(receiver)
        check_journal(tmp_path / "state", {webhook.id for webhook in receiver.told})


async def starved(running: Agent, url: str) -> bool:
    """Ask for what takes memory, for a while, and until the agent has felt it. Whether it has ended of that."""
    loop = asyncio.get_running_loop()
    began, felt = loop.time(), False
    while running.process.poll() is None and (loop.time() < began + STARVED or not felt):
        assert loop.time() < began + PATIENCE, f"the limit was not felt: {running.log}"
        try:
            async with httpx.AsyncClient(trust_env=False, timeout=1.0) as client:
                felt |= (await client.get(f"{url}/metrics")).status_code == 500
        except httpx.HTTPError:
            pass
        felt |= "no memory" in running.log  # as a send tells it, or a look
        await asyncio.sleep(0.05)
    return running.process.poll() is not None


async def the_rest(running: Agent, receiver: Receiver, target: Target, folder: Path) -> None:
    """The outage is told, and its end: by whoever is alive."""
    url = await running.started()
    await until(lambda: receiver.open_incidents == 1, "the outage", PATIENCE)
    target.status = 200
    await until_state(url, "home", "up")
    await until(lambda: receiver.open_incidents == 0, "its end")
    await all_sent(folder / "state")
    assert await running.stop() == 0
