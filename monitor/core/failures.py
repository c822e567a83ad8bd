"""The failure channel of a check: when failed looks are an outage, when they are a degradation, when they are over.

The policy is the one of shared/DETECTION.md with fixed figures: a run of failures confirms an outage by its length
*and* its span, since only the span helps against bursts of loss; a Bernoulli CUSUM finds a target that fails now and
then. Figures learned per target take this module's place for `Confirm` in an issue of their own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from monitor.core.model import Confirm, Look, Recover, State

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


class Failures:
    """Evidence of failing looks. `state` is what they make of the check by themselves: up, degraded or down."""

    __slots__ = ("_confirm", "_failed", "_looks", "_recover", "_run", "_run_at", "_run_tick", "_score", "_succeeded",
                 "_succeeded_at", "_suspect_at", "state")  # fmt: skip

    def __init__(self, confirm: Confirm, recover: Recover) -> None:
        self._confirm, self._recover = confirm, recover
        self.state = State.UP
        self._score = 0.0
        self._run = 0
        """Failures in a row, and when the first of them began."""
        self._run_tick = 0.0
        self._run_at: datetime | None = None
        self._looks = self._failed = 0
        """Looks since suspicion began."""
        self._suspect_at: datetime | None = None
        self._succeeded = 0
        """Successes in a row, and when the first of them began."""
        self._succeeded_at: datetime | None = None

    @property
    def suspicious(self) -> bool:
        return self._run > 0 or self._score > 0

    @property
    def failing(self) -> bool:
        """Whether the last look failed."""
        return self._run > 0

    @property
    def began(self) -> datetime | None:
        """When the present trouble began: the first failing look of the outage, or of the suspicion."""
        return (self._run_at if self.state is State.DOWN else None) or self._suspect_at

    @property
    def ended(self) -> datetime | None:
        """When the trouble ended: the first success of the run that is still going on."""
        return self._succeeded_at

    @property
    def share(self) -> float:
        """Share of failed looks since suspicion began, 0 to 1."""
        return self._failed / self._looks if self._looks else 0.0

    @property
    def pace(self) -> float | None:
        """Seconds between extra looks, or None where the grid is enough.

        A target that is down and fails again tells nothing new: the grid will see its first success.
        """
        if not self.suspicious or (self.state is State.DOWN and self._run):
            return None
        return PACE if self._run else self._recover.every.total_seconds()

    def burst(self) -> tuple[float, ...]:
        """When to look again after the first failure of a run, in seconds from its end."""
        if self._run != 1 or self.state is State.DOWN:
            return ()
        scale = self._confirm.span.total_seconds() / BURST[-1]
        return tuple(offset * scale for offset in BURST[: max(self._confirm.looks - 1, 1)])

    def fail(self, look: Look) -> None:
        if not self.suspicious:
            self._suspect_at, self._looks, self._failed = look.began.at, 0, 0
        if not self._run:
            self._run_tick, self._run_at = look.began.tick, look.began.at
            # Failures inside one run are one piece of evidence, not many: only the first moves the score.
            self._score = min(self._score + _FAILURE_STEP, _CAP)
        self._looks += 1
        self._failed += 1
        self._run += 1
        self._succeeded, self._succeeded_at = 0, None
        if look.began.tick - self._run_tick >= self._confirm.span.total_seconds() and self._run >= self._needed():
            self.state, self._score = State.DOWN, _CAP
        elif self._score >= _ALARM and self.state is State.UP:
            self.state = State.DEGRADED

    def succeed(self, look: Look) -> None:
        if self._run and look.began.tick < self._run_tick:
            return  # began before the run of failures did: it speaks of an earlier time
        if self.suspicious:
            self._looks += 1
        if not self._succeeded:
            self._succeeded_at = look.began.at
        self._succeeded += 1
        self._run = 0
        self._score = max(self._score - self._relief(), 0.0)
        if self.state is State.DOWN and self._succeeded >= min(_LOOKS_TO_LEAVE_DOWN, self._recover.looks):
            # What comes next is judged afresh: the outage just ended must not make a second one harder to call.
            self.state, self._looks, self._failed = State.DEGRADED, self._succeeded, 0
        if self.state is State.DEGRADED and self._score <= 0:
            self.state = State.UP

    def _relief(self) -> float:
        """What a success takes off the score; in confirmed trouble it is the pace of `Recover` that counts."""
        return -_SUCCESS_STEP if self.state is State.UP else _CAP / self._recover.looks

    def _needed(self) -> float:
        """Failures in a row that a merely half-failing target would show once in a million (DETECTION.md)."""
        if self._failed == self._looks:
            return self._confirm.looks
        chance = (self._failed + 1) / (self._looks + 2)
        return min(max(self._confirm.looks, math.log(1e-6) / math.log(chance)), _MOST_LOOKS)

    def assume(self, state: State) -> None:
        """Go on from a state whose evidence is lost: bad ones are left the usual way, by successes."""
        if state.bad:
            self.state, self._score = state, _CAP

    def dump(self, tick: float) -> dict[str, Any]:
        return {
            "state": self.state.value,
            "score": self._score,
            "run": self._run,
            "run_age": round(tick - self._run_tick, 3),
            "run_at": _text(self._run_at),
            "looks": self._looks,
            "failed": self._failed,
            "suspect_at": _text(self._suspect_at),
            "succeeded": self._succeeded,
            "succeeded_at": _text(self._succeeded_at),
        }

    def load(self, dumped: Mapping[str, Any], tick: float) -> None:
        self.state = State(dumped["state"])
        self._score = dumped["score"]
        self._run, self._run_tick, self._run_at = dumped["run"], tick - dumped["run_age"], _time(dumped["run_at"])
        self._looks, self._failed = dumped["looks"], dumped["failed"]
        self._suspect_at = _time(dumped["suspect_at"])
        self._succeeded, self._succeeded_at = dumped["succeeded"], _time(dumped["succeeded_at"])


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
