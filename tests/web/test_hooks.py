"""What comes in by a signature: webhooks of vendors, and the link in messages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, cast

import aiohttp
import pytest
import structlog

from monitor.core.deploys import Deploy, mark
from monitor.doors import doors_of
from monitor.hooks import Hook, Vendor
from monitor.invitations import Invitations
from monitor.pipeline import Pipeline
from monitor.web import Doors, Site, bind, public_application
from monitor.web.hooks import BODY_LIMIT, TOLD_EVERY
from probes.contract import Secret
from tests.test_hooks import KEY, github, pagerduty, signed, slack
from tests.web.conftest import Agent, Serve
from tests.web.made import PASSWORD
from tests.web.test_maintenance import Deciding

HOOKS = [
    Hook("deploys", Vendor.GITHUB, Secret(KEY), ("shop",)),
    Hook("pager", Vendor.PAGERDUTY, Secret(KEY)),
    Hook("unknown", Vendor.GITHUB, Secret(KEY), ("nobody",)),
]
LINKS = Invitations(b"key", "")

Served = tuple[Agent, str]


async def _served(serve: Serve, **more: Any) -> Served:
    """An agent with an open incident, and its id."""
    made: list[Doors] = []

    async def marked(asked: Mapping[str, Any], by: str, key: str) -> Any:
        return await made[0].mark(asked, by, key)

    async def acknowledge(incident: str, by: str) -> bool:
        return await made[0].acknowledge(incident, by)

    agent = await serve(doors=Doors(lambda: HOOKS, marked, acknowledge, LINKS), **more)
    made.append(doors_of(cast(Pipeline, Deciding(agent)), LINKS, lambda: HOOKS))
    incident = next(status.incident for status in agent.world.services.values() if status.incident)
    assert incident is not None
    return agent, incident.id


@pytest.fixture
async def served(serve: Serve) -> Served:
    return await _served(serve)


async def send(agent: Agent, name: str, vendor: Vendor, sent: Any, **headers: str) -> tuple[int, str]:
    body = json.dumps(sent).encode()
    given = {**signed(vendor, body), **headers, "Host": "status.example.com"}
    status, _, text = await agent.get(f"/hooks/{name}", method="POST", data=body, headers=given)
    return status, text


async def test_a_deploy_is_marked_once(served: Served) -> None:
    agent, _ = served
    assert await send(agent, "deploys", Vendor.GITHUB, github()) == (200, "marked")
    assert await send(agent, "deploys", Vendor.GITHUB, github()) == (200, "marked before")
    (deploy,) = agent.world.deploys
    assert (deploy.version, deploy.services, deploy.by) == ("v42", ("shop",), "ann at deploys")


async def test_an_acknowledgement_comes_back(served: Served) -> None:
    agent, incident = served
    sent = pagerduty(key=f"brownout:{incident}/outage")
    assert await send(agent, "pager", Vendor.PAGERDUTY, sent) == (200, "acknowledged")
    given = agent.world.handling.acknowledgement(incident)
    assert given is not None
    assert given.by == "Ann at pager"
    status, text = await send(agent, "pager", Vendor.PAGERDUTY, pagerduty())
    assert (status, text) == (200, "ignored: this incident is not open")


async def test_the_same_again_does_not_acknowledge_what_has_become_worse(served: Served) -> None:
    """PagerDuty signs no time: what it has sent of a degradation must not take on the outage that came of it."""
    agent, incident = served
    sent = pagerduty(key=f"brownout:{incident}/degraded")
    assert await send(agent, "pager", Vendor.PAGERDUTY, sent) == (200, "acknowledged")
    agent.world.handling.lift(incident)
    assert await send(agent, "pager", Vendor.PAGERDUTY, sent) == (200, "acknowledged before")
    assert agent.world.handling.acknowledgement(incident) is None


async def test_a_flood_of_forgeries_is_a_line_a_minute(served: Served) -> None:
    agent, _ = served
    with structlog.testing.capture_logs() as logged:
        for _ in range(3):
            assert (await send(agent, "pager", Vendor.GITHUB, github()))[0] == 403
        agent.clock.at += TOLD_EVERY
        assert (await send(agent, "pager", Vendor.GITHUB, github()))[0] == 403
    assert [line["more"] for line in logged if line["event"] == "hook_refused"] == [0, 2]


async def test_what_is_refused(served: Served) -> None:
    agent, _ = served
    assert (await send(agent, "nobody", Vendor.GITHUB, github()))[0] == 404
    forged = await send(agent, "deploys", Vendor.GITHUB, github(), **{"X-Hub-Signature-256": "sha256=00"})
    assert forged[0] == 403
    assert "is not of this hook's secret" in forged[1]
    assert (await send(agent, "deploys", Vendor.SLACK, slack()))[0] == 403
    assert (await send(agent, "unknown", Vendor.GITHUB, github()))[0] == 422
    assert (await send(agent, "deploys", Vendor.GITHUB, "x" * BODY_LIMIT))[0] == 413
    assert len(agent.world.deploys) == 0
    assert (await send(agent, "deploys", Vendor.GITHUB, {"zen": "ok"}, **{"X-GitHub-Event": "ping"}))[0] == 200
    _, _, text = await agent.get("/metrics")
    counted = {line for line in text.splitlines() if line.startswith("brownout_hooks_total")}
    assert counted == {
        'brownout_hooks_total{hook="deploys",result="refused"} 3.0',
        'brownout_hooks_total{hook="deploys",result="ignored"} 1.0',
        'brownout_hooks_total{hook="unknown",result="refused"} 1.0',
    }


def path_of(incident: str, agent: Agent) -> str:
    link = LINKS.link(incident, agent.clock.now().at)
    assert link is not None
    return link


async def test_a_link_shows_a_page_and_only_its_button_acknowledges(served: Served) -> None:
    agent, incident = served
    path = path_of(incident, agent)
    status, headers, page = await agent.get(path)
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "form-action 'self'" in headers["Content-Security-Policy"]
    assert "script-src 'self'" in headers["Content-Security-Policy"]
    assert headers["Server"] == "brownout"
    assert PASSWORD not in page
    assert 'method="post" >' in page
    assert agent.world.handling.acknowledgement(incident) is None

    status, _, page = await agent.get(path, method="POST", data={"by": "<b>Ann</b>\n"})
    given = agent.world.handling.acknowledgement(incident)
    assert given is not None
    assert given.by == "<b>Ann</b> (link)"
    assert (status, 'method="post" hidden>' in page) == (200, True)
    assert "&lt;b&gt;Ann&lt;/b&gt; (link) has it, since" in page
    await agent.get(path, method="POST", data={"by": "Bob"})
    assert agent.world.handling.acknowledgement(incident) == given, "who was first has it"


async def test_no_name_need_be_given(served: Served) -> None:
    agent, incident = served
    await agent.get(path_of(incident, agent), method="POST", data=b"\xff")
    given = agent.world.handling.acknowledgement(incident)
    assert given is not None
    assert given.by == "somebody (link)"


async def test_links_that_open_nothing(served: Served) -> None:
    agent, incident = served
    for method in ("GET", "POST"):
        status, _, page = await agent.get("/acknowledge/" + "a" * 50, method=method)
        assert (status, "This is no link of this agent" in page) == (404, True)
        over = LINKS.link(incident, agent.clock.now().at - timedelta(hours=25))
        status, _, page = await agent.get(str(over), method=method)
        assert (status, "This link has expired" in page) == (410, True)
    status, _, page = await agent.get(path_of("inc_" + "a" * 26, agent))
    assert (status, "This incident is over" in page) == (200, True)
    assert not list(agent.world.handling.incidents())


async def test_an_incident_tells_of_the_deploy_before_it(served: Served) -> None:
    agent, incident = served
    since = agent.world.cases[incident].incident.since
    deploy = Deploy("dep_1", "v42", since - timedelta(minutes=3), (), url=f"https://ci/{PASSWORD}")
    mark(agent.world, deploy, agent.clock.now())
    told = await agent.json(f"/api/v1/incidents/{incident}")
    assert (told["deploy"]["version"], told["deploy"]["seconds"], told["deploy"]["url"]) == (
        "v42",
        180,
        "https://ci/***",
    )


async def test_the_world_may_knock_too() -> None:
    async with aiohttp.ClientSession() as client:
        doors = Doors(lambda: HOOKS, _unasked, _unasked, LINKS)
        site = Site(public_application(Agent(client).view(doors=doors)), bind("127.0.0.1", 0))
        await site.start()
        async with client.post(f"http://127.0.0.1:{site.port}/hooks/deploys", data=b"{}") as answer:
            assert answer.status == 403
        async with client.get(f"http://127.0.0.1:{site.port}/acknowledge/x") as answer:
            assert answer.status == 404
        await site.stop()


async def _unasked(*_: Any) -> Any:
    raise AssertionError
