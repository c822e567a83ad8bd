"""The failure channel of a check: when failed looks are an outage, when they are a degradation, when they are over.

The policy is that of the project's study of detection (DETECTION.md); docs/judgement.md tells it. A run of failures
confirms an outage by its length *and* its span, since only the span helps against bursts of loss, and how long a span
it takes is learned from each target (`Bursts`). A Bernoulli CUSUM finds a target that fails now and then.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from monitor.core.bursts import Bursts, Confirmation, Toll
from monitor.core.model import UP, Confirm, Look, Policy, Recover, State, in_seconds
from monitor.core.run import NO_RUN, Run, Told, gap_of, grown, telling_length
from monitor.core.snapshot import read_count, read_instant, read_number, read_seconds

BURST = (0.2, 0.5, 0.9, 1.4, 2.0, 2.7, 3.4, 4.2, 5.0)
"""Seconds after a first failure at which it is checked again, for a span of 5 s (DETECTION.md)."""

PACE = 1.0
"""Seconds between extra looks after the burst, until the matter is settled."""

MOST_SPANS = 12
"""What is learned lengthens the span that is asked for to at most so many times itself: 5 s to a minute."""

FIRST_SPANS = 4
"""In its first days, a target that has shown bursts must fail for so many times that span: 20 s (DETECTION.md)."""

SURE_SPAN = 2.0
"""Seconds that a run must span in which every look failed for a reason that no loss of packets brings about
(`Reason.sure`): long enough for a server that is being restarted to show its own certificate again."""

_FAILURE_STEP = math.log(0.3 / 0.01)
_SUCCESS_STEP = math.log(0.7 / 0.99)
_ALARM, _CAP = 12.0, 14.0
"""Bernoulli CUSUM from 1 % to 30 % failing; the cap bounds how long a recovery takes (DETECTION.md)."""

_LOOKS_TO_LEAVE_DOWN = 5


class Failures:
    """Evidence of failing looks. `state` is what they make of the check by themselves: up, degraded or down."""

    __slots__ = (
        "_bad", "_bursts", "_confirm", "_doubt", "_failed", "_gap", "_good", "_late", "_looks",
        "_quelled", "_quelled_seconds", "_recover", "_score", "_sure", "_suspect_at", "_told", "_toll", "state",
    )  # fmt: skip

    def __init__(self, confirm: Confirm, recover: Recover, every: timedelta) -> None:
        self.redefine(confirm, recover, every)
        self.state = State.UP
        self._score = 0.0
        self._bad = self._good = NO_RUN
        """The run that goes on; the other one is empty."""
        self._sure = False
        """Whether each look of the bad run failed for a reason that no loss of packets brings about."""
        self._doubt: Run | None = None
        """Looks that timed out sooner than a customer would have given up, since the last one that told more."""
        self._late = -math.inf
        """The latest success (a tick) that was known when a failure from before it arrived."""
        self._looks = self._failed = 0
        """Looks since suspicion began."""
        self._suspect_at: datetime | None = None
        self._told = Told()
        self._bursts = Bursts()
        self._quelled, self._quelled_seconds = 0, 0.0
        """Runs since suspicion began that ended by themselves, and how long they lasted together: learned if the
        suspicion comes to nothing. Those of a real trouble say nothing of how the target is in good times."""
        self._toll: Toll | None = None
        """None where nothing is on it."""

    def redefine(self, confirm: Confirm, recover: Recover, every: timedelta) -> None:
        """Weigh what was seen, and what comes, by other figures from now on."""
        self._confirm, self._recover = confirm, recover
        self._gap = gap_of(in_seconds(every))

    @property
    def suspicious(self) -> bool:
        return self._bad.looks > 0 or self._score > 0

    @property
    def failing(self) -> bool:
        """Whether the last look failed."""
        return self._bad.looks > 0

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses at which the looks of the run that goes on have failed; a few."""
        return self._bad.addresses

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

        A target that is down and fails again tells nothing new: the grid will see its first success. One that has
        just answered, and then lost a look, is not left to the grid: its recovery would take an interval longer.
        """
        if self._doubt is not None and self.state is not State.DOWN:
            return PACE
        if not self.suspicious:
            return None
        if self.state is State.DOWN and self._bad.looks >= min(_LOOKS_TO_LEAVE_DOWN, self._confirm.looks):
            return None
        return PACE if self.failing else self._recover.every.total_seconds()

    def confirmation(self, tick: float) -> Confirmation:
        """What it takes to call the check down, by what is known now."""
        bursts = self._bursts
        return Confirmation(self._confirm.looks, self.needed_span(tick), bursts.seen(tick), bursts.mean)

    def burst(self, tick: float) -> tuple[float, ...]:
        """When to look again after the first failure of a run, in seconds from its end."""
        return self.offsets(tick) if self._bad.looks == 1 and self.state is not State.DOWN else ()

    def offsets(self, tick: float) -> tuple[float, ...]:
        """Seconds from a failure at which to look again, for as long a run as is needed; a target that takes much
        longer is not looked at as densely."""
        span = min(self.needed_span(tick), 2 * self._span)
        return tuple(offset * span / BURST[-1] for offset in BURST[: max(self._confirm.looks - 1, 1)])

    def fail(self, look: Look, *, settles: bool = False) -> None:
        """A look failed. `settles`: it had its full time and ran out of it, as those in doubt seemed to."""
        began = look.began.tick
        self._bursts.watch(began)
        if self._good.looks and began < self._good.tick:
            return  # began before the successes did: it speaks of an earlier time
        self._forget_before(look)
        if self._told.again(look):
            return
        if not self.suspicious:
            self._suspect(look)
        self._looks += 1
        self._failed += 1
        if began < self._good.last and self._good.looks and self.state is not State.DOWN:
            self._fail_late(began)
        else:
            self._fail_now(look, settles=settles)
        needed = max(self.needed_span(began), PACE * self._confirm.looks)
        if self.state is not State.DOWN and self._tolled().too_much(self._bad.span, began, needed):
            self.state, self._score = State.DEGRADED, _CAP
        if self._score >= _ALARM and self.state is State.UP:
            self.state = State.DEGRADED

    def _fail_late(self, began: float) -> None:
        """It took so long that successes which began after it are known already: a failure, and no run that goes on.
        Of those from between the same two successes the first one counts, as within a run."""
        if began > self._late:
            self._score = min(self._score + _FAILURE_STEP, _CAP)
            self._late = self._good.last

    def _fail_now(self, look: Look, *, settles: bool) -> None:
        sure = look.observation.reason is not None and look.observation.reason.sure
        if not self.failing:
            # Failures inside one run are one piece of evidence, not many: only the first moves the score.
            self._score = min(self._score + _FAILURE_STEP, _CAP)
            self._told.turn(self._good.last)
            self._good = NO_RUN
            self._sure = sure
        self._sure = self._sure and sure
        self._bad = grown(self._bad, look)
        self._bad.went_to(look.observation.evidence.get("address"))
        if settles and self._doubt is not None:
            self._looks += self._doubt.looks
            self._failed += self._doubt.looks
            self._bad.absorb(self._doubt)
        if settles:
            self._doubt = None
        if self._bad.looks >= self._needed() and self._bad.span >= self.needed_span(look.began.tick):
            self.state, self._score = State.DOWN, _CAP

    def doubt(self, look: Look) -> None:
        """A look timed out, but a customer would have waited longer: slow, perhaps not failing. It counts once a look
        with the full time limit has failed in the same way."""
        self._forget_before(look)
        if (self._good.looks and look.began.tick < self._good.last) or self._told.again(look):
            return
        self._doubt = grown(self._doubt or NO_RUN, look)

    def succeed(self, look: Look) -> None:
        began = look.began.tick
        if self.state is UP and self._good.looks and not self._score and self._doubt is None:
            self._good.add(look)  # as nearly all looks are
            return
        self._bursts.watch(began)
        self._doubt = None
        if self.failing and began < self._bad.tick:
            return  # began before the failures did
        self._forget_before(look)
        suspicious = self.suspicious
        if suspicious and self._told.again(look):
            return
        if suspicious:
            self._looks += 1
        else:
            self._told.forget()
        self._good = grown(self._good, look)
        if self.failing:
            self._quell(look)
        self._score = max(self._score - self._relief(), 0.0)
        if self.state is State.DOWN and self._good.looks >= min(_LOOKS_TO_LEAVE_DOWN, self._recover.looks):
            # What comes next is judged afresh: the outage just ended must not make a second one harder to call.
            self.state, self._looks, self._failed = State.DEGRADED, self._good.looks, 0
        if self._score <= 0 and (suspicious or self.state is State.DEGRADED) and self.state is not State.DOWN:
            self._settle(began)

    def _suspect(self, look: Look) -> None:
        self._suspect_at, self._looks, self._failed = look.began.at, 0, 0
        self._quelled, self._quelled_seconds = 0, 0.0

    def _quell(self, look: Look) -> None:
        """A success ends the run of failures."""
        lasted = self._bad.ended_by(look)
        if self.state is State.UP:
            self._quelled += 1
            self._quelled_seconds += lasted
        if self.state is State.DOWN:
            self._toll = None  # that was an outage, and was told
        else:
            self._tolled().add(lasted, look.began.tick)
        self._told.turn(self._bad.last)
        self._bad = NO_RUN

    def _settle(self, tick: float) -> None:
        """All is well again. What was never more than a suspicion is how the target is in good times."""
        if self.state is not State.UP:
            self._toll = None
        elif self._quelled:
            self._bursts.learn(self._quelled, self._quelled_seconds, tick)
        self.state, self._quelled, self._quelled_seconds = State.UP, 0, 0.0
        self._told.forget()

    def _forget_before(self, look: Look) -> None:
        """After a long gap (the agent was off, paused, blind) a mere suspicion is stale; confirmed trouble is not."""
        began = look.began.tick
        if self._doubt is not None and began - self._doubt.last > self._gap:
            self._doubt = None
        last = max(self._bad.last if self.failing else self._good.last, 0.0)
        if self.state is State.UP and self.suspicious and began - last > self._gap:
            self._score, self._bad, self._good = 0.0, NO_RUN, NO_RUN
            self._told.forget()
            self._told.turn(began)

    def _tolled(self) -> Toll:
        if self._toll is None:
            self._toll = Toll()
        return self._toll

    def _relief(self) -> float:
        """What a success takes off the score; in confirmed trouble it is the pace of `Recover` that counts."""
        return -_SUCCESS_STEP if self.state is State.UP else _CAP / self._recover.looks

    def _needed(self) -> float:
        """Failures in a row that it takes. How often the target fails is taken from the looks before the run: a
        brownout that turns into a blackout must not have to outweigh itself."""
        if self._confirm.policy is Policy.CONSECUTIVE:
            return self._confirm.looks
        looks, failed = self._looks - self._bad.looks, self._failed - self._bad.looks
        return max(self._confirm.looks, telling_length(looks, failed))

    def needed_span(self, tick: float) -> float:
        """How long (s) the run that goes on must be to be called an outage at `tick`."""
        span = self._span
        if self._confirm.policy is Policy.CONSECUTIVE:
            return span
        if self.failing and self._sure:
            return min(span, SURE_SPAN)
        least = FIRST_SPANS * span if self._bursts.early(tick) else span
        return min(max(self._bursts.span(tick), least), MOST_SPANS * span)

    @property
    def _span(self) -> float:
        """How long (s) a run must be at the least."""
        return self._confirm.span.total_seconds()

    def drop(self) -> None:
        """What was suspected was our own trouble: it is as if it had not been seen. Confirmed trouble stays."""
        self._bad, self._good, self._doubt, self._toll = NO_RUN, NO_RUN, None, None
        self._quelled, self._quelled_seconds = 0, 0.0
        if self.state is State.UP:
            self._score, self._looks, self._failed = 0.0, 0, 0

    def take_back(self, state: State) -> None:
        """What was confirmed last was our own trouble: go back to the `state` before."""
        self.state, self._score = State.UP, 0.0
        self.drop()
        self.assume(state)

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
            "sure": self._sure,
            "doubt": self._doubt.dump(tick) if self._doubt else None,
            "late": tick - self._late if self._late > -math.inf else None,
            "quelled": [self._quelled, self._quelled_seconds],
            "bursts": self._bursts.dump(tick),
            "toll": (self._toll or Toll()).dump(tick),
        }

    def load(self, dumped: Mapping[str, Any], then: float, now: float) -> None:
        """What was kept when it was `then`, in ticks; what is learned goes by the time that was watched."""
        self.state = State(dumped["state"])
        self._score = min(max(read_number(dumped["score"]), 0.0), _CAP)
        self._bad, self._good = Run.load(dumped["bad"], then), Run.load(dumped["good"], then)
        self._looks, self._failed = read_count(dumped["looks"]), read_count(dumped["failed"])
        if not self._bad.looks <= self._failed <= self._looks:
            raise ValueError("more looks have failed than were taken")
        self._suspect_at = read_instant(dumped["suspect_at"])
        if "bursts" not in dumped:
            return  # kept by a version that did not learn
        self._sure = bool(dumped["sure"])
        self._doubt = Run.load(dumped["doubt"], then) if dumped["doubt"] else None
        self._late = then - read_seconds(dumped["late"]) if dumped["late"] is not None else -math.inf
        quelled, seconds = dumped["quelled"]
        self._quelled, self._quelled_seconds = read_count(quelled), max(read_seconds(seconds), 0.0)
        self._bursts.load(dumped["bursts"], now)
        self._toll = Toll.load(dumped.get("toll", (0.0, 0.0)), then) or None
