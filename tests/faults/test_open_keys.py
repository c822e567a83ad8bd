"""A reload or a restart removes what holds an open alert: the check, or the sink while its other side is away. A real
agent."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.commands.called import called
from tests.end_to_end.rig import Agent, Receiver, Target, agent, answering, listening, until, until_state
from tests.end_to_end.stage import page, tell_also, write_checks
from tests.faults.peer import Peer, peering
from tests.sinks.test_pagerduty import KEY, Service

pytestmark = pytest.mark.timeout(120)


@dataclass
class Stage:
    """One incident is open, at PagerDuty too."""

    folder: Path
    receiver: Receiver
    service: Service
    peer: Peer
    shop: Target
    other: Target
    running: Agent | None = None
    url: str = ""

    def write(self, *checks: str, pager: bool = True) -> Path:
        file = write_checks(self.folder, self.receiver, *checks)
        if pager:
            tell_also(file, pager=f"type: pagerduty, routing_key: {KEY}, url: {self.peer.url!r}")
        return file

    def reload(self) -> None:
        assert self.running is not None
        self.running.process.send_signal(signal.SIGHUP)

    async def logged(self, event: str) -> None:
        running = self.running
        assert running is not None
        await until(lambda: bool(running.lines(event)), event)


@asynccontextmanager
async def paged(folder: Path) -> AsyncIterator[Stage]:
    service = Service()
    async with (
        listening(Receiver()) as receiver,
        answering(Target()) as shop,
        answering(Target()) as other,
        peering(Peer(service.take)) as peer,
    ):
        stage = Stage(folder, receiver, service, peer, shop, other)
        file = stage.write(page("shop", shop.url), page("other", other.url))
        with agent(folder, "run", file) as running:
            stage.running, stage.url = running, await running.started()
            await until_state(stage.url, "shop", "up")
            shop.status = 500
            await until(lambda: len(service.open) == 1, "the alert")
            yield stage
            await until(lambda: service.open == {}, "the alert's end")
            assert await running.stop() == 0
    assert service.paged == ["critical"]
    assert receiver.open_incidents == 0


async def test_the_check_goes(tmp_path: Path) -> None:
    async with paged(tmp_path) as stage:
        stage.write(page("other", stage.other.url))
        stage.reload()


async def test_the_sink_goes_while_its_other_side_is_away(tmp_path: Path) -> None:
    async with paged(tmp_path) as stage:
        stage.peer.answer = lambda _request: httpx.Response(503)
        stage.write(page("shop", stage.shop.url), page("other", stage.other.url), pager=False)
        stage.reload()
        await stage.logged("outbox.sink_retired")
        stage.shop.status = 200
        await stage.logged("outbox.retry")
        stage.peer.answer = stage.service.take


async def test_the_sink_is_gone_at_the_restart_and_comes_back(tmp_path: Path) -> None:
    service = Service()
    async with listening(Receiver()) as receiver, answering(Target()) as shop, peering(Peer(service.take)) as peer:
        stage = Stage(tmp_path, receiver, service, peer, shop, shop)
        file = stage.write(page("shop", shop.url))
        with agent(tmp_path, "run", file) as running:
            await until_state(await running.started(), "shop", "up")
            shop.status = 500
            await until(lambda: len(service.open) == 1, "the alert")
            await running.kill()
        stage.write(page("shop", shop.url), pager=False)
        with agent(tmp_path, "run", file) as running:
            url = await running.started()
            await until(lambda: bool(running.lines("outbox.end_owed")), "what is owed is said")
            shop.status = 200
            await until_state(url, "shop", "up")
            await until(lambda: receiver.open_incidents == 0, "the end, for those who are there")
            listed = await asyncio.to_thread(called, "sinks", "--json", "--url", url)
            assert await running.stop() == 0
        [gone] = [sink for sink in json.loads(listed.stdout) if sink["name"] == "pager"]
        assert listed.returncode == 1
        assert [key.rpartition("/")[0] for key in service.open] == [f"brownout:{gone['owed'][0]}"]
        stage.write(page("shop", shop.url))
        with agent(tmp_path, "run", file) as running:
            await until(lambda: service.open == {}, "the alert's end")
            assert await running.stop() == 0
    assert service.paged == ["critical"]
