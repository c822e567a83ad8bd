"""Looks rolled up into periods, and periods into longer ones.

A period of looks has exact figures, each in three digits. Periods are joined by treating each as a distribution that
is linear between its min, p50, p95, p99 and max; so the percentiles of a joined period are near, not exact: within
about 5 % for response times as they are met (tests/core/test_past.py).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import accumulate, pairwise

from monitor.core.columns import Columns
from monitor.core.history import LONG, POINTS_LIMIT, SHORT, Figures, Point
from monitor.core.model import State
from monitor.core.quantise import figure, share
from monitor.core.rows import STATES, from_millis, is_scheduled, state_of
from monitor.core.series import between, percentile
from monitor.core.threshold import GAP_LOOKS

POINTS_WANTED = 300
"""Points of an answer for which no step was asked."""
_STEPS = tuple(
    timedelta(minutes=minutes) for minutes in (5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2 * 1440, 7 * 1440)
)
_MILLISECOND = timedelta(milliseconds=1)

# A joined period stands on these shares of each part's looks, each at the value in the middle of its share.
_CUTS = (0.0, 0.05, 0.15, 0.25, 0.35, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.97, 0.99, 1.0)


@dataclass(frozen=True, slots=True)
class Held:
    """A state that is known to go on from `since`, until a look says otherwise, at most until `until` (ms)."""

    state: int
    since: int
    until: int


@dataclass(slots=True)
class _Tally:
    looks: int = 0
    failed: int = 0
    millis: list[int] = field(default_factory=lambda: [0] * len(STATES))
    values: dict[str, list[float]] = field(default_factory=dict)


def roll_up(columns: Columns, period: timedelta, held: Held | None, until: int) -> tuple[list[Point], Held | None]:
    """The looks in periods, and the state that goes on at `until` (ms): all looks that began before it are there.

    `held` is what the last call told. A look's state is known until the next look, for three intervals at most.
    """
    length = period // _MILLISECOND
    tallies: dict[int, _Tally] = {}
    for row in range(len(columns)):
        at = columns.ats[row]
        end = at + columns.tooks[row]
        if held is not None:
            _hold(tallies, held, end, length)
        held = Held(state_of(columns.marks[row]), end, end + GAP_LOOKS * columns.everies[row])
        if is_scheduled(columns.marks[row]):
            tally = tallies.setdefault(at // length, _Tally())
            tally.looks += 1
            tally.failed += columns.reasons[row] != 0
    if held is not None:
        _hold(tallies, held, until, length)
        held = Held(held.state, max(until, held.since), held.until)
    _collect(columns, tallies, length)
    return [_point(index * length, period, tallies[index]) for index in sorted(tallies)], held


def _hold(tallies: dict[int, _Tally], held: Held, until: int, length: int) -> None:
    """Count the time in that state, period by period."""
    start, end = held.since, min(until, held.until)
    while start < end:
        index = start // length
        stop = min((index + 1) * length, end)
        tallies.setdefault(index, _Tally()).millis[held.state] += stop - start
        start = stop


def _collect(columns: Columns, tallies: Mapping[int, _Tally], length: int) -> None:
    for name, column in columns.figures.items():
        for at, mark, value in zip(columns.ats, columns.marks, column, strict=True):
            if math.isfinite(value) and is_scheduled(mark):
                tallies[at // length].values.setdefault(name, []).append(value)


def _point(at: int, period: timedelta, tally: _Tally) -> Point:
    return Point(
        at=from_millis(at),
        span=period,
        looks=tally.looks,
        failed=tally.failed,
        seconds={state: millis / 1000 for state, millis in zip(STATES, tally.millis, strict=True) if millis},
        figures={name: _figures(values) for name, values in tally.values.items()},
    )


def _figures(values: list[float]) -> Figures:
    values.sort()
    mean = math.fsum(value / len(values) for value in values)  # the sum itself may be larger than any float
    told = values[0], mean, values[-1], *(percentile(values, p) for p in (50, 95, 99))
    return Figures(len(values), *_rounded(told))


def _rounded(told: tuple[float, ...]) -> Iterator[float]:
    """Ratios near one by what they lack to it; whether these are some is told by where they lie."""
    return map(share if min(told) > 0.5 and max(told) <= 1 else figure, told)


def step_for(since: datetime, until: datetime, wanted: timedelta | None) -> timedelta:
    """The period of an answer: `wanted` or about `POINTS_WANTED`, rounded up, and never too many points."""
    span = max(until - since, SHORT)
    if wanted is None:
        return next((step for step in _STEPS if span <= step * POINTS_WANTED), _up(span / POINTS_WANTED, _STEPS[-1]))
    least = max(wanted, span / POINTS_LIMIT, SHORT)
    return _up(least, SHORT if least < LONG else LONG)


def _up(span: timedelta, unit: timedelta) -> timedelta:
    return unit * -(-span // unit)


def join(points: Iterable[Point], step: timedelta) -> list[Point]:
    """The points in periods of `step`, which is a multiple of theirs, from 1970 on; in order of time."""
    length = step // _MILLISECOND
    parts: dict[int, list[Point]] = {}
    for point in points:
        parts.setdefault(round(point.at.timestamp() * 1000) // length, []).append(point)
    return [_joined(from_millis(index * length), step, parts[index]) for index in sorted(parts)]


def _joined(at: datetime, step: timedelta, parts: Sequence[Point]) -> Point:
    if len(parts) == 1 and parts[0].span == step:
        return parts[0]
    seconds: dict[State, float] = {}
    told: dict[str, list[Figures]] = {}
    for part in parts:
        for state, length in part.seconds.items():
            seconds[state] = round(seconds.get(state, 0.0) + length, 3)
        for name, figures in part.figures.items():
            told.setdefault(name, []).append(figures)
    return Point(
        at, step, sum(part.looks for part in parts), sum(part.failed for part in parts), seconds,
        {name: _mixed(figures) for name, figures in told.items()},
    )  # fmt: skip


def _mixed(parts: Sequence[Figures]) -> Figures:
    if len(parts) == 1:
        return parts[0]
    count = sum(part.count for part in parts)
    atoms = sorted(atom for part in parts for atom in _atoms(part))
    told = (
        min(part.min for part in parts),
        math.fsum(part.mean * (part.count / count) for part in parts),
        max(part.max for part in parts),
        *(_weighted(atoms, count * share_of) for share_of in (0.50, 0.95, 0.99)),
    )
    return Figures(count, *_rounded(told))


def _atoms(part: Figures) -> Iterator[tuple[float, float]]:
    """The part as (value, weight): the looks in each share of it stand at the value in the middle of the share."""
    knots = ((0.0, part.min), (0.5, part.p50), (0.95, part.p95), (0.99, part.p99), (1.0, part.max))
    for low, high in pairwise(_CUTS):
        middle = (low + high) / 2
        (x0, y0), (x1, y1) = next(pair for pair in pairwise(knots) if middle < pair[1][0])
        yield between(y0, y1, (middle - x0) / (x1 - x0)), (high - low) * part.count


def _weighted(atoms: Sequence[tuple[float, float]], below: float) -> float:
    """The value that so much weight lies below."""
    passed = list(accumulate(weight for _, weight in atoms))
    return atoms[min(bisect_left(passed, below), len(atoms) - 1)][0]
