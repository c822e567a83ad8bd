"""The live page in a real browser, over a real server: what it shows, opens, says when nobody answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest

from monitor.core import handling
from monitor.core.model import Change, Look, State, Transition, Verdict
from monitor.core.routing import Policy, Route, Step
from monitor.core.rows import Rows
from monitor.web import Feed, Site, application, bind, public_application
from probes.contract import Reason
from tests.core.builders import moment
from tests.web.browser import CHROMIUM, Page, browser
from tests.web.conftest import Agent
from tests.web.made import at, observation, page, see, shop
from tests.web.test_access import READER, TOKENS
from tests.web.test_feed import event

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no browser here: apt-get install chromium"),
    pytest.mark.timeout(120),
]
EVIL = '<img src=x onerror="document.title=1">'


class Shop:
    """An agent's page, and the browser in front of it."""

    def __init__(self, agent: Agent, feed: Feed, site: Site, tab: Page) -> None:
        self.agent, self.feed, self.site, self.tab = agent, feed, site, tab

    async def open(self, where: str = "") -> None:
        await self.tab.open(f"{self.agent.base}/{where}")
        await self.tab.until("document.querySelectorAll('.service').length > 0")


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Shop]:
    async with aiohttp.ClientSession() as client:
        agent = Agent(client)
        agent.world = shop(page(EVIL, url=f"https://shop.example.com/{EVIL}"))
        for turn in range(10):
            see(agent.world, "home", turn * 15.0, observation(2.4 if turn > 2 else 0.31))
            see(agent.world, "checkout", turn, observation(reason=Reason.REFUSED, detail=EVIL))
        await remember(agent)
        feed = Feed(agent.journal, lambda value: value)
        site = Site(application(agent.view(feed=feed)), bind("127.0.0.1", 0))
        await site.start()
        agent.base = f"http://127.0.0.1:{site.port}"
        async with browser(tmp_path / "browser") as tab:
            yield Shop(agent, feed, site, tab)
        await site.stop()


async def remember(agent: Agent) -> None:
    """A day of looks at `home`, with an hour in which it was down."""
    store, rows, check = agent.journal.history, Rows[str](), agent.world.judges["home"].check
    await store.open()
    for second in range(-86400, 0, 600):
        look = Look("home", observation(0.3), moment(second), moment(second + 0.3))
        rows.add("home", check, look, State.UP)
    await store.record(rows, at(0))
    plan = [("unknown", "up", -86000), ("up", "down", -40000), ("down", "up", -36400)]
    changes = tuple(
        Transition("check", "home", seq, at(second), at(second), old, new, Verdict(State(new), None, EVIL))
        for seq, (old, new, second) in enumerate(plan, 1)
    )
    await store.commit([Change(transitions=changes)], frozenset())


async def test_the_page_shows_the_worst_first_and_opens_a_check_by_keyboard(watched: Shop) -> None:
    tab = watched.tab
    await watched.open()
    names = await tab.value("[...document.querySelectorAll('.check button.name')].map((node) => node.textContent)")
    assert names[:3] == ["checkout", "home", "images"]
    await tab.value("[...document.querySelectorAll('.check button.name')][1].focus()")
    for kind in ("keyDown", "keyUp"):
        await tab.call(
            "Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", text="\r", windowsVirtualKeyCode=13
        )
    await tab.until("document.querySelector('.chart .median') !== null")
    assert await tab.value("document.querySelector('.check button[aria-expanded=true]').textContent") == "home"
    assert await tab.value("document.querySelector('.ribbon').getAttribute('aria-label')") == (
        "Last 24 hours: up 95.816 %, down 1 h 0 min"
    )
    assert await tab.value("document.querySelectorAll('.ribbon rect[data-state=down]').length") == 1
    assert "degraded 800 ms" in await tab.value("document.querySelector('.chart').textContent")
    told = await tab.until(
        "document.querySelector('.detail .thresholds') && document.querySelector('.detail').innerText"
    )
    for part in (
        "response_time > 800ms, clear < 600ms",
        "2.4 s",
        "192.0.2.1",
        "https://wiki.example.com/shop",
        "up → down",
    ):
        assert part in told
    await tab.value("document.querySelector('.chart').focus()")
    await tab.call("Input.dispatchKeyEvent", type="keyDown", key="ArrowLeft", code="ArrowLeft")
    await tab.until("document.querySelectorAll('.detail .told')[1].textContent.includes('p50 ')")
    await tab.value("document.querySelectorAll('.ranges button')[3].click()")
    await tab.until("document.querySelector('.detail .told').textContent.startsWith('Last 90 days')")
    assert tab.trouble == []
    assert tab.asked == {watched.agent.base}, "the page asked somebody else"


async def test_texts_of_targets_are_texts(watched: Shop) -> None:
    await watched.open("#checkout")
    await watched.tab.until("document.querySelector('.detail dl') !== null")
    assert EVIL in await watched.tab.seen()
    assert await watched.tab.value("document.images.length") == 0
    assert await watched.tab.value("document.title") != "1"


