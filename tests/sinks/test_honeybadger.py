"""Honeybadger Insights, against what its documentation says."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
import respx

from monitor.sinks.contract import SendFailed
from monitor.sinks.honeybadger import Honeybadger
from probes.contract import BadField, Secret
from tests.sinks.lives import ALL, CANNOT_TELL, DEPLOY, DRILL, OPENED, RESOLVED, TEST, WORSE, delivered, hostile
from tests.sinks.made import context
from tests.sinks.official import hold, limits

KEY = "hbp_s3cr3t"
SINK = Honeybadger(Secret(KEY))


async def sent(client: httpx.AsyncClient, told: dict[str, Any]) -> dict[str, Any]:
    with respx.mock:
        route = respx.post("https://api.honeybadger.io/v1/events").respond(201, json={})
        await SINK.send(delivered(told), context(client))
    request = route.calls[0].request
    assert request.headers["x-api-key"] == KEY
    assert request.headers["content-type"] == "application/x-ndjson"
    assert len(request.content) <= limits("honeybadger")["events_request"]["max_bytes"]
    assert request.content.count(b"\n") == 1, "one line for one event, whatever is in it"
    line: dict[str, Any] = json.loads(request.content)
    return line


@pytest.mark.parametrize("make", [dict, hostile], ids=["as it is", "hostile"])
@pytest.mark.parametrize("name", ALL)
async def test_all_that_is_told_is_one_line(client: httpx.AsyncClient, name: str, make: Any) -> None:
    line = await sent(client, make(ALL[name]))
    hold("honeybadger", "$defs/event", line)
    assert all(value is not None for value in line.values())


async def test_all_four_states_can_be_asked_for(client: httpx.AsyncClient) -> None:
    lines = [await sent(client, told) for told in (OPENED, WORSE, RESOLVED, CANNOT_TELL)]
    assert [line["class"] for line in lines] == ["degraded", "outage", "recovered", "unknown"]
    assert {line["event_type"] for line in lines} == {"monitor.state_changed"}
    assert lines[1] | {"old": "degradation", "new": "outage", "service": "shop", "affected": ["shop"]} == lines[1]
    assert lines[1]["measured"] == {"response_time": 2.4, "status": 200.0}
    assert (await sent(client, DEPLOY))["event_type"] == "monitor.deploy"


async def test_drills_and_tests_are_marked(client: httpx.AsyncClient) -> None:
    drill, test = await sent(client, DRILL), await sent(client, TEST)
    assert (drill["drill"], drill["sentence"][:8]) == (True, "[DRILL] ")
    assert (test["test"], test["sentence"][:7]) == (True, "[TEST] ")


@respx.mock
@pytest.mark.parametrize(("status", "permanent"), [(403, True), (413, True), (422, True), (429, False), (500, False)])
async def test_what_is_tried_again(client: httpx.AsyncClient, status: int, *, permanent: bool) -> None:
    respx.post("https://api.honeybadger.io/v1/events").respond(status, text=KEY)
    with pytest.raises(SendFailed) as raised:
        await SINK.send(delivered(OPENED), context(client))
    assert raised.value.permanent is permanent
    assert KEY not in str(raised.value)


@pytest.mark.parametrize(("field", "facts"), [("url", {"url": "x"}), ("api_key", {"api_key": Secret("a b")})])
def test_what_cannot_be_used_is_refused(field: str, facts: dict[str, Any]) -> None:
    with pytest.raises(BadField) as raised:
        Honeybadger(**({"api_key": Secret(KEY)} | facts))
    assert raised.value.field == field
    assert KEY not in repr(SINK)
