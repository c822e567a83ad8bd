"""What one message says of several things: its body's shape and its words, whoever has gathered them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from monitor.core.model import EventType
from monitor.core.wording import cut, duration, iso

ITEMS = 20
"""That a digest tells of; of the others it tells how many there are."""
_ITEM_LIMIT = 300
"""Characters of a sentence in a digest."""
_COUNTED = {
    "outage": ("outage", "outages"),
    "degradation": ("degradation", "degradations"),
    "unknown": ("unclear", "unclear"),
    "other": ("other", "others"),
    "operational": ("over", "over"),
}
"""By the state, the worst first."""


@dataclass(frozen=True, slots=True)
class Item:
    """One of them. `state` is how it stands now."""

    at: str
    """RFC 3339, UTC."""
    sentence: str
    state: str
    incident: str | None


@dataclass(frozen=True, slots=True)
class Digest:
    """`items` are all of them, the worst first, as far as they are known; there are `beyond` more. `old` is the worst
    that it was. `events` is how many it stands for."""

    at: datetime
    sentence: str
    vantage: str
    old: str
    since: datetime
    items: Sequence[Item]
    events: int
    beyond: int = 0


def digest_body(identity: str, digest: Digest, links: Mapping[str, str]) -> dict[str, Any]:
    """What is published of it (docs/events.md)."""
    items = digest.items
    return {
        "id": identity,
        "version": "1",
        "type": EventType.DIGEST.value,
        "at": iso(digest.at.astimezone(UTC)),
        "sentence": cut(digest.sentence),
        "vantage": digest.vantage,
        "state": {"old": digest.old, "new": items[0].state},
        "since": iso(digest.since.astimezone(UTC)),
        "reason": None,
        "why": "",
        "items": [
            {
                "at": item.at,
                "sentence": cut(item.sentence, _ITEM_LIMIT),
                "state": item.state,
                "incident": item.incident,
            }
            for item in items[:ITEMS]
        ],
        "more": max(len(items) - ITEMS, 0) + digest.beyond,
        "events": digest.events,
        "evidence": {},
        "links": dict(links),
    }


def counted(states: Sequence[str]) -> str:
    """``50 outages, 449 degradations, 1 over``"""
    counts = ((words, states.count(state)) for state, words in _COUNTED.items())
    return ", ".join(f"{count} {words[count > 1]}" for words, count in counts if count)


def was(who: str, what: str, begun: datetime, over: datetime, now: datetime, *, several: bool = False) -> str:
    """``Web shop was degraded 02:10-02:25 UTC (15 min).`` `what`: ``down`` or ``degraded``; `several`: services."""
    over = max(over, begun)
    lasted = timedelta(seconds=round((over - begun).total_seconds()))
    return f"{who} {'were' if several else 'was'} {what} {_span(begun, over, now)} ({duration(lasted)})."


def _span(begun: datetime, over: datetime, now: datetime) -> str:
    """``14:02-14:09 UTC``, with the days where they are not today's."""
    today = begun.date() == over.date() == now.astimezone(UTC).date()
    form = "%H:%M" if today else "%Y-%m-%d %H:%M"
    end = "%H:%M" if begun.date() == over.date() else form
    return f"{begun:{form}}-{over:{end}} UTC"