async def test_what_happens_is_shown_at_once_and_silence_is_said(watched: Shop) -> None:
    tab, agent = watched.tab, watched.agent
    await watched.open()
    await tab.until("document.getElementById('updated').textContent.startsWith('Live')")
    agent.clock.at += 60
    for turn in range(80):
        see(agent.world, "checkout", 60.0 + turn, observation())
    told = event(7, at="2026-03-01T12:02:00.000Z", sentence="checkout is up again.")
    agent.journal.bodies = [dict(told.body)]
    watched.feed.publish([told])
    await tab.until("document.body.innerText.includes('checkout is up again.')", patience=4)
    assert await tab.value("document.getElementById('overall').dataset.state") == "degradation"
    await watched.site.stop()
    await tab.until("!document.getElementById('lost').hidden")
    lost = await tab.value("document.getElementById('lost').textContent")
    assert "The agent does not answer. Last heard" in lost
    assert await tab.value("document.body.classList.contains('stale')")


async def test_a_protected_agent_asks_for_a_token(watched: Shop) -> None:
    site = Site(application(watched.agent.view(tokens=lambda: TOKENS, protected=lambda: True)), bind("127.0.0.1", 0))
    await site.start()
    await watched.tab.open(f"http://127.0.0.1:{site.port}/")
    await watched.tab.until("!document.getElementById('token').hidden")
    await watched.tab.value(f"document.getElementById('token-text').value = '{READER}'")
    await watched.tab.value("document.querySelector('#token button').click()")
    await watched.tab.until("document.querySelectorAll('.service').length > 0")
    assert await watched.tab.value("document.getElementById('token').hidden")
    assert await watched.tab.value("document.cookie") == ""
    await site.stop()


async def test_a_phone_shows_everything_without_scrolling_sideways(watched: Shop) -> None:
    await watched.tab.look(360, 740, dark=True)
    await watched.open("#home")
    await watched.tab.until("document.querySelector('.detail .thresholds') !== null")
    assert await watched.tab.value("document.documentElement.scrollWidth") <= 360


async def test_six_hundred_checks_are_shown_and_renewed_quickly(watched: Shop) -> None:
    watched.agent.world = shop(*(page(f"page-{number}") for number in range(600)))
    await watched.open()
    took = await watched.tab.value(
        "ask('api/v1/status').then((status) => { const began = performance.now(); showStatus(status);"
        " document.body.offsetHeight; return performance.now() - began; })"
    )
    assert await watched.tab.value("document.querySelectorAll('.check').length") == 500
    assert took < 10_000, "ms for showing 500 checks again; it takes some tens on a machine that is not busy"


async def test_the_public_page(watched: Shop) -> None:
    plan = [
        ("unknown", "operational", -5 * 86400),
        ("operational", "outage", -90000),
        ("outage", "operational", -86400),
    ]
    changes = tuple(
        Transition("service", "shop", seq, at(second), at(second), old, new, Verdict(State.UP, None, EVIL))
        for seq, (old, new, second) in enumerate(plan, 1)
    )
    await watched.agent.journal.history.commit([Change(transitions=changes)], frozenset())
    site = Site(public_application(watched.agent.view()), bind("127.0.0.1", 0))
    await site.start()
    await watched.tab.open(f"http://127.0.0.1:{site.port}/")
    await watched.tab.until("document.querySelectorAll('#services li').length === 2")
    seen = await watched.tab.seen()
    assert "Web shop has an outage since" in seen
    assert "checkout" not in seen
    assert "Each bar shows the last 30 days" in seen
    ribbon = "document.querySelector('#services li .ribbon')"
    states = await watched.tab.value(f"[...{ribbon}.querySelectorAll('rect')].map((node) => node.dataset.state)")
    assert states == [None, "operational", "operational", "outage"], "what nobody saw first, trouble on top"
    assert await watched.tab.value(f"{ribbon}.getAttribute('aria-label')") == "Last 30 days: 1 trouble"
    assert await watched.tab.value(f"{ribbon}.getBoundingClientRect().height") > 8
    assert watched.tab.trouble == []
    await site.stop()


async def test_it_shows_who_has_an_incident_and_who_is_called_next(watched: Shop) -> None:
    world, tab = watched.agent.world, watched.tab
    policy = Policy((Step(timedelta(minutes=15), ("oncall.call",)),))
    world.plan = replace(world.plan, routes=(Route(("chat",), policy=policy),))
    line = "document.querySelector('#incidents li').lastChild.textContent"
    await watched.open()
    assert str(await tab.value(line)).startswith("Nobody has it: oncall.call at ")
    [incident] = world.cases
    now = watched.agent.clock.now()
    handling.note(world, incident, EVIL, "bob", now)
    handling.acknowledge(world, incident, EVIL, now)
    watched.agent.clock.at += 10.0
    await watched.open()
    await tab.until(f"{line}.startsWith('<img')")
    assert await tab.value(line) == f"{EVIL} has it · bob: {EVIL}"
    assert await tab.value("document.title") != "1"
    handling.snooze(world, incident, now.at + timedelta(hours=1), "ann", now)
    watched.agent.clock.at += 10.0
    await watched.open()
    await tab.until(f"{line}.startsWith('ann has it until ')")
