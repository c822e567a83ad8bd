"""Intercom, against a workspace that keeps its tickets, and against its own schema."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
import pytest
import respx

from monitor.sinks.contract import SendFailed
from monitor.sinks.intercom import Intercom
from probes.contract import BadField, Secret
from tests.sinks.lives import (
    ACKNOWLEDGED,
    ALL,
    CANNOT_TELL,
    DEPLOY,
    DRILL,
    IMPAIRED,
    OPENED,
    RESOLVED,
    START,
    TEST,
    WORSE,
    hostile,
)
from tests.sinks.made import mockable
from tests.sinks.official import hold
from tests.sinks.telling import Stream

TOKEN = "dG9rOnM3Y3IzdA="
SINK = Intercom(Secret(TOKEN), "1234", "brownout@example.com", closed_state="77")


@dataclass
class Workspace:
    """Intercom's API as far as we use it: tickets are kept and found, and calls fail as told."""

    tickets: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    failing: list[httpx.Response | Exception | None] = field(default_factory=list)
    """What the next calls meet; None: nothing."""
    cut_off: bool = False
    """Whether the next ticket is made, and the answer lost."""

    def answer(self, request: httpx.Request) -> httpx.Response:
        assert request.headers["authorization"] == f"Bearer {TOKEN}"
        assert request.headers["intercom-version"] == "2.16"
        path, asked = request.url.path, json.loads(request.content)
        self.calls.append(f"{request.method} {path}")
        if self.failing and (found := self.failing.pop(0)) is not None:
            if isinstance(found, Exception):
                raise found
            return found
        if path == "/tickets/search":
            return httpx.Response(200, json={"type": "ticket.list", "tickets": list(self.tickets.values())})
        if path == "/tickets":
            return self._open(asked, request)
        ticket = self.tickets.get(path.rpartition("/")[2])
        if ticket is None:
            return httpx.Response(404, json={"type": "error.list"})
        hold("intercom", "components/schemas/update_ticket_request", asked)
        ticket |= asked
        return httpx.Response(200, json=ticket)

    def _open(self, asked: dict[str, Any], request: httpx.Request) -> httpx.Response:
        hold("intercom", "components/schemas/create_ticket_request", asked)
        assert len(asked["contacts"]) == 1
        identity = str(len(self.tickets) + 1)
        self.tickets[identity] = {"id": identity, "open": True, **asked}
        if self.cut_off:
            self.cut_off = False
            raise httpx.ReadTimeout("", request=request)
        return httpx.Response(200, json=self.tickets[identity])


@pytest.fixture
def workspace() -> Workspace:
    return Workspace()


@pytest.fixture
async def client(workspace: Workspace) -> AsyncIterator[httpx.AsyncClient]:
    with respx.mock(assert_all_called=False) as mock:
        mock.route(host="api.intercom.io").mock(side_effect=workspace.answer)
        async with mockable() as shared:
            yield shared


async def test_an_incident_is_one_ticket_from_its_begin_to_its_end(
    client: httpx.AsyncClient, workspace: Workspace
) -> None:
    desk = Stream(client, SINK)
    for told, title in ((OPENED, "degraded"), (WORSE, "outage"), (ACKNOWLEDGED, "outage, acknowledged")):
        await desk.tell(told)
        [ticket] = workspace.tickets.values()
        assert ticket["open"] is True
        assert ticket["ticket_attributes"]["_default_title_"].endswith(f"Web shop: {title}")
    await desk.tell(RESOLVED)
    [ticket] = workspace.tickets.values()
    assert (ticket["open"], ticket["ticket_state_id"]) == (False, "77")
    assert "back to normal" in ticket["ticket_attributes"]["_default_title_"]
    assert desk.memory == {}


@pytest.mark.parametrize("told", [CANNOT_TELL, DEPLOY, IMPAIRED, ALL["digest"]])
async def test_these_make_no_ticket(client: httpx.AsyncClient, workspace: Workspace, told: dict[str, Any]) -> None:
    await Stream(client, SINK).tell(told)
    assert workspace.calls == []


