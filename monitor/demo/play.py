"""The play: acts, each with what the shop does and what the agent must find out about it."""

from __future__ import annotations

import asyncio
import base64
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from monitor.app import Agent
from monitor.config.load import load
from monitor.config.model import Config
from monitor.core.model import Impact, ServiceState
from monitor.demo.receiver import Received, Receiver
from monitor.demo.shop import Mood, Shop
from monitor.kinds import installed_kinds

CHECKS = """\
agent:
  listen: 127.0.0.1:{port}
  state_dir: {state}
  vantage: {{name: demo}}
defaults:
  every: 1s
  confirm: {{policy: consecutive, looks: 5, span: 1s}}
  recover: {{looks: 12, every: 500ms}}
  flapping: off
sinks:
  hook: {{type: webhook, url: "http://127.0.0.1:{hook}/hook", secret: "${{DEMO_SECRET}}"}}
services:
  shop: {{title: Web shop, outage: "any of home, checkout"}}
checks:
  - name: home
    service: shop
    probe: http
    url: http://127.0.0.1:{shop}/
    expect: {{status: 200, body: Add to cart}}
    degraded: p95(response_time, 5s) > 300ms, clear < 200ms
  - name: checkout
    service: shop
    probe: http
    url: http://127.0.0.1:{shop}/checkout
    degraded: p95(response_time, 5s) > 300ms, clear < 200ms
routes:
  - {{to: [hook]}}
"""


@dataclass(frozen=True, slots=True)
class Act:
    """What the shop does, and the state that the agent must come to. Times are seconds."""

    title: str
    mood: Mood
    expected: ServiceState
    patience: float
    """The act fails if the state is not reached in that time."""
    linger: float
    """How long it goes on after the state was reached, to be looked at."""


ACTS = (
    Act("The shop is healthy", Mood.HEALTHY, ServiceState.OPERATIONAL, 10, 7),
    Act("The shop answers slowly", Mood.SLOW, ServiceState.DEGRADATION, 20, 7),
    Act("The shop is quick again", Mood.HEALTHY, ServiceState.OPERATIONAL, 20, 6),
    Act("Every third request fails", Mood.FAILING, ServiceState.DEGRADATION, 40, 7),
    Act("The shop is well again", Mood.HEALTHY, ServiceState.OPERATIONAL, 25, 6),
    Act("The shop is dead", Mood.DEAD, ServiceState.OUTAGE, 15, 7),
    Act("The shop is back", Mood.HEALTHY, ServiceState.OPERATIONAL, 25, 5),
)


@dataclass(slots=True)
class Scene:
    """How one act went: seconds until the agent had told the state, or None while it has not."""

    act: Act
    began: float
    found: float | None = None


@dataclass(slots=True)
class Play:
    """The running demo, as the screen sees it."""

    agent: Agent
    config: Config
    shop: Shop
    scenes: list[Scene] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    @property
    def succeeded(self) -> bool:
        """Every state was found, every webhook's signature was right, and none came twice."""
        found = len(self.scenes) == len(ACTS) and all(scene.found is not None for scene in self.scenes)
        trusted = bool(self.received) and all(item.verified and not item.repeated for item in self.received)
        return found and trusted and self.told == _EXPECTED

    @property
    def told(self) -> list[tuple[str, str]]:
        """The incidents as the receiver was told of them: (opened or resolved, worst impact)."""
        events = [item.event for item in self.received if item.verified]
        return [
            (event["type"].removeprefix("incident."), event["incident"]["impact"])
            for event in events
            if event["type"] == "incident.opened"
        ] + [("resolved", "") for event in events if event["type"] == "incident.resolved"]

    async def perform(self) -> None:
        for act in ACTS:
            scene = Scene(act, time.monotonic())
            self.scenes.append(scene)
            await self.shop.turn(act.mood)
            await self._until_found(scene)
            await asyncio.sleep(act.linger)
        # The last webhook may still be on its way.
        await asyncio.sleep(0.5)

    async def _until_found(self, scene: Scene) -> None:
        while time.monotonic() - scene.began < scene.act.patience:
            status = self.agent.world.services["shop"]
            if status.state is scene.act.expected:
                scene.found = time.monotonic() - scene.began
                return
            await asyncio.sleep(0.05)


_EXPECTED = [
    ("opened", Impact.DEGRADATION.value),
    ("opened", Impact.DEGRADATION.value),
    ("opened", Impact.OUTAGE.value),
    *[("resolved", "")] * 3,
]


@asynccontextmanager
async def stage(port: int) -> AsyncIterator[Play]:
    """The shop, the receiver and the agent, all on loopback, and nothing left behind. Raises `StartError`."""
    key = secrets.token_bytes(32)
    received: list[Received] = []
    shop, receiver = Shop(), Receiver(key, received.append)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="brownout-demo-")))
        for part in (shop, receiver):
            await part.open()
            stack.push_async_callback(part.close)
        text = CHECKS.format(port=port, state=folder / "state", hook=receiver.port, shop=shop.port)
        file = folder / "checks.yaml"
        file.write_text(text, encoding="utf-8")
        secret = "whsec_" + base64.b64encode(key).decode()
        config = load(file, kinds=installed_kinds(), env={"DEMO_SECRET": secret})
        agent = Agent(config)
        await stack.enter_async_context(_running(agent))
        yield Play(agent, config, shop, received=received)


@asynccontextmanager
async def _running(agent: Agent) -> AsyncIterator[None]:
    stop = asyncio.Event()
    running = asyncio.create_task(agent.run(stop))
    started = asyncio.create_task(agent.started.wait())
    await asyncio.wait((running, started), return_when=asyncio.FIRST_COMPLETED)
    started.cancel()
    if running.done():
        await running  # raises what went wrong
    try:
        yield
    finally:
        stop.set()
        await running
