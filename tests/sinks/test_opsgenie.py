"""Opsgenie and Jira Service Management: an alias for each incident and class."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import httpx
import pytest

from monitor.sinks.contract import SendFailed
from monitor.sinks.opsgenie import Opsgenie
from probes.contract import BadField, Secret
from tests.sinks.lives import (
    ACKNOWLEDGED,
    ALL,
    CANNOT_TELL,
    DRILL,
    INCIDENT,
    OPENED,
    RESOLVED,
    TEST,
    WORSE,
    hostile,
)
from tests.sinks.official import document, hold, limits
from tests.sinks.telling import Pager

KEY = "0pen-5esame"
SINK = Opsgenie(Secret(KEY), "https://api.atlassian.com/jsm/ops/integration/", tags=("web",))
DEGRADED, OUTAGE = f"brownout:{INCIDENT}/degraded", f"brownout:{INCIDENT}/outage"
_PAYLOADS = {"close": "CloseAlert", "acknowledge": "AcknowledgeAlert", "notes": "AddNoteToAlert"}


@dataclass
class Team(Pager):
    """A team's alerts, by alias, with their priority."""

    sink = SINK
    open: dict[str, str] = field(default_factory=dict)
    taken: list[str] = field(default_factory=list)
    sent: list[dict[str, Any]] = field(default_factory=list)

    def take(self, request: httpx.Request) -> httpx.Response:
        assert request.headers["authorization"] == f"GenieKey {KEY}"
        sent = json.loads(request.content)
        self.sent.append(sent)
        path = request.url.raw_path.decode().removeprefix("/jsm/ops/integration/v2/alerts")
        if not path:
            self._open(sent)
            return httpx.Response(202, json={"result": "Request will be processed", "requestId": "r"})
        target, _, query = path.partition("?")
        _, alias, action = target.split("/")
        assert query == "identifierType=alias"
        hold("opsgenie", f"definitions/{_PAYLOADS[action]}Payload", sent)
        self.taken.append(f"{action} {unquote(alias).rpartition('/')[2]}")
        if action == "close":
            self.open.pop(unquote(alias), None)
        return httpx.Response(202)

    def _open(self, sent: dict[str, Any]) -> None:
        hold("opsgenie", "definitions/CreateAlertPayload", sent)
        known = document("opsgenie")["definitions"]
        names = {
            *known["CreateAlertPayload"]["allOf"][1]["properties"],
            *known["AlertActionPayload"]["properties"],
        }
        assert set(sent) <= names
        told = limits("opsgenie")
        for name in ("message", "alias", "description", "entity"):
            assert len(sent[name]) <= told[name]["max_chars"]
        assert len(sent["tags"]) <= told["tags"]["max_items"]
        assert all(len(tag) <= told["tags"]["each_max_chars"] for tag in sent["tags"])
        self.taken.append(f"open {sent['alias'].rpartition('/')[2]}")
        self.open.setdefault(sent["alias"], sent["priority"])


@pytest.fixture
def team() -> Team:
    return Team()


async def test_an_incidents_life(team: Team) -> None:
    await team.tell(OPENED)
    assert team.open == {DEGRADED: "P3"}
    await team.tell(WORSE, ACKNOWLEDGED, CANNOT_TELL | {"incident": WORSE["incident"]})
    assert team.open == {OUTAGE: "P1"}
    await team.tell(RESOLVED)
    assert team.open == {}
    assert team.memory == {}
    assert team.taken == [
        "open degraded", "open outage", "close degraded", "acknowledge outage", "notes outage", "close outage",
        "close degraded",
    ]  # fmt: skip
    assert team.sent[3]["user"] == "Ann"


async def test_what_is_shown(team: Team) -> None:
    long = f"[DRILL] {WORSE['sentence']} {'And so on. ' * 3}."
    await team.tell(WORSE | {"drill": True, "sentence": long})
    [sent] = team.sent
    assert sent["message"].startswith("[DRILL] Web shop has an outage since")
    assert sent["message"].endswith("…"), "at most 130 characters, and the description has the rest"
    assert long in sent["description"]
    assert sent["tags"] == ["outage", "shop", "drill", "web"]
    assert sent["details"]["condition"] == "p95(response_time, 5m) > 800ms"


async def test_a_test_leaves_nothing_open(team: Team) -> None:
    await team.tell(TEST, RESOLVED | {"test": True})
    assert team.taken == ["open degraded", "close outage", "close degraded"]
    assert team.memory == {}


@pytest.mark.parametrize("name", ALL)
async def test_hostile_text(team: Team, name: str) -> None:
    await team.tell(hostile(ALL[name]))


@pytest.mark.parametrize(
    ("answer", "permanent", "shown"),
    [
        (httpx.Response(422, json={"message": "Request body is not processable"}), True, "not processable"),
        (httpx.Response(403, json={"message": f"Key {KEY} is odd"}), True, "Forbidden"),
        (httpx.Response(429), False, "Too Many"),
        (httpx.Response(503), False, "Unavailable"),
        (httpx.ReadError(KEY), False, "cannot reach"),
    ],
)
async def test_refusals(team: Team, answer: httpx.Response | Exception, permanent: bool, shown: str) -> None:
    team.answers = [answer]
    with pytest.raises(SendFailed) as raised:
        await team.tell(DRILL)
    assert raised.value.permanent is permanent
    assert shown in str(raised.value)
    assert KEY not in str(raised.value) + repr(SINK)
    assert team.memory == {}


@pytest.mark.parametrize(
    ("field_", "facts"),
    [("key", {"key": Secret("a\r\nb")}), ("url", {"url": "x"}), ("tags", {"tags": ("x" * 51,)})],
)
def test_what_cannot_be_used_is_refused(field_: str, facts: dict[str, Any]) -> None:
    with pytest.raises(BadField) as raised:
        Opsgenie(**({"key": Secret(KEY)} | facts))
    assert raised.value.field == field_
