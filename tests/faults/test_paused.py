"""SIGSTOP, as a debugger or a host that is moved would do it: the targets are fine all the while."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from monitor.core.vitals import GAP
from tests.end_to_end.ledger import check_journal, check_ledger
from tests.end_to_end.rig import (
    Receiver,
    Target,
    agent,
    answering,
    check_status,
    listening,
    look_times,
    until,
    until_state,
)
from tests.end_to_end.stage import CALM, page, write_checks

PAUSE = float(os.environ.get("BROWNOUT_PAUSE", "3"))
"""Seconds: many intervals and time limits. `make soak` sets a minute."""
TOLD = ["agent.impaired", "agent.recovered"] if PAUSE > GAP else []
CHECKS = 40
EVERY = 1.0
LIMITS = "  limits: {looks_per_host: 100}\n"


@pytest.mark.timeout(150)
async def test_a_pause_is_nobodys_trouble(tmp_path: Path) -> None:
    # Each answer takes long enough that some looks are always under way, as at the moment of the pause.
    async with listening(Receiver()) as receiver, answering(Target(delay=0.2)) as target:
        checks = [page(f"page {number}", target.url) for number in range(CHECKS)]
        file = write_checks(tmp_path, receiver, *checks, agent=LIMITS, pace=CALM)
        with agent(tmp_path, "run", file) as running:
            url = await running.started()
            for name in ("page 0", f"page {CHECKS - 1}"):
                await until_state(url, name, "up")
            before = await check_status(url, "page 0")
            running.process.send_signal(signal.SIGSTOP)
            await asyncio.sleep(PAUSE)  # this is real time of a real process: there is nothing to poll for
            asked = target.requests
            running.process.send_signal(signal.SIGCONT)
            began = time.monotonic()
            await asyncio.sleep(EVERY)
            burst, beats = target.requests - asked, (time.monotonic() - began) / EVERY
            await look_times(url, "page 0", 2)
            after = await check_status(url, "page 0")
            assert (after["state"], after["since"]) == (before["state"], before["since"])
            await until(lambda: len(receiver.webhooks) == len(TOLD), "what is told of it")
            judged = [line for line in running.lines("transition") if "vantage" not in line]
            assert {line["new"] for line in judged} == {"up", "operational"}
            assert await running.stop() == 0
        # An interval holds one beat of each check; what was missed is not made up for.
        assert burst <= CHECKS * (beats + 0.5)
        assert [webhook.event["type"] for webhook in receiver.webhooks] == TOLD
        check_ledger(receiver)
        check_journal(tmp_path / "state", [webhook.id for webhook in receiver.webhooks])
