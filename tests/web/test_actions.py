"""Actions over the API: what is told of them, and who may stop them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from monitor.core import actions
from monitor.core.actions import Fate, Run
from monitor.core.ruling import Rule, Trigger
from monitor.tokens import Scope, Token
from tests.core.builders import moment
from tests.web.conftest import Agent, Serve
from tests.web.contract import assert_described
from tests.web.made import shop

OPERATE, READ = "operate-token-0123456789", "read-token-0123456789"
TOKENS = (Token.of("ci", OPERATE, [Scope.OPERATE]), Token.of("eye", READ, [Scope.READ]))
PATH = "/api/v1/actions"


class Switch:
    """Stops and starts, as the actuator does."""

    agent: Agent

    async def stop(self, by: str) -> int:
        actions.stop(self.agent.world, by, moment(60))
        return 0

    async def start(self, by: str) -> None:
        actions.resume(self.agent.world)


@pytest.fixture
async def agent(serve: Serve) -> Agent:
    switch = Switch()
    made = await serve(world=shop(), tokens=lambda: TOKENS, acting=switch)
    switch.agent = made
    made.world.plan = replace(made.world.plan, actions={"drain": Rule()})
    return made


async def ask(agent: Agent, path: str, token: str = OPERATE) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    status, got, text = await agent.get(path, method="POST", data="{}", headers=headers)
    assert_described(path, status, got["Content-Type"], json.loads(text), "post")
    return status, json.loads(text)


async def test_what_became_of_them_is_told_the_newest_first(agent: Agent) -> None:
    run = Run("run_0", "drain", "inc_1", Trigger.OPENED, moment(0).at, dry=True, fate=Fate.DRY, text="it runs drain")
    agent.world.actions.runs["drain"] = tuple(replace(run, id=f"run_{number}") for number in range(30))
    status, headers, text = await agent.get(PATH)
    told = json.loads(text)
    assert_described(PATH, status, headers["Content-Type"], told)
    (drain,) = told["actions"]
    assert (told["on"], told["stopped"], drain["name"], drain["dry_run"]) == (True, None, "drain", True)
    assert [item["id"] for item in drain["runs"]] == [f"run_{number}" for number in range(29, 9, -1)]


async def test_all_are_stopped_and_started_by_who_may(agent: Agent) -> None:
    assert (await ask(agent, f"{PATH}/stop", READ))[0] == 403
    status, told = await ask(agent, f"{PATH}/stop")
    assert (status, told["stopped"]) == (200, {"by": "ci", "at": "2026-03-01T12:01:00.000Z"})
    status, told = await ask(agent, f"{PATH}/start")
    assert (status, told["stopped"]) == (200, None)


async def test_an_agent_that_takes_none_says_so(serve: Serve) -> None:
    agent = await serve(world=shop(), tokens=lambda: TOKENS)
    assert (await ask(agent, f"{PATH}/stop"))[0] == 503
    assert (await ask(agent, f"{PATH}/start"))[0] == 503
