"""What is in force, and having it read again: what the two answers tell, and what they keep to themselves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from monitor.tokens import Scope, Token
from monitor.web import Steering, configuration, guard
from tests.web.conftest import WELL, Agent, Serve
from tests.web.contract import assert_described
from tests.web.made import PASSWORD
from tests.web.test_server import assert_problem

ADMIN = "admin-token-0123456789"
POST: dict[str, Any] = {"method": "POST", "headers": {"Authorization": f"Bearer {ADMIN}"}}
FILE = f"/etc/{PASSWORD}/checks.yaml"
REFUSED: Mapping[str, Any] = {
    "number": 2,
    "at": "2026-03-01T12:00:00.000Z",
    "accepted": False,
    "sentence": "refused for 1 fault; the configuration before stays in force",
    "diff": None,
    "faults": [
        {"file": FILE, "line": 3, "column": 9, "path": "checks[0].every", "message": f'"{PASSWORD}" is no duration'}
    ],
    "more_faults": 0,
    "seconds": 0.01,
}


def config() -> Mapping[str, Any]:
    return {"file": FILE, "loaded": "2026-03-01T11:00:00.000Z", "checks": 3, "disabled": 0, "reload": REFUSED}


class Reader:
    """Reads the file for as long as the test says."""

    def __init__(self) -> None:
        self.done = asyncio.Event()

    async def reload(self) -> Mapping[str, Any] | None:
        await self.done.wait()
        return REFUSED


@pytest.fixture
async def reader() -> Reader:
    return Reader()


@pytest.fixture
async def agent(serve: Serve, reader: Reader) -> Agent:
    tokens = [Token.of("deploy", ADMIN, [Scope.ADMIN])]
    return await serve(tokens=lambda: tokens, steering=Steering(config, reader.reload))


async def test_what_the_running_agent_knows_to_be_a_secret_is_not_quoted(agent: Agent, reader: Reader) -> None:
    """The new file has it in a place where it is none."""
    reader.done.set()
    status, headers, text = await agent.get("/api/v1/config")
    document = json.loads(text)
    assert_described("/api/v1/config", status, headers["Content-Type"], document)
    assert document["reload"]["faults"][0]["message"] == '"***" is no duration'
    assert document["file"] == FILE, "it is from the command line, and brownout reload compares it"
    status, _, text = await agent.get("/api/v1/reload", **POST)
    assert status == 422
    assert json.loads(text)["faults"][0]["message"] == '"***" is no duration'
    assert json.loads(text)["sentence"] == REFUSED["sentence"]


@pytest.mark.parametrize("protected", [False, True])
async def test_health_is_open_to_everybody_and_quotes_no_file_where_reading_is_protected(
    serve: Serve, protected: bool
) -> None:
    agent = await serve(protected=lambda: protected)
    agent.health = replace(WELL, config_ok=False, config_fault="checks.yaml:3:9: bogus")
    document = json.loads((await agent.get("/healthz"))[2])
    told = document["checks"]["config:accepted"][0]["output"]
    assert told.startswith("the changed configuration was refused")
    assert ("bogus" in json.dumps(document)) is not protected


async def test_a_reload_may_take_longer_than_other_answers(
    agent: Agent, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "HANDLER_TIMEOUT", 0.1)
    asked = asyncio.create_task(agent.get("/api/v1/reload", **POST))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(asked), 0.5)
    reader.done.set()
    assert (await asked)[0] == 422


async def test_a_reload_that_goes_on_and_on_says_where_to_ask(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configuration, "PATIENCE", 0.05)
    status, headers, text = await agent.get("/api/v1/reload", **POST)
    assert_problem(status, headers, text, 503)
    assert "/api/v1/config" in text
