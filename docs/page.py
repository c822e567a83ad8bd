"""Renews images/page.png, the live page as the README shows it: `python -m docs.page`, where Chromium is installed.

Page, server, judging and configuration are the agent's own; clock, looks and history of the shop are made up.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp

from monitor.config.load import load
from monitor.core.model import Change, Journal, Look, State, Transition, Verdict
from monitor.core.rows import Rows
from monitor.core.world import World
from monitor.kinds import installed_kinds
from monitor.parts import plan_of
from monitor.web import Site, application, bind
from probes.contract import Observation
from tests.core.builders import moment
from tests.web.browser import CHROMIUM, browser
from tests.web.conftest import Agent
from tests.web.made import at

PICTURE = Path(__file__).parent / "images" / "page.png"
WIDTH, HEIGHT = 1100, 1210
DAY, NOW = 86400, 720
"""Seconds: of history, and since the start when the picture is taken."""
SLOW_FROM = 510
SPELL = range(-50400, -47880)
"""When it was slow the evening before."""
SEED = 7

CONFIG = """\
agent: {vantage: {name: fra1}}
defaults: {every: 15s}
sinks:
  chat: {type: console}
people:
  ann: {sms: {type: console}}
  bob: {sms: {type: console}}
oncall: {rotation: [ann, bob], from: 2026-02-23, handover: Mon 09:00}
services:
  shop: {title: Web shop, outage: "any of home, checkout", owner: web, runbook: https://wiki.example.com/shop}
  search: {title: Search, outage: any of search}
checks:
  - name: home
    service: shop
    probe: http
    url: https://shop.example.com/home
    defaults: off
    degraded:
      - response_time > 800ms, clear < 600ms
      - certificate_expires_in < 14d
  - {name: checkout, service: shop, probe: http, url: https://shop.example.com/checkout, defaults: off}
  - {name: images, service: shop, probe: http, url: https://images.example.com/, defaults: off}
  - {name: search, service: search, probe: http, url: https://search.example.com/, defaults: off}
  - {name: suggest, service: search, probe: http, url: https://search.example.com/suggest, defaults: off}
routes:
  - escalate: [{to: chat}, {after: 5m, to: oncall.sms}]
"""


def answer(took: float) -> Observation:
    measured = {"response_time": took, "certificate_expires_in": 61 * 86400.0}
    phases = {"dns": 0.004, "connect": 0.018, "tls": 0.041, "first_byte": took - 0.08, "transfer": 0.017}
    return Observation(measured, phases=phases, evidence={"address": "192.0.2.1", "status": "200"})


def seen(world: World) -> None:
    """The minutes before the picture: home turns slow."""
    world.start(moment(0))
    draw = random.Random(SEED)  # noqa: S311  (a picture)
    for second in range(0, NOW, 15):
        for offset, name in enumerate(world.judges):
            slow = name == "home" and second >= SLOW_FROM
            took = draw.uniform(2.0, 2.5) if slow else draw.uniform(0.12, 0.3)
            began = moment(second + offset)
            world.observe(Look(name, answer(took), began, moment(second + offset + took)))


def past() -> Iterator[tuple[float, float]]:
    """When each look at home of the day before began, and how long it took: slower by day, and for a spell."""
    draw = random.Random(SEED)  # noqa: S311  (a picture)
    for second in range(NOW - DAY, NOW, 60):
        usual = 0.3 if second < -50000 else 0.2
        slow = second in SPELL or second >= SLOW_FROM
        took = draw.uniform(1.8, 2.7) if slow else usual * draw.lognormvariate(0.0, 0.2)
        yield second, took


async def remember(agent: Agent) -> None:
    store, rows, check = agent.journal.history, Rows[str](), agent.world.judges["home"].check
    await store.open()
    for second, took in past():
        slow = second in SPELL or second >= SLOW_FROM
        look = Look("home", answer(took), moment(second), moment(second + took))
        rows.add("home", check, look, State.DEGRADED if slow else State.UP)
    await store.record(rows, at(NOW))
    plan = [("unknown", "up", NOW - DAY), ("up", "degraded", SPELL[0]), ("degraded", "up", SPELL[-1])]
    plan.append(("up", "degraded", SLOW_FROM))
    changes = tuple(
        Transition("check", "home", seq, at(second), at(second), old, new, Verdict(State(new)))
        for seq, (old, new, second) in enumerate(plan, 1)
    )
    await store.commit([Change(transitions=changes)], frozenset())


async def taken(folder: Path) -> None:
    file = folder / "checks.yaml"
    file.write_text(CONFIG, encoding="utf-8")
    config = load(file, kinds=installed_kinds(), env={"HOME": str(folder)})
    async with aiohttp.ClientSession() as client:
        agent = Agent(client)
        agent.world = World(plan_of(config), Journal("documentation", 1), moment(0))
        seen(agent.world)
        agent.clock.at = NOW
        await remember(agent)
        site = Site(application(agent.view(started=at(NOW) - timedelta(hours=73))), bind("127.0.0.1", 0))
        await site.start()
        try:
            async with browser(folder / "browser") as tab:
                await tab.look(WIDTH, HEIGHT)
                await tab.call("Emulation.setTimezoneOverride", timezoneId="UTC")
                await tab.open(f"http://127.0.0.1:{site.port}/#home")
                await tab.until("document.querySelector('.chart .median') !== null")
                await tab.picture(PICTURE)
        finally:
            await site.stop()


def main() -> int:
    if CHROMIUM is None:
        print("no Chromium here: apt-get install chromium", file=sys.stderr)
        return 2
    with TemporaryDirectory() as folder:
        asyncio.run(taken(Path(folder)))
    print(f"renewed {PICTURE.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
