"""The agent's own pulse: whether it was stopped, starved of CPU, out of descriptors, or without its journal.

It is told of a beat four times a second, with readings of clocks that nobody sets; what is wrong follows from those.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import timedelta

from monitor.core.model import Moment
from monitor.core.sight import Ailment, Trouble
from monitor.core.wording import seconds

BEAT = 0.25
"""Seconds between two beats, as they are meant."""
GAP = 10.0
"""Seconds by which a beat is late when the agent was stopped, or its machine slept. What is shorter voids the looks
that were under way, and is no trouble to speak of."""
SETTLED = 5.0
"""Seconds without a new sign after which trouble is over."""
WINDOW = 20.0
"""Seconds over which it is weighed how much of the time the agent was kept from running."""
STARVED, FED = 0.5, 0.2
"""The parts of that time that are too much, and that end it."""
STEP = 1.0
"""Seconds between the wall clock and the steady one that are a step."""
TRUSTED_LOSS, TRUSTED_SHARE = 0.25, 0.1
"""Seconds, and the part of a look's time, that may be lost without its time limit being in doubt."""


@dataclass(frozen=True, slots=True)
class Beat:
    """One reading. `uptime` (s) goes on while the machine sleeps."""

    now: Moment
    uptime: float
    journal: str = ""
    """Why the journal cannot be written; empty while it can."""
    descriptors: bool = True
    """Whether a file can be opened."""


@dataclass(slots=True)
class _Sign:
    """Of one kind of trouble: since when, how it shows, and when that was seen last."""

    since: Moment
    why: str
    last: float


class Vitals:
    """Owned by whoever takes the readings."""

    def __init__(self, first: Beat) -> None:
        self._last = first
        self._signs: dict[Trouble, _Sign] = {}
        self._lost: deque[tuple[float, float]] = deque()
        """(when it came, by how much it was late) of the last beats; ticks and seconds."""

    @property
    def ailments(self) -> tuple[Ailment, ...]:
        return tuple(Ailment(trouble, sign.since, sign.why) for trouble, sign in self._signs.items())

    def beat(self, beat: Beat) -> None:
        """Take in a reading, in order."""
        before, self._last = self._last, beat
        passed = max(beat.uptime - before.uptime, 0.0)
        late = passed - BEAT
        if late > GAP:
            self._stopped(before, beat, passed)
        self._weigh(beat.now, max(late, 0.0) if late <= GAP else 0.0)
        step = (beat.now.at - before.now.at).total_seconds() - passed
        if abs(step) >= STEP:
            way = "forward" if step > 0 else "back"
            self._sign(Trouble.CLOCK, beat.now, f"{way} by {seconds(abs(step))}", beat.now)
        if beat.journal:
            self._sign(Trouble.JOURNAL, beat.now, beat.journal, beat.now)
        if not beat.descriptors:
            self._sign(Trouble.DESCRIPTORS, beat.now, "", beat.now)
        for trouble in [name for name, sign in self._signs.items() if beat.now.tick - sign.last >= SETTLED]:
            del self._signs[trouble]

    def lost(self, since: float, until: float) -> float:
        """Seconds between two ticks in which the agent did not run though it should have, as far as beats tell."""
        overdue = max(until - self._last.now.tick - BEAT, 0.0)
        return overdue + sum(late for came, late in self._lost if since < came <= until + BEAT)

    def doubtful(self, began: float, ended: float) -> bool:
        """Whether a look that ran into its time limit between those ticks may have had less time than that."""
        return self.lost(began, ended) > max(TRUSTED_LOSS, TRUSTED_SHARE * (ended - began))

    def _stopped(self, before: Beat, beat: Beat, passed: float) -> None:
        slept = passed - (beat.now.tick - before.now.tick) > GAP
        why = f"for {seconds(round(passed))}, as its machine slept" if slept else f"for {seconds(round(passed))}"
        since = Moment(beat.now.at - timedelta(seconds=passed), beat.now.tick - passed)
        self._sign(Trouble.PAUSED, since, why, beat.now)

    def _weigh(self, now: Moment, late: float) -> None:
        lost = self._lost
        lost.append((now.tick, late))
        while now.tick - lost[0][0] > WINDOW:
            lost.popleft()
        share = sum(late for _, late in lost) / WINDOW
        if share >= STARVED or (share > FED and Trouble.STARVED in self._signs):
            since = Moment(now.at - timedelta(seconds=WINDOW), now.tick - WINDOW)
            self._sign(Trouble.STARVED, since, f"{share:.0%} of the time it was kept from running", now)

    def _sign(self, trouble: Trouble, since: Moment, why: str, now: Moment) -> None:
        known = self._signs.get(trouble)
        if known is None:
            self._signs[trouble] = _Sign(since, why, now.tick)
        else:
            known.last = now.tick
