"""Slack: an incoming webhook, against its schema and limits, and what a configuration may say."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
import respx

from monitor.sinks.contract import SendFailed
from monitor.sinks.slack import Slack
from probes.contract import BadField, Secret
from tests.sinks.lives import (
    ALL,
    OPENED,
    START,
    delivered,
    hostile,
)
from tests.sinks.made import context
from tests.sinks.official import document, hold, limits

URL = "https://hooks.slack.com/services/T0/B0/s3cr3t"
TOKEN = "xoxb-s3cr3t-token"
CHANNEL = "C0123456789"
WEBHOOK = Slack(url=Secret(URL))
BOT = Slack(token=Secret(TOKEN), channel=CHANNEL)


async def posted(client: httpx.AsyncClient, told: dict[str, Any]) -> dict[str, Any]:
    with respx.mock:
        route = respx.post(URL).respond(200, text="ok")
        await WEBHOOK.send(delivered(told), context(client, now=START))
        [call] = route.calls
        sent: dict[str, Any] = json.loads(call.request.content)
        return sent


def texts(blocks: list[dict[str, Any]], kind: str) -> list[str]:
    """All texts of one type, however deep."""
    found: list[str] = []
    waiting: list[Any] = list(blocks)
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            found += [item["text"]] if item.get("type") == kind and isinstance(item.get("text"), str) else []
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item
    return found


@pytest.mark.parametrize("name", sorted(ALL))
@pytest.mark.parametrize("spoil", [dict, hostile])
async def test_it_keeps_to_the_schema_and_the_limits(client: httpx.AsyncClient, name: str, spoil: Any) -> None:
    sent = await posted(client, spoil(ALL[name]))
    hold("slack", "", sent)
    most = limits("slack")
    assert len(sent["blocks"]) <= most["blocks"]
    assert document("slack")["properties"]["blocks"]["maxItems"] == most["blocks"]
    for text in texts(sent["blocks"], "mrkdwn"):
        unescaped = text.replace("&lt;", "").replace("&gt;", "").replace("&amp;", "")
        assert not set("<>&") & set(unescaped)
    assert "<" not in sent["text"]
    assert len(json.dumps(sent)) < 100_000


async def test_nobody_is_mentioned(client: httpx.AsyncClient) -> None:
    sent = await posted(client, OPENED | {"sentence": "<!channel> <@U1> & co"})
    assert sent["text"] == "🟡 Web shop: degraded: &lt;!channel&gt; &lt;@U1&gt; &amp; co"
    assert sent["blocks"][1]["text"] == {"type": "plain_text", "text": "<!channel> <@U1> & co", "emoji": False}


async def test_a_button_for_each_link(client: httpx.AsyncClient) -> None:
    buttons = (await posted(client, OPENED))["blocks"][-1]["elements"]
    assert [(button["text"]["text"], button["url"]) for button in buttons] == [
        ("Acknowledge", OPENED["links"]["acknowledge"]),
        ("Open", OPENED["links"]["page"]),
        ("Runbook", OPENED["links"]["runbook"]),
    ]


@pytest.mark.parametrize(
    ("status", "text", "permanent", "told"),
    [
        (404, "no_service", True, "no_service: the webhook was removed or disabled"),
        (403, "action_prohibited", True, "action_prohibited: an admin"),
        (410, "channel_is_archived", True, "channel_is_archived: the channel is archived"),
        (400, "invalid_payload", True, "400 (Bad Request): invalid_payload"),
        (400, "<html>s3cr3t", True, "400 (Bad Request): unknown"),
        (500, "rollup_error", False, "rollup_error"),
        (302, "", True, "redirects are not followed"),
    ],
)
async def test_what_its_refusals_mean(
    client: httpx.AsyncClient, status: int, text: str, told: str, *, permanent: bool
) -> None:
    with respx.mock:
        respx.post(URL).respond(status, text=text)
        with pytest.raises(SendFailed, match=told.replace("(", r"\(").replace(")", r"\)")) as raised:
            await WEBHOOK.send(delivered(OPENED), context(client))
    assert raised.value.permanent is permanent
    assert "s3cr3t" not in str(raised.value)


async def test_it_waits_as_asked(client: httpx.AsyncClient) -> None:
    with respx.mock:
        respx.post(URL).respond(429, headers={"retry-after": "30"})
        with pytest.raises(SendFailed) as raised:
            await WEBHOOK.send(delivered(OPENED), context(client))
    assert (raised.value.permanent, raised.value.retry_after) == (False, 30)


@pytest.mark.parametrize(
    ("field_", "facts"),
    [
        ("url", {}),
        ("url", {"url": Secret(URL), "token": Secret(TOKEN)}),
        ("url", {"url": Secret("hooks.slack.com/x")}),
        ("channel", {"token": Secret(TOKEN)}),
        ("channel", {"token": Secret(TOKEN), "channel": "#ops"}),
        ("channel", {"url": Secret(URL), "channel": CHANNEL}),
        ("interactive", {"url": Secret(URL), "interactive": True}),
        ("api", {"token": Secret(TOKEN), "channel": CHANNEL, "api": "slack.com"}),
    ],
)
def test_what_cannot_be_used_is_refused(field_: str, facts: dict[str, Any]) -> None:
    with pytest.raises(BadField) as raised:
        Slack(**facts)
    assert raised.value.field == field_
    assert "s3cr3t" not in str(raised.value)


def test_only_a_bot_can_edit() -> None:
    assert (BOT.edits, WEBHOOK.edits) == (True, False)


def test_its_repr_shows_no_secret() -> None:
    assert "s3cr3t" not in repr(WEBHOOK) + repr(BOT)
