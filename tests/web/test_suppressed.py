"""What a failing dependency explains is flagged wherever a state is shown."""

from __future__ import annotations

import pytest

from monitor.core.model import OutageRule, Service
from probes.contract import Reason
from tests.commands.called import in_thread
from tests.core.builders import check, world
from tests.core.calmly import Calmly, once
from tests.core.stories import begun
from tests.core.succeeded import ROUTES
from tests.web.conftest import Agent, Serve
from tests.web.contract import assert_described

NAMES = ("database", "app", "front")


@pytest.fixture
async def agent(serve: Serve) -> Agent:
    checks = (check("database"), check("app", depends_on=("database",)), check("front", depends_on=("app",)))
    return await serve(world=world(*checks, routes=ROUTES))


def dead(agent: Agent, at: float = 30) -> Calmly:
    story = Calmly(agent.world)
    begun(story, NAMES)
    for second, name in enumerate(NAMES):
        story.kill(name, at + 5 * second)
    agent.clock.at = at + 20
    return story


async def test_it_is_a_flag_in_the_api_and_a_metric(agent: Agent) -> None:
    dead(agent)
    status, headers, _ = await agent.get("/api/v1/checks/app")
    app = await agent.json("/api/v1/checks/app")
    assert_described("/api/v1/checks/{name}", status, headers["Content-Type"], app)
    assert (app["state"], app["flags"], app["suppressed_by"]) == ("down", ["suppressed"], "database")
    lines = {line["id"]: (line["flags"], line["suppressed_by"]) for line in await checks(agent)}
    explained = (["suppressed"], "database")
    assert lines == {"database": ([], None), "app": explained, "front": explained}
    shown = {item["id"]: item["flags"] for item in (await agent.json("/api/v1/status"))["checks"]}
    assert shown == {"database": [], "app": ["suppressed"], "front": ["suppressed"]}
    assert all(not item["flags"] for item in (await agent.json("/api/v1/services"))["services"]), "no service is"
    metrics = (await agent.get("/metrics"))[2]
    assert 'brownout_check_flag{check="app",service="app",flag="suppressed"} 1' in metrics
    assert 'brownout_check_flag{check="database"' not in metrics


async def test_it_is_in_the_evidence_of_incidents(agent: Agent) -> None:
    story = dead(agent)
    updated = next(event for event in story.events if event["type"] == "incident.updated")
    assert [(item["id"], item.get("flags")) for item in updated["evidence"]["checks"]] == [
        ("app", ["suppressed"]),
        ("database", None),
    ]


async def test_a_dependency_in_maintenance_suppresses_as_well(agent: Agent) -> None:
    story = Calmly(agent.world)
    begun(story, NAMES)
    story.maintain(once(5, 7200, "database"), 5)
    for second, name in enumerate(NAMES):
        story.kill(name, 10 + 5 * second)
    agent.clock.at = 30
    lines = {line["id"]: (line["flags"], line["suppressed_by"]) for line in await checks(agent)}
    explained = (["suppressed"], "database")
    assert lines == {"database": (["maintenance"], None), "app": explained, "front": explained}
    assert (await agent.json("/api/v1/status"))["summary"]["state"] == "operational"
    services = {item["id"]: item["flags"] for item in (await agent.json("/api/v1/services"))["services"]}
    assert services == {name: ["maintenance"] for name in NAMES}
    metrics = (await agent.get("/metrics"))[2]
    assert 'brownout_check_flag{check="database",service="database",flag="maintenance"} 1' in metrics
    assert 'brownout_check_flag{check="front",service="front",flag="suppressed"} 1' in metrics


async def test_the_command_says_it_beside_the_state(agent: Agent) -> None:
    dead(agent)
    done = await in_thread("status", "--url", agent.base)
    assert done.returncode == 1
    assert "(suppressed: database explains it)" in " ".join(done.stdout.split())


async def test_what_is_open_of_a_service_is_said_as_well(serve: Serve) -> None:
    names = ("a", "b", "c")
    shop = Service("shop", "Web shop", names, OutageRule(2, names))
    agent = await serve(
        world=world(*(check(name, service="shop") for name in names), services={"shop": shop}, routes=ROUTES)
    )
    story = begun(Calmly(agent.world), names)
    for at in (30, 60, 90):
        story.see(at, "b", Reason.NO_ROUTE)
    story.kill("a", 100)
    agent.clock.at = 110
    done = await in_thread("status", "--url", agent.base)
    said = " ".join(done.stdout.split())
    assert "1 down, 1 unknown, 1 up" in said
    assert "1 of 3 is down, 1 cannot be judged: it may be an outage, as that takes 2" in said


async def checks(agent: Agent) -> list[dict[str, object]]:
    found: list[dict[str, object]] = (await agent.json("/api/v1/checks"))["checks"]
    return found
