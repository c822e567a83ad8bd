"""Both kinds of Datadog, against its own schema and limits."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import httpx
import pytest
import respx

from monitor.sinks.contract import SendFailed, Sink
from monitor.sinks.datadog import DatadogChecks
from monitor.sinks.datadog_events import DatadogEvents
from probes.contract import BadField, Secret
from tests.sinks.lives import (
    ALL,
    CANNOT_TELL,
    DEPLOY,
    DIGEST,
    DRILL,
    IMPAIRED,
    OPENED,
    RESOLVED,
    START,
    WORSE,
    body,
    delivered,
    hostile,
)
from tests.sinks.made import context
from tests.sinks.official import hold

KEY = "s3cr3tk3y"
CHECKS = DatadogChecks(Secret(KEY), site="datadoghq.eu", tags=("env:production",))
EVENTS = DatadogEvents(Secret(KEY), site="datadoghq.eu", tags=("env:production",))
SOON = timedelta(seconds=5)


async def sent(client: httpx.AsyncClient, sink: Sink, told: dict[str, Any], late: timedelta = SOON) -> Any:
    """What was posted; None where nothing was."""
    delivery = delivered(told)
    path = "check_run" if sink.kind == "datadog" else "events"
    with respx.mock(assert_all_called=False) as mock:
        route = mock.post(f"https://api.datadoghq.eu/api/v1/{path}").respond(202, json={"status": "ok"})
        await sink.send(delivery, context(client, now=delivery.at + late))
        if not route.called:
            return None
        assert route.calls[0].request.headers["dd-api-key"] == KEY
        return json.loads(route.calls[0].request.content)


@pytest.mark.parametrize("make", [dict, hostile], ids=["as it is", "hostile"])
@pytest.mark.parametrize("name", ALL)
async def test_all_that_is_told_is_as_datadog_wants_it(client: httpx.AsyncClient, name: str, make: Any) -> None:
    event = await sent(client, EVENTS, make(ALL[name]))
    hold("datadog", "components/schemas/EventCreateRequest", event)
    assert len(event["title"]) <= 100
    assert "\r" not in event["text"]
    assert all(letter.isprintable() or letter in "\n\u200b" for letter in event["text"] + event["title"])
    assert "@everyone" not in event["text"] + event["title"], "nobody is mentioned by what a target wrote"
    runs = await sent(client, CHECKS, make(ALL[name]))
    if runs is not None:
        hold("datadog", "components/schemas/ServiceChecks", runs)
    for found in (event, *(runs or ())):
        assert "env:production" in found["tags"]
        assert all(len(tag) <= 200 and not set(tag) & set(" ,\n\r\x00") for tag in found["tags"])
    assert all(len(run["message"]) <= 500 and len(run["host_name"]) <= 255 for run in runs or ())


@pytest.mark.parametrize(
    ("told", "status", "alert"),
    [(OPENED, 1, "warning"), (WORSE, 2, "error"), (RESOLVED, 0, "success"), (CANNOT_TELL, 3, "info")],
    ids=["degraded", "outage", "recovered", "unknown"],
)
async def test_all_four_states(client: httpx.AsyncClient, told: dict[str, Any], status: int, alert: str) -> None:
    [run] = await sent(client, CHECKS, told)
    assert run["status"] == status
    event = await sent(client, EVENTS, told)
    assert event["alert_type"] == alert
    assert len(event["aggregation_key"]) <= 100


async def test_each_kind_of_event_has_a_service_check_of_its_own(client: httpx.AsyncClient) -> None:
    service = body("service.changed", "operational", "outage", "Web shop has an outage.")
    names = {told["type"]: await sent(client, CHECKS, told) for told in (OPENED, CANNOT_TELL, service, IMPAIRED)}
    assert {kind: run["check"] for kind, [run] in names.items()} == {
        "incident.opened": "brownout.incident",
        "check.changed": "brownout.check",
        "service.changed": "brownout.service",
        "agent.impaired": "brownout.agent",
    }
    assert {"check:home", "service:shop", "owner:web"} <= set(names["check.changed"][0]["tags"])


async def test_an_incident_of_several_services_tells_of_each(client: httpx.AsyncClient) -> None:
    several = WORSE | {"incident": WORSE["incident"] | {"services": ["shop", "api"], "affected": ["api"]}}
    runs = await sent(client, CHECKS, several)
    assert [(run["status"], [tag for tag in run["tags"] if tag.startswith("service:")]) for run in runs] == [
        (0, ["service:shop"]),
        (2, ["service:api"]),
    ]


async def test_one_that_goes_on_as_another_closes_nothing(client: httpx.AsyncClient) -> None:
    merged = RESOLVED | {"incident": RESOLVED["incident"] | {"merged_into": "inc_2"}}
    assert await sent(client, CHECKS, merged) is None


async def test_drills_change_no_state_that_is_watched(client: httpx.AsyncClient) -> None:
    [run] = await sent(client, CHECKS, DRILL)
    assert run["check"] == "brownout.drill"
    assert "drill:true" in run["tags"]
    assert run["message"].startswith("[DRILL] ")
    assert (await sent(client, EVENTS, DRILL))["title"].startswith("[DRILL] ")


async def test_deploys_are_events_and_no_states(client: httpx.AsyncClient) -> None:
    assert await sent(client, CHECKS, DEPLOY) is None
    assert await sent(client, CHECKS, DIGEST) is None
    assert "kind:deploy" in (await sent(client, EVENTS, DEPLOY))["tags"]


async def test_late_news_has_a_time_that_datadog_takes_and_says_when_it_was(client: httpx.AsyncClient) -> None:
    late = timedelta(days=2)
    [run] = await sent(client, CHECKS, OPENED, late)
    assert run["timestamp"] == int((START + late).timestamp())
    event = await sent(client, EVENTS, OPENED, late)
    assert event["date_happened"] == int((START + late).timestamp())
    assert "Late: decided at 2026-03-02 14:02:15 UTC" in event["text"]
    assert (await sent(client, EVENTS, OPENED, timedelta(hours=3)))["date_happened"] == int(START.timestamp())


@respx.mock
@pytest.mark.parametrize(("status", "permanent"), [(403, True), (400, True), (413, True), (429, False), (503, False)])
async def test_what_is_tried_again(client: httpx.AsyncClient, status: int, *, permanent: bool) -> None:
    respx.post(url__startswith="https://api.datadoghq.eu").respond(status, headers={"x-ratelimit-reset": "17"})
    for sink in (CHECKS, EVENTS):
        with pytest.raises(SendFailed) as raised:
            await sink.send(delivered(OPENED), context(client))
        assert raised.value.permanent is permanent
        assert raised.value.retry_after == (None if permanent else 17)
        assert KEY not in str(raised.value)


@pytest.mark.parametrize(
    ("field", "facts"),
    [
        ("site", {"site": "https://app.datadoghq.eu/"}),
        ("site", {"site": "datadog"}),
        ("url", {"url": "proxy:3128"}),
        ("api_key", {"api_key": Secret("two\nlines")}),
    ],
)
def test_what_cannot_be_used_is_refused(field: str, facts: dict[str, Any]) -> None:
    with pytest.raises(BadField) as raised:
        DatadogEvents(**({"api_key": Secret(KEY)} | facts))
    assert raised.value.field == field
    assert KEY not in repr(CHECKS)
