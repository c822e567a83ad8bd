"""Trouble of the agent's own that lasts: nobody is paged for it as an outage, and it is told once, and its end."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from monitor.core.vitals import GAP
from tests.end_to_end.disks import small_disk
from tests.end_to_end.ledger import all_sent, check_journal, check_ledger
from tests.end_to_end.rig import Agent, Receiver, Target, agent, answering, listening, until, until_state
from tests.end_to_end.stage import CALM, page, write_checks
from tests.faults.name_server import asking_it, name_server, namespaces_allowed

CHECKS = 5
PATIENCE = 60.0
CPU = Path("/sys/fs/cgroup/cpu")

pytestmark = [
    pytest.mark.timeout(150),
    pytest.mark.long,
]


@dataclass
class Stage:
    receiver: Receiver
    running: Agent
    url: str
    state: Path

    def told(self) -> list[str]:
        """What a route without `event` brings."""
        kinds = [webhook.event["type"] for webhook in self.receiver.told]
        return [kind for kind in kinds if kind != "check.changed"]

    async def until_told(self, *kinds: str) -> None:
        await until(lambda: self.told() == [f"agent.{kind}" for kind in kinds], f"{kinds} to be told", PATIENCE)

    async def ends_well(self) -> None:
        """All are up, nothing else was told, and the journal agrees."""
        await until_state(self.url, "page 0", "up")
        await all_sent(self.state)
        assert await self.running.stop() == 0
        assert self.told() == ["agent.impaired", "agent.recovered"]
        assert not {"down", "degraded"} & {line["new"] for line in self.running.lines("transition")}
        check_ledger(self.receiver)
        check_journal(self.state, {webhook.id for webhook in self.receiver.told})


@asynccontextmanager
async def watching(folder: Path, *, name: str = "", before: tuple[str, ...] = ()) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        receiver = await stack.enter_async_context(listening(Receiver()))
        target = await stack.enter_async_context(answering(Target(delay=0.05)))
        at = target.url.replace("127.0.0.1", name) if name else target.url
        file = write_checks(folder, receiver, *(page(f"page {n}", at) for n in range(CHECKS)), pace=CALM)
        running = stack.enter_context(agent(folder, "run", file, before=before))
        url = await running.started()
        for number in range(CHECKS):
            await until_state(url, f"page {number}", "up")
        yield Stage(receiver, running, url, folder / "state")


async def test_a_pause_is_told_when_it_is_over(tmp_path: Path) -> None:
    async with watching(tmp_path) as here:
        here.running.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(GAP + 2)  # this is real time of a real process: there is nothing to poll for
        here.running.process.send_signal(signal.SIGCONT)
        await here.until_told("impaired", "recovered")
        assert "it was stopped: for 1" in here.receiver.told[0].event["sentence"]
        await here.ends_well()


async def test_a_disk_that_is_full_for_a_while_is_told_in_spite_of_it(tmp_path: Path) -> None:
    with small_disk(tmp_path / "state") as disk:
        async with watching(tmp_path) as here:
            disk.fill()
            await here.until_told("impaired")
            [webhook] = here.receiver.told
            assert webhook.event["durable"] is False
            assert webhook.event["reason"] == "journal"
            disk.empty()
            await here.until_told("impaired", "recovered")
            await here.ends_well()


@pytest.mark.skipif(not namespaces_allowed(), reason="this user may make no mount namespace (root may)")
@pytest.mark.parametrize("way", ["failing", "silent"])
async def test_a_resolver_that_is_dead_is_told(tmp_path: Path, way: str) -> None:
    async with name_server() as names, watching(tmp_path, name="shop.test", before=asking_it(tmp_path)) as here:
        setattr(names, way, True)
        await here.until_told("impaired")
        assert "its resolver does not answer" in here.receiver.told[-1].event["sentence"]
        setattr(names, way, False)
        await here.until_told("impaired", "recovered")
        await here.ends_well()


@pytest.mark.skipif(not os.access(CPU / "cpu.shares", os.W_OK), reason="this user may make no control group")
async def test_an_agent_that_gets_no_cpu_says_so(tmp_path: Path) -> None:
    async with watching(tmp_path) as here:
        with starving(here.running.process.pid):
            await until(lambda: "starved" in here.running.log, "the agent to notice", PATIENCE)
        await here.until_told("impaired", "recovered")
        await here.ends_well()


@contextmanager
def starving(pid: int) -> Iterator[None]:
    """It gets a third of a hundredth of a core: idle as it is here, it needs four times as much."""
    group = CPU / f"brownout-{pid}"
    group.mkdir()
    try:
        (group / "cpu.cfs_period_us").write_text("1000000")
        (group / "cpu.cfs_quota_us").write_text("3000")
        for task in Path(f"/proc/{pid}/task").iterdir():
            (group / "tasks").write_text(task.name)
        yield
    finally:
        for task in (group / "tasks").read_text().split():
            (CPU / "tasks").write_text(task)
        group.rmdir()
