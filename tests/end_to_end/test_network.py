"""The agent's own network is cut, on real sockets: nobody is paged for it, and the agent says what is wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.end_to_end.ledger import all_sent, check_journal, check_ledger
from tests.end_to_end.network import REFERENCES, WORLD, Internet, internet, networks_allowed, within
from tests.end_to_end.rig import Agent, Receiver, Target, agent, answering, listening, until
from tests.end_to_end.stage import CALM, page, write_checks

pytestmark = [
    pytest.mark.skipif(not networks_allowed(), reason="this user may make no network namespace (root may)"),
    pytest.mark.timeout(120),
]

EVENTS = ("agent.impaired", "agent.recovered")


@dataclass
class Stage:
    net: Internet
    receiver: Receiver
    targets: list[Target]
    running: Agent
    url: str
    folder: Path
    file: Path
    stack: AsyncExitStack

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def status(self) -> dict[str, Any]:
        """Asked on the agent's own machine."""
        answer = within(self.net.agent, lambda: httpx.get(f"{self.url}/api/v1/status", trust_env=False, timeout=30))
        found: dict[str, Any] = answer.json()
        return found

    def states(self) -> set[str]:
        return {check["state"] for check in self.status()["checks"]}

    async def again(self) -> None:
        """Another agent takes over, after a kill."""
        await self.running.kill()
        self.running = self.stack.enter_context(agent(self.folder, "run", self.file, before=self.net.before))
        self.url = await self.running.started()

    async def ends_well(self) -> None:
        """All are up again, and nothing else was told of them."""
        await self.until(lambda: self.states() == {"up"}, "all to be up again")
        assert not {"down", "degraded"} & {line["new"] for line in self.running.lines("transition")}
        await self.settles()
        assert self.told() == list(EVENTS)

    async def settles(self) -> None:
        """What was told is what the journal has."""
        await all_sent(self.state)
        assert await self.running.stop() == 0
        check_ledger(self.receiver)
        check_journal(self.state, {webhook.id for webhook in self.receiver.told})

    async def until(self, holds: Callable[[], bool], what: str) -> None:
        await until(lambda: holds() or self.running.process.poll() is not None, what, 60)
        assert self.running.process.poll() is None, self.running.log

    def told(self) -> list[str]:
        """What a route without `event` brings: no single check."""
        kinds = [webhook.event["type"] for webhook in self.receiver.told]
        return [kind for kind in kinds if kind != "check.changed"]


@asynccontextmanager
async def stage(folder: Path, *, targets: int = 3, references: bool = True) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        net = stack.enter_context(internet())
        receiver = await stack.enter_async_context(listening(Receiver(), net.listen(WORLD[-1])))
        served = [
            await stack.enter_async_context(answering(Target(), net.listen(host, 80))) for host in WORLD[:targets]
        ]
        if references:
            for host in REFERENCES:
                stack.enter_context(net.listen(host, 53))
        listed = ", ".join(f"{host}:53" for host in REFERENCES)
        file = write_checks(
            folder,
            receiver,
            *(page(f"page {number}", target.url) for number, target in enumerate(served)),
            pace=CALM,
            vantage=f", reference: [{listed}]" if references else "",
        )
        running = stack.enter_context(agent(folder, "run", file, before=net.before))
        made = Stage(net, receiver, served, running, await running.started(), folder, file, stack)
        await made.until(lambda: made.states() == {"up"}, "all to be up")
        yield made


async def test_an_uplink_that_is_cut_is_nobodys_outage(tmp_path: Path) -> None:
    async with stage(tmp_path) as here:
        here.net.cut_uplink()
        await here.until(lambda: here.states() == {"unknown"}, "all to be unknown")
        assert "its own network" in here.status()["agent"]["impaired"][0]
        # Long enough to be told; it goes out as soon as it can, which is when the network is back.
        await here.until(lambda: bool(events(here, "agent.impaired")), "the agent's trouble to be told")
        here.net.mend_uplink()
        await here.until(lambda: here.told() == list(EVENTS), "impaired and recovered to be told")
        await here.until(lambda: here.states() == {"up"}, "all to be up again")
        # What is really down is told as ever.
        here.targets[0].status = 500
        await here.until(lambda: here.receiver.open_incidents == 1, "a real outage to be told")
        here.targets[0].status = 200
        await here.until(lambda: here.receiver.open_incidents == 0, "its end")
        await here.settles()


@pytest.mark.long
async def test_a_cable_that_is_pulled_is_seen_without_any_reference(tmp_path: Path) -> None:
    async with stage(tmp_path, references=False) as here:
        here.net.cut_cable()
        await here.until(lambda: bool(events(here, "agent.impaired")), "the agent's trouble to be told")
        here.net.mend_cable()
        await here.until(lambda: here.told() == list(EVENTS), "impaired and recovered to be told")
        assert "eth0 has no carrier" in here.receiver.told[0].event["why"] + here.running.log
        await here.ends_well()


@pytest.mark.long
async def test_a_restart_without_a_network_is_nobodys_outage_either(tmp_path: Path) -> None:
    async with stage(tmp_path) as here:
        here.net.cut_uplink()
        await here.until(lambda: bool(events(here, "agent.impaired")), "the agent's trouble to be told")
        await here.again()
        await here.until(lambda: here.states() == {"unknown"}, "all to be unknown")
        here.net.mend_uplink()
        await here.until(lambda: here.told() == list(EVENTS), "impaired and recovered to be told")
        await here.ends_well()


@pytest.mark.long
async def test_a_machine_that_starts_before_its_network_pages_nobody(tmp_path: Path) -> None:
    async with stage(tmp_path) as here:
        here.net.cut_uplink()
        await here.again()
        await here.until(lambda: here.states() == {"unknown"}, "all to be unknown")
        await here.until(lambda: bool(events(here, "agent.impaired")), "the agent's trouble to be told")
        here.net.mend_uplink()
        await here.until(lambda: here.told() == list(EVENTS), "impaired and recovered to be told")
        await here.ends_well()


@pytest.mark.long
async def test_five_targets_of_one_gateway_are_down_when_the_references_say_so(tmp_path: Path) -> None:
    """Many fail together, yet the references answer: it is them."""
    async with stage(tmp_path, targets=5) as here:
        here.net.cut_targets()
        await here.until(lambda: here.states() == {"down"}, "all to be down")
        assert not events(here, "agent.impaired")


def events(here: Stage, kind: str) -> list[Any]:
    return within(
        here.net.agent,
        lambda: [
            event
            for event in httpx.get(f"{here.url}/api/v1/events", trust_env=False, timeout=30).json()["events"]
            if event["type"] == kind
        ],
    )
