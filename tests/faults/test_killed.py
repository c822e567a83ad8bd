"""A real agent is killed behind every second request that PagerDuty and Slack take, and started again each time."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.end_to_end.ledger import check_journal, check_ledger, rows
from tests.end_to_end.rig import Agent, Receiver, Target, agent, answering, listening, until
from tests.end_to_end.stage import page, tell_also, write_checks
from tests.faults.peer import Peer, peering
from tests.sinks.test_pagerduty import KEY, Service
from tests.sinks.test_slack_bot import CHANNEL, TOKEN, Workspace

_MOST_KILLS = 8


class Killing:
    """The agent as its supervisor has it, and vendors who kill it."""

    def __init__(self) -> None:
        self.service, self.workspace = Service(), Workspace()
        self.kills = self.taken = 0
        self._running: Agent | None = None

    def answer(self, request: httpx.Request) -> httpx.Response:
        vendor = self.workspace.answer if request.url.path.startswith("/api/") else self.service.take
        found = vendor(request)
        self.taken += 1
        if self.taken % 2 and self.kills < _MOST_KILLS and self._running is not None:
            self.kills += 1
            self._running.process.kill()
            raise httpx.ReadError("")
        return found

    async def supervise(self, folder: Path, file: Path) -> None:
        while True:
            with agent(folder, "run", file) as self._running:
                await until(lambda running=self._running: running.process.poll() is not None, "its end", 120.0)


@pytest.mark.long
@pytest.mark.timeout(150)
async def test_every_alert_is_closed_and_an_incident_is_one_message(tmp_path: Path) -> None:
    killing = Killing()
    async with (
        listening(Receiver()) as receiver,
        answering(Target()) as shop,
        peering(Peer(killing.answer)) as peer,
    ):
        file = write_checks(tmp_path, receiver, page("shop", shop.url))
        tell_also(
            file,
            pager=f"type: pagerduty, routing_key: {KEY}, url: {peer.url!r}",
            chat=f"type: slack, token: {TOKEN}, channel: {CHANNEL}, api: '{peer.url}/api'",
        )
        supervisor = asyncio.create_task(killing.supervise(tmp_path, file))
        state = tmp_path / "state"
        await until(lambda: shop.requests > 2, "looks")
        await until(lambda: ("up",) in rows(state, "SELECT new FROM transitions WHERE kind = 'check'"), "it to be up")
        shop.status = 500
        await until(lambda: bool(killing.service.open and killing.workspace.shown), "both to be told", 60.0)
        shop.status = 200
        await until(lambda: receiver.open_incidents == 0 and bool(receiver.told), "the end", 60.0)
        await until(lambda: rows(state, "SELECT id FROM outbox") == [], "all to be told", 60.0)
        supervisor.cancel()
        with suppress(asyncio.CancelledError):
            await supervisor
    assert killing.kills > 3
    assert killing.service.open == {}
    assert killing.service.paged.count("critical") == 1
    [message] = killing.workspace.shown
    assert "back to normal" in message
    check_ledger(receiver)
    check_journal(state, {webhook.id for webhook in receiver.told})
