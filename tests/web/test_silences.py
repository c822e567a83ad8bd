"""Silences over the API: who may, what is refused, and what they do."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest

from monitor.announcing import MOST_SILENCES, Silencer
from monitor.core.model import Change, Moment
from monitor.core.routing import ALWAYS
from monitor.core.silences import Silence
from monitor.core.world import World
from monitor.pipeline import Pipeline
from monitor.tokens import Scope, Token
from tests.web.conftest import Agent, Serve
from tests.web.contract import assert_described
from tests.web.made import shop

OPERATE, READ = "operate-token-0123456789", "read-token-0123456789"
PATH = "/api/v1/silences"
FINE = {"when": "service = shop and check = home", "for": "2h", "why": "a move"}


class Deciding:
    """Has a world decide, as the pipeline does."""

    agent: Agent

    def __init__(self) -> None:
        self.writer = self

    def decide(self, what: Callable[[World, Moment], Change | None]) -> None:
        what(self.agent.world, self.agent.clock.now())

    async def committed(self, patience: float) -> bool:
        return True


@pytest.fixture
async def agent(serve: Serve) -> Agent:
    deciding = Deciding()
    tokens = (Token.of("ci", OPERATE, [Scope.OPERATE]), Token.of("eye", READ, [Scope.READ]))
    made = await serve(world=shop(), tokens=lambda: tokens, silencer=Silencer(cast(Pipeline, deciding)))
    deciding.agent = made
    return made


async def ask(
    agent: Agent, body: Any, *, method: str = "POST", path: str = PATH, token: str = OPERATE
) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    data = None if body == "" else json.dumps(body)
    status, got, text = await agent.get(path, method=method, data=data, headers=headers)
    if status == 204:
        return status, None
    template = PATH if method == "POST" else f"{PATH}/{{id}}"
    assert_described(template, status, got["Content-Type"], json.loads(text), method.lower())
    return status, json.loads(text)


async def test_it_is_silenced_shown_and_ended(agent: Agent) -> None:
    status, made = await ask(agent, FINE)
    assert status == 201
    assert (made["when"], made["why"], made["by"]) == (FINE["when"], "a move", "ci")
    assert (made["from"], made["until"]) == ("2026-03-01T12:01:00.000Z", "2026-03-01T14:01:00.000Z")
    status, headers, text = await agent.get(PATH)
    assert_described(PATH, status, headers["Content-Type"], json.loads(text))
    assert json.loads(text) == {"count": 1, "silences": [made]}
    assert await ask(agent, "", path=f"{PATH}/{made['id']}", method="DELETE") == (204, None)
    assert (await ask(agent, "", path=f"{PATH}/{made['id']}", method="DELETE"))[0] == 404
    assert json.loads((await agent.get(PATH))[2])["count"] == 0


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (None, "Send an object"),
        ([], "Send an object"),
        ({"for": "2h"}, "when must be a text such as service = shop"),
        ({"when": 3, "for": "2h"}, "when must be a text"),
        ({"when": "x" * 501, "for": "2h"}, "at most 500 characters"),
        ({"when": "service = shop"}, "say when it ends"),
        ({"when": "service = shop", "for": "2h", "until": "2026-03-02T00:00:00Z"}, "say when it ends"),
        ({"when": "service = shop", "for": "31d"}, "within 30 d"),
        ({"when": "service = shop", "for": "0s"}, "must end after now"),
        ({"when": "service = shpo", "for": "2h"}, 'unknown service "shpo" (did you mean shop?)'),
        ({"when": "check = nowhere", "for": "2h"}, 'unknown check "nowhere"'),
        ({"when": "service = ", "for": "2h"}, "a value for service is missing at the end"),
        ({"when": "service = shop", "for": "2h", "why": "a\nb"}, "on one line"),
        ({"when": "service = shop", "for": "2h", "what": "shop"}, "1 unknown key(s)"),
    ],
)
async def test_what_is_wrong_is_refused(agent: Agent, body: Any, why: str) -> None:
    status, problem = await ask(agent, body)
    assert status == 400
    assert why in problem["detail"]
    assert not agent.world.silences.known


async def test_a_name_that_several_checks_have_silences_none_of_them(agent: Agent) -> None:
    plan = agent.world.plan
    twin = replace(plan.checks["home"], id="home-2")
    agent.world.plan = replace(plan, checks={**plan.checks, "home-2": twin, "home-1": replace(twin, id="home-1")})
    assert (await ask(agent, FINE))[0] == 201, "an id is one check's"
    named = replace(twin, id="a", name="twins")
    agent.world.plan = replace(plan, checks={**plan.checks, "a": named, "b": replace(named, id="b")})
    status, problem = await ask(agent, {"when": "check = twins", "for": "2h"})
    assert (status, 'unknown check "twins"' in problem["detail"]) == (400, True)


async def test_who_may_not_silences_nothing_and_there_is_a_most(agent: Agent) -> None:
    assert (await ask(agent, FINE, token=READ))[0] == 403
    for number in range(MOST_SILENCES):
        made = Silence(f"s-{number}", "", ALWAYS, 0.0, 9e9)
        agent.world.silences.known[made.id] = made
    status, problem = await ask(agent, FINE)
    assert status == 400
    assert f"there are {MOST_SILENCES} silences already" in problem["detail"]


async def test_an_agent_that_takes_none_says_so(serve: Serve) -> None:
    tokens = (Token.of("ci", OPERATE, [Scope.OPERATE]),)
    agent = await serve(world=shop(), tokens=lambda: tokens)
    assert (await ask(agent, FINE))[0] == 503
    assert (await ask(agent, "", path=f"{PATH}/s-1", method="DELETE"))[0] == 503
