"""Slack: by an incoming webhook, or as an app's bot, which keeps one message for an incident."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar, Final

from monitor.sinks import _blocks, _told
from monitor.sinks._checks import check_url
from monitor.sinks._conversation import Bot, Conversation, advised, word_of
from monitor.sinks._message import Message, compose
from monitor.sinks.contract import Nature, Sink, SinkContext
from monitor.store.contract import Delivery
from probes.contract import BadField, Secret, check_fields

_CHANNEL: Final = re.compile(r"[CGDU][A-Z0-9]{5,30}")
_POST_SECONDS: Final = 18.0


@dataclass(frozen=True, slots=True)
class Slack(Sink):
    """Writes to a channel of Slack: a message for each event, or one for each incident that is kept up to date.

    ```yaml
    sinks:
      chat: {type: slack, url: "${SLACK_WEBHOOK_URL}"}
      ops: {type: slack, token: "${SLACK_TOKEN}", channel: C0123456789}
    ```

    With `url`, an incoming webhook, every event is a message of its own: Slack tells nobody the id of such a message.
    With `token` and `channel`, an incident has **one** message, edited to what holds now, and all that happened to it
    is in its thread, with the details. What must be noticed (a degradation has become an outage, nobody has
    acknowledged it, a reminder) is shown in the channel, too. A channel that is read at three in the morning by
    nobody is no pager: see [escalation](../configuration.md#routes).

    **What to click for a webhook.** On api.slack.com/apps: *Create New App*, *From scratch*, a name and the
    workspace; *Incoming Webhooks*, switch it on; *Add New Webhook*, choose the channel, *Allow*; copy the URL. It is
    a secret: who knows it can write into the channel.

    **What to click for a bot.** On api.slack.com/apps: *Create New App*, *From scratch*; *OAuth & Permissions*, at
    *Bot Token Scopes* add `chat:write`, and `channels:history` (of a private channel `groups:history`); *Install to
    workspace*; copy the *Bot User OAuth Token* (`xoxb-...`). In Slack, `/invite` the app into the channel. The
    channel's ID is at the bottom of its *About* (click on the channel's name). The history is read for one thing
    only: when no answer came to a message, whether it is there before it is sent again. Without that scope such a
    message may come twice.

    **Acknowledging.** Where the event brings a link for it, the message has a button that opens it. With
    `interactive: true` the button acknowledges at once. For that, write `hooks: {chat: {type: slack, secret:
    "${SLACK_SIGNING_SECRET}"}}` under `agent:` (the app's *Basic Information*, *Signing Secret*), and in the app, at
    *Interactivity & Shortcuts*, switch it on and give it the address `/hooks/chat` of your agent, as Slack can reach
    it. Until then Slack shows a warning sign to who presses it.

    Text from a target cannot mention anybody, and makes no links. A 429 is waited out as Slack says. Its refusals
    (`channel_not_found`, `invalid_auth`, ...) make a dead letter at once, which says what to do.
    """

    kind: ClassVar[str] = "slack"
    nature: ClassVar[Nature] = Nature.HUMAN

    url: Annotated[Secret | None, "the incoming webhook's address; or `token` and `channel`"] = None
    token: Annotated[Secret | None, "the app's Bot User OAuth Token, `xoxb-...`"] = None
    channel: Annotated[str | None, "the channel's ID, with `token`: `C0123456789`"] = None
    interactive: Annotated[bool, "with `token`: the button acknowledges by itself, and opens no page"] = False
    api: Annotated[str, "where Slack's Web API is; another for GovSlack"] = "https://slack.com/api"

    def __post_init__(self) -> None:
        check_fields(
            self._check_way,
            *([partial(check_url, self.url.reveal())] if self.url is not None else []),
            self._check_channel,
            partial(check_url, self.api, "api"),
        )

    @property
    def edits(self) -> bool:
        return self.token is not None

    async def send(self, delivery: Delivery, context: SinkContext) -> None:
        told = _told.read(delivery)
        message = compose(told, context.now)
        if self.url is not None:
            await self._post(self.url.reveal(), message, delivery, context)
        if self.token is not None and self.channel is not None:
            bot = Bot(self.token, self.channel, self.api, self.interactive)
            await Conversation(bot, delivery, told, message, context).go_on()

    async def _post(self, url: str, message: Message, delivery: Delivery, context: SinkContext) -> None:
        from monitor.sinks import _http  # brings httpx, which only an agent that sends needs

        body = {
            "text": _blocks.notification(message),
            "blocks": _blocks.whole(message, delivery.event_id),
            "unfurl_links": False,
            "unfurl_media": False,
        }
        headers = {"content-type": "application/json; charset=utf-8"}
        answer = await _http.ask(
            context.client, "POST", url, json.dumps(body).encode(), headers, seconds=_POST_SECONDS
        )
        _http.judge(answer, context.now, said=advised(word_of(answer.body.decode("utf-8", "replace"))))

    def _check_way(self) -> None:
        if (self.url is None) == (self.token is None):
            raise BadField("url", "write either url (an incoming webhook), or token and channel (a bot)")
        if self.url is not None and self.channel is not None:
            raise BadField("channel", "a webhook has a channel of its own: leave it out, or use token instead of url")
        if self.url is not None and self.interactive:
            raise BadField("interactive", "needs token: an incoming webhook's buttons reach nobody")

    def _check_channel(self) -> None:
        if self.token is not None and (self.channel is None or not _CHANNEL.fullmatch(self.channel)):
            raise BadField(
                "channel", "write the channel's ID, such as C0123456789: it is at the bottom of the channel's About"
            )
