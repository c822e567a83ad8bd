"""The failure channel of a check: when failed looks are an outage, when they are a degradation, when they are over.

The policy is that of the project's study of detection (DETECTION.md) with fixed figures; docs/judging.md tells it. A
run of failures confirms an outage by its length *and* its span, since only the span helps against bursts of loss; a
Bernoulli CUSUM finds a target that fails now and then. Figures learned per target take this module's place for
`Confirm` in an issue of their own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from monitor.core.model import Confirm, Look, Recover, State
from monitor.core.snapshot import read_count, read_instant, read_number, read_seconds

BURST = (0.2, 0.5, 0.9, 1.4, 2.0, 2.7, 3.4, 4.2, 5.0)
"""Seconds after a first failure at which it is checked again, for a span of 5 s (DETECTION.md)."""

PACE = 1.0
"""Seconds between extra looks after the burst, until the matter is settled."""

_FAILURE_STEP = math.log(0.3 / 0.01)
_SUCCESS_STEP = math.log(0.7 / 0.99)
_ALARM, _CAP = 12.0, 14.0
"""Bernoulli CUSUM from 1 % to 30 % failing; the cap bounds how long a recovery takes (DETECTION.md)."""

_LOOKS_TO_LEAVE_DOWN = 5
_MOST_LOOKS = 60

_LONGEST_GAP = 3.0
"""Seconds between two looks that count towards the span of a run, at most: after a pause of the agent, two failures a
minute apart are no minute of evidence, as nobody looked in between."""

_GAP_INTERVALS, _SHORTEST_GAP = 3, 10.0
"""A gap of more intervals (and seconds) than this between two looks: what was suspected before it is forgotten."""


@dataclass(slots=True)
class _Run:
    """Looks in a row with the same outcome."""

    looks: int = 0
    tick: float = 0.0
    """When the first of them began."""
    at: datetime | None = None
    last: float = 0.0
    """When the latest of them began (a tick)."""
    span: float = 0.0
    """Seconds that they cover together, long gaps shortened."""

    def add(self, look: Look) -> None:
        began = look.began.tick
        if not self.looks:
            self.tick, self.at, self.last = began, look.began.at, began
        self.span += min(max(began - self.last, 0.0), _LONGEST_GAP)
        self.last = max(self.last, began)
        self.looks += 1

    def dump(self, tick: float) -> dict[str, Any]:
        at = self.at.isoformat() if self.at else None
        return {"looks": self.looks, "age": tick - self.tick, "at": at, "last": tick - self.last, "span": self.span}

    @classmethod
    def load(cls, dumped: Mapping[str, Any], tick: float) -> _Run:
        first, last = tick - read_seconds(dumped["age"]), tick - read_seconds(dumped["last"])
        return cls(read_count(dumped["looks"]), first, read_instant(dumped["at"]), last, read_seconds(dumped["span"]))


class Failures:
    """Evidence of failing looks. `state` is what they make of the check by themselves: up, degraded or down."""

    __slots__ = (
        "_bad",
        "_confirm",
        "_failed",
        "_gap",
        "_good",
        "_looks",
        "_recover",
        "_score",
        "_suspect_at",
        "state",
    )

    def __init__(self, confirm: Confirm, recover: Recover, every: timedelta) -> None:
        self.redefine(confirm, recover, every)
        self.state = State.UP
        self._score = 0.0
        self._bad, self._good = _Run(), _Run()
        """The run that goes on; the other one is empty."""
        self._looks = self._failed = 0
        """Looks since suspicion began."""
        self._suspect_at: datetime | None = None

    def redefine(self, confirm: Confirm, recover: Recover, every: timedelta) -> None:
        """Weigh what was seen, and what comes, by other figures from now on."""
        self._confirm, self._recover = confirm, recover
        self._gap = max(_GAP_INTERVALS * every.total_seconds(), _SHORTEST_GAP)

    @property
    def suspicious(self) -> bool:
        return self._bad.looks > 0 or self._score > 0

    @property
    def failing(self) -> bool:
        """Whether the last look failed."""
        return self._bad.looks > 0

    @property
    def began(self) -> datetime | None:
        """When the present trouble began: the first failing look of the outage, or of the suspicion."""
        return (self._bad.at if self.state is State.DOWN else None) or self._suspect_at

    @property
    def ended(self) -> datetime | None:
        """When the trouble ended: the first success of the run that is still going on."""
        return self._good.at

    @property
    def share(self) -> float:
        """Share of failed looks since suspicion began, 0 to 1."""
        return self._failed / self._looks if self._looks else 0.0

    @property
    def pace(self) -> float | None:
        """Seconds between extra looks, or None where the grid is enough.

        A target that is down and fails again tells nothing new: the grid will see its first success.
        """
        if not self.suspicious or (self.state is State.DOWN and self.failing):
            return None
        return PACE if self.failing else self._recover.every.total_seconds()

    def burst(self) -> tuple[float, ...]:
        """When to look again after the first failure of a run, in seconds from its end."""
        if self._bad.looks != 1 or self.state is State.DOWN:
            return ()
        scale = self._confirm.span.total_seconds() / BURST[-1]
        return tuple(offset * scale for offset in BURST[: max(self._confirm.looks - 1, 1)])

    def fail(self, look: Look) -> None:
        if self._good.looks and look.began.tick < self._good.tick:
            return  # began before the successes did: it speaks of an earlier time
        self._forget_before(look)
        if not self.suspicious:
            self._suspect_at, self._looks, self._failed = look.began.at, 0, 0
        if not self.failing:
            # Failures inside one run are one piece of evidence, not many: only the first moves the score.
            self._score = min(self._score + _FAILURE_STEP, _CAP)
            self._good = _Run()
        self._looks += 1
        self._failed += 1
        self._bad.add(look)
        if self._bad.span >= self._confirm.span.total_seconds() and self._bad.looks >= self._needed():
            self.state, self._score = State.DOWN, _CAP
        elif self._score >= _ALARM and self.state is State.UP:
            self.state = State.DEGRADED

    def succeed(self, look: Look) -> None:
        if self.failing and look.began.tick < self._bad.tick:
            return  # began before the failures did
        self._forget_before(look)
        if self.suspicious:
            self._looks += 1
        self._good.add(look)
        self._bad = _Run()
        self._score = max(self._score - self._relief(), 0.0)
        if self.state is State.DOWN and self._good.looks >= min(_LOOKS_TO_LEAVE_DOWN, self._recover.looks):
            # What comes next is judged afresh: the outage just ended must not make a second one harder to call.
            self.state, self._looks, self._failed = State.DEGRADED, self._good.looks, 0
        if self.state is State.DEGRADED and self._score <= 0:
            self.state = State.UP

    def _forget_before(self, look: Look) -> None:
        """After a long gap (the agent was off, paused, blind) a mere suspicion is stale; confirmed trouble is not."""
        last = max(self._bad.last if self.failing else self._good.last, 0.0)
        if self.state is State.UP and self.suspicious and look.began.tick - last > self._gap:
            self._score, self._bad, self._good = 0.0, _Run(), _Run()

    def _relief(self) -> float:
        """What a success takes off the score; in confirmed trouble it is the pace of `Recover` that counts."""
        return -_SUCCESS_STEP if self.state is State.UP else _CAP / self._recover.looks

    def _needed(self) -> float:
        """Failures in a row that a merely half-failing target would show once in a million (DETECTION.md).

        How often it fails is taken from the looks before the run: a brownout that turns into a blackout must not
        have to outweigh itself.
        """
        looks, failed = self._looks - self._bad.looks, self._failed - self._bad.looks
        if failed == looks:
            return self._confirm.looks
        chance = (failed + 1) / (looks + 2)
        return min(max(self._confirm.looks, math.log(1e-6) / math.log(chance)), _MOST_LOOKS)

    def assume(self, state: State) -> None:
        """Go on from a state whose evidence is lost: bad ones are left the usual way, by successes."""
        if state.bad:
            self.state, self._score = state, _CAP

    def dump(self, tick: float) -> dict[str, Any]:
        return {
            "state": self.state.value,
            "score": self._score,
            "bad": self._bad.dump(tick),
            "good": self._good.dump(tick),
            "looks": self._looks,
            "failed": self._failed,
            "suspect_at": self._suspect_at.isoformat() if self._suspect_at else None,
        }

    def load(self, dumped: Mapping[str, Any], tick: float) -> None:
        self.state = State(dumped["state"])
        self._score = min(max(read_number(dumped["score"]), 0.0), _CAP)
        self._bad, self._good = _Run.load(dumped["bad"], tick), _Run.load(dumped["good"], tick)
        self._looks, self._failed = read_count(dumped["looks"]), read_count(dumped["failed"])
        if not self._bad.looks <= self._failed <= self._looks:
            raise ValueError("more looks have failed than were taken")
        self._suspect_at = read_instant(dumped["suspect_at"])
