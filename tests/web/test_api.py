"""`/api/v1`: every route, its answers against the OpenAPI document, filters, and what is not found."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import jsonschema
import pytest

from docs.live import tour
from monitor.config.redact import Redactor
from monitor.web import Site, application, bind
from monitor.web.checks import KEPT_FOR
from monitor.web.openapi import document
from probes.contract import Reason
from tests.web.conftest import Agent, Serve
from tests.web.contract import assert_described, described
from tests.web.made import PASSWORD, observation, page, see, shop
from tests.web.test_server import assert_problem

NOT_THE_APIS = {"/", "/metrics", "/static"}


def routes(agent: Agent) -> set[str]:
    found = {resource.canonical for resource in application(agent.view()).router.resources()}
    return {
        path for path in found if path not in NOT_THE_APIS and not path.startswith(("/static/", "/ping", "/push"))
    }


async def test_every_route_is_in_the_document_and_the_other_way_round(agent: Agent) -> None:
    assert routes(agent) == set(described()["paths"])


async def test_the_document_is_served_and_asked_for_again_only_when_it_changed(agent: Agent) -> None:
    status, headers, text = await agent.get("/api/v1/openapi.json")
    assert (status, headers["Content-Type"]) == (200, "application/json; charset=utf-8")
    assert json.loads(text) == document()
    assert json.loads(text)["openapi"] == "3.1.0"
    again = await agent.get("/api/v1/openapi.json", headers={"If-None-Match": headers["ETag"]})
    assert again[0] == 304


def test_every_schema_is_one_and_refers_to_others_that_exist() -> None:
    schemas = described()["components"]["schemas"]
    for name, schema in schemas.items():
        jsonschema.Draft202012Validator.check_schema(schema)
        for reference in _references(schema):
            assert reference.removeprefix("#/components/schemas/") in schemas, name


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [found for item in value.values() for found in _references(item)]
    return [found for item in value for found in _references(item)] if isinstance(value, list) else []


@pytest.fixture
def told() -> list[Any]:
    """Real events, the newest first."""
    return list(reversed(tour().events))


@pytest.fixture
async def storied(told: list[Any], agent: Agent) -> Agent:
    """An agent whose journal has real events and incidents."""
    agent.journal.bodies = told
    agent.journal.kept = [status.incident for status in agent.world.services.values() if status.incident]
    return agent


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/api/v1/status", ""),
        ("/api/v1/checks", ""),
        ("/api/v1/checks", "?state=down&state=up&service=shop&label=tier=web"),
        ("/api/v1/checks", "?state=broken"),
        ("/api/v1/checks", "?label=tier"),
        ("/api/v1/checks/{name}", "home"),
        ("/api/v1/checks/{name}", "images"),
        ("/api/v1/checks/{name}", "nothing"),
        ("/api/v1/services", ""),
        ("/api/v1/services/{name}", "shop"),
        ("/api/v1/services/{name}", "nothing"),
        ("/api/v1/incidents", ""),
        ("/api/v1/incidents", "?limit=0"),
        ("/api/v1/incidents/{id}", "OPEN"),
        ("/api/v1/incidents/{id}", "inc_nothing"),
        ("/api/v1/events", ""),
        ("/api/v1/events", "?limit=x"),
        ("/api/v1/public", ""),
        ("/api/v1/openapi.json", ""),
        ("/healthz", ""),
        ("/readyz", ""),
    ],
)
async def test_every_answer_follows_its_schema_and_head_has_its_headers(
    storied: Agent, path: str, asked: str
) -> None:
    asked = asked.replace("OPEN", storied.journal.kept[0].id)
    url = f"{path.partition('{')[0]}{asked}"
    status, headers, text = await storied.get(url)
    assert_described(path, status, headers["Content-Type"], json.loads(text))
    again, bare, nothing = await storied.get(url, method="HEAD")
    assert (again, nothing) == (status, "")
    assert bare["Content-Type"] == headers["Content-Type"]
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert_problem(*await storied.get(url, method=method), expected=405)


async def test_where_the_journal_cannot_be_read_that_is_said(storied: Agent) -> None:
    storied.journal.broken = True
    for path in ("/api/v1/events", "/api/v1/incidents", "/api/v1/incidents/inc_1"):
        assert_problem(*await storied.get(path), expected=503)
    assert (await storied.json("/api/v1/checks"))["count"] == 4


async def names(agent: Agent, asked: str) -> list[str]:
    answer = await agent.json(f"/api/v1/checks{asked}")
    assert answer["count"] == len(answer["checks"])
    return [check["id"] for check in answer["checks"]]


async def test_checks_in_the_order_of_the_configuration_and_filtered(agent: Agent) -> None:
    assert await names(agent, "") == ["home", "checkout", "search", "images"]
    assert await names(agent, "?state=down") == ["checkout"]
    assert await names(agent, "?state=down&state=degraded") == ["home", "checkout"]
    assert await names(agent, "?service=search") == ["search"]
    assert await names(agent, "?service=nothing") == []
    assert await names(agent, "?label=tier=web") == ["home"]
    assert await names(agent, "?label=tier=web&state=up") == []
    assert await names(agent, "?label=tier=") == []


async def test_a_line_says_what_the_whole_check_says(agent: Agent) -> None:
    """Also when it was rendered before and the state has changed since."""
    for second in (90.0, 400.0):
        for line in (await agent.json("/api/v1/checks"))["checks"]:
            whole = await agent.json(f"/api/v1/checks/{line['id']}")
            last = line.pop("last")
            assert line == {name: whole[name] for name in line}
            if last is not None:
                took = whole["last"]["measurements"].get("response_time", {}).get("value")
                assert last == {
                    **{name: whole["last"][name] for name in ("at", "ok", "reason")},
                    "response_time": took,
                }
        for turn in range(30):
            see(agent.world, "search", second + turn, observation(reason=Reason.REFUSED))
            see(agent.world, "images", second + turn, observation(3.0))


async def test_what_is_kept_of_lines_is_let_go_when_nobody_asks(agent: Agent) -> None:
    assert KEPT_FOR > 10
    await agent.json("/api/v1/checks")
    agent.world = shop(page("another"))  # a reload
    assert await names(agent, "") == ["home", "checkout", "search", "images", "another"]


async def test_what_a_reload_makes_a_secret_is_not_told_from_a_text_that_was_kept(serve: Serve) -> None:
    redactor = Redactor()
    before = shop(page("old"))
    agent = await serve(before, redact=redactor.value)
    assert "example.com/old" in (await agent.get("/api/v1/checks"))[2]
    redactor.learn(Redactor(["example.com/old"]))
    agent.world = shop(before.judges["old"].check)  # the very same definition, in another world
    _, _, text = await agent.get("/api/v1/checks")
    assert "example.com/old" not in text
    assert '"target":"https://shop.***"' in text


async def test_one_check_with_all_there_is_to_it(agent: Agent) -> None:
    check = await agent.json("/api/v1/checks/home")
    assert check["evidence"] == {"address": "192.0.2.1"}
    assert check["measured"][0] == {"name": "response_time", "unit": "seconds"}
    assert check["trouble_since"] is not None
    assert check["thresholds"][0]["value"] == 2.4


async def test_names_with_slashes_spaces_and_dots_are_found(serve: Serve) -> None:
    wild = ["a/b c", "ä#?%", "a..b", "100%25"]
    agent = await serve(shop(*(page(name) for name in wild)))
    for name in wild:
        _, _, text = await agent.get(f"/api/v1/checks/{quote(name, safe='')}")
        assert json.loads(text).get("id") == name


async def test_a_service_with_its_members_and_its_rule(agent: Agent) -> None:
    service = await agent.json("/api/v1/services/shop")
    assert service["outage"] == {"needed": 1, "of": ["home", "checkout"]}
    assert {member["id"]: member["state"] for member in service["members"]} == {
        "home": "degraded",
        "checkout": "down",
        "images": "unknown",
    }
    assert service["open_incident"]["root"] == "checkout"


async def test_a_service_that_a_reload_removes_is_told_to_its_end() -> None:
    worlds = [shop(*(page(f"page-{number}") for number in range(40))), shop()]
    async with aiohttp.ClientSession() as client:
        agent = Agent(client)
        site = Site(
            application(agent.view(world=lambda: worlds.pop(0) if len(worlds) > 1 else worlds[0])),
            bind("127.0.0.1", 0),
        )
        await site.start()
        agent.base = f"http://127.0.0.1:{site.port}"
        assert len((await agent.json("/api/v1/services/shop"))["members"]) == 43
        await site.stop()


async def test_an_incident_with_its_events_oldest_first(storied: Agent) -> None:
    told = [body for body in reversed(storied.journal.bodies) if "incident" in body]
    name = told[0]["incident"]["id"]
    incident = storied.journal.kept[0]
    storied.journal.kept = [replace(incident, id=name)]
    answer = await storied.json(f"/api/v1/incidents/{name}")
    assert [event["type"] for event in answer["events"]] == [body["type"] for body in told]


async def test_no_secret_comes_out_of_the_lists(serve: Serve) -> None:
    watched = shop(page("db", url=f"https://user:{PASSWORD}@db.example.com/"))
    evil = observation(0.1, reason=Reason.STATUS, detail=f"got {PASSWORD} \ud800 </script>")
    for second in range(20):
        see(watched, "db", second, evil)
    agent = await serve(watched)
    for path in ("/api/v1/checks", "/api/v1/checks/db", "/api/v1/services/shop", "/api/v1/public"):
        status, _, text = await agent.get(path)
        assert status == 200
        assert PASSWORD not in text
        json.loads(text, parse_constant=pytest.fail)


def curls() -> list[list[str]]:
    """The commands of docs/api.md, as words."""
    text = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
    return [shlex.split(line) for line in re.findall(r"^\$ curl (.*)$", text, re.MULTILINE)]


@pytest.mark.parametrize("words", curls(), ids=lambda words: words[-1])
async def test_the_documents_commands_work(storied: Agent, words: list[str]) -> None:
    """As curl would ask; of what only writes, that it is known and refused without the token."""
    headers = dict(re.split(": *", words[place + 1], maxsplit=1) for place, word in enumerate(words) if word == "-H")
    path = next(word for word in words if word.startswith("http://127.0.0.1:9788")).removeprefix(
        "http://127.0.0.1:9788"
    )
    method = words[words.index("-X") + 1] if "-X" in words else "GET"
    async with storied.client.request(method, storied.base + path, headers=headers) as answer:
        assert answer.status == (200 if method == "GET" else 401)
