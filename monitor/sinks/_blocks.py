"""Messages as blocks of Slack's Block Kit, within its limits.

What a target may have written is `plain_text`, which Slack parses for nothing, wherever a block allows it; where it
must be `mrkdwn` (bold labels, the text of notifications), it is escaped as Slack says: ``& < >``, which also takes
``<!channel>`` its effect. `verbatim` keeps bare addresses and #names from becoming links.
"""

from __future__ import annotations

from typing import Any, Final

from monitor.core.wording import cut
from monitor.sinks._message import Message

HEADER_LIMIT: Final = 150
SECTION_LIMIT: Final = 3000
TEXT_LIMIT: Final = 4000
"""Characters of `text`, beyond which Slack cuts it."""
_FIELDS_LIMIT: Final = 8
_VALUE_LIMIT: Final = 300

Blocks = list[dict[str, Any]]


def escaped(text: str) -> str:
    """For `mrkdwn`."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def notification(message: Message) -> str:
    """What a notification shows, and who cannot see blocks."""
    return cut(escaped(f"{message.symbol} {message.headline}: {message.sentence}"), TEXT_LIMIT)


def whole(message: Message, name: str, button: str | None = None) -> Blocks:
    """All there is to say, for who sees no thread. `name` is unique to the message: it is found by it. `button`: the
    incident that a button acknowledges by itself."""
    return [*_news(message, name), *evidence(message), *_actions(message, button)]


def main(message: Message, name: str, button: str | None = None) -> Blocks:
    """The message of an incident, whose details are in its thread; the arguments are those of `whole`."""
    return [*_news(message, name), *_actions(message, button)]


def reply(message: Message, name: str, *, first: bool) -> Blocks:
    """What a thread gets: after the `first` message only the details, which it does not show; then what is new."""
    news = [] if first else [_plain(f"{message.symbol} {message.headline}\n{message.sentence}")]
    blocks = [*news, *evidence(message)]
    if blocks:
        blocks[0]["block_id"] = name
    return blocks


def evidence(message: Message) -> Blocks:
    """The details, a block for each kind."""
    return [_plain(cut("\n".join((title, *lines)), SECTION_LIMIT)) for title, lines in message.details]


def _news(message: Message, name: str) -> Blocks:
    blocks = [_header(message, name), _plain(message.sentence)]
    if message.items:
        blocks.append(_plain("\n".join(message.items)))
    if message.facts:
        fields = [_field(label, value) for label, value in message.facts[:_FIELDS_LIMIT]]
        blocks.append({"type": "section", "fields": fields})
    return blocks


def _header(message: Message, name: str) -> dict[str, Any]:
    text = cut(f"{message.symbol} {message.headline}", HEADER_LIMIT)
    return {"type": "header", "block_id": name[:255], "text": _text(text)}


def _plain(text: str) -> dict[str, Any]:
    return {"type": "section", "text": _text(cut(text, SECTION_LIMIT))}


def _text(text: str) -> dict[str, Any]:
    # Without `emoji` a target's ":smile:" stays what it is; our symbols are characters.
    return {"type": "plain_text", "text": text or "-", "emoji": False}


def _field(label: str, value: str) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": f"*{escaped(label)}*\n{escaped(cut(value, _VALUE_LIMIT))}", "verbatim": True}


def _actions(message: Message, button: str | None) -> Blocks:
    elements: list[dict[str, Any]] = []
    if button is not None:
        elements.append(_button("acknowledge", "Acknowledge") | {"value": button, "style": "primary"})
    for name, label, url in message.links:
        if not (name == "acknowledge" and button is not None):
            elements.append(_button(f"open_{name}", label) | {"url": url})
    return [{"type": "actions", "elements": elements}] if elements else []


def _button(name: str, label: str) -> dict[str, Any]:
    return {"type": "button", "action_id": name, "text": _text(label)}
