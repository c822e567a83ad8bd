"""Deploys marked over the API: who may, what is refused, and where it shows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

import pytest

from monitor.core.deploys import MOST, Deploy, mark
from monitor.invitations import Invitations
from monitor.marking import Marker
from monitor.pipeline import Pipeline
from monitor.tokens import Scope, Token
from monitor.web import Doors
from tests.core.builders import moment
from tests.web.conftest import Agent, Serve
from tests.web.contract import assert_described
from tests.web.made import PASSWORD, shop
from tests.web.test_maintenance import Deciding

OPERATE, READ = "operate-token-0123456789", "read-token-0123456789"
PATH = "/api/v1/deploys"


NO_LINKS = Invitations(b"key", None)


async def _nobody(incident: str, by: str) -> bool:
    return False


class Port:
    """Made before the agent is there."""

    marker: Marker

    async def mark(self, asked: Mapping[str, Any], by: str, key: str = "") -> tuple[Deploy, bool]:
        return await self.marker.mark(asked, by, key)


@pytest.fixture
async def agent(serve: Serve) -> Agent:
    tokens = [Token.of("ci", OPERATE, [Scope.OPERATE]), Token.of("page", READ, [Scope.READ])]
    port = Port()
    agent = await serve(world=shop(), tokens=lambda: tokens, doors=Doors(tuple, port.mark, _nobody, NO_LINKS))
    port.marker = Marker(cast(Pipeline, Deciding(agent)))
    return agent


async def ask(agent: Agent, body: Any, token: str = OPERATE) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    data = body if isinstance(body, str) else json.dumps(body)
    status, got, text = await agent.get(PATH, method="POST", data=data, headers=headers)
    assert_described(PATH, status, got["Content-Type"], json.loads(text), "post")
    return status, json.loads(text)


async def test_it_is_marked_once_and_listed(agent: Agent) -> None:
    status, deploy = await ask(agent, {"version": "v42", "services": ["shop"], "by": "ann", "url": "https://ci/7"})
    assert status == 201
    assert deploy == {
        "id": deploy["id"], "version": "v42", "at": "2026-03-01T12:01:00.000Z", "services": ["shop"],
        "environment": None, "by": "ann (ci)", "url": "https://ci/7",
    }  # fmt: skip
    assert await ask(agent, {"version": "v42", "services": "shop"}) == (200, deploy)
    status, headers, text = await agent.get(PATH)
    assert_described(PATH, status, headers["Content-Type"], json.loads(text))
    assert json.loads(text) == {"count": 1, "deploys": [deploy]}


async def test_it_may_have_been_earlier(agent: Agent) -> None:
    status, deploy = await ask(agent, {"version": "v1", "at": "2026-03-01T14:00:00+02:00"})
    assert (status, deploy["at"], deploy["services"]) == (201, "2026-03-01T12:00:00.000Z", [])
    status, deploy = await ask(agent, {"version": "v2", "at": "2026-03-01T12:05:00Z", "url": f"http://x/{PASSWORD}"})
    assert (deploy["at"], deploy["url"]) == ("2026-03-01T12:01:00.000Z", "http://x/***"), "their clock is ahead"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("", "Send an object"),
        ("[" * 9000, "Send an object"),
        ({}, "say which version was deployed"),
        ({"version": " "}, "say which version was deployed"),
        ({"version": 42}, "version must be a text of at most 100 characters"),
        ({"version": "v\n42"}, "on one line"),
        ({"version": "v" * 101}, "version must be a text of at most 100 characters"),
        ({"version": "v1", "when": 1}, "1 unknown key(s)"),
        ({"version": "v1", "services": ["shop", "nobody"]}, "service 2 is none of this agent"),
        ({"version": "v1", "services": [3]}, "service 1 is none of this agent"),
        ({"version": "v1", "services": ["shp"]}, "service 1 is none of this agent (did you mean shop?)"),
        ({"version": "v1", "services": {}}, "services must be the name of a service"),
        ({"version": "v1", "url": "javascript:alert(1)"}, "url must be a URL"),
        ({"version": "v1", "url": "http://[x"}, "url must be a URL"),
        ({"version": "v1", "at": "2026-03-01T12:00:00"}, "at must be a time with a zone"),
        ({"version": "v1", "at": 3}, "at must be a time with a zone"),
        ({"version": "v1", "at": "2026-02-27T12:00:00Z"}, "at must be a time within the last 24 hours"),
        ({"version": "v1", "at": "2026-03-01T13:00:00Z"}, "at must be a time within the last 24 hours"),
    ],
)
async def test_what_is_refused(agent: Agent, body: Any, said: str) -> None:
    status, problem = await ask(agent, body)
    assert status == 400
    assert said in problem["detail"]
    assert len(agent.world.deploys) == 0


async def test_a_script_that_runs_wild_is_stopped_for_an_hour(agent: Agent) -> None:
    for number in range(MOST):
        mark(agent.world, Deploy(f"dep_{number}", f"v{number}", moment(60 - number).at), moment(60))
    status, problem = await ask(agent, {"version": "one-more"})
    assert (status, "200 deploys were marked within an hour" in problem["detail"]) == (400, True)
    assert (await ask(agent, {"version": "v7"}))[0] == 200, "what is known is no more than it was"
    agent.clock.at = 3600.0
    assert (await ask(agent, {"version": "one-more"}))[0] == 201


async def test_who_may(agent: Agent, serve: Serve) -> None:
    assert (await ask(agent, {"version": "v1"}, token=READ))[0] == 403
    tokens = [Token.of("ci", OPERATE, [Scope.OPERATE])]
    assert (await ask(await serve(world=shop(), tokens=lambda: tokens), {"version": "v1"}))[0] == 503
