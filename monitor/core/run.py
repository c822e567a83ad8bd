"""Looks in a row with the same outcome: how many, and how long a time they cover together."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from monitor.core.model import Look
from monitor.core.snapshot import read_count, read_instant, read_seconds

LONGEST_GAP = 3.0
"""Seconds between two looks that count towards the span of a run, at most: after a pause of the agent, two failures a
minute apart are no minute of evidence, as nobody looked in between."""

_GAP_INTERVALS, _SHORTEST_GAP = 3, 10.0

TOLD_ADDRESSES = 8
"""Addresses of one run that are told."""

TOLD_LOOKS = 60
"""Looks of which it is known that they were told."""

_CHANCE = 3e-7
"""How likely a run of failures may be at most, if the target merely fails as often as before, to be called an outage.
The study (DETECTION.md) has 1e-6; but how often it fails is only estimated, and ten minutes have hundreds of looks
with which a run may begin."""
_LONGEST_ASKED = 60


@lru_cache(maxsize=1024)
def gap_of(every: float) -> float:
    """Seconds, for a check that is looked at at such an interval (s): what was merely suspected before a longer gap
    between two looks (the agent was off, paused, blind) is forgotten."""
    return max(_GAP_INTERVALS * every, _SHORTEST_GAP)


def telling_length(looks: int, failed: int) -> float:
    """Failures in a row that a target would hardly ever show (`_CHANCE`) of which so many looks have failed; 0 where
    none has succeeded."""
    if failed == looks:
        return 0.0
    return min(math.log(_CHANCE) / math.log((failed + 1) / (looks + 2)), _LONGEST_ASKED)


def same(one: Look, other: Look) -> bool:
    """Whether it is one look, told twice."""
    return (
        one.began.tick == other.began.tick
        and one.ended.tick == other.ended.tick
        and one.scheduled is other.scheduled
        and one.observation == other.observation
    )


@dataclass(slots=True)
class Run:
    """A run that goes on; without looks, none does. Looks may be added in any order: they overlap."""

    looks: int = 0
    tick: float = 0.0
    """When the first of them began."""
    at: datetime | None = None
    last: float = 0.0
    """When the latest of them began (a tick)."""
    span: float = 0.0
    """Seconds that they cover together, long gaps shortened."""
    addresses: tuple[str, ...] = ()
    """Where they went, as far as that was noted; a few. Not kept over a restart."""

    def add(self, look: Look) -> None:
        began = look.began.tick
        if not self.looks:
            self.tick, self.at, self.last = began, look.began.at, began
        elif began < self.tick:
            self.span += min(self.tick - began, LONGEST_GAP)
            self.tick, self.at = began, look.began.at
        elif began > self.last:
            self.span += min(began - self.last, LONGEST_GAP)
            self.last = began
        self.looks += 1

    def went_to(self, address: str | None) -> None:
        if address and address not in self.addresses:
            self.addresses = (*self.addresses, address)[:TOLD_ADDRESSES]

    def absorb(self, other: Run) -> None:
        """Take over the looks of another run, which is empty afterwards."""
        if not other.looks:
            return
        first, second = (self, other) if self.looks and self.tick <= other.tick else (other, self)
        if second.looks:
            last = max(first.last, second.last)
            between = min(max(second.tick - first.last, 0.0), LONGEST_GAP)
            self.span = min(first.span + between + second.span, last - first.tick)
        else:
            last, self.span = first.last, first.span
        self.looks += other.looks
        self.tick, self.at, self.last = first.tick, first.at, last
        other.looks = 0

    def ended_by(self, look: Look) -> float:
        """How long it lasted (s), as far as can be known, when this look ended it: half of what lies between its last
        look and that one is added."""
        return self.span + min(max(look.began.tick - self.last, 0.0), LONGEST_GAP) / 2

    def dump(self, tick: float) -> dict[str, Any]:
        at = self.at.isoformat() if self.at else None
        return {"looks": self.looks, "age": tick - self.tick, "at": at, "last": tick - self.last, "span": self.span}

    @classmethod
    def load(cls, dumped: Mapping[str, Any], tick: float) -> Run:
        first, last = tick - read_seconds(dumped["age"]), tick - read_seconds(dumped["last"])
        found = cls(
            read_count(dumped["looks"]), first, read_instant(dumped["at"]), last, read_seconds(dumped["span"])
        )
        return found if found.looks else NO_RUN


NO_RUN = Run()
"""Of all checks of which no run goes on, as of nearly all, the same one: no look is ever added to it."""


def grown(run: Run, look: Look) -> Run:
    """The run with one more look."""
    if run is NO_RUN:
        run = Run()
    run.add(look)
    return run


class Told:
    """The looks of late in which something is suspected, to know one that comes again: it is one piece of evidence,
    however often and in whatever order it is told."""

    __slots__ = ("_before", "_looks")

    def __init__(self) -> None:
        self._looks: deque[tuple[object, ...]] | None = None
        """None while nothing is suspected, as of nearly all checks."""
        self._before = -math.inf

    def again(self, look: Look) -> bool:
        """Whether the look is known, or too old to be: it began before the run that goes on."""
        if look.began.tick < self._before:
            return True
        seen = look.observation
        key = (look.began.tick, look.ended.tick, look.scheduled, seen.reason, seen.evidence.get("seen_by"))
        if self._looks is None:
            self._looks = deque(maxlen=TOLD_LOOKS)
        if key in self._looks:
            return True
        self._looks.append(key)
        return False

    def turn(self, tick: float) -> None:
        """Another run has begun: what began before `tick` speaks of an earlier one."""
        self._before = max(self._before, tick)

    def forget(self) -> None:
        self._looks = None
