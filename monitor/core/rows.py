"""Looks on their way into the history: one after another, in arrays of their parts, some 80 bytes each, no objects.

Owned and mutable, like the windows of a judge. Times are whole milliseconds, as `quantise` makes them.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Hashable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar

from monitor.core.form import form_of
from monitor.core.model import Check, Look, State

K = TypeVar("K", bound=Hashable)
N = TypeVar("N", bound=Hashable)

STATES = tuple(State)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_SCHEDULED, _FULL = 4, 8


def to_millis(at: datetime) -> int:
    """UTC milliseconds since 1970, cut."""
    return (at - _EPOCH) // _MILLISECOND


def from_millis(millis: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=millis)


def mark_of(state: State, *, scheduled: bool, full: bool) -> int:
    """The bits of a look: the check's state after it, and what it was taken for."""
    return STATES.index(state) | scheduled * _SCHEDULED | full * _FULL


def state_of(mark: int) -> int:
    """The place of the state in `STATES`."""
    return mark & 3


def is_scheduled(mark: int) -> bool:
    return bool(mark & _SCHEDULED)


def is_full(mark: int) -> bool:
    return bool(mark & _FULL)


class Rows(Generic[K]):
    """Looks at any checks, in the order in which they were judged. `K` names a check: its id, or a number for it."""

    __slots__ = (
        "ats", "everies", "formerly", "layouts", "marks", "reasons", "shapes", "ticks", "tooks", "values", "whose",
        "words",
    )  # fmt: skip

    def __init__(self) -> None:
        self.whose: list[K] = []
        self.ats = array("q")
        """When each look began: UTC, in ms since 1970."""
        self.ticks = array("q")
        """The same on the monotonic clock (ms)."""
        self.tooks = array("q")
        """From its begin to its end (ms)."""
        self.everies = array("q")
        """The interval of the check at that time (ms)."""
        self.marks = array("B")
        self.reasons = array("H")
        """Places in `words`."""
        self.shapes = array("H")
        """Places in `layouts`."""
        self.values = array("d")
        """The figures of all looks, one look after another."""
        self.words: dict[str, int] = {"": 0}
        """The values of reasons; the empty one for a look that did not fail."""
        self.layouts: dict[tuple[str, ...], int] = {}
        """The names of the figures of a look."""
        self.formerly: dict[K, tuple[str, ...]] = {}
        """The ids under which a check was known before, of those that have some."""

    def __len__(self) -> int:
        return len(self.ats)

    def add(self, key: K, check: Check, look: Look, state: State) -> None:
        """Take in a look that was judged; `state` is the check's after it.

        Measurements that are phases of the look (``connect_time``, for the phase ``connect``) are taken only where a
        threshold names them.
        """
        observation, began, form = look.observation, look.began, form_of(check)
        measured = observation.measurements
        names = form.kept(observation.phases, measured)
        tick, ended = round(began.tick * 1000), round(look.ended.tick * 1000)
        self.append(
            key,
            began.micros // 1000,
            tick,
            ended - tick if ended > tick else 0,
            form.every,
            mark_of(state, scheduled=look.scheduled, full=look.limit >= form.full),
            "" if observation.reason is None else observation.reason.value,
            names,
        )
        self.values.extend([measured[name] for name in names])
        if check.was:
            self.formerly[key] = check.was

    def append(
        self, key: K, at: int, tick: int, took: int, every: int, mark: int, word: str, names: tuple[str, ...]
    ) -> None:
        self.whose.append(key)
        self.ats.append(at)
        self.ticks.append(tick)
        self.tooks.append(took)
        self.everies.append(every)
        self.marks.append(mark)
        self.reasons.append(self.words.setdefault(word, len(self.words)))
        self.shapes.append(self.layouts.setdefault(names, len(self.layouts)))

    def offsets(self) -> Iterator[tuple[int, int, tuple[str, ...]]]:
        """Of each look: its row, where its figures begin in `values`, and their names."""
        names, at = list(self.layouts), 0
        for row, shape in enumerate(self.shapes):
            yield row, at, names[shape]
            at += len(names[shape])

    def split(self, names: Sequence[N], part_of: Callable[[N], int]) -> Iterator[tuple[int, Rows[N]]]:
        """The same looks under other `names` of their checks, one for each look; one part after another: all at once
        would be the memory of every check twice."""
        begins = array("I")
        parts: dict[int, array[int]] = {}
        for row, at, _ in self.offsets():
            begins.append(at)
            parts.setdefault(part_of(names[row]), array("I")).append(row)
        words, layouts = list(self.words), list(self.layouts)
        for number, members in parts.items():
            part: Rows[N] = Rows()
            for row in members:
                word, figures = words[self.reasons[row]], layouts[self.shapes[row]]
                part._copy(names[row], self, row, word, figures, begins[row])
            yield number, part

    def cut(self, at: int) -> tuple[Rows[K], Rows[K]]:
        """The looks that began before that time (ms), and the others."""
        if not self or max(self.ats) < at:
            return self, Rows()
        early: Rows[K] = Rows()
        late: Rows[K] = Rows()
        words = list(self.words)
        for row, offset, names in self.offsets():
            part = early if self.ats[row] < at else late
            part._copy(self.whose[row], self, row, words[self.reasons[row]], names, offset)  # noqa: SLF001
        return early, late

    def extend(self, other: Rows[K]) -> None:
        """Take over all looks of another."""
        words = list(other.words)
        for row, offset, names in other.offsets():
            self._copy(other.whose[row], other, row, words[other.reasons[row]], names, offset)

    def _copy(self, key: K, other: Rows[Any], row: int, word: str, names: tuple[str, ...], offset: int) -> None:
        self.append(
            key, other.ats[row], other.ticks[row], other.tooks[row], other.everies[row], other.marks[row], word, names
        )
        self.values.extend(other.values[offset : offset + len(names)])
