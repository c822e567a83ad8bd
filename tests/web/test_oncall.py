"""`/api/v1/oncall`: who is on call, and who comes next."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, time
from typing import Any, cast

import pytest

from monitor.core.actions import Stop
from monitor.core.hours import Hours
from monitor.core.rota import Directory, Person, Rota, Rotation
from monitor.core.routing import ALWAYS
from monitor.core.silences import Silence, silence
from tests.web.conftest import Agent, Serve
from tests.web.contract import assert_described
from tests.web.made import shop
from tests.web.test_server import assert_problem

AWAKE = Hours(8 * 60, 22 * 60, "Europe/Berlin")
PEOPLE = {name: Person(name, AWAKE, {"sms": f"{name}.sms"}) for name in ("ann", "bob")}
ROTA = Rota(("ann", "bob"), Rotation(("ann", "bob"), date(2026, 1, 5), 7, time(9), "Europe/Berlin"))


@pytest.fixture
async def agent(serve: Serve) -> Agent:
    world = shop()
    directory = Directory(frozenset({"ann.sms", "bob.sms"}), PEOPLE, {}, {"oncall": ROTA})
    world.plan = replace(world.plan, roster=directory)
    return await serve(world)


async def asked(agent: Agent, path: str) -> dict[str, Any]:
    status, headers, text = await agent.get(path)
    told = json.loads(text)
    assert_described("/api/v1/oncall", status, headers["Content-Type"], told)
    return cast("dict[str, Any]", told)


async def test_it_says_who_and_who_comes_next(agent: Agent) -> None:
    told = await asked(agent, "/api/v1/oncall?at=2026-01-08T12:00:00Z")
    (rota,) = told["rotas"]
    assert rota["who"] == [{"name": "ann", "awake": True, "ways": ["sms"]}]
    assert (rota["by"], rota["until"], rota["instead"]) == ("rotation", "2026-01-12T08:00:00.000Z", None)
    assert [turn["who"] for turn in rota["next"]] == [["bob"], ["ann"], ["bob"], ["ann"]]
    night = await asked(agent, "/api/v1/oncall?at=2026-01-08T03:00:00%2B01:00")
    assert night["at"] == "2026-01-08T02:00:00.000Z"
    assert night["rotas"][0]["who"][0]["awake"] is False


async def test_it_says_now_and_nobody(serve: Serve, agent: Agent) -> None:
    assert (await asked(agent, "/api/v1/oncall"))["rotas"][0]["name"] == "oncall"
    assert (await asked(await serve(world=shop()), "/api/v1/oncall"))["rotas"] == []


@pytest.mark.parametrize("at", ["", "now", "2026-01-08", "2026-01-08T12:00:00", "0001-01-01T00:00:00Z", "9" * 5000])
async def test_a_time_that_is_none_is_refused(agent: Agent, at: str) -> None:
    status, headers, text = await agent.get(f"/api/v1/oncall?at={at}")
    assert_problem(status, headers, text, 400)


async def test_the_status_says_who_hears_of_trouble(agent: Agent) -> None:
    now = agent.clock.now()
    assert (await status_of(agent))["silences"] == []
    unix = now.at.timestamp()
    silence(agent.world, Silence("s-1", "service = shop", ALWAYS, unix, unix + 60, "a move"), now)
    agent.world.actions.stopped = Stop("ann", now.at)
    agent.clock.at += 1  # an answer is kept for half a second
    told = await status_of(agent)
    assert told["oncall"] == [{"rota": "oncall", "who": ["bob"], "until": "2026-03-02T08:00:00.000Z"}]
    assert [(item["when"], item["why"]) for item in told["silences"]] == [("service = shop", "a move")]
    assert told["actions_stopped_by"] == "ann"


async def status_of(agent: Agent) -> dict[str, Any]:
    status, headers, text = await agent.get("/api/v1/status")
    told = json.loads(text)
    assert_described("/api/v1/status", status, headers["Content-Type"], told)
    return dict(told["duty"])
