"""PagerDuty: a key for each incident and class, in an order that always pages, and nothing left open."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from monitor.sinks.contract import SendFailed
from monitor.sinks.pagerduty import PagerDuty
from probes.contract import BadField, Secret
from tests.sinks.lives import (
    ACKNOWLEDGED,
    ALL,
    CANNOT_TELL,
    DEPLOY,
    DRILL,
    INCIDENT,
    OPENED,
    REMINDER,
    RESOLVED,
    TEST,
    WORSE,
    body,
    hostile,
)
from tests.sinks.official import hold, limits
from tests.sinks.telling import Pager

KEY = "R0UTINGKEYR0UTINGKEYR0UTINGKEY32"
SINK = PagerDuty(Secret(KEY))
DEGRADED, OUTAGE = f"brownout:{INCIDENT}/degraded", f"brownout:{INCIDENT}/outage"
BETTER = body("incident.updated", "outage", "degradation", "Web shop is no longer out, but still degraded.", 400.0)
NOTE = WORSE | {"id": "evt_note", "update": {"kind": "note", "by": "Ann", "text": "looking"}}


@dataclass
class Service(Pager):
    """A service in PagerDuty: its open alerts, and everybody who was paged."""

    sink = SINK
    taken: list[str] = field(default_factory=list)
    open: dict[str, str] = field(default_factory=dict)
    """By key, whether it is triggered or acknowledged."""
    paged: list[str] = field(default_factory=list)
    sent: list[dict[str, Any]] = field(default_factory=list)

    def take(self, request: httpx.Request) -> httpx.Response:
        sent = json.loads(request.content)
        path = request.url.path.removeprefix("/v2")
        hold("pagerduty", f"paths/{path.replace('/', '~1')}/post/requestBody/content/application~1json/schema", sent)
        told = limits("pagerduty")
        assert len(request.content) <= told["request"]["max_bytes"]
        assert len(sent["routing_key"]) == told["routing_key"]["chars"]
        assert len(sent.get("dedup_key", "")) <= told["dedup_key"]["max_chars"]
        assert len(sent.get("payload", {}).get("summary", "")) <= told["payload.summary"]["max_chars"]
        self.sent.append(sent)
        if path == "/enqueue":
            self._take(sent)
        return httpx.Response(202, json={"status": "success"})

    def _take(self, sent: dict[str, Any]) -> None:
        key, action = sent["dedup_key"], sent["event_action"]
        self.taken.append(f"{action} {key.rpartition('/')[2]}")
        if action == "resolve":
            self.open.pop(key, None)
        elif action == "acknowledge":
            self.open[key] = "acknowledged"
        elif key not in self.open:
            assert set(sent["payload"]) >= {"summary", "source", "severity"}
            self.open[key] = "triggered"
            self.paged.append(sent["payload"]["severity"])


@pytest.fixture
def service() -> Service:
    return Service()


async def test_an_incidents_life(service: Service) -> None:
    await service.tell(OPENED)
    assert service.open == {DEGRADED: "triggered"}
    await service.tell(WORSE)
    assert service.open == {OUTAGE: "triggered"}
    await service.tell(ACKNOWLEDGED, NOTE, REMINDER)
    assert service.open == {OUTAGE: "acknowledged"}
    await service.tell(RESOLVED)
    assert service.open == {}
    assert service.memory == {}
    assert service.paged == ["warning", "critical"]
    assert service.taken == [
        "trigger degraded", "trigger outage", "resolve degraded", "acknowledge outage", "trigger outage",
        "resolve outage", "resolve degraded",
    ]  # fmt: skip


async def test_getting_better_pages_nobody_and_the_end_closes_it(service: Service) -> None:
    await service.tell(WORSE, ACKNOWLEDGED, BETTER)
    assert service.open == {OUTAGE: "acknowledged"}
    await service.tell(RESOLVED)
    assert service.open == {}
    assert service.memory == {}
    assert service.paged == ["critical"]


@pytest.mark.parametrize(("after", "paged"), [(500.0, ["critical"]), (1000.0, ["critical", "critical"])])
async def test_what_was_better_for_long_and_is_out_again_pages_again(
    service: Service, after: float, paged: list[str]
) -> None:
    again = body("incident.updated", "degradation", "outage", "Web shop has an outage.", after)
    await service.tell(WORSE, ACKNOWLEDGED, BETTER)
    service.answers = [httpx.Response(202), httpx.Response(503)]
    if after > 700:
        with pytest.raises(SendFailed):  # after it was closed
            await service.tell(again)
    service.answers = []
    await service.tell(again)
    assert set(service.open) == {OUTAGE}
    assert service.paged == paged


async def test_what_was_accepted_is_not_sent_again_when_the_next_step_fails(service: Service) -> None:
    await service.tell(OPENED)
    service.answers = [httpx.Response(202), httpx.Response(500)]
    with pytest.raises(SendFailed):
        await service.tell(WORSE)
    del service.open[OUTAGE]  # somebody has resolved it by hand
    await service.tell(WORSE)
    assert service.open == {}


@pytest.mark.parametrize("memory", [{}, {"degraded": "evt_old"}])
async def test_the_end_closes_whatever_is_remembered(service: Service, memory: dict[str, Any]) -> None:
    """The memory may be that of an older backup."""
    service.memory = memory
    service.open = {OUTAGE: "triggered", DEGRADED: "triggered"}
    await service.tell(RESOLVED)
    assert service.open == {}


async def test_an_answer_that_was_cut_off_makes_no_second_alert(service: Service) -> None:
    await service.tell(OPENED)
    del service.memory["degraded"]
    await service.tell(OPENED)
    assert service.paged == ["warning"]


async def test_what_was_overtaken_by_a_note_is_opened_all_the_same(service: Service) -> None:
    await service.tell(NOTE)
    assert service.open == {OUTAGE: "triggered"}


async def test_who_has_it_already_is_not_paged(service: Service) -> None:
    await service.tell(NOTE | {"incident": NOTE["incident"] | {"acknowledged": {"by": "Ann"}}})
    assert service.taken == []


async def test_what_cannot_be_judged_opens_and_closes_nothing(service: Service) -> None:
    await service.tell(WORSE, CANNOT_TELL | {"incident": WORSE["incident"]})
    assert service.taken == ["trigger outage"]


async def test_a_deploy_is_a_change_event(service: Service) -> None:
    await service.tell(DEPLOY)
    [sent] = service.sent
    assert sent["payload"]["summary"] == "Deploy v42 of Web shop by ann."
    assert "event_action" not in sent
    assert service.open == {}


async def test_a_drill_says_so_and_a_test_leaves_nothing_open(service: Service) -> None:
    await service.tell(DRILL, TEST | {"id": "evt_test"}, RESOLVED | {"test": True})
    shown = [sent["payload"]["summary"].partition(" ")[0] for sent in service.sent if "payload" in sent]
    assert shown == ["[DRILL]", "[TEST]"]
    assert service.open == {}


async def test_what_is_shown(service: Service) -> None:
    await service.tell(WORSE)
    [sent] = service.sent
    payload = sent["payload"]
    assert payload["summary"] == WORSE["sentence"]
    assert payload["source"] == "https://shop.example.com/"
    assert (payload["component"], payload["group"], payload["class"]) == ("home", "Web shop", "threshold")
    assert payload["custom_details"]["condition"] == "p95(response_time, 5m) > 800ms"
    assert payload["custom_details"]["checks"] == ["home is degraded: response time 2.4 s"]
    assert sent["links"][1] == {"href": "https://wiki.example.com/shop", "text": "Runbook"}
    assert sent["client_url"] == "https://status.ops.example.com"
    assert "ack/abc" not in json.dumps(sent)
    await service.tell(DEPLOY | {"links": {"runbook": "/etc/runbooks/shop.txt"}})
    assert service.sent[-1]["links"] == []


@pytest.mark.parametrize("name", ALL)
async def test_hostile_text_stays_within_the_limits(service: Service, name: str) -> None:
    await service.tell(hostile(ALL[name]))
    for sent in service.sent:
        if "payload" in sent:
            assert sent["payload"]["summary"].isprintable()
            assert len(json.dumps(sent)) < 40_000


@pytest.mark.parametrize(
    ("answer", "permanent", "shown"),
    [
        (httpx.Response(400, json={"status": "invalid event", "errors": ["'severity' is \x1b[2J odd"]}), True, "odd"),
        (httpx.Response(400, json={"errors": [f"bad key {KEY}"]}), True, "Bad Request"),
        (httpx.Response(400, json=["x"]), True, "Bad Request"),
        (httpx.Response(429, headers={"retry-after": "7"}), False, "Too Many"),
        (httpx.Response(500), False, "Internal"),
        (httpx.ConnectError(KEY), False, "cannot reach it"),
        (httpx.ReadError(KEY), False, "cannot reach it"),
    ],
)
async def test_refusals(service: Service, answer: httpx.Response | Exception, permanent: bool, shown: str) -> None:
    service.answers = [answer]
    with pytest.raises(SendFailed) as raised:
        await service.tell(OPENED)
    assert raised.value.permanent is permanent
    assert shown in str(raised.value)
    assert KEY not in str(raised.value)
    assert str(raised.value).isprintable()
    assert service.memory == {}


@pytest.mark.parametrize(
    ("field_", "facts"),
    [
        ("routing_key", {"routing_key": Secret("short")}),
        ("routing_key", {"routing_key": Secret("x" * 31 + "\n")}),
        ("url", {"url": "events.pagerduty.com"}),
    ],
)
def test_what_cannot_be_used_is_refused(field_: str, facts: dict[str, Any]) -> None:
    with pytest.raises(BadField) as raised:
        PagerDuty(**({"routing_key": Secret(KEY)} | facts))
    assert raised.value.field == field_
    assert "short" not in str(raised.value)


def test_its_repr_shows_no_secret() -> None:
    assert KEY not in repr(SINK)
