"""Who judges: the agent's own core, and the usual policies of others, as small as they are.

Each takes looks as they end and answers as `monitor.core.judge.Judge` does, so that all meet the same targets on the
same schedule. The others know no `degraded`; they are up or down.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from bench._virtual import Policy, moment
from monitor.core.judge import Judge
from monitor.core.judgement import Judgement
from monitor.core.model import Check, CheckRecord, Look, Moment, State, Transition, Verdict
from probes.contract import Context, Measurement, Observation, Probe, Unit

TIMEOUT = 10.0
"""Seconds: the limit of a scheduled look, of all policies."""

_CALM = Judgement()


@dataclass(frozen=True, slots=True)
class Simulated(Probe):
    """What the simulated looks are of."""

    kind: ClassVar[str] = "simulated"
    measurements: ClassVar[tuple[Measurement, ...]] = (Measurement("response_time", Unit.SECONDS, "how long"),)

    @property
    def target(self) -> str:
        return "simulated"

    async def look(self, context: Context) -> Observation:  # noqa: ARG002
        raise AssertionError("looks are made by the simulation")


def check(every: float, *, usual: bool = False) -> Check:
    """A check with the defaults of checks.yaml; `usual`: its response time is compared with its own past."""
    return Check(
        id="check",
        name="check",
        service="check",
        probe=Simulated(),
        every=timedelta(seconds=every),
        timeout=timedelta(seconds=TIMEOUT),
        usual="response_time" if usual else None,
    )


class Ours:
    """The judge of the agent."""

    def __init__(
        self, every: float, record: CheckRecord | None = None, now: Moment | None = None, *, usual: bool = False
    ) -> None:
        self.timeout = TIMEOUT
        self.judge = Judge(check(every, usual=usual), record, now or moment(0.0))

    @property
    def state(self) -> State:
        return self.judge.state

    @property
    def steady(self) -> bool:
        return self.judge.steady

    @property
    def extra_timeout(self) -> float:
        return self.judge.extra_timeout

    @property
    def soft_deadline(self) -> float | None:
        return self.judge.soft_deadline

    def observe(self, look: Look) -> Judgement:
        return self.judge.observe(look)

    def overdue(self, now: Moment) -> Judgement | None:
        return self.judge.overdue(now)


class Peer:
    """Up or down. `BURST`: seconds after a first failure at which it is looked at again; `PACE`: and every so many
    seconds then, until it is settled."""

    BURST: ClassVar[tuple[float, ...]] = ()
    PACE: ClassVar[float | None] = None
    EXTRA_TIMEOUT: ClassVar[float] = TIMEOUT

    def __init__(self, every: float) -> None:  # noqa: ARG002  (the others do not ask how often they look)
        self.timeout = TIMEOUT
        self.state = State.UP
        self._failed = 0
        """Looks in a row."""

    @property
    def steady(self) -> bool:
        return self.state is State.UP and not self._failed

    @property
    def extra_timeout(self) -> float:
        return self.EXTRA_TIMEOUT

    def observe(self, look: Look) -> Judgement:
        if look.observation.ok:
            self._failed = 0
            return self._become(State.UP, look)
        self._failed += 1
        if self.state is State.DOWN:
            return _CALM
        if self.confirmed:
            return self._become(State.DOWN, look)
        if self.PACE is not None:
            return Judgement(pace=self.PACE)
        if self.BURST:
            return Judgement(burst=self.BURST if self._failed == 1 else (), pace=math.inf)
        return _CALM

    @property
    def soft_deadline(self) -> float | None:
        return None

    def overdue(self, now: Moment) -> Judgement | None:  # noqa: ARG002
        return None

    @property
    def confirmed(self) -> bool:
        raise NotImplementedError

    def _become(self, state: State, look: Look) -> Judgement:
        if state is self.state:
            return _CALM
        old, self.state = self.state, state
        verdict = Verdict(state, look.observation.reason)
        at = look.ended.at
        return Judgement(Transition("check", "check", 1, at, look.began.at, old.value, state.value, verdict))


class FirstFailure(Peer):
    """Down with the first failed look, up with the first good one."""

    @property
    def confirmed(self) -> bool:
        return True


class ThreeInARow(Peer):
    """Down with the third scheduled failure in a row: Gatus, Uptime Kuma with retries, a rule with `for:`."""

    @property
    def confirmed(self) -> bool:
        return self._failed >= 3


class FourRechecks(Peer):
    """Down when four more looks within 5 s fail as well."""

    BURST = (1.25, 2.5, 3.75, 5.0)
    EXTRA_TIMEOUT = 1.25

    @property
    def confirmed(self) -> bool:
        return self._failed >= 5


class Sequential(Peer):
    """Wald's sequential probability ratio test (1945) of independent looks: 1 % failing against 90 %, error 1e-6,
    with a look every second until it is settled."""

    PACE = 1.0
    EXTRA_TIMEOUT = 2.0
    _FAILED, _GOOD = math.log(0.9 / 0.01), math.log(0.1 / 0.99)

    def __init__(self, every: float) -> None:
        super().__init__(every)
        self._score = 0.0

    @property
    def steady(self) -> bool:
        return self.state is State.UP and self._score <= 0

    def observe(self, look: Look) -> Judgement:
        good = look.observation.ok
        self._score = min(max(self._score + (self._GOOD if good else self._FAILED), 0.0), -math.log(1e-6))
        if self._score >= -math.log(1e-6):
            return self._become(State.DOWN, look)
        if self._score <= 0:
            return self._become(State.UP, look)
        return Judgement(pace=self.PACE)

    @property
    def confirmed(self) -> bool:
        return self._score >= -math.log(1e-6)


POLICIES: Mapping[str, tuple[str, Callable[[float], Policy]]] = {
    "first": ("first failure", FirstFailure),
    "three": ("3 in a row", ThreeInARow),
    "rechecks": ("4 fast re-checks", FourRechecks),
    "sprt": ("textbook SPRT", Sequential),
    "ours": ("Brownout", Ours),
}
"""By a short name: what it is called, and how it is made for an interval (s)."""
