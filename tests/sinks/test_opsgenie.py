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
NUMBER = "43a29c5c-3dbf-4fa4-9c26-f4f71023e120"
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
    fate: dict[str, Any] = field(default_factory=lambda: {"isSuccess": True, "status": "Done"})
    """What came of each request, as it tells when it is asked; nothing: it knows of none."""
    late: list[dict[str, Any]] = field(default_factory=list)
    """What it tells before."""
    number: str = NUMBER
    asked: list[str] = field(default_factory=list)

    def take(self, request: httpx.Request) -> httpx.Response:
        assert request.headers["authorization"] == f"GenieKey {KEY}"
        path = request.url.raw_path.decode().removeprefix("/jsm/ops/integration/v2/alerts")
        if request.method == "GET":
            return self._asked(path)
        sent = json.loads(request.content)
        self.sent.append(sent)
        if not path:
            self._open(sent)
            if self.fate.get("isSuccess") is False:
                del self.open[sent["alias"]]
            return httpx.Response(202, json={"result": "Request will be processed", "requestId": self.number})
        target, _, query = path.partition("?")
        _, alias, action = target.split("/")
        assert query == "identifierType=alias"
        hold("opsgenie", f"definitions/{_PAYLOADS[action]}Payload", sent)
        self.taken.append(f"{action} {unquote(alias).rpartition('/')[2]}")
        if action == "close" and self.fate.get("isSuccess"):
            self.open.pop(unquote(alias), None)
        return httpx.Response(202, json={"requestId": self.number})

    def _asked(self, path: str) -> httpx.Response:
        self.asked.append(path)
        if path == f"/requests/{NUMBER}":
            found = self.late.pop(0) if self.late else self.fate
            hold("opsgenie", "definitions/AlertRequestStatus", found)
            return httpx.Response(200, json={"data": found}) if found else httpx.Response(404, json={"message": "?"})
        alias = unquote(path.removeprefix("/").removesuffix("?identifierType=alias"))
        return httpx.Response(200, json={"data": {"status": "open" if alias in self.open else "closed"}})

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


async def test_what_it_took_and_did_not_do_is_told_again(team: Team) -> None:
    team.fate = {"isSuccess": False, "status": f"Key {KEY} has no right to create"}
    with pytest.raises(SendFailed, match="took the alert, and has not opened it") as raised:
        await team.tell(OPENED)
    assert not raised.value.permanent
    assert KEY not in str(raised.value)
    assert team.memory == {}

    team.fate = {"isSuccess": True}
    await team.tell(OPENED)
    team.fate = {"isSuccess": False, "status": "No right"}
    with pytest.raises(SendFailed, match="has not closed the alert: No right"):
        await team.tell(RESOLVED)
    assert team.open == {DEGRADED: "P3"}
    team.open.clear()
    await team.tell(RESOLVED)
    assert team.memory == {}, "what somebody has closed, or deleted, needs no end"


@pytest.mark.parametrize(("late", "fate", "asked"), [([{}], {"isSuccess": True}, 2), ([], {}, 3)])
async def test_what_it_has_not_done_yet_is_asked_for_again_but_not_for_long(
    team: Team, late: list[dict[str, Any]], fate: dict[str, Any], asked: int
) -> None:
    team.late, team.fate = late, fate
    await team.tell(OPENED)
    assert team.asked == [f"/requests/{NUMBER}"] * asked
    assert team.open == {DEGRADED: "P3"}


async def test_an_answer_without_a_number_is_asked_nothing(team: Team) -> None:
    team.number = "../../heartbeats"
    await team.tell(OPENED)
    assert team.asked == []
    assert team.open == {DEGRADED: "P3"}


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
