"""The live page in a bad night: what is suppressed, flaps or is in maintenance, and an agent that cannot see."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from monitor.core.model import Check
from monitor.core.world import World
from monitor.web import Site, application, bind
from tests.core.builders import check, world
from tests.core.calmly import Calmly, once
from tests.core.test_flapping import flap
from tests.web.browser import CHROMIUM, browser
from tests.web.conftest import Agent

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no browser here: apt-get install chromium"),
    pytest.mark.timeout(120),
]
LONG = "the monthly export of invoices to the accounting system of the parent company, with all that hangs on it"
BLIND = "the agent cannot see since 12:00:05 UTC: it has lost its own network"


def named(name: str, long: str, **fields: object) -> Check:
    return replace(check(name, **fields), name=long)


def night() -> World:
    """A database takes two along, one flaps, one is in maintenance."""
    checks = (
        named("database", f"database of {LONG}"),
        named("app", "app", depends_on=("database",)),
        named("front", LONG, depends_on=("app",)),
        check("home"),
        check("deploy"),
    )
    story = Calmly(world(*checks))
    for item in checks:
        story.see(0, item.id)
    flap(story, 100, 400, 700)
    story.maintain(once(750, 9000, "deploy"), 750)
    for name in ("database", "app", "front", "deploy"):
        story.kill(name, 800)
    return story.world


async def test_what_nobody_is_told_of_says_why(tmp_path: Path) -> None:
    async with aiohttp.ClientSession() as client, browser(tmp_path / "browser") as tab:
        agent = Agent(client)
        agent.world, agent.clock.at, agent.health = night(), 810, replace(agent.health, blindness=BLIND)
        site = Site(application(agent.view()), bind("127.0.0.1", 0))
        await site.start()
        await tab.look(390, 800, dark=True)
        await tab.open(f"http://127.0.0.1:{site.port}/#front")
        await tab.until("document.querySelector('.detail dl') !== null")
        rows = await tab.value(
            "Object.fromEntries([...document.querySelectorAll('.check')].map((node) => [node.check.id,"
            " [...node.querySelectorAll('.flag')].map((flag) => flag.textContent)]))"
        )
        assert rows == {
            "database": [], "app": ["suppressed"], "front": ["suppressed"],
            "home": ["flapping"], "deploy": ["in maintenance"],
        }  # fmt: skip
        seen = await tab.seen()
        assert "The agent cannot see since 12:00:05 UTC" in seen
        assert f"Probably database of {LONG}: nothing listens on the port" in seen
        assert f"database of {LONG} explains it, so nobody is told of it" in seen
        assert f"database of {LONG}, which it depends on: no event tells of it" in seen
        assert "start the service" not in await tab.value("document.querySelector('.detail').innerText")
        assert await tab.value("document.documentElement.scrollWidth") <= 390
        assert tab.trouble == []
        await site.stop()
