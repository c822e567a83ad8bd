"""What a benchmark tells: one line, the same shape for all.

NAME | LABEL VALUE UNIT (<= LIMIT ok); LABEL VALUE UNIT; ... | ok | how it was measured
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure. `limit` is the most it may be, or with `floor` the least; None: told, not judged."""

    label: str
    value: float
    unit: str
    limit: float | None = None
    floor: bool = False

    @property
    def ok(self) -> bool:
        if self.limit is None:
            return True
        return self.value >= self.limit if self.floor else self.value <= self.limit

    def __str__(self) -> str:
        text = f"{self.label} {_short(self.value)} {self.unit}"
        if self.limit is None:
            return text
        return f"{text} ({'>=' if self.floor else '<='} {_short(self.limit)} {'ok' if self.ok else 'over'})"


@dataclass(frozen=True, slots=True)
class Line:
    """A benchmark's answer; `how` says what was repeated and where the median was taken."""

    name: str
    figures: tuple[Figure, ...]
    how: str

    @property
    def ok(self) -> bool:
        return all(figure.ok for figure in self.figures)

    def __str__(self) -> str:
        told = "; ".join(map(str, self.figures))
        return f"{self.name} | {told} | {'ok' if self.ok else 'over'} | {self.how}"


Measure = Callable[[argparse.Namespace], Line]


def run(measure: Measure, *, seconds: float | None = None) -> int:
    """Parse the options, measure, print the line; the exit code. `seconds`: the default of `--seconds`, if any."""
    parser = argparse.ArgumentParser(description=measure.__doc__)
    parser.add_argument("--quick", action="store_true", help="a few seconds: shows that it runs, judges nothing")
    if seconds is not None:
        parser.add_argument("--seconds", type=float, help=f"how long to measure ({seconds:g})")
    options, _ = parser.parse_known_args()
    if seconds is not None and options.seconds is None:
        options.seconds = 2.0 if options.quick else seconds
    line = measure(options)
    print(line, flush=True)
    return 0 if line.ok or options.quick else 1


def spread(values: Sequence[float], unit: str = "") -> str:
    """``median of 5, 1.1 to 1.4 s``"""
    return f"median of {len(values)}, {_short(min(values))} to {_short(max(values))} {unit}".rstrip()


def percentile(values: Sequence[float], percent: float) -> float:
    """Nearest rank: a value that was seen. 0.0 of nothing."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * percent / 100), len(ordered) - 1)] if ordered else 0.0


median = statistics.median


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
