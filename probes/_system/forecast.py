"""When a disk will be full, from how it has filled: robust against noise, rotation and clean-ups.

Two windows are looked at, twenty minutes for a file that grows out of hand, and six hours for the rest. Within each
the pace is the median of the slopes between all pairs of points (Theil, Sen), which a third of odd points does not
move. A forecast is given no further ahead than four times the time it was learnt in, only for a pace that stands out
of the noise, and not on the way up to where the disk has been before and came back from: that is what logs do between
two rotations.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from statistics import median
from typing import Any

from probes._system.mounts import Space

NOT_IN_SIGHT = 30 * 86400.0
"""Seconds reported where nothing fills, or where it takes longer."""

_MOST_DISKS = 6
_FAST_GAP, _FAST_POINTS = 60.0, 21
_SLOW_GAP, _SLOW_POINTS = 900.0, 25
_LONG_GAP, _LONG_POINTS = 6 * 3600.0, 29
_FEWEST = 8
"""Points that a pace is learnt from, at the least."""
_AHEAD = 4.0
_STANDS_OUT = 4.0
"""How many times the typical residual a window's growth must be."""
_LEVEL = 0.0025
"""The part of a disk within which two levels are the same."""
_CAME_BACK = 4
"""How many such parts must have become free again to say that it came back."""

Point = tuple[float, float]
"""When (s), and how many bytes were left."""


@dataclass(slots=True)
class History:
    """How one disk has filled: at most 75 points, about 2 KB as text."""

    size: float
    fast: list[Point] = field(default_factory=list)
    slow: list[Point] = field(default_factory=list)
    long: list[Point] = field(default_factory=list)
    """The least that was left in each quarter of the last days, and when."""

    def add(self, at: float, left: float) -> None:
        _append(self.fast, (at, left), _FAST_GAP, _FAST_POINTS)
        _append(self.slow, (at, left), _SLOW_GAP, _SLOW_POINTS)
        if not self.long or at // _LONG_GAP != self.long[-1][0] // _LONG_GAP:
            self.long = [*self.long, (at, left)][-_LONG_POINTS:]
        elif left < self.long[-1][1]:
            self.long[-1] = (at, left)

    def full_in(self, left: float) -> float | None:
        """Seconds until nothing is left; None when that is not in sight."""
        if self._came_back(left):
            return None
        found = [_full_in(points, left, self.size) for points in (self.fast, self.slow)]
        return min((seconds for seconds in found if seconds is not None), default=None)

    def _came_back(self, left: float) -> bool:
        """Whether the disk was as full as now before, and less full in between."""
        level = self.size * _LEVEL
        past = sorted((*self.long, *self.slow, *self.fast))
        most_after = left
        for _, then in reversed(past):
            if then <= left + level and most_after >= then + _CAME_BACK * level:
                return True
            most_after = max(most_after, then)
        return False


def _append(points: list[Point], point: Point, gap: float, most: int) -> None:
    # A little early is fine: the gap is that of looks.
    if not points or point[0] - points[-1][0] >= gap * 0.9:
        points.append(point)
        del points[:-most]


def _full_in(points: Sequence[Point], left: float, size: float) -> float | None:
    if len(points) < _FEWEST:
        return None
    span = points[-1][0] - points[0][0]
    pace = median((a[1] - b[1]) / (b[0] - a[0]) for a, b in combinations(points, 2))  # bytes a second that go
    if pace <= 0:
        return None
    rest = [left + pace * at for at, left in points]
    middle = median(rest)
    noise = median(abs(each - middle) for each in rest)
    if pace * span < max(_STANDS_OUT * noise, size * _LEVEL / 2):
        return None
    seconds = max(0.0, left) / pace
    return seconds if seconds <= _AHEAD * span else None


def forecast(
    spaces: Mapping[str, Space], memory: MutableMapping[str, float | str], now: float
) -> tuple[float, str] | None:
    """Seconds until the first disk is full, and which; None before enough is known. `now` is wall-clock time.

    It learns once a minute; in between the last forecast comes nearer.
    """
    due = memory.get("fill_due")
    if isinstance(due, float) and now < due:
        if due - now <= _FAST_GAP:
            return _told(memory, now)
        memory.pop("fill", None)  # the clock went back: what is known belongs to no time
    memory["fill_due"] = now + _FAST_GAP * 0.9
    known = _load(memory.get("fill"))
    histories = {path: _grown(known.get(path), spaces[path], now) for path in _fullest(spaces)}
    found = {
        path: seconds
        for path, history in histories.items()
        if (seconds := history.full_in(float(spaces[path].available))) is not None
    }
    first = min(found, key=lambda path: found[path], default="")
    memory["fill"] = json.dumps({path: _dump(history) for path, history in histories.items()}, separators=(",", ":"))
    memory["full_at"], memory["full_path"] = now + found.get(first, 0.0), first
    memory["fill_known"] = float(any(len(history.fast) >= _FEWEST for history in histories.values()))
    return _told(memory, now)


def _fullest(spaces: Mapping[str, Space]) -> list[str]:
    return sorted(spaces, key=lambda path: -spaces[path].used)[:_MOST_DISKS]


def _grown(history: History | None, space: Space, now: float) -> History:
    if history is None or history.size != space.total:
        history = History(float(space.total))
    history.add(now, float(space.available))
    return history


def _told(memory: Mapping[str, float | str], now: float) -> tuple[float, str] | None:
    full_at, path = memory.get("full_at"), memory.get("full_path")
    if not memory.get("fill_known") or not isinstance(full_at, float) or not isinstance(path, str):
        return None
    return (min(NOT_IN_SIGHT, max(0.0, full_at - now)), path) if path else (NOT_IN_SIGHT, "")


def _dump(history: History) -> list[Any]:
    return [history.size, *([[int(at), int(left)] for at, left in points] for points in _parts(history))]


def _parts(history: History) -> tuple[list[Point], ...]:
    return history.fast, history.slow, history.long


def _load(written: float | str | None) -> dict[str, History]:
    if not isinstance(written, str):
        return {}
    found: dict[str, History] = {}
    for path, (size, *parts) in json.loads(written).items():
        found[path] = History(float(size), *([(float(at), float(left)) for at, left in part] for part in parts))
    return found
