"""Maintenance announced over the API: who may, what is refused, and where it shows."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, cast

import pytest

from monitor.announcing import MOST_WINDOWS, Announcer
from monitor.core.maintenance import Scope, Span, Window
from monitor.pipeline import Pipeline
from monitor.tokens import Scope as TokenScope
from monitor.tokens import Token
from tests.core.builders import START
from tests.core.calmly import Calmly, flap
from tests.web.conftest import Agent, Serve
from tests.web.contract import assert_described
from tests.web.deciding import Deciding
from tests.web.made import PASSWORD, shop
from tests.web.test_server import assert_problem

OPERATE, READ = "operate-token-0123456789", "read-token-0123456789"
PATH = "/api/v1/maintenance"
NOW = START.timestamp() + 60


class Port:
    """Made before the agent is there."""

    announcer: Announcer

    async def begin(self, asked: Any, by: str) -> Window:
        return await self.announcer.begin(asked, by)

    async def end(self, identity: str) -> bool:
        return await self.announcer.end(identity)


@pytest.fixture
async def agent(serve: Serve) -> Agent:
    tokens = [Token.of("ci", OPERATE, [TokenScope.OPERATE]), Token.of("page", READ, [TokenScope.READ])]
    port = Port()
    agent = await serve(world=shop(), tokens=lambda: tokens, announcements=port)
    port.announcer = Announcer(cast(Pipeline, Deciding(agent)))
    return agent


async def ask(
    agent: Agent, body: Any, token: str = OPERATE, path: str = PATH, method: str = "POST"
) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    data = body if isinstance(body, (str, bytes)) else json.dumps(body)
    status, got, text = await agent.get(path, method=method, data=data or None, headers=headers)
    if status == 204:
        return status, None
    document = json.loads(text)
    assert_described(
        PATH if method == "POST" else f"{PATH}/{{id}}", status, got["Content-Type"], document, method.lower()
    )
    return status, document


async def test_it_is_announced_shown_and_ended(agent: Agent) -> None:
    status, window = await ask(agent, {"what": ["home", "service:search"], "for": "2h", "why": "a deploy"})
    assert status == 201
    assert window["covers"] == 2
    assert (window["from"], window["until"]) == ("2026-03-01T12:01:00.000Z", "2026-03-01T14:01:00.000Z")
    assert (window["by"], window["why"], window["active"]) == ("ci", "a deploy", True)

    status, headers, text = await agent.get(PATH)
    assert_described(PATH, status, headers["Content-Type"], json.loads(text))
    assert json.loads(text) == {"count": 1, "maintenance": [window]}
    home = await agent.json("/api/v1/checks/home")
    assert home["flags"] == ["maintenance"]
    assert home["maintenance"] == {"id": window["id"], "until": window["until"], "why": "a deploy", "by": "ci"}
    lines = {line["id"]: line["flags"] for line in (await agent.json("/api/v1/checks"))["checks"]}
    assert lines == {"home": ["maintenance"], "checkout": [], "search": ["maintenance"], "images": []}
    services = {item["id"]: item["flags"] for item in (await agent.json("/api/v1/services"))["services"]}
    assert services == {"shop": [], "search": ["maintenance"]}
    public = {item["title"]: item for item in (await agent.json("/api/v1/public"))["services"]}
    assert public["Search"]["sentence"] == "Search is in maintenance until 01 March 14:01 UTC."
    assert public["Search"]["maintenance"] == {"until": window["until"]}
    assert public["Web shop"]["maintenance"] is None
    metrics = (await agent.get("/metrics"))[2]
    assert 'brownout_check_flag{check="home",service="shop",flag="maintenance"} 1' in metrics
    assert 'brownout_check_flag{check="checkout"' not in metrics

    assert await ask(agent, "", path=f"{PATH}/{window['id']}", method="DELETE") == (204, None)
    assert await agent.json(PATH) == {"count": 0, "maintenance": []}
    status, _ = await ask(agent, "", path=f"{PATH}/{window['id']}", method="DELETE")
    assert status == 404


async def test_windows_of_the_file_are_listed_and_not_ended(agent: Agent) -> None:
    planned = Window("nightly", Scope(services=("shop",)), Span(NOW + 600, NOW + 900), why=f"see {PASSWORD}")
    agent.world.plan = replace(agent.world.plan, maintenance=(planned,))
    await ask(agent, {"what": "label:tier=web", "until": "2026-03-01T13:00:00+01:00"})  # it has ended
    await ask(agent, {"what": "tier=web", "until": "2026-03-01T14:30:00+02:00"})
    listed = (await agent.json(PATH))["maintenance"]
    assert [(item["what"], item["active"], item["why"]) for item in listed] == [
        ("tier=web", True, ""), ("shop", False, "see ***")
    ]  # fmt: skip
    assert listed[1]["by"] is None
    status, problem = await ask(agent, "", path=f"{PATH}/nightly", method="DELETE")
    assert (status, problem["detail"]) == (409, "This window is written in the file: change it there, and reload.")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("", "Send an object"),
        ("[" * 9000, "Send an object"),
        ([], "Send an object"),
        ({"what": "home"}, "say when it ends: either for"),
        ({"what": "home", "for": "2h", "until": "2026-03-01T13:00:00Z"}, "say when it ends"),
        ({"what": "home", "for": "2"}, "for must be a duration with a unit"),
        ({"what": "home", "for": 7200}, "for must be a duration with a unit"),
        ({"what": "home", "for": "0s"}, "it must end after now, and within 30 d"),
        ({"what": "home", "for": "31d"}, "it must end after now, and within 30 d"),
        ({"what": "home", "until": "2026-03-01T13:00:00"}, "until must be a time with a zone"),
        ({"what": "home", "until": 7}, "until must be a time with a zone"),
        ({"what": "home", "until": "2026-03-01T11:00:00Z"}, "it must end after now"),
        ({"what": "home", "until": "0001-01-01T00:00:00+23:59"}, "it must end after now"),
        ({"what": "home", "until": "9999-12-31T23:59:59-23:59"}, "it must end after now"),
        ({"what": "hom", "for": "2h"}, "name 1 is neither a check nor a service (did you mean home?)"),
        ({"what": ["home", "service:home"], "for": "2h"}, "name 2 is neither a check nor a service"),
        ({"what": ["x y z"], "for": "2h"}, "name 1 is neither a check nor a service; a label is written tier=web"),
        ({"what": "tier=wbe", "for": "2h"}, "no check has these labels"),
        ({"what": [], "for": "2h"}, "what must be the name"),
        ({"what": 7, "for": "2h"}, "what must be the name"),
        ({"what": ["x" * 301], "for": "2h"}, "what must be the name"),
        ({"for": "2h"}, "what must be the name"),
        ({"what": "home", "for": "2h", "why": "x" * 201}, "why must be a text"),
        ({"what": "home", "for": "2h", "why": "a\nb"}, "why must be a text"),
        ({"what": "home", "for": "2h", "why": 7}, "why must be a text"),
        ({"what": "home", "for": "2h", "<script>": 1}, "1 unknown key(s)"),
    ],
)
async def test_what_is_refused(agent: Agent, body: Any, said: str) -> None:
    status, problem = await ask(agent, body)
    assert status == 400
    assert said in problem["detail"]
    assert not agent.world.calm.ad_hoc


async def test_there_is_an_end_to_windows(agent: Agent) -> None:
    for _ in range(MOST_WINDOWS):
        assert (await ask(agent, {"what": "home", "for": "2h"}))[0] == 201
    assert len(agent.world.calm.ad_hoc) == MOST_WINDOWS, "each has an id of its own"
    status, problem = await ask(agent, {"what": "home", "for": "2h"})
    assert (status, "there are 200 windows already" in problem["detail"]) == (400, True)


async def test_names_may_be_ambiguous(serve: Serve) -> None:
    world = shop()
    item = world.plan.checks["images"]
    world.plan = replace(world.plan, checks={**world.plan.checks, "shop": replace(item, id="shop", name="shop")})
    port = Port()
    tokens = [Token.of("ci", OPERATE, [TokenScope.OPERATE])]
    agent = await serve(world=world, tokens=lambda: tokens, announcements=port)
    port.announcer = Announcer(cast(Pipeline, Deciding(agent)))
    status, problem = await ask(agent, {"what": "shop", "for": "1h"})
    assert (status, "name 1 is a check and a service" in problem["detail"]) == (400, True)
    assert (await ask(agent, {"what": "check:shop", "for": "1h"}))[1]["checks"] == ["shop"]
    assert (await ask(agent, {"what": "search", "for": "1h"}))[1]["what"] == "search", "the same either way"


@pytest.mark.parametrize(("token", "status"), [(READ, 403), ("nobody-knows-this-one", 401)])
async def test_it_takes_the_scope_operate(agent: Agent, token: str, status: int) -> None:
    assert (await ask(agent, {"what": "home", "for": "2h"}, token))[0] == status
    assert (await ask(agent, "", token, f"{PATH}/x", "DELETE"))[0] == status
    assert not agent.world.calm.ad_hoc


async def test_without_anybody_to_take_it_that_is_said(serve: Serve) -> None:
    agent = await serve(tokens=lambda: [Token.of("ci", OPERATE, [TokenScope.OPERATE])])
    assert (await ask(agent, {"what": "home", "for": "2h"}))[0] == 503
    assert (await ask(agent, "", path=f"{PATH}/x", method="DELETE"))[0] == 503
    assert_problem(*await agent.get(PATH, method="PUT"), 405)


async def test_flapping_is_a_flag_of_the_check_and_of_its_service(agent: Agent) -> None:
    story = Calmly(agent.world)
    for name in agent.world.judges:
        story.see(0, name, response_time=0.1)
    flap(story, 100, 400, 700, name="home")
    agent.clock.at = 800
    assert (await agent.json("/api/v1/checks/home"))["flags"] == ["flapping"]
    assert {item["id"]: item["flags"] for item in (await agent.json("/api/v1/services"))["services"]}["shop"] == [
        "flapping"
    ]
    assert 'brownout_check_flag{check="home",service="shop",flag="flapping"} 1' in (await agent.get("/metrics"))[2]
    assert (await agent.json("/api/v1/status"))["summary"] == {
        "state": "outage",
        "sentence": "Web shop fails again and again, and works at the moment: home: nothing listens on the port.",
    }
    assert (await agent.json("/api/v1/public"))["sentence"] == (
        "Web shop works at the moment; it has failed several times, and is watched until that lasts."
    )
