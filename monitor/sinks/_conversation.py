"""A bot's conversation in a channel of Slack: a message for each incident, edited, with the details in its thread.

Slack knows no message that is sent twice for the same: when no answer came, it is looked for, by the name of a block.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from monitor.sinks import _blocks
from monitor.sinks._message import Message, moment
from monitor.sinks._told import Class, Told
from monitor.sinks.contract import SendFailed, SinkContext
from monitor.store.contract import Delivery
from probes.contract import Secret

_WORD: Final = re.compile(r"[a-z][a-z0-9_]{2,60}")
_CALL_SECONDS: Final = 6.0
"""Of one call: what a delivery takes at most (look, edit, reply) ends within the time of an attempt."""
_LOOKED_AT: Final = 15
"""Messages that are looked through for one that may have been taken: so many, Slack gives to any app."""
_CLOCKS_APART: Final = 300.0
"""Seconds that ours may be ahead of Slack's."""

_AGAIN: Final = frozenset(
    {"ratelimited", "rate_limited", "service_unavailable", "request_timeout", "team_added_to_org"}
)
_UNREADABLE: Final = "unreadable"
_MAYBE: Final = frozenset({"internal_error", "fatal_error", _UNREADABLE})
"""Slack says that a part of it may have succeeded; or something else than Slack has answered."""
_LOST: Final = frozenset({"message_not_found", "cant_update_message", "edit_window_closed", "thread_not_found"})
"""The message that we would edit is not there any more, or not ours: the incident gets another."""
_ADVICE: Final = {
    _UNREADABLE: "this is no answer of Slack's API",
    "not_in_channel": "invite the app: /invite @brownout in the channel",
    "channel_not_found": "the channel's ID is wrong, or it is private and the app is not in it: /invite @brownout",
    "is_archived": "the channel is archived: name another",
    "channel_is_archived": "the channel is archived: name another",
    "invalid_auth": "the token is wrong: copy the Bot User OAuth Token, xoxb-..., anew",
    "token_revoked": "install the app again, and copy its token anew",
    "account_inactive": "install the app again, and copy its token anew",
    "missing_scope": "give the app the bot scope chat:write, and install it again",
    "no_service": "the webhook was removed or disabled: add another",
    "no_team": "the workspace is gone",
    "action_prohibited": "an admin of the workspace forbids it",
    "restricted_action": "an admin of the workspace forbids it",
}


@dataclass(frozen=True, slots=True)
class Bot:
    """Who writes where. `interactive`: its button acknowledges by itself; `api` is the address of the Web API."""

    token: Secret
    channel: str
    api: str
    interactive: bool


