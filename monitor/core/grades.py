"""Many figures in little room: how often each was seen, on a scale with steps of 1 % to 2 % of the figure itself.

A scale of decimals is taken, and not one of equal ratios (as in DDSketch, Masson, Rim and Lee, 2019), for the sake of
the limits that people write. It goes by 0.02 from 1 to 2, by 0.05 to 5 and by 0.1 to 10, in each power of ten, so
every figure of two digits (`300ms`, `1.5s`, `20MB`) is a grade itself. What is at such a limit is at it after
rounding, and what is not above it is not above it after rounding: no rounding makes a limit crossed. A figure
of three digits, as all that is judged (`monitor.core.quantise`), is off by 1 % of itself at most.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import pairwise

_MANTISSAS = (*range(100, 200, 2), *range(200, 500, 5), *range(500, 1000, 10))
_STEPS = len(_MANTISSAS)
_BOUNDS = tuple(5 * (low + high) for low, high in pairwise((*_MANTISSAS, 1000)))
"""Half way between two steps, in four digits; what is there is of the lower one. The next power is behind all."""

_LEAST, _LARGEST = -9, 17
"""The powers of ten that are told apart: what is nearer to 0 is 0, what is farther from it is at the end."""

NOTHING = 0
"""The grade of 0."""
_TOP = (_LARGEST - _LEAST + 1) * _STEPS + 1

_MOST = 2**24
"""Figures that are believed to have been counted in one: several together are still countable."""


def grade_of(value: float) -> int:
    """The place of a finite figure on the scale; a larger figure's is never lower."""
    size = abs(value)
    digits = f"{size:.3e}"
    power = int(digits[6:])
    if power < _LEAST or not size:
        return NOTHING
    place = bisect_left(_BOUNDS, int(digits[0] + digits[2:5]))
    grade = min((power - _LEAST) * _STEPS + place + 1, _TOP)
    return grade if value > 0 else -grade


def figure_of(grade: int) -> float:
    """The figure of that place."""
    if not grade:
        return 0.0
    power, place = divmod(abs(grade) - 1, _STEPS)
    size = float(f"{_MANTISSAS[place]}e{power + _LEAST - 2}")
    return size if grade > 0 else -size


class Grades:
    """How often each grade was seen: two columns in order of the grades."""

    __slots__ = ("_grades", "_times", "count")

    def __init__(self) -> None:
        self._grades = array("h")
        self._times = array("I")
        self.count = 0
        """Figures in all."""

    def __len__(self) -> int:
        return len(self._grades)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Each grade with how often it was seen, the lowest first."""
        return zip(self._grades, self._times, strict=True)

    def add(self, grade: int, times: int = 1) -> None:
        at = bisect_left(self._grades, grade)
        if at < len(self._grades) and self._grades[at] == grade:
            self._times[at] += times
        else:
            self._grades.insert(at, grade)
            self._times.insert(at, times)
        self.count += times

    def remove(self, other: Iterable[tuple[int, int]]) -> None:
        """Take away what was added before."""
        for grade, times in other:
            at = bisect_left(self._grades, grade)
            self.count -= times
            if self._times[at] > times:
                self._times[at] -= times
            else:
                del self._grades[at], self._times[at]

    def nearest(self, grade: int) -> int:
        """The one of those that were seen that is nearest; the lower one of two. There must be one."""
        at = bisect_left(self._grades, grade)
        return min(self._grades[max(at - 1, 0) : at + 1], key=lambda seen: abs(seen - grade))

    def at(self, rank: int) -> int:
        """The grade of the figure that has so many below it, 0 to `count` - 1: counted from the nearer end."""
        place, step = 0, 1
        if rank * 2 >= self.count:
            place, step, rank = -1, -1, self.count - 1 - rank
        times = self._times
        while rank >= times[place]:
            rank -= times[place]
            place += step
        return self._grades[place]

    def columns(self) -> tuple[bytes, bytes]:
        """For a snapshot."""
        return self._grades.tobytes(), self._times.tobytes()

    @classmethod
    def read(cls, grades: bytes, times: bytes) -> Grades:
        """The reverse of `columns`. Raises `ValueError` for what nobody can have written."""
        found = cls()
        found._grades.frombytes(grades)
        found._times.frombytes(times)
        ordered = all(low < high for low, high in zip(found._grades, found._grades[1:], strict=False))
        found.count = sum(found._times)
        alike = len(found._grades) == len(found._times)
        if not (alike and ordered and all(found._times) and found.count <= _MOST):
            raise ValueError("these are no grades")
        return found
