"""Targets that fail, stall and slow down by a known law: what a simulated look meets, at which second.

The models, all of them memoryless in time where nothing else is said, so that stretches in which nothing happens can
be skipped without a draw for each look:

- **independent loss**: each look fails with the probability `fail`, whatever came before.
- **bursts** (Gilbert, 1960; Elliott, 1963): the path is good or bad, in turns, for times that are exponentially
  distributed; in a bad one every look fails. `burst` is the mean length of a bad one in seconds, `fail` the share of
  time that is bad, so that a good one lasts `burst * (1 - fail) / fail` in the mean.
- **an outage** is `fail` = 1. A look that fails ends after 20 ms (refused) or, with `blackhole`, never: it runs into
  its time limit.
- **latency**: log-normal around `latency` with the relative deviation `sigma`. `memory` seconds tie one look to the
  next (a first-order autoregression in time: correlation exp(-dt/memory)), for the part `wander` of the variance; the
  rest is each look's own. `tail` is the share of looks that take 2 to 20 times as long, evenly in the logarithm;
  `slow` the share of looks that take `slower` times as long. `day` is the amplitude of the daily cycle: 0.3 is 30 %
  slower at 15:00 than in the mean, and 30 % faster at 03:00.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from random import Random
from typing import Any

FAST = 0.02
"""Seconds until a look that is refused has failed, and that an answer takes where no latency is simulated."""

OVER = 0.001
"""Seconds after its limit at which a look that is not answered ends."""

TAIL = (2.0, 20.0)
DAY = 86400.0


@dataclass(frozen=True, slots=True)
class Phase:
    """How the target is from the second `start` on."""

    start: float = 0.0
    fail: float = 0.0
    burst: float | None = None
    latency: float | None = None
    """Median seconds of an answer; None: it is not measured."""
    sigma: float = 0.0
    blackhole: bool = False
    memory: float = 0.0
    wander: float = 1.0
    tail: float = 0.0
    slow: float = 0.0
    slower: float = 5.0
    day: float = 0.0

    def __post_init__(self) -> None:
        bad = (
            not 0 <= self.fail <= 1 or not 0 <= self.tail <= 1 or not 0 <= self.slow <= 1
            or (self.burst is not None and not self.burst > 0) or (self.latency is not None and not self.latency > 0)
            or not self.sigma >= 0 or not 0 <= self.wander <= 1 or not self.start >= 0
        )  # fmt: skip
        if bad:
            raise ValueError(f"no target can be like that: {self}")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a look met. `took` in seconds; `latency` None where it failed, or is not measured."""

    failed: bool
    took: float
    latency: float | None = None
    timed_out: bool = False


