"""What is known of a target's short failures, and how long a run must therefore be until it is an outage.

A target that loses packets now and then loses them in bursts. If the bursts that are seen last `b` seconds on average
and begin `r` times a second, a run that spans `S` seconds is still a mere burst `r * M * exp(-S / b)` times a month
(`M` seconds): so `S` is chosen to make that less than `TOLERATED` (the project's study of detection, DETECTION.md).

`b` is known from few runs at first. With `n` of them, which lasted `s` seconds together, the chance that the next
one spans `S` is not `exp(-S / b)` but `(1 + S / s) ** -n` (the predictive distribution of an exponential whose rate
has a gamma posterior, a Lomax distribution): longer for what is hardly known, the same in the limit. A few short runs
are assumed beforehand (`ASSUMED`, `ASSUMED_SECONDS`): one burst alone does not make the next outage wait a minute.

It learns by failures and by time alone: a good look changes nothing here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from monitor.core.snapshot import read_number, read_seconds

MONTH = 30 * 86400.0

TOLERATED = 0.02
"""Bursts that may pass for an outage, a month."""

ASSUMED, ASSUMED_SECONDS = 4.0, 2.0
"""Runs that count as seen before the first one is, and how long they lasted together."""

MEMORY = 14 * 86400.0
"""Seconds after which a run counts for a third (1/e): networks change, and what was learned goes with time."""

LATELY = 300.0
"""Seconds over which it is weighed how much of the time a target fails."""
_TOLL, _TOLL_SPANS = 60.0, 2.0
"""Seconds of them that are too much, whatever the runs were like; at least so many times the span of an outage."""
_LONE = 2.0
"""Seconds: a run that is shorter is a lone packet, and no part of a trouble that comes and goes."""

_SHORTEST_WATCH = 86400.0
"""Seconds for which a target counts as watched at least: a burst in the first minute is no sign of one a minute."""

FIRST_DAYS = 3 * 86400.0
"""Seconds of watching in which the few bursts that were seen do not tell yet how long they can be."""

_BURST = 0.5
"""Seconds: runs that last less on average are lone packets, and no bursts."""


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What it takes to call a check down by failures: a run of at least `looks`, over at least `span` seconds.

    `bursts` are the short failures that are remembered, those of long ago counting less, `mean` is how long they last
    (s)."""

    looks: int
    span: float
    bursts: float
    mean: float


class Bursts:
    """Runs of failures that came to nothing. Ticks are those of the time that the target was watched."""

    __slots__ = ("_at", "_runs", "_seconds", "_since")

    def __init__(self) -> None:
        self._runs = 0.0
        """How many were seen, those of long ago counting less; so do their seconds."""
        self._seconds = 0.0
        self._at = 0.0
        """When they were last weighed (a tick)."""
        self._since: float | None = None
        """Since when (a tick) the target is watched."""

    def watch(self, tick: float) -> None:
        """The target is looked at."""
        if self._since is None:
            self._since = self._at = tick

    def learn(self, runs: int, seconds: float, tick: float) -> None:
        """So many runs came to nothing, which lasted so long together."""
        weight = self._weight(tick)
        self._runs = self._runs * weight + runs
        self._seconds = self._seconds * weight + seconds
        self._at = max(self._at, tick)

    def early(self, tick: float) -> bool:
        """Whether the target has shown bursts, and is not watched for long."""
        return self.mean >= _BURST and tick - self._first(tick) < FIRST_DAYS

    def seen(self, tick: float) -> float:
        """How many runs are remembered, those of long ago counting less."""
        return self._runs * self._weight(tick)

    @property
    def mean(self) -> float:
        """How long they last on average (s); 0 where none is known."""
        return self._seconds / self._runs if self._runs else 0.0

    def span(self, tick: float) -> float:
        """How long (s) a run must be to be none of them; 0 where none is known."""
        if not self._runs:
            return 0.0
        weight = self._weight(tick)
        runs, seconds = self._runs * weight, self._seconds * weight + ASSUMED_SECONDS
        expected = runs / self._watched(tick) * MONTH
        if expected <= TOLERATED:
            return 0.0
        # By logarithms: the power itself is larger than any float where much is expected of nothing known.
        return seconds * math.expm1(min(math.log(expected / TOLERATED) / (runs + ASSUMED), 100.0))

    def _weight(self, tick: float) -> float:
        return math.exp(-max(tick - self._at, 0.0) / MEMORY)

    def _watched(self, tick: float) -> float:
        """Seconds of watching, those of long ago counting less."""
        return MEMORY * -math.expm1(-max(tick - self._first(tick), _SHORTEST_WATCH) / MEMORY)

    def _first(self, tick: float) -> float:
        return tick if self._since is None else self._since

    def dump(self, tick: float) -> dict[str, Any]:
        watched = tick - self._first(tick)
        return {"runs": self._runs, "seconds": self._seconds, "age": tick - self._at, "watched": watched}

    def load(self, dumped: Mapping[str, Any], tick: float) -> None:
        """Go on at `tick`: while the agent was away nothing was watched, and nothing is forgotten for that."""
        self._runs = max(read_number(dumped["runs"]), 0.0)
        self._seconds = max(read_seconds(dumped["seconds"]), 0.0)
        self._at = tick - max(read_seconds(dumped["age"]), 0.0)
        self._since = tick - max(read_seconds(dumped["watched"]), 0.0)


class Toll:
    """Seconds of the last minutes in which a target has failed, in runs of which none was an outage."""

    __slots__ = ("_at", "_seconds")

    def __init__(self) -> None:
        self._seconds = 0.0
        self._at = 0.0
        """When they were last weighed (a tick)."""

    def __bool__(self) -> bool:
        return self._seconds > 0

    def add(self, seconds: float, tick: float) -> None:
        self._seconds, self._at = self.at(tick) + seconds, tick

    def at(self, tick: float) -> float:
        """Those of long ago count less."""
        return self._seconds * math.exp(-max(tick - self._at, 0.0) / LATELY)

    def too_much(self, span: float, tick: float, needed: float) -> bool:
        """Whether it fails for much of the time, though no run is an outage (that takes `needed` seconds): what
        crashes again and again would pass for a target that is known for its bursts. `span` is the run's that goes
        on."""
        return span >= _LONE and span + self.at(tick) >= max(_TOLL, _TOLL_SPANS * needed)

    def dump(self, tick: float) -> list[float]:
        return [self._seconds, tick - self._at]

    @classmethod
    def load(cls, dumped: Sequence[Any], tick: float) -> Toll:
        made = cls()
        seconds, age = dumped
        made._seconds, made._at = max(read_seconds(seconds), 0.0), tick - read_seconds(age)
        return made