async def test_a_test_leaves_nothing_open_and_a_drill_is_marked(
    client: httpx.AsyncClient, workspace: Workspace
) -> None:
    desk = Stream(client, SINK)
    await desk.tell(TEST)
    assert workspace.tickets["1"]["open"] is False
    assert desk.memory == {}
    await desk.tell(DRILL)
    for number, mark in (("1", "[TEST] "), ("2", "[DRILL] ")):
        assert mark in workspace.tickets[number]["ticket_attributes"]["_default_title_"]


async def test_an_answer_that_is_lost_makes_no_second_ticket(client: httpx.AsyncClient, workspace: Workspace) -> None:
    desk = Stream(client, SINK)
    workspace.cut_off = True
    with pytest.raises(SendFailed) as raised:
        await desk.tell(OPENED)
    assert raised.value.uncertain
    await desk.tell(OPENED, uncertain=True)
    assert len(workspace.tickets) == 1
    await desk.tell(RESOLVED)
    assert workspace.tickets["1"]["open"] is False


async def test_one_that_was_opened_without_our_knowing_is_closed_all_the_same(
    client: httpx.AsyncClient, workspace: Workspace
) -> None:
    """The opening was given up, or superseded, before anybody could know whether it had been taken."""
    desk = Stream(client, SINK)
    workspace.cut_off = True
    with pytest.raises(SendFailed):
        await desk.tell(OPENED)
    await desk.tell(RESOLVED)
    assert workspace.tickets["1"]["open"] is False
    assert desk.memory == {}


async def test_a_refused_opening_leaves_nothing_to_look_for(client: httpx.AsyncClient, workspace: Workspace) -> None:
    desk = Stream(client, SINK)
    workspace.failing = [httpx.Response(422)]
    with pytest.raises(SendFailed) as raised:
        await desk.tell(OPENED)
    assert raised.value.permanent
    await desk.tell(RESOLVED)
    assert workspace.calls == ["POST /tickets"]


async def test_a_ticket_that_somebody_deleted_is_left_alone(client: httpx.AsyncClient, workspace: Workspace) -> None:
    desk = Stream(client, SINK)
    await desk.tell(OPENED)
    workspace.tickets.clear()
    await desk.tell(WORSE)
    await desk.tell(RESOLVED)
    assert workspace.tickets == {}
    assert desk.memory == {}


async def test_a_limit_is_waited_out_until_the_time_it_tells(client: httpx.AsyncClient, workspace: Workspace) -> None:
    reset = int((START + timedelta(seconds=8)).timestamp())
    workspace.failing = [httpx.Response(429, headers={"x-ratelimit-reset": str(reset)})]
    with pytest.raises(SendFailed) as raised:
        await Stream(client, SINK).tell(OPENED)
    assert not raised.value.permanent
    assert raised.value.retry_after == pytest.approx(8)


@pytest.mark.parametrize("name", ALL)
async def test_hostile_text_stays_within_what_is_shown(
    client: httpx.AsyncClient, workspace: Workspace, name: str
) -> None:
    await Stream(client, SINK).tell(hostile(ALL[name]))
    for ticket in workspace.tickets.values():
        title, text = ticket["ticket_attributes"].values()
        assert len(title) <= 250
        assert len(text) <= 5000
        assert all(letter.isprintable() or letter == "\n" for letter in title + text)


@pytest.mark.parametrize(
    ("named", "facts"),
    [
        ("ticket_type", {"ticket_type": "Outage ticket"}),
        ("contact", {"contact": "nobody at example"}),
        ("closed_state", {"closed_state": "done!"}),
        ("url", {"url": "api.intercom.io"}),
        ("token", {"token": Secret("a\r\nb")}),
    ],
)
def test_what_cannot_be_used_is_refused(named: str, facts: dict[str, Any]) -> None:
    with pytest.raises(BadField) as raised:
        Intercom(**({"token": Secret(TOKEN), "ticket_type": "1", "contact": "a@example.com"} | facts))
    assert raised.value.field == named
    assert TOKEN not in repr(SINK)
