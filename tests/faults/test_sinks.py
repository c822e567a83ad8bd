"""What befalls the other sides of sinks, for a real agent on real sockets: they refuse for a day, their certificate
expires, their name does not exist, they ask to wait, want nothing more, hang up behind what they took."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import httpx
import pytest

from tests.end_to_end.ledger import is_all_sent
from tests.end_to_end.rig import until, until_state
from tests.faults.name_server import asking_it, name_server, namespaces_allowed, trusting
from tests.faults.other_sides import Side, Telling, telling
from tests.faults.wall_clock import COMPILER
from tests.servers.authority import Kind, authority
from tests.sinks import test_pagerduty as pagerduty
from tests.sinks import test_slack_bot as slack

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.skipif(COMPILER is None, reason="no C compiler here: apt-get install gcc libc6-dev"),
    pytest.mark.skipif(not namespaces_allowed(), reason="this user may make no mount namespace (root may)"),
]
WEBHOOK = "type: webhook, url"
PAGER = f"type: pagerduty, routing_key: {pagerduty.KEY}, url"
EXPIRED = "cannot reach it: certificate has expired"


async def test_a_day_of_refusals_and_an_expired_certificate(tmp_path: Path) -> None:
    """Behind it a log gets all, in order; who pages and who is read get the present, and an open alert is closed."""
    service, made = pagerduty.Service(), authority(tmp_path)
    made.issue("noon", Kind(end=datetime.now(UTC) + timedelta(hours=12)))
    tls = made.server("noon")
    log, pager = Side(WEBHOOK), Side(PAGER, service.take)
    chat, secure = Side("type: slack, url"), Side(WEBHOOK, tls=tls)
    sides = {"log": log, "pager": pager, "chat": chat, "secure": secure}
    async with telling(tmp_path, sides, trusting(tmp_path / "ca.pem")) as agent:
        await agent.outage()
        await until(lambda: all(len(side.taken) == 1 for side in sides.values()), "all to be told of it")
        log.refuses = pager.refuses = chat.refuses = httpx.Response(500)
        await _hours(agent, 6)
        await agent.recovery()
        await until(lambda: secure.kinds[-1] == "resolved", "its end, by a certificate that is still good")
        for _ in range(2):
            await _hours(agent, 5)
            await agent.outage()
            await _hours(agent, 4)
            await agent.recovery()
        found = await agent.sinks()
        assert (found["secure"]["error"], found["log"]["error"]) == (EXPIRED, "answered 500 (Internal Server Error)")
        assert {found[name]["condition"] for name in sides} == {"failing"}
        assert found["fine"]["condition"] == "fine"
        assert max(side.refused for side in sides.values()) < 60, "the breaker keeps the load from it"

        log.refuses = pager.refuses = chat.refuses = None
        tls.load_cert_chain(made.path("good"), made.key("good"))
        await agent.pass_(timedelta(minutes=2), lambda: is_all_sent(tmp_path / "state"), "all to be sent")
        found = await agent.sinks()
        assert {found[name]["condition"] for name in sides} == {"fine"}
        assert not agent.running.lines("outbox.dead_letter")
    assert agent.fine.kinds.count("resolved") == 3
    for side in (log, secure):
        assert _by_incident(side) == _by_incident(agent.fine)
        assert len({(request.headers["webhook-id"], request.content) for request in side.taken}) == len(side.told)
    assert (service.paged, service.open) == (["critical"], {}), "what was over by then paged nobody"
    assert {item["event_action"] for item in service.sent[1:]} == {"resolve"}
    [_, digest] = (json.loads(request.content) for request in chat.taken)
    assert "3 over" in json.dumps(digest), digest


async def _hours(agent: Telling, hours: int) -> None:
    """They pass, and nothing changes but that what is refused is sent again."""
    log, state = agent.sides["log"], await agent.state()
    refused = log.refused
    await agent.pass_(timedelta(hours=hours), lambda: not refused or log.refused > refused, "another attempt")
    await until_state(agent.url, "shop", state)


def _by_incident(side: Side) -> dict[str, list[str]]:
    """Ids of what was told, in order."""
    found: dict[str, list[str]] = {}
    for event in side.told:
        found.setdefault(event["incident"]["id"], []).append(event["id"])
    return found


async def test_each_has_a_trouble_of_its_own(tmp_path: Path) -> None:
    """They ask to wait, in both forms; hang up behind what they took, able to tell a repetition or not; want nothing
    more; have no name. Nobody's trouble is another's."""
    service, workspace, cut = pagerduty.Service(), slack.Workspace(), Counter[str]()

    def hang_up(request: httpx.Request) -> httpx.Response:
        identity = request.headers["webhook-id"]
        cut[identity] += 1
        if cut[identity] == 1:
            raise httpx.ReadError("")
        return httpx.Response(204)

    def unsteady(request: httpx.Request) -> httpx.Response:
        answer = service.take(request)
        if service.taken.count(service.taken[-1]) == 1:
            raise httpx.ReadError("")
        return answer

    workspace.cut_off = {"chat.postMessage", "chat.update"}
    busy, gone = Side(WEBHOOK), Side(WEBHOOK, refuses=httpx.Response(410))
    hanging, pager = Side(WEBHOOK, hang_up), Side(PAGER, unsteady)
    bot = Side(f"type: slack, token: {slack.TOKEN}, channel: {slack.CHANNEL}, api", workspace.answer)
    nameless = Side(WEBHOOK, host="gone.brownout.test")
    sides = {"busy": busy, "gone": gone, "hanging": hanging, "pager": pager, "bot": bot, "nameless": nameless}
    async with name_server() as names, telling(tmp_path, sides, asking_it(tmp_path)) as agent:
        names.gone.add(b"gone")
        busy.refuses = httpx.Response(429, headers={"retry-after": "1800"})
        await agent.outage()
        await until(lambda: len(hanging.taken) == 2, "what was cut off, again")
        await until(lambda: len(service.taken) == 2 and len(workspace.shown) == 1, "the alert and the message")
        await until(lambda: (busy.refused, gone.refused) == (1, 1), "both to refuse")
        await until(lambda: bool(_errors(agent, "nameless")), "an attempt by name")
        await agent.pass_(timedelta(minutes=29))
        assert (busy.refused, busy.taken) == (1, []), "half an hour is not over"
        then = datetime.now(UTC) + agent.clock.passed + timedelta(minutes=35)
        busy.refuses = httpx.Response(429, headers={"retry-after": format_datetime(then, usegmt=True)})
        await agent.pass_(timedelta(minutes=2), lambda: busy.refused == 2, "it to be asked again")
        busy.refuses = None
        await agent.pass_(timedelta(minutes=20))
        assert (busy.refused, busy.taken) == (2, []), "it is not that time yet"
        names.gone.clear()
        await agent.pass_(timedelta(minutes=20), lambda: bool(busy.taken and nameless.taken), "both to be told")
        workspace.cut_off = {"chat.postMessage", "chat.update"}
        await agent.recovery()
        await until(lambda: is_all_sent(tmp_path / "state", besides="gone"), "all to be sent")
        assert (await agent.sinks())["gone"]["condition"] == "disabled"
        [disabled] = agent.running.lines("outbox.sink_disabled")
        assert (disabled["sink"], disabled["error"][:19]) == ("gone", "answered 410 (Gone)")
        assert {line["sink"] for line in agent.running.lines("outbox.dead_letter")} == {"gone"}
    assert gone.refused == 1, "it is not asked again"
    assert gone.taken == []
    for side in (busy, hanging, nameless):
        assert _by_incident(side) == _by_incident(agent.fine)
    assert set(cut.values()) == {2}, "each once more, as the same"
    assert len({(request.headers["webhook-id"], request.content) for request in hanging.taken}) == len(cut)
    assert (service.paged, service.open) == (["critical"], {})
    [message] = workspace.shown
    assert "back to normal" in message
    replies = Counter(json.dumps(reply["blocks"], sort_keys=True) for reply in workspace.replies)
    assert set(replies.values()) == {1}, "nothing was written twice"
    assert 2 <= len(replies) <= len(agent.fine.told), "its beginning and its end, and what was told along with one"


def _errors(agent: Telling, sink: str) -> list[str]:
    return [line["error"] for line in agent.running.lines("outbox.retry") if line["sink"] == sink]
