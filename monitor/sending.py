"""How sending goes: its pace, what becomes of an attempt, and how a sink stands."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from monitor.sinks.contract import SendFailed
from monitor.store.contract import Delivery


class Outcome(StrEnum):
    """What became of one attempt; also a metric label."""

    ACCEPTED = "accepted"
    RETRIED = "retried"
    DEAD = "dead"


Observer = Callable[[Delivery, Outcome, float, str], None]
"""Called after each settled attempt, for each event that it told of, with the outcome, the seconds the send took, and
why it failed (else empty)."""


class SinkCondition(StrEnum):
    """How a sink is; also a metric label."""

    FINE = "fine"
    FAILING = "failing"
    """So many attempts have failed in a row that it is tried one at a time, now and then (its breaker is open)."""
    DISABLED = "disabled"
    """It wants nothing more (410), until somebody has seen to it."""


@dataclass(frozen=True, slots=True)
class SinkState:
    """How a sink stands since the agent has started."""

    condition: SinkCondition = SinkCondition.FINE
    since: datetime | None = None
    """Of the condition, where it is not fine."""
    error: str = ""
    """Of the last attempt that failed; empty once another was accepted."""
    accepted: datetime | None = None
    """When it last accepted something."""
    gathered: int = 0
    """Events that were told within another message."""
    handed_over: int = 0
    """Events that its fallback was told of instead."""
    retired: bool = False
    """Removed from the configuration: it gets the ends of what it was told of, and nothing else."""


_DAY = 86400.0


def _alert_backoff() -> tuple[float, ...]:
    """The schedule that `Pace` tells of."""
    first = (2.0, 5.0, 15.0, 30.0, 60.0, 120.0)
    often = int((_DAY - sum(first)) // 300)
    seldom = int((3 * _DAY - sum(first) - often * 300) // 1800)
    return first + (300.0,) * often + (1800.0,) * seldom


@dataclass(frozen=True, slots=True)
class Pace:
    """How a lane sends. Times are seconds.

    `backoff` is the wait after the first, second, ... failed attempt: 2, 5, 15, 30, 60, 120 s, then every 5 minutes
    for the first day, then every half hour until three days have passed; after the last one it is a dead letter.
    It is an alert, not a notification feed: with the tail of the Standard Webhooks schedule (specification 1.0.0:
    30 min, 2 h, 5 h, ...) a receiver that was down for minutes gets its page half an hour after it is back.
    """

    streams: int = 4
    send_timeout: float = 20.0
    lease_margin: float = 20.0
    backoff: tuple[float, ...] = _alert_backoff()
    jitter: float = 0.2
    """Up to this part is added to a wait, so that what failed together does not come back together."""
    retry_after_limit: float = 86400.0
    store_backoff: tuple[float, ...] = (0.5, 1, 2, 5, 10, 30)
    recheck: float = 60.0
    """A lane looks at the clock at least this often: the wall clock may step."""
    breaks_after: int = 5
    """Failures in a row, of whatever streams, that open the breaker of a sink."""
    trial: float = 10.0
    """While it is open, one attempt is made at a time, the next so long after it has failed, then twice as long."""
    longest_trial: float = 60.0
    gather: float = 30.0
    """What comes within this time after a message to people is told in one."""

    @property
    def longest(self) -> float:
        """No wait is longer, but for what a sink asks."""
        return max(self.backoff, default=0.0) * (1 + self.jitter)

    def wait(self, attempt: int, failure: SendFailed, draw: float) -> float | None:
        """Seconds until the next attempt; None when there is none. `draw`: at random, from 0 to 1."""
        if failure.permanent or attempt > len(self.backoff):
            return None
        return max(self.backoff[attempt - 1] * (1 + self.jitter * draw), self.asked(failure))

    def asked(self, failure: SendFailed) -> float:
        """Seconds that the sink asked us to wait, within reason; 0 when it did not."""
        asked = failure.retry_after
        return min(asked, self.retry_after_limit) if asked is not None and 0 < asked < math.inf else 0.0

    def store_wait(self, trouble: int) -> float:
        """Seconds until a store in trouble is asked again, the so many-th time."""
        return self.store_backoff[min(trouble, len(self.store_backoff) - 1)]
