"""One check in virtual time: the scheduler's rules for one check without its tasks, and a policy that judges.

What the live agent does in `monitor.scheduler` with an event loop is done here with a heap, a hundred times as fast;
`tests/test_bench_judgement.py` holds both against each other, look by look. Where the policy says that a good look
can change nothing (`steady`), the looks up to the next one that matters are counted and not taken. What is judged is
rounded as live.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

from bench._traffic import Answer, Traffic
from monitor.core.form import COARSEST, FINEST
from monitor.core.judgement import Judgement
from monitor.core.model import Look, Moment, State
from monitor.core.quantise import figure
from probes.contract import Observation, Reason

EPOCH = datetime(2026, 1, 5, tzinfo=UTC)
"""A Monday: where the simulated hours of the week begin."""

_EXTRA_IN_FLIGHT = 10
_HANGING = -1
"""In the place of a generation: a look is still under way at its soft deadline."""

_REFUSED = Observation(reason=Reason.REFUSED)
_SILENT = Observation(reason=Reason.CONNECT_TIMEOUT)
_FINE = Observation()


class Policy(Protocol):
    """Says what looks mean. `timeout` is the limit of a scheduled look (s)."""

    timeout: float

    @property
    def state(self) -> State: ...

    @property
    def steady(self) -> bool:
        """Whether the next good look changes nothing but when the last one was."""
        ...

    @property
    def extra_timeout(self) -> float: ...

    @property
    def soft_deadline(self) -> float | None:
        """Seconds after which a scheduled look that is still under way is suspicious; None: it never is."""
        ...

    def observe(self, look: Look) -> Judgement: ...

    def overdue(self, now: Moment) -> Judgement | None:
        """A look is under way for so long; what to do meanwhile."""
        ...


@dataclass(frozen=True, slots=True)
class Changed:
    """A change of the check's state, `at` so many seconds after the beginning. `reason` is "" for a good state."""

    at: float
    old: State
    new: State
    reason: str
    since: float
    """When what it tells of began, by the policy."""


@dataclass(slots=True)
class Tally:
    """What came of it."""

    scheduled: int = 0
    extra: int = 0
    changes: list[Changed] = field(default_factory=list)

    @property
    def looks(self) -> int:
        return self.scheduled + self.extra


def moment(seconds: float, step: int = FINEST) -> Moment:
    """The moment, cut to whole `step` milliseconds as the pipeline does before it has a look judged."""
    millis = math.floor(seconds * 1000 / step + 1e-6) * step
    return Moment(EPOCH + timedelta(milliseconds=millis), millis / 1000)


class Simulation:
    """A check that is looked at `every` seconds, the first time at `start`. `seen` is told of each look that is
    taken: when it began, what it met, and whether it was a scheduled one."""

    def __init__(
        self,
        policy: Policy,
        traffic: Traffic,
        every: float,
        start: float = 0.0,
        seen: Callable[[float, Answer, bool], None] | None = None,
    ) -> None:
        self.tally = Tally()
        self._policy = policy
        self._traffic = traffic
        self._every = every
        self._start = start
        self._seen = seen
        self._measured = traffic.measured
        """Whether latency is: then each look teaches what is usual, and none can be passed over."""
        self._step = COARSEST if every >= 10 else 10 if every >= 1 else FINEST
        self._beats = 0
        """Beats that have been."""
        self._due: list[tuple[float, int, int, Look | None]] = []
        """What is to come but the beats: extra looks (their generation), looks that hang, and the ends of looks."""
        self._order = itertools.count()
        self._running = False
        self._in_flight = self._planned = self._generation = 0
        self._pace: float | None = None

    def run(self, until: float) -> Tally:
        """Go on to that second; what is under way then is ended by the next call."""
        while True:
            beat = self._start + self._beats * self._every
            due = self._due[0][0] if self._due else math.inf
            if min(beat, due) >= until:
                return self.tally
            if due <= beat:
                self._next()
            elif not self._due and self._policy.steady and not self._measured and self._skip(beat, until):
                continue
            else:
                self._beats += 1
                self._beat(beat)

    def _skip(self, beat: float, until: float) -> bool:
        """Pass over the looks that change nothing, but for the last one of them: the policy sees when it was."""
        good = self._traffic.quiet(beat, self._every, until) - 1
        if good <= 0:
            return False
        self._beats += good
        self.tally.scheduled += good
        return True

    def _next(self) -> None:
        at, _, generation, look = heapq.heappop(self._due)
        if look is not None:
            self._end(at, look)
        elif generation == _HANGING:
            if (judgement := self._policy.overdue(moment(at))) is not None:
                self._follow(at, judgement)
        elif generation == self._generation:
            self._planned -= 1
            if self._in_flight < _EXTRA_IN_FLIGHT:
                self._in_flight += 1
                self._keep_pace(at)
                self._launch(at, scheduled=False)
            else:
                self._keep_pace(at)

    def _beat(self, at: float) -> None:
        if not self._running:
            self._running = True
            self._launch(at, scheduled=True)

    def _launch(self, at: float, *, scheduled: bool) -> None:
        limit = self._policy.timeout if scheduled else self._policy.extra_timeout
        soft = self._policy.soft_deadline if scheduled else None
        answer = self._traffic.look(at, limit)
        if soft is not None and answer.took > soft:
            heapq.heappush(self._due, (at + soft, next(self._order), _HANGING, None))
        if scheduled:
            self.tally.scheduled += 1
        else:
            self.tally.extra += 1
        if self._seen is not None:
            self._seen(at, answer, scheduled)
        end = at + answer.took
        step = self._step if scheduled else FINEST
        look = Look("check", _observed(answer), moment(at, step), moment(end, step), limit, scheduled)
        heapq.heappush(self._due, (end, next(self._order), 0, look))

    def _end(self, at: float, look: Look) -> None:
        old = self._policy.state
        judgement = self._policy.observe(look)
        self._follow(at, judgement)
        if look.scheduled:
            self._running = False
        else:
            self._in_flight -= 1
        transition = judgement.transition
        if transition is not None:
            since = (transition.since - EPOCH).total_seconds()
            reason = transition.verdict.reason
            self.tally.changes.append(Changed(at, old, State(transition.new), reason.value if reason else "", since))

    def _follow(self, at: float, judgement: Judgement) -> None:
        if judgement.pace is None:
            if self._planned:
                self._due = [item for item in self._due if item[3] is not None or item[2] == _HANGING]
                heapq.heapify(self._due)
            self._generation += 1
            self._planned = 0
        elif not self._planned:
            for delay in judgement.burst or (judgement.pace,):
                self._plan(at + delay)
        self._pace = judgement.pace

    def _keep_pace(self, at: float) -> None:
        if self._pace is not None and not self._planned:
            self._plan(at + self._pace)

    def _plan(self, at: float) -> None:
        self._planned += 1
        heapq.heappush(self._due, (at, next(self._order), self._generation, None))


def _observed(answer: Answer) -> Observation:
    if answer.failed:
        return _SILENT if answer.timed_out else _REFUSED
    return _FINE if answer.latency is None else Observation({"response_time": figure(answer.latency)})
