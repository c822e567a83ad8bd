"""Slack, by webhook and by bot, against a workspace that keeps its messages, and against its limits."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
import respx

from monitor.sinks import _http
from monitor.sinks.contract import SendFailed, SinkContext
from monitor.sinks.slack import Slack
from probes.contract import BadField, Secret
from tests.sinks.lives import (
    ACKNOWLEDGED,
    ALL,
    DIGEST,
    INCIDENT,
    OPENED,
    REMINDER,
    RESOLVED,
    START,
    TEST,
    WORSE,
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


@dataclass
class Workspace:
    """Slack's Web API as far as a bot sees it: it keeps messages, and fails as told."""

    messages: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By their `ts`; a reply has a ``thread_ts``."""
    calls: list[str] = field(default_factory=list)
    failing: dict[str, list[httpx.Response | Exception]] = field(default_factory=dict)
    """What the next calls of a method get, in order, instead of an answer."""
    cut_off: set[str] = field(default_factory=set)
    """Methods whose next call is taken, and its answer lost."""

    def answer(self, request: httpx.Request) -> httpx.Response:
        method = request.url.path.rpartition("/")[2]
        self.calls.append(method)
        assert request.headers["authorization"] == f"Bearer {TOKEN}"
        if waiting := self.failing.get(method):
            found = waiting.pop(0)
            if isinstance(found, Exception):
                raise found
            return found
        if request.method == "GET":
            return self._read(
                {key: values[0] for key, values in parse_qs(request.url.query.decode()).items()}, method
            )
        sent = json.loads(request.content)
        hold("slack", "", sent)
        answer = self._take(method, sent)
        if method in self.cut_off:
            self.cut_off.remove(method)
            raise httpx.ReadError("cut off")
        return answer

    def _take(self, method: str, sent: dict[str, Any]) -> httpx.Response:
        if method == "chat.update":
            if sent["ts"] not in self.messages:
                return refused("message_not_found")
            self.messages[sent["ts"]] |= sent
            return httpx.Response(200, json={"ok": True, "channel": CHANNEL, "ts": sent["ts"]})
        assert method == "chat.postMessage"
        ts = f"17724601{35 + len(self.messages)}.000100"
        self.messages[ts] = {"ts": ts} | sent
        return httpx.Response(200, json={"ok": True, "channel": CHANNEL, "ts": ts, "message": sent})

    def _read(self, asked: dict[str, str], method: str) -> httpx.Response:
        thread = asked.get("ts") if method == "conversations.replies" else None
        found = [message for message in self.messages.values() if message.get("thread_ts") == thread]
        return httpx.Response(200, json={"ok": True, "messages": found[-int(asked["limit"]) :]})

    @property
    def shown(self) -> list[str]:
        """The headers of what stands in the channel."""
        return [
            message["blocks"][0]["text"]["text"] for message in self.messages.values() if "thread_ts" not in message
        ]

    @property
    def replies(self) -> list[dict[str, Any]]:
        return [message for message in self.messages.values() if "thread_ts" in message]


def refused(word: str) -> httpx.Response:
    return httpx.Response(200, json={"ok": False, "error": word})


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with _http.new_client() as shared:
        yield shared


@pytest.fixture
def slack() -> Any:
    workspace = Workspace()
    with respx.mock:
        respx.route(host="slack.com", path__startswith="/api/").mock(side_effect=workspace.answer)
        yield workspace


class Bot:
    """The sink, and what the outbox keeps for it between deliveries."""

    def __init__(self, client: httpx.AsyncClient, sink: Slack = BOT) -> None:
        self.memory: dict[str, Any] = {}
        self._client = client
        self._sink = sink

    async def tell(self, told: dict[str, Any], *, uncertain: bool = False) -> None:
        given = context(self._client, now=START)
        await self._sink.send(
            delivered(told), SinkContext(self._client, given.now, given.terminal, self.memory, uncertain)
        )

    async def fails(self, told: dict[str, Any], *, uncertain: bool = False) -> SendFailed:
        with pytest.raises(SendFailed) as raised:
            await self.tell(told, uncertain=uncertain)
        assert "s3cr3t" not in str(raised.value)
        return raised.value


# --- an incoming webhook ------------------------------------------------------------------------------------------


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


# --- a bot --------------------------------------------------------------------------------------------------------


async def test_one_message_an_incident(client: httpx.AsyncClient, slack: Workspace) -> None:
    bot = Bot(client)
    await bot.tell(OPENED)
    assert slack.shown == ["🟡 Web shop: degraded"]
    [details] = slack.replies
    assert "Phases\ndns 3 ms" in json.dumps(details["blocks"]).replace("\\n", "\n")
    await bot.tell(WORSE)
    assert slack.shown == ["🔴 Web shop: outage"]
    assert slack.replies[-1]["reply_broadcast"] is True, "who has muted the thread must notice"
    await bot.tell(ACKNOWLEDGED)
    assert slack.shown == ["🔴 Web shop: outage, acknowledged"]
    assert "reply_broadcast" not in slack.replies[-1]
    await bot.tell(REMINDER)
    assert slack.replies[-1]["reply_broadcast"] is True
    await bot.tell(RESOLVED)
    assert slack.shown == ["🟢 Web shop: back to normal"]
    [main] = {reply["thread_ts"] for reply in slack.replies}
    assert main in slack.messages
    assert len(slack.replies) == 5
    assert bot.memory == {}, "what comes next is another trouble"


@pytest.mark.parametrize("told", [RESOLVED, DIGEST, TEST, ALL["deploy"]])
async def test_what_stands_alone_has_no_thread(
    client: httpx.AsyncClient, slack: Workspace, told: dict[str, Any]
) -> None:
    bot = Bot(client)
    await bot.tell(told)
    assert (len(slack.shown), slack.replies, bot.memory) == (1, [], {})


@pytest.mark.parametrize("name", sorted(ALL))
async def test_hostile_text_keeps_to_the_schema(client: httpx.AsyncClient, slack: Workspace, name: str) -> None:
    """`Workspace` holds every call against it."""
    await Bot(client).tell(hostile(ALL[name]))
    assert slack.messages


async def test_an_interactive_button_says_which_incident(client: httpx.AsyncClient, slack: Workspace) -> None:
    bot = Bot(client, Slack(token=Secret(TOKEN), channel=CHANNEL, interactive=True))
    await bot.tell(OPENED)
    buttons = next(iter(slack.messages.values()))["blocks"][-1]["elements"]
    assert [button["action_id"] for button in buttons] == ["acknowledge", "open_page", "open_runbook"]
    assert (buttons[0]["value"], "url" in buttons[0]) == (INCIDENT, False)
    await bot.tell(RESOLVED)
    buttons = next(iter(slack.messages.values()))["blocks"][-1]["elements"]
    assert "acknowledge" not in [button["action_id"] for button in buttons]


async def test_it_goes_on_where_it_failed(client: httpx.AsyncClient, slack: Workspace) -> None:
    bot = Bot(client)
    slack.failing["chat.postMessage"] = [httpx.Response(500)]
    assert not (await bot.fails(OPENED)).permanent
    assert slack.messages == {}
    await bot.tell(OPENED)
    slack.failing["chat.postMessage"] = [httpx.Response(429, headers={"retry-after": "7"})]
    failed = await bot.fails(WORSE)
    assert (failed.retry_after, failed.uncertain) == (7, False)
    assert slack.shown == ["🔴 Web shop: outage"], "it was edited"
    slack.calls.clear()
    await bot.tell(WORSE)
    assert slack.calls == ["chat.postMessage"], "only the reply was still owed"
    assert len(slack.replies) == 2


@pytest.mark.parametrize("restarted", [False, True])
async def test_what_was_taken_is_not_sent_again(
    client: httpx.AsyncClient, slack: Workspace, *, restarted: bool
) -> None:
    """The answer is lost: Slack cannot be told that it is the same message, so it is looked for."""
    bot = Bot(client)
    slack.cut_off = {"chat.postMessage"}
    assert (await bot.fails(OPENED)).uncertain
    if restarted:
        bot = Bot(client)
    await bot.tell(OPENED, uncertain=True)
    assert len(slack.shown) == 1
    assert len(slack.replies) == 1
    slack.cut_off = {"chat.postMessage"}
    assert (await bot.fails(WORSE)).uncertain
    await bot.tell(WORSE, uncertain=True)
    assert len(slack.replies) == 2
    assert slack.replies[-1]["blocks"][0]["block_id"] == f"reply/{WORSE['id']}"


async def test_what_was_overtaken_is_edited(client: httpx.AsyncClient, slack: Workspace) -> None:
    """The answer to the first is lost, and what is sent next is news of the same incident."""
    slack.cut_off = {"chat.postMessage"}
    await Bot(client).fails(OPENED)
    bot = Bot(client)
    await bot.tell(WORSE, uncertain=True)
    assert slack.shown == ["🔴 Web shop: outage"]
    await bot.tell(RESOLVED)
    assert slack.shown == ["🟢 Web shop: back to normal"]


async def test_the_end_is_told_in_a_message_that_was_left_behind(client: httpx.AsyncClient, slack: Workspace) -> None:
    """And once, though the agent is killed before it has written down that it was told."""
    slack.cut_off = {"chat.postMessage"}
    await Bot(client).fails(OPENED)
    for _ in range(2):
        await Bot(client).tell(RESOLVED, uncertain=True)
        assert slack.shown == ["🟢 Web shop: back to normal"]
        assert len(slack.replies) == 1


@pytest.mark.parametrize("answer", [refused("missing_scope"), httpx.Response(200, text="{" * 70_000)])
async def test_where_it_may_not_look_it_sends_again(
    client: httpx.AsyncClient, slack: Workspace, answer: httpx.Response
) -> None:
    bot = Bot(client)
    slack.failing["conversations.history"] = [answer]
    await bot.tell(OPENED, uncertain=True)
    assert len(slack.shown) == 1


async def test_a_message_that_was_deleted_is_written_anew(client: httpx.AsyncClient, slack: Workspace) -> None:
    bot = Bot(client)
    await bot.tell(OPENED)
    slack.messages.clear()
    await bot.tell(WORSE)
    assert slack.shown == ["🔴 Web shop: outage"]
    assert slack.replies[0]["thread_ts"] in slack.messages


@pytest.mark.parametrize(
    ("word", "permanent", "uncertain", "told"),
    [
        ("not_in_channel", True, False, "/invite @brownout in the channel"),
        ("channel_not_found", True, False, "the channel's ID is wrong"),
        ("invalid_auth", True, False, "the token is wrong"),
        ("missing_scope", True, False, "chat:write"),
        ("invalid_blocks", True, False, "refused: invalid_blocks"),
        ("ratelimited", False, False, "ratelimited"),
        ("internal_error", False, True, "internal_error"),
        ("fatal_error", False, True, "fatal_error"),
        ("<b>s3cr3t</b>", True, False, "refused: unknown"),
    ],
)
async def test_what_its_words_mean(
    client: httpx.AsyncClient, slack: Workspace, word: str, told: str, *, permanent: bool, uncertain: bool
) -> None:
    slack.failing["chat.postMessage"] = [refused(word)]
    failed = await Bot(client).fails(OPENED)
    assert (failed.permanent, failed.uncertain) == (permanent, uncertain)
    assert told in str(failed)


@pytest.mark.parametrize("answer", [httpx.Response(200, text="<html>s3cr3t"), httpx.Response(200, json=["ok"])])
async def test_an_answer_that_is_not_slacks(
    client: httpx.AsyncClient, slack: Workspace, answer: httpx.Response
) -> None:
    slack.failing["chat.postMessage"] = [answer]
    failed = await Bot(client).fails(OPENED)
    assert (failed.permanent, failed.uncertain) == (False, True)


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
