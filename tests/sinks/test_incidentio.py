"""incident.io: a deduplication key for each incident and class."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from monitor.sinks.contract import SendFailed
from monitor.sinks.incidentio import IncidentIo
from probes.contract import BadField, Secret
from tests.sinks.lives import ACKNOWLEDGED, ALL, CANNOT_TELL, INCIDENT, OPENED, RESOLVED, TEST, WORSE, hostile
from tests.sinks.official import document, hold, limits
from tests.sinks.telling import Pager

TOKEN = "t0ken-of-the-source"
SINK = IncidentIo("01GW2G3V0S59R238FAHPDS1R66", Secret(TOKEN))
DEGRADED, OUTAGE = f"brownout:{INCIDENT}/degraded", f"brownout:{INCIDENT}/outage"
_SCHEMA = "components/schemas/AlertEventsCreateHTTPPayloadV2"


@dataclass
class Source(Pager):
    """An alert source, and the severity of its open alerts by key."""

    sink = SINK
    open: dict[str, str] = field(default_factory=dict)
    taken: list[str] = field(default_factory=list)
    sent: list[dict[str, Any]] = field(default_factory=list)

    def take(self, request: httpx.Request) -> httpx.Response:
        assert request.headers["authorization"] == f"Bearer {TOKEN}"
        assert str(request.url) == "https://api.incident.io/v2/alert_events/http/01GW2G3V0S59R238FAHPDS1R66"
        sent = json.loads(request.content)
        hold("incidentio", _SCHEMA, sent)
        assert set(sent) <= set(document("incidentio")["components"]["schemas"][_SCHEMA[19:]]["properties"])
        assert len(request.content) <= limits("incidentio")["request"]["max_bytes"]
        key = sent["deduplication_key"]
        self.sent.append(sent)
        self.taken.append(f"{sent['status']} {key.rpartition('/')[2]}")
        if sent["status"] == "firing":
            self.open.setdefault(key, sent["metadata"]["severity"])
        else:
            self.open.pop(key, None)
        return httpx.Response(202, json={"deduplication_key": key, "status": "success", "message": "ok"})


@pytest.fixture
def source() -> Source:
    return Source()


async def test_an_incidents_life(source: Source) -> None:
    await source.tell(OPENED)
    assert source.open == {DEGRADED: "warning"}
    await source.tell(WORSE, ACKNOWLEDGED, CANNOT_TELL | {"incident": WORSE["incident"]})
    assert source.open == {OUTAGE: "critical"}
    await source.tell(RESOLVED)
    assert source.open == {}
    assert source.taken == [
        "firing degraded", "firing outage", "resolved degraded", "resolved outage", "resolved degraded",
    ]  # fmt: skip


async def test_what_is_shown(source: Source) -> None:
    await source.tell(WORSE | {"why": "x", "sentence": "*bold* [a](https://evil.example)"})
    [sent] = source.sent
    assert sent["description"].startswith(r"\*bold\* \[a\](https://evil.example)  ")
    assert sent["metadata"]["service"] == "shop"
    assert sent["metadata"]["owner"] == "web"
    assert sent["source_url"] == "https://status.ops.example.com"


async def test_a_test_leaves_nothing_open(source: Source) -> None:
    await source.tell(TEST, RESOLVED | {"test": True})
    assert source.taken == ["firing degraded", "resolved outage", "resolved degraded"]
    assert source.sent[0]["metadata"]["test"] is True
    assert source.memory == {}


@pytest.mark.parametrize("name", ALL)
async def test_hostile_text(source: Source, name: str) -> None:
    await source.tell(hostile(ALL[name]))
    for sent in source.sent:
        assert sent["title"].isprintable()
        assert "\n<" not in sent["description"]
        assert "[x]" not in sent["description"]


@pytest.mark.parametrize(
    ("answer", "permanent", "shown"),
    [
        (httpx.Response(422, json={"errors": [{"message": "title is missing"}, 3]}), True, "title is missing"),
        (httpx.Response(401, json={"errors": [{"message": TOKEN}]}), True, "Unauthorized"),
        (httpx.Response(429), False, "Too Many"),
        (httpx.ReadTimeout(TOKEN), False, "no answer"),
    ],
)
async def test_refusals(source: Source, answer: httpx.Response | Exception, permanent: bool, shown: str) -> None:
    source.answers = [answer]
    with pytest.raises(SendFailed) as raised:
        await source.tell(OPENED)
    assert raised.value.permanent is permanent
    assert shown in str(raised.value)
    assert TOKEN not in str(raised.value) + repr(SINK)
    assert source.memory == {}


@pytest.mark.parametrize(
    ("field_", "facts"),
    [("source", {"source": "a/../b"}), ("token", {"token": Secret("a\nb")}), ("url", {"url": "x"})],
)
def test_what_cannot_be_used_is_refused(field_: str, facts: dict[str, Any]) -> None:
    with pytest.raises(BadField) as raised:
        IncidentIo(**({"source": "01GW2G3V0S59R238FAHPDS1R66", "token": Secret(TOKEN)} | facts))
    assert raised.value.field == field_
