"""What an event means to a sink: its class, its key, and its words, read from the published body (docs/events.md)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from monitor.store.contract import Delivery

_ASIDE: Final = frozenset({"acknowledged", "snoozed", "note", "action"})
LONGEST_KEY: Final = 63
"""Characters: fits every sink that takes a key (contracts, section 0)."""


class Class(StrEnum):
    """What a sink is to do about it."""

    OUTAGE = "outage"
    DEGRADED = "degraded"
    RECOVERED = "recovered"
    UNKNOWN = "unknown"
    """The agent cannot tell: it neither pages nor resolves anything."""
    MARK = "mark"
    """Something that happened, and is no trouble: a deploy."""

    @property
    def bad(self) -> bool:
        return self in (Class.OUTAGE, Class.DEGRADED)


_CLASSES: Final = {
    "down": Class.OUTAGE,
    "outage": Class.OUTAGE,
    "degraded": Class.DEGRADED,
    "degradation": Class.DEGRADED,
    "impaired": Class.DEGRADED,
    "up": Class.RECOVERED,
    "operational": Class.RECOVERED,
    "resolved": Class.RECOVERED,
    "well": Class.RECOVERED,
}
"""By the new state."""


@dataclass(frozen=True, slots=True)
class Told:
    """An event as sinks need it. `body` is all of it."""

    body: Mapping[str, Any]
    type: str
    cls: Class
    key: str
    """The same for all that is told of one incident (or check, or service), and for nothing else."""
    sentence: str
    at: str
    """RFC 3339, UTC."""
    since: str
    """When the trouble began; `at` where nothing is said of it."""
    drill: bool
    test: bool

    def part(self, name: str) -> Mapping[str, Any]:
        """An object of the body, such as ``incident`` or ``service``; empty where there is none."""
        found = self.body.get(name)
        return found if isinstance(found, dict) else {}

    @property
    def is_aside(self) -> bool:
        """Whether it tells what people or we have done, while the trouble is what it was."""
        return self.part("update").get("kind") in _ASIDE

    @property
    def title(self) -> str:
        """Of what it is told: the service's title, else the check's name, else who tells."""
        return str(self.part("service").get("title") or self.part("check").get("name") or self.body.get("vantage"))

    @property
    def link(self) -> str | None:
        """Where people read more: the agent's page, else the runbook."""
        links = self.part("links")
        return links.get("page") or links.get("runbook")


def read(delivery: Delivery) -> Told:
    """The event of a delivery. What we wrote ourselves is well-formed; a replayed letter of another version need not
    be, and must not break a sink."""
    try:
        body = json.loads(delivery.body)
    except ValueError:
        body = None
    body = body if isinstance(body, dict) else {}
    state = body.get("state")
    new = str(state.get("new")) if isinstance(state, dict) else ""
    at = str(body.get("at") or delivery.at.isoformat())
    return Told(
        body=body,
        type=delivery.event_type,
        cls=Class.MARK if delivery.event_type.startswith("deploy.") else class_of(new),
        key=key_of(delivery.stream),
        sentence=str(body.get("sentence") or delivery.event_type),
        at=at,
        since=str(body.get("since") or at),
        drill=body.get("drill") is True,
        test=body.get("test") is True,
    )


def class_of(state: str) -> Class:
    """What a new state, of whatever it is, means to a sink."""
    return _CLASSES.get(state, Class.UNKNOWN)


def key_of(stream: str) -> str:
    """`brownout:<stream>`, where that is short and plain; else with a hash of it."""
    key = f"brownout:{stream}"
    if len(key) <= LONGEST_KEY and key.isascii() and key.isprintable() and " " not in key:
        return key
    return f"brownout:{hashlib.sha256(stream.encode()).hexdigest()[:32]}"