class Traffic:
    """One target through its phases. To be asked in the order of time."""

    def __init__(self, phases: Sequence[Phase], random: Random) -> None:
        self._phases = list(phases)
        self._random = random
        self._place = -1
        self.phase = Phase()
        self._until = -math.inf
        """When the next phase begins."""
        self._bad_from = self._bad_until = -math.inf
        """The present or next bad time of a path with bursts."""
        self._fails_at: float | None = None
        """A beat that was drawn as the first one to fail; those before it were drawn as good ones."""
        self._noise, self._noise_at = 0.0, -math.inf

    @property
    def measured(self) -> bool:
        """Whether answers have a latency."""
        return any(phase.latency is not None for phase in self._phases)

    def look(self, at: float, limit: float) -> Answer:
        """A look that begins then and may take `limit` seconds."""
        self._enter(at)
        phase = self.phase
        if self._fails(at):
            if phase.blackhole:
                return Answer(failed=True, took=limit + OVER, timed_out=True)
            return Answer(failed=True, took=min(FAST, limit))
        if phase.latency is None:
            return Answer(failed=False, took=FAST)
        latency = self._latency(phase, at)
        if latency >= limit:
            return Answer(failed=True, took=limit + OVER, timed_out=True)
        return Answer(failed=False, took=latency, latency=latency)

    def quiet(self, beat: float, every: float, until: float) -> int:
        """How many looks that begin at `beat`, one `every` seconds, are answered before one fails, a new phase begins
        or `until` is reached. None of them may then be asked for, but the last."""
        self._enter(beat)
        end = min(self._until, until)
        most = max(math.ceil((end - beat) / every), 0)
        phase = self.phase
        if phase.fail <= 0:
            return most
        if phase.fail >= 1:
            return 0
        if phase.burst is None:
            if self._fails_at is None or self._fails_at < beat:
                good = int(math.log(1.0 - self._random.random()) / math.log1p(-phase.fail))
                self._fails_at = beat + good * every
            return min(most, round((self._fails_at - beat) / every))
        good = 0
        while good < most:
            self._change_until(beat + good * every)
            first = max(math.ceil((self._bad_from - beat) / every - 1e-9), good)
            if first >= most:
                return most
            if beat + first * every < self._bad_until:
                return first
            good = first
        return most

    def _enter(self, at: float) -> None:
        while at >= self._until:
            self._place += 1
            self.phase = self._phases[self._place]
            last = self._place + 1 == len(self._phases)
            self._until = math.inf if last else self._phases[self._place + 1].start
            self._fails_at = None
            if self.phase.burst is not None and 0 < self.phase.fail < 1:
                self._begin_bursts(self.phase.start)

    def _fails(self, at: float) -> bool:
        phase = self.phase
        if phase.fail <= 0 or phase.fail >= 1:
            return phase.fail >= 1
        if phase.burst is not None:
            self._change_until(at)
            return self._bad_from <= at
        if self._fails_at is not None and at <= self._fails_at + 1e-6:
            if abs(at - self._fails_at) < 1e-6:
                self._fails_at = None
                return True
            return False
        self._fails_at = None
        return self._random.random() < phase.fail

    def _begin_bursts(self, at: float) -> None:
        """As if the path had been like that for ever."""
        draw, burst = self._random.expovariate, self.phase.burst
        assert burst is not None
        bad = self._random.random() < self.phase.fail
        self._bad_from = at if bad else at + draw(1 / self._good_seconds(burst))
        self._bad_until = self._bad_from + draw(1 / burst)

    def _change_until(self, at: float) -> None:
        """Go on until the bad time is the one that holds then, or the next."""
        draw, burst = self._random.expovariate, self.phase.burst
        assert burst is not None
        while self._bad_until <= at:
            self._bad_from = self._bad_until + draw(1 / self._good_seconds(burst))
            self._bad_until = self._bad_from + draw(1 / burst)

    def _good_seconds(self, burst: float) -> float:
        return burst * (1 - self.phase.fail) / self.phase.fail

    def _latency(self, phase: Phase, at: float) -> float:
        random = self._random
        noise = random.gauss(0.0, 1.0)
        if phase.memory > 0:
            kept = math.exp(-max(at - self._noise_at, 0.0) / phase.memory)
            self._noise = kept * self._noise + math.sqrt(1 - kept * kept) * noise
            self._noise_at = at
            noise = math.sqrt(phase.wander) * self._noise + math.sqrt(1 - phase.wander) * random.gauss(0.0, 1.0)
        latency = (phase.latency or 0.0) * math.exp(phase.sigma * noise)
        if phase.day:
            latency *= 1 + phase.day * math.sin(math.tau * (at / DAY - 9 / 24))
        if phase.tail and random.random() < phase.tail:
            latency *= math.exp(random.uniform(math.log(TAIL[0]), math.log(TAIL[1])))
        if phase.slow and random.random() < phase.slow:
            latency *= phase.slower
        return latency


_KEYS = {item.name for item in fields(Phase)} - {"start"}


def read_trace(lines: Iterable[str]) -> list[Phase]:
    """Phases out of JSON lines: ``{"from": s, "fail": p, "burst": s or null, "latency": s, "sigma": relative,
    "blackhole": bool}``, and the other fields of a `Phase`. What a line leaves out is as in none: 0, null, false.

    Raises `ValueError`, which names the line.
    """
    phases: list[Phase] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            phases.append(_phase(json.loads(line)))
        except (ValueError, TypeError) as error:
            raise ValueError(f"line {number}: {error}") from None
        if len(phases) > 1 and phases[-1].start <= phases[-2].start:
            raise ValueError(f'line {number}: "from" must be later than in the line before')
    if not phases:
        raise ValueError("there is no line in it")
    return [replace(phases[0], start=0.0), *phases[1:]]


def _phase(told: Any) -> Phase:
    if not isinstance(told, dict):
        raise TypeError("each line must be an object")
    if unknown := told.keys() - _KEYS - {"from"}:
        raise ValueError(f"unknown: {', '.join(sorted(unknown))}; known are from, {', '.join(sorted(_KEYS))}")
    values = {name: value for name, value in told.items() if value is not None}
    blackhole = bool(values.pop("blackhole", False))
    numbers = {("start" if name == "from" else name): float(value) for name, value in values.items()}
    return Phase(blackhole=blackhole, **numbers)
