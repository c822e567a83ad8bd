"""Counters of series, from look to look: what has come since, whichever process answers, and whoever restarted.

A counter says nothing by itself, only against what it was before *in the same process*. Which process answered is
told by ``process_start_time_seconds``, which nearly all client libraries export. Where it is not told, the counters
themselves must do: in one process none falls, so an answer goes with the baseline that it exceeds by least.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from probes._slices import slices

MOST_PROCESSES = 64
"""Baselines kept of one URL: those that were seen last."""
_MOST_ALIKE = 16
"""Those of them that only their counters tell apart, as each must be compared."""
MOST_SERIES = 100_000
"""Series of one answer that are followed; about 100 bytes each and baseline."""
_MOST_KEPT = 2 * MOST_SERIES
_FEW = 0.1
"""The part of the series that may fall without more behind it than that they were reset, each by itself."""
_YOUNG = 300.0
"""Seconds for which what a process has counted since its start may still be told as of now."""
_CLOCK_SLACK = 2.0
"""Seconds by which the clocks of agent and target may differ, unnoticed; Linux tells when it booted, from which the
start of a process is counted, in whole seconds."""


@dataclass(slots=True, eq=False)
class Reading:
    """The counters of one answer."""

    start: float | None
    """When its process started, in Unix time, as it says."""
    asked: float
    """When it was asked for, by the monotonic clock; `wall` is the same in Unix time."""
    wall: float
    values: dict[int, float] = field(default_factory=dict)
    """By series."""


@dataclass(frozen=True, slots=True)
class Increase:
    """What has been counted, by series, and over how many seconds; None for `series`: nothing can be told yet."""

    series: Mapping[int, float]
    seconds: float
    note: str = ""


class Baselines:
    """What one URL's processes had counted when they answered last. Bounded in processes and in series."""

    __slots__ = ("_asked", "_known", "_since", "_turn", "wall")

    def __init__(self) -> None:
        self._known: list[Reading] = []
        """The one seen last at the end."""
        self._asked: float | None = None
        self._since: float | None = None
        """When it was first asked with success (Unix time)."""
        self._turn = asyncio.Lock()
        self.wall: float | None = None
        """When the URL was last asked with success (Unix time), even by another agent process."""

    @property
    def empty(self) -> bool:
        return not self._known

    @property
    def processes(self) -> int:
        return len(self._known)

    async def advance(self, reading: Reading) -> Increase | None:
        """Take an answer; None when it only lays the ground, or when it was overtaken by a later one."""
        async with self._turn:  # looks may overlap, and this one gives way to them
            return await self._advance(reading)

    async def _advance(self, reading: Reading) -> Increase | None:
        if any(known.asked >= reading.asked for known in self._known):
            return None  # what it could tell has been told
        own = [known for known in self._known if known.start == reading.start]
        before, note, same = await self._before(reading, own)
        increase = None if before is None else await _increase(before.values, reading.values)
        if self._asked is not None:
            seconds = reading.asked - self._asked
        else:
            seconds = 0.0 if self.wall is None else max(0.0, reading.wall - self.wall)
        if before is not None and not own and reading.start is not None:
            seconds = min(seconds, max(1.0, reading.wall - reading.start))  # a new process has not counted for longer
        if before is not None and same:
            self._known.remove(before)
        self._keep(reading)
        return None if increase is None else Increase(increase, seconds, note)

    async def _before(self, reading: Reading, own: list[Reading]) -> tuple[Reading | None, str, bool]:
        """What to compare with: an empty reading where everything came since, None where nobody knows; what to note;
        and whether that baseline is the same process's, so that the answer takes its place."""
        nothing = Reading(reading.start, reading.asked, reading.wall)
        if not own:
            return (nothing, "the process has started since", False) if self._is_new(reading) else (None, "", False)
        sum_ = 0.0
        async for part in slices(reading.values.values()):
            sum_ += sum(part)
        fits = [(known, await _compare(known, reading, sum_)) for known in reversed(own)]
        whole = [(score.excess, index) for index, (_, score) in enumerate(fits) if score.fits(reading.start)]
        if whole:
            return fits[min(whole)[1]][0], "", True
        nearest, score = min(fits, key=lambda pair: (pair[1].fallen, pair[1].missing))
        if score.fallen <= score.common * _FEW:
            return nearest, "some counters began again", True
        # A process that is the same cannot have begun again: another one has started in the same moment.
        if reading.start is not None:
            return None, "", False
        if 2 * score.fallen < score.common:
            return nearest, "many counters began again", False
        return nothing, "the counters began again", False

    def _is_new(self, reading: Reading) -> bool:
        """Whether the process started while the URL was watched, so that all its counts are news."""
        if reading.start is None or self.wall is None:
            return False
        # One of several that is young and was not met before is news as a whole too, if we were there when it began.
        young = reading.wall - reading.start < _YOUNG and self._since is not None
        since = self._since if young and self._since is not None else self.wall
        return since - _CLOCK_SLACK <= reading.start <= reading.wall + _CLOCK_SLACK

    def _keep(self, reading: Reading) -> None:
        self._asked, self.wall = reading.asked, reading.wall
        self._since = reading.wall if self._since is None else self._since
        alike = [known for known in self._known if known.start == reading.start]
        if len(alike) >= _MOST_ALIKE:
            self._known.remove(alike[0])
        self._known.append(reading)
        while len(self._known) > MOST_PROCESSES or (
            len(self._known) > 1 and sum(len(known.values) for known in self._known) > _MOST_KEPT
        ):
            del self._known[0]


@dataclass(slots=True)
class _Score:
    """How an answer stands to a baseline: series that fell, that are gone, that both have, and what came in all."""

    fallen: int = 0
    missing: int = 0
    common: int = 0
    excess: float = 0.0

    def fits(self, start: float | None) -> bool:
        """Series go when a process forgets them; where the process is not named, most must still be there."""
        return not self.fallen and (start is not None or self.missing <= self.common)


async def _compare(known: Reading, reading: Reading, sum_: float) -> _Score:
    """`sum_` is that of the reading's counters."""
    score = _Score(excess=sum_)
    values = reading.values
    async for part in slices(known.values.items()):
        for series, before in part:
            now = values.get(series)
            if now is None:
                score.missing += 1
            else:
                score.common += 1
                score.fallen += now < before
                score.excess -= before
    return score


async def _increase(before: Mapping[int, float], after: Mapping[int, float]) -> dict[int, float]:
    """By series: one that fell began again at 0, and so did one that is new. Those that stand still are left out."""
    found: dict[int, float] = {}
    async for part in slices(after.items()):
        for series, value in part:
            step = value - before.get(series, 0.0)
            if step:
                found[series] = step if step > 0 else value
    return found
