"""Slack's bot, against a workspace that keeps its messages, and fails as told."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
import respx

from monitor.sinks.slack import Slack
from probes.contract import Secret
from tests.sinks.lives import (
    ACKNOWLEDGED,
    ALL,
    DIGEST,
    INCIDENT,
    OPENED,
    REMINDER,
    RESOLVED,
    TEST,
    WORSE,
    hostile,
)
from tests.sinks.official import hold
from tests.sinks.telling import Stream

TOKEN = "xoxb-s3cr3t-token"
CHANNEL = "C0123456789"
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
def slack() -> Any:
    workspace = Workspace()
    with respx.mock:
        respx.route(host="slack.com", path__startswith="/api/").mock(side_effect=workspace.answer)
        yield workspace


async def test_one_message_an_incident(client: httpx.AsyncClient, slack: Workspace) -> None:
    bot = Stream(client, BOT)
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
    bot = Stream(client, BOT)
    await bot.tell(told)
    assert (len(slack.shown), slack.replies, bot.memory) == (1, [], {})


@pytest.mark.parametrize("name", sorted(ALL))
async def test_hostile_text_keeps_to_the_schema(client: httpx.AsyncClient, slack: Workspace, name: str) -> None:
    """`Workspace` holds every call against it."""
    await Stream(client, BOT).tell(hostile(ALL[name]))
    assert slack.messages


async def test_an_interactive_button_says_which_incident(client: httpx.AsyncClient, slack: Workspace) -> None:
    bot = Stream(client, Slack(token=Secret(TOKEN), channel=CHANNEL, interactive=True))
    await bot.tell(OPENED)
    buttons = next(iter(slack.messages.values()))["blocks"][-1]["elements"]
    assert [button["action_id"] for button in buttons] == ["acknowledge", "open_page", "open_runbook"]
    assert (buttons[0]["value"], "url" in buttons[0]) == (INCIDENT, False)
    await bot.tell(RESOLVED)
    buttons = next(iter(slack.messages.values()))["blocks"][-1]["elements"]
    assert "acknowledge" not in [button["action_id"] for button in buttons]


async def test_it_goes_on_where_it_failed(client: httpx.AsyncClient, slack: Workspace) -> None:
    bot = Stream(client, BOT)
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
    bot = Stream(client, BOT)
    slack.cut_off = {"chat.postMessage"}
    assert (await bot.fails(OPENED)).uncertain
    if restarted:
        bot = Stream(client, BOT)
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
    await Stream(client, BOT).fails(OPENED)
    bot = Stream(client, BOT)
    await bot.tell(WORSE, uncertain=True)
    assert slack.shown == ["🔴 Web shop: outage"]
    await bot.tell(RESOLVED)
    assert slack.shown == ["🟢 Web shop: back to normal"]


async def test_the_end_is_told_in_a_message_that_was_left_behind(client: httpx.AsyncClient, slack: Workspace) -> None:
    """And once, though the agent is killed before it has written down that it was told."""
    slack.cut_off = {"chat.postMessage"}
    await Stream(client, BOT).fails(OPENED)
    for _ in range(2):
        await Stream(client, BOT).tell(RESOLVED, uncertain=True)
        assert slack.shown == ["🟢 Web shop: back to normal"]
        assert len(slack.replies) == 1


@pytest.mark.parametrize("answer", [refused("missing_scope"), httpx.Response(200, text="{" * 70_000)])
async def test_where_it_may_not_look_it_sends_again(
    client: httpx.AsyncClient, slack: Workspace, answer: httpx.Response
) -> None:
    bot = Stream(client, BOT)
    slack.failing["conversations.history"] = [answer]
    await bot.tell(OPENED, uncertain=True)
    assert len(slack.shown) == 1


async def test_a_message_that_was_deleted_is_written_anew(client: httpx.AsyncClient, slack: Workspace) -> None:
    bot = Stream(client, BOT)
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
    failed = await Stream(client, BOT).fails(OPENED)
    assert (failed.permanent, failed.uncertain) == (permanent, uncertain)
    assert told in str(failed)


@pytest.mark.parametrize("answer", [httpx.Response(200, text="<html>s3cr3t"), httpx.Response(200, json=["ok"])])
async def test_an_answer_that_is_not_slacks(
    client: httpx.AsyncClient, slack: Workspace, answer: httpx.Response
) -> None:
    slack.failing["chat.postMessage"] = [answer]
    failed = await Stream(client, BOT).fails(OPENED)
    assert (failed.permanent, failed.uncertain) == (False, True)
