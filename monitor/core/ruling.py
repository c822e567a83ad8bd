"""When an action is taken, and its brakes. What they come to is `monitor.core.actions`'."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from monitor.core.routing import ALWAYS, Expression


class Trigger(StrEnum):
    """What sets an action off."""

    OPENED = "opened"
    UPDATED = "updated"
    """It is worse, better, larger, or of another cause; not what people do about it."""
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Rule:
    """When an action is taken, and its brakes: it is taken `at_most` so often `per` time."""

    when: Expression = ALWAYS
    on: frozenset[Trigger] = frozenset((Trigger.OPENED, Trigger.UPDATED))
    dry_run: bool = True
    once: bool = True
    """Once for an incident."""
    cool_down: timedelta = timedelta(minutes=30)
    at_most: int = 3
    per: timedelta = timedelta(days=1)
