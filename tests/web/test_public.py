"""The listener for the world: what is on it, and what is not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta

import aiohttp
import pytest

from monitor.core.model import Change, OutageRule, Service, State, Transition, Verdict
from monitor.tokens import Scope, Token
from monitor.web import Post, Site, application, bind, public_application, ribbons
from monitor.web.ribbons import FRESH
from probes.contract import Presence, Reason, Secret
from probes.heartbeat import Heartbeat
from tests.core.builders import check, world
from tests.web.conftest import Agent
from tests.web.contract import assert_described
from tests.web.made import at, observation, page, see, shop
from tests.web.test_server import assert_problem

TOKEN, ADMIN = "backup-0123456789", "admin-token-0123456789"

INSIDE_ONLY = (
    "/metrics",
    "/api/v1/status",
    "/api/v1/checks",
    "/api/v1/checks/home",
    "/api/v1/checks/home/chart",
    "/api/v1/checks/home/findings",
    "/api/v1/checks/home/ribbon",
    "/api/v1/checks/home/transitions",
    "/api/v1/services",
    "/api/v1/services/shop",
    "/api/v1/services/shop/ribbon",
    "/api/v1/actions",
    "/api/v1/actions/stop",
    "/api/v1/actions/start",
    "/api/v1/incidents",
    "/api/v1/events",
    "/api/v1/openapi.json",
    "/api/v1/maintenance",
    "/api/v1/maintenance/m-abcdef",
    "/api/v1/sinks",
    "/api/v1/sinks/dead",
    "/api/v1/sinks/replay",
    "/api/v1/sinks/home/test",
    "/api/v1/config",
    "/api/v1/incidents/inc_a/acknowledge",
    "/api/v1/incidents/inc_a/notes",
    "/api/v1/incidents/inc_a/snooze",
    "/api/v1/deploys",
    "/api/v1/oncall",
    "/api/v1/silences",
    "/api/v1/silences/s-a",
    "/api/v1/drills",
    "/api/v1/drills/drill-a",
    "/api/v1/reload",
    "/static/page.js",
    "/static/basics.js",
    "/static/detail.js",
)
FOR_ALL = (
    "/",
    "/api/v1/public",
    "/healthz",
    "/readyz",
    "/static/public.js",
    "/static/chart.js",
    "/static/page.css",
    "/static/icon-up.svg",
)


@pytest.fixture
async def agent() -> AsyncIterator[Agent]:
    async with aiohttp.ClientSession() as client:
        agent = Agent(client)
        agent.world = shop(check("backup", probe=Heartbeat(token=Secret(TOKEN), period=timedelta(hours=1))))

        async def keep(_: str) -> bool:
            await asyncio.sleep(0)
            return True

        post = Post(lambda: Presence(1e9, 0.0), keep, lambda _: None)
        tokens = [Token.of("deploy", ADMIN, Scope)]
        site = Site(public_application(agent.view(post=post, tokens=lambda: tokens)), bind("127.0.0.1", 0))
        await site.start()
        agent.base = f"http://127.0.0.1:{site.port}"
        yield agent
        await site.stop()


def bad(agent: Agent) -> None:
    for second in range(40):
        see(agent.world, "checkout", second, observation(reason=Reason.REFUSED, detail="192.0.2.10:443 ECONNREFUSED"))


@pytest.mark.parametrize("path", INSIDE_ONLY)
async def test_what_is_inner_is_not_there_not_even_with_a_token(agent: Agent, path: str) -> None:
    for method in ("GET", "POST"):
        headers = {"Authorization": f"Bearer {ADMIN}"}
        assert_problem(*await agent.get(path, method=method, headers=headers), expected=404)


async def test_the_world_is_not_told_of_what_is_inner(agent: Agent) -> None:
    _, _, text = await agent.get("/api/v1/status")
    assert json.loads(text) == {"title": "Not Found", "status": 404, "detail": "Nothing is here."}


@pytest.mark.parametrize("path", FOR_ALL)
async def test_what_everybody_may_see_is_read_under_any_name(agent: Agent, path: str) -> None:
    status, headers, _ = await agent.get(path, headers={"Host": "status.example.com"})
    assert status == 200
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert (await agent.get(path, method="HEAD"))[0] == 200
    assert_problem(*await agent.get(path, method="POST"), expected=405)


def test_every_route_of_both_listeners_is_in_one_of_the_lists() -> None:
    async def routes() -> set[str]:
        async with aiohttp.ClientSession() as client:
            view = Agent(client).view()
            inner = {resource.canonical for resource in application(view).router.resources()}
            return inner - {resource.canonical for resource in public_application(view).router.resources()}

    left = asyncio.run(routes())
    named = {path.replace("/home", "/{name}").replace("/shop", "/{name}") for path in INSIDE_ONLY}
    named |= {
        path.replace("/inc_a", "/{id}").replace("/drill-a", "/{id}").replace("/s-a", "/{id}") for path in INSIDE_ONLY
    }
    assert left - {"/api/v1/incidents/{id}", "/api/v1/maintenance/{id}"} <= named


async def test_pings_come_in(agent: Agent) -> None:
    assert (await agent.get(f"/ping/{TOKEN}", headers={"Host": "ping.example.com"}))[0] == 200
    assert "ping" in str(dict(agent.world.judges["backup"].memory)) or agent.world.judges["backup"].memory
    assert_problem(*await agent.get("/ping/unknown-0123456789"), expected=404)


async def test_states_and_sentences_are_told_and_nothing_that_a_target_said_or_is(agent: Agent) -> None:
    bad(agent)
    status, headers, text = await agent.get("/api/v1/public")
    assert_described("/api/v1/public", status, headers["Content-Type"], json.loads(text))
    document = json.loads(text)
    assert document["sentence"] == "Web shop has an outage since 12:00:00 UTC."
    assert [service["title"] for service in document["services"]] == ["Web shop", "Search"]
    assert document["services"][0]["incident"] == {"impact": "outage", "since": "2026-03-01T12:00:00.000Z"}
    assert document["services"][1]["sentence"] == "Search cannot be judged at the moment."
    for word in ("192.0.2", "ECONN", "checkout", "https", "home", "wiki", "refused", "backup", "fra1"):
        assert word not in text
    _, _, health = await agent.get("/healthz")
    assert json.loads(health) == {"status": "pass"}


async def was_out(agent: Agent) -> None:
    """The shop, two hours ago, for an hour; its journal says why."""
    await agent.journal.history.open()
    plan = [
        ("unknown", "operational", -7 * 86400),
        ("operational", "outage", -7200),
        ("outage", "operational", -3600),
    ]
    for seq, (old, new, second) in enumerate(plan, 1):
        verdict = Verdict(State.UP, None, "192.0.2.10:443 ECONNREFUSED")
        transition = Transition("service", "shop", seq, at(second), at(second), old, new, verdict)
        await agent.journal.history.commit([Change(transitions=(transition,))], frozenset())


async def test_the_last_days_are_told_as_states_only_and_read_once_a_minute(agent: Agent) -> None:
    agent.clock.at = 0.0
    await was_out(agent)
    status, headers, text = await agent.get("/api/v1/public")
    document = json.loads(text)
    assert_described("/api/v1/public", status, headers["Content-Type"], document)
    assert "ECONN" not in text
    shop_, search = (service["past"] for service in document["services"])
    times = [round(at(second).timestamp()) for second in (-7 * 86400, -7200, -3600, 0)]
    assert shop_["spans"] == [
        [times[0], times[1], "operational"],
        [times[1], times[2], "outage"],
        [times[2], times[3], "operational"],
    ]
    assert search["spans"] == []
    agent.journal.broken = True
    agent.clock.at += FRESH - 1
    assert (await agent.json("/api/v1/public"))["services"][0]["past"] == shop_, "it is kept for a while"
    agent.clock.at += 2
    assert [service["past"] for service in (await agent.json("/api/v1/public"))["services"]] == [None, None]


async def test_a_disk_that_hangs_does_not_hold_up_the_public_page(
    agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ribbons, "PATIENCE", 0.05)
    monkeypatch.setattr(agent.journal, "states", lambda *_: asyncio.Event().wait())
    document = await asyncio.wait_for(agent.json("/api/v1/public"), 10)
    assert document["sentence"]
    assert document["services"][0]["past"] is None


async def test_the_overall_sentence_for_the_world() -> None:
    async with aiohttp.ClientSession() as client:
        agent = Agent(client)
        agent.world = world(page("one", "one"), services={"one": hidden("one")})
        assert await sentence(agent) == "No services are published here"
        agent.world = shop()
        assert await sentence(agent) == "Web shop and 1 more cannot be judged; nothing is known to be bad"
        for name in ("home", "checkout", "images", "search"):
            see(agent.world, name, 0.0, observation())
        assert await sentence(agent) == "All systems operational"
        for second in range(40):
            see(agent.world, "images", 15.0 * second, observation(reason=Reason.REFUSED))
            see(agent.world, "search", 15.0 * second, observation(reason=Reason.REFUSED))
        assert await sentence(agent) == "Search has an outage since 12:00:00 UTC. 1 more service has trouble."


def hidden(name: str) -> Service:
    return Service(name, name, (name,), OutageRule(1, (name,)), implicit=True)


async def sentence(agent: Agent) -> str:
    site = Site(public_application(agent.view()), bind("127.0.0.1", 0))
    await site.start()
    agent.base = f"http://127.0.0.1:{site.port}"
    document = await agent.json("/api/v1/public")
    await site.stop()
    return str(document["sentence"])