@dataclass(frozen=True, slots=True)
class Conversation:
    """One event told by the bot: a message for the incident, written or edited, and a reply in its thread.

    The stream's memory has ``channel`` and ``ts`` of that message, and in ``told`` and ``replied`` the event that was
    last told in it and in its thread: an attempt goes on where the one before it has failed. ``begun`` is the event
    that it was written for.
    """

    bot: Bot
    delivery: Delivery
    told: Told
    message: Message
    context: SinkContext

    async def go_on(self) -> None:
        memory, alone = self.context.memory, self._stands_alone
        if not alone and "ts" not in memory:
            memory.update(await self._left_behind())
        if alone or ("ts" not in memory and self.told.cls is Class.RECOVERED):
            await self._post({"blocks": self._blocks(alone=True)})
            return
        if memory.get("told") != self.delivery.event_id:
            await self._write()
        first = memory["begun"] == self.delivery.event_id
        blocks = _blocks.reply(self.message, self._reply_name, first=first)
        if blocks and memory.get("replied") != self.delivery.event_id:
            thread = {"blocks": blocks, "thread_ts": memory["ts"]}
            if self.message.rings and not first:
                thread["reply_broadcast"] = True
            await self._post(thread)
            memory["replied"] = self.delivery.event_id
        if self.told.cls is Class.RECOVERED:
            memory.clear()  # whatever comes of it now is another trouble, with a message of its own

    @property
    def _stands_alone(self) -> bool:
        """Whether nothing can follow it: then there is no need of a thread."""
        return self.told.test or self.told.cls is Class.MARK or self.told.type == "digest"

    @property
    def _reply_name(self) -> str:
        return f"reply/{self.delivery.event_id}"

    async def _write(self) -> None:
        """Edit the incident's message; where there is none, or none any more, write it."""
        memory, content = self.context.memory, {"blocks": self._blocks(alone=False)}
        if "ts" not in memory or not await self._edit(content):
            found = await self._send(content)
            memory.clear()
            memory.update(found, begun=self.delivery.event_id)
        memory["told"] = self.delivery.event_id

    async def _left_behind(self) -> Mapping[str, str]:
        """A message that an attempt which was cut off has written, be it for an earlier event of the incident."""
        found = await self._find(f"{self.told.key}/") if self.context.uncertain else None
        return {**found, "begun": self.delivery.event_id} if found is not None else {}

    async def _edit(self, content: Mapping[str, Any]) -> bool:
        """Whether the message is there to be edited."""
        try:
            await self._call("chat.update", {**content, "ts": self.context.memory["ts"]})
        except _Refused as refused:
            if refused.word not in _LOST:
                raise
            return False
        return True

    def _blocks(self, *, alone: bool) -> _blocks.Blocks:
        incident = self.told.part("incident").get("id")
        bad = self.told.cls.bad and not self.told.test
        wanted = self.bot.interactive and bad and not self.message.acknowledged
        button = str(incident) if wanted and incident else None
        laid_out = _blocks.whole if alone else _blocks.main
        return laid_out(self.message, f"{self.told.key}/{self.delivery.event_id}", button)

    async def _post(self, content: Mapping[str, Any]) -> None:
        """Unless an earlier attempt may have done it, and has."""
        name, thread = content["blocks"][0]["block_id"], content.get("thread_ts")
        if not self.context.uncertain or await self._find(name, thread) is None:
            await self._send(content)

    async def _send(self, content: Mapping[str, Any]) -> dict[str, str]:
        """A new message; where it is."""
        answer = await self._call("chat.postMessage", {**content, "unfurl_links": False, "unfurl_media": False})
        return {"channel": str(answer.get("channel") or self._channel), "ts": str(answer.get("ts"))}

    async def _find(self, begins: str, thread: str | None = None) -> dict[str, str] | None:
        """The newest message, in the channel or in a thread, with a block whose name begins so: Slack cannot be asked
        for it otherwise."""
        began = min(self.delivery.at, moment(self.told.since) or self.delivery.at).timestamp() - _CLOCKS_APART
        asked: dict[str, Any] = {"oldest": f"{began:.6f}", "limit": _LOOKED_AT}
        method = "conversations.history"
        if thread is not None:
            method, asked = "conversations.replies", asked | {"ts": thread}
        try:
            answer = await self._call(method, asked, get=True)
        except _Refused:
            return None  # most likely the app may not read the history: it is sent again
        messages = answer.get("messages")
        for message in messages if isinstance(messages, list) else ():
            blocks = message.get("blocks") if isinstance(message, dict) else None
            names = [str(block.get("block_id")) for block in blocks or () if isinstance(block, dict)]
            if any(name.startswith(begins) for name in names):
                return {"channel": self._channel, "ts": str(message.get("ts"))}
        return None

    @property
    def _channel(self) -> str:
        return str(self.context.memory.get("channel") or self.bot.channel)

    async def _call(self, method: str, content: Mapping[str, Any], *, get: bool = False) -> Mapping[str, Any]:
        """A method of the Web API. Raises `_Refused` with Slack's word for why, `SendFailed` for other failures."""
        from monitor.sinks import _http  # brings httpx, which only an agent that sends needs

        headers = {"authorization": f"Bearer {self.bot.token.reveal()}"}
        asked = {"channel": self._channel} | dict(content)
        url, body = f"{self.bot.api.rstrip('/')}/{method}", None
        if get:
            url += "?" + urlencode(asked)
        else:
            headers["content-type"] = "application/json; charset=utf-8"
            body = json.dumps(asked | {"text": _blocks.notification(self.message)}).encode()
        answer = await _http.ask(
            self.context.client, "GET" if get else "POST", url, body, headers, seconds=_CALL_SECONDS
        )
        _http.judge(answer, self.context.now)
        found = answer.mapping()
        if "ok" not in found:
            raise _Refused(_UNREADABLE)
        if found["ok"] is not True:
            raise _Refused(word_of(str(found.get("error"))))
        return found


class _Refused(SendFailed):
    """Slack has said no, by a word of its own."""

    def __init__(self, word: str) -> None:
        again = word in _AGAIN or word in _MAYBE
        super().__init__(f"refused: {advised(word)}", permanent=not again, uncertain=word in _MAYBE)
        self.word = word


def word_of(text: str) -> str:
    """Slack's word for a refusal; nothing else that an answer may hold."""
    return text.strip() if _WORD.fullmatch(text.strip()) else "unknown"


def advised(word: str) -> str:
    return f"{word}: {_ADVICE[word]}" if word in _ADVICE else word
