"""What people do about incidents over the API: who may, what is refused, and where it shows."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import pytest

from monitor.core.handled import LONGEST_TEXT, MOST_ACTS
from monitor.core.routing import Policy, Route, Step
from monitor.pipeline import Pipeline
from monitor.responding import Responder
from monitor.tokens import Scope, Token
from tests.web.conftest import Agent, Serve
from tests.web.contract import assert_described
from tests.web.deciding import Deciding
from tests.web.made import PASSWORD, troubled
from tests.web.test_server import assert_problem

OPERATE, READ = "operate-token-0123456789", "read-token-0123456789"
PATH = "/api/v1/incidents"


class Port:
    """Made before the agent is there."""

    responder: Responder

    def __getattr__(self, name: str) -> Any:
        return getattr(self.responder, name)


@pytest.fixture
async def agent(serve: Serve) -> Agent:
    tokens = [Token.of("ops", OPERATE, [Scope.OPERATE]), Token.of("page", READ, [Scope.READ])]
    port, world = Port(), troubled()
    policy = Policy((Step(timedelta(minutes=15), ("oncall.call",)),))
    world.plan = replace(world.plan, routes=(*world.plan.routes, Route(("chat",), policy=policy)))
    agent = await serve(world=world, tokens=lambda: tokens, responses=port)
    port.responder = Responder(cast(Pipeline, Deciding(agent)))
    return agent


def open_incident(agent: Agent) -> str:
    [incident] = agent.world.cases
    return incident


async def do(
    agent: Agent, deed: str, body: Any = "", *, incident: str = "", token: str = OPERATE
) -> tuple[int, dict[str, Any]]:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    data = body if isinstance(body, (str, bytes)) else json.dumps(body)
    path = f"{PATH}/{incident or open_incident(agent)}/{deed}"
    status, got, text = await agent.get(path, method="POST", data=data or None, headers=headers)
    document = json.loads(text)
    assert_described(f"{PATH}/{{id}}/{deed}", status, got["Content-Type"], document, "post")
    return status, document


async def test_who_has_it_is_shown_wherever_the_incident_is(agent: Agent) -> None:
    before = await agent.json(f"{PATH}/{open_incident(agent)}")
    assert (before["acknowledged"], before["notes"]) == (None, [])
    assert [(item["kind"], item["to"]) for item in before["next"]] == [("escalated", ["oncall.call"])]

    status, incident = await do(agent, "acknowledge")
    assert status == 200
    assert incident["acknowledged"] == {"by": "ops", "at": "2026-03-01T12:01:00.000Z", "until": None}
    assert incident["next"] == []
    shown = await agent.json(f"{PATH}/{open_incident(agent)}")
    assert shown["acknowledged"] == incident["acknowledged"]
    assert (await agent.json("/api/v1/status"))["incidents"] == [incident]
    assert (await agent.json("/api/v1/services/shop"))["open_incident"] == incident
    assert (await do(agent, "acknowledge", {"by": "bob"}))[1] == incident, "the first one has it"


async def test_who_does_it_may_say_a_name(agent: Agent) -> None:
    _, incident = await do(agent, "acknowledge", {"by": "ann"})
    assert incident["acknowledged"]["by"] == "ann (ops)"
    _, incident = await do(agent, "notes", {"text": "a deploy", "by": "ops"})
    _, incident = await do(agent, "notes", {"text": f"it was {PASSWORD}", "by": " "})
    assert [(item["by"], item["text"]) for item in incident["notes"]] == [("ops", "a deploy"), ("ops", "it was ***")]


async def test_it_is_put_off(agent: Agent) -> None:
    _, incident = await do(agent, "snooze", {"for": "2h"})
    assert incident["acknowledged"]["until"] == "2026-03-01T14:01:00.000Z"
    _, incident = await do(agent, "snooze", {"until": "2026-03-01T16:00:00+01:00"})
    assert incident["acknowledged"]["until"] == "2026-03-01T15:00:00.000Z"


@pytest.mark.parametrize(
    ("deed", "body", "said"),
    [
        ("acknowledge", "[]", "Send an object"),
        ("acknowledge", "{", "Send an object"),
        ("acknowledge", {"text": "x"}, "1 unknown key(s): known are by"),
        ("acknowledge", {"by": 7}, "by must be a name of at most 100 characters, on one line"),
        ("acknowledge", {"by": "ann\nbob"}, "by must be a name"),
        ("acknowledge", {"by": "x" * 101}, "by must be a name"),
        ("snooze", {}, "say when it ends: either for"),
        ("snooze", {"for": "8d"}, "it must end after now, and within 7 d: acknowledge what takes longer"),
        ("snooze", {"for": "0s"}, "it must end after now"),
        ("snooze", {"for": 2}, "for must be a duration with a unit"),
        ("snooze", {"until": "tomorrow"}, "until must be a time with a zone"),
        ("notes", {}, f"text must be a text of at most {LONGEST_TEXT} characters"),
        ("notes", {"text": " \n "}, "text must be"),
        ("notes", {"text": "x" * (LONGEST_TEXT + 1)}, "text must be"),
        ("notes", {"text": ["x"]}, "text must be"),
    ],
)
async def test_what_is_refused(agent: Agent, deed: str, body: Any, said: str) -> None:
    status, problem = await do(agent, deed, body)
    assert status == 400
    assert said in problem["detail"]
    assert agent.world.handling.incidents() == []


async def test_a_script_that_runs_wild_is_stopped_and_an_acknowledgement_is_not(agent: Agent) -> None:
    incident, handling = open_incident(agent), agent.world.handling
    handling.keep(incident, replace(handling.of(incident), acts=MOST_ACTS - 1))
    assert (await do(agent, "notes", {"text": "the last one"}))[0] == 200
    for deed, body in (("notes", {"text": "one more"}), ("snooze", {"for": "1h"})):
        status, problem = await do(agent, deed, body)
        assert (status, "200 things were done about this incident already" in problem["detail"]) == (400, True)
    assert (await do(agent, "acknowledge"))[1]["acknowledged"]["by"] == "ops"
    assert handling.of(incident).acts == MOST_ACTS + 1


async def test_what_is_not_open_is_not_found(agent: Agent) -> None:
    for deed, body in (("acknowledge", {}), ("snooze", {"for": "1h"}), ("notes", {"text": "hm"})):
        status, problem = await do(agent, deed, body, incident="inc_none")
        assert (status, problem["detail"]) == (
            404, "No open incident has this id; /api/v1/incidents lists them."
        )  # fmt: skip


async def test_it_takes_a_token_that_may(agent: Agent) -> None:
    assert (await do(agent, "acknowledge", token=READ))[0] == 403
    assert (await do(agent, "acknowledge", token="wrong-token-0123456789"))[0] == 401
    assert agent.world.handling.incidents() == []


async def test_an_agent_that_takes_none(serve: Serve) -> None:
    tokens = [Token.of("ops", OPERATE, [Scope.OPERATE])]
    agent = await serve(tokens=lambda: tokens)
    headers = {"Authorization": f"Bearer {OPERATE}"}
    assert_problem(*await agent.get(f"{PATH}/inc_a/acknowledge", method="POST", headers=headers), expected=503)
