"""The looks at one check as columns: as they are kept, read and rolled up."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator, Mapping

from monitor.core.history import Sample
from monitor.core.rows import STATES, K, Rows, from_millis, is_full, is_scheduled, state_of
from probes.contract import Reason

ABSENT = math.nan
"""In the place of a figure that a look did not tell."""


class Columns:
    """Looks at one check, in the order in which they were judged; the columns of `Rows`."""

    __slots__ = ("ats", "everies", "figures", "marks", "reasons", "ticks", "tooks", "words")

    def __init__(self) -> None:
        self.ats = array("q")
        self.ticks = array("q")
        self.tooks = array("q")
        self.everies = array("q")
        self.marks = array("B")
        self.reasons = array("H")
        self.words: dict[str, int] = {"": 0}
        self.figures: dict[str, array[float]] = {}
        """By measurement; as long as the others."""

    def __len__(self) -> int:
        return len(self.ats)

    def append(
        self, at: int, tick: int, took: int, every: int, mark: int, word: str, figures: Mapping[str, float]
    ) -> None:
        known = len(self)
        self.ats.append(at)
        self.ticks.append(tick)
        self.tooks.append(took)
        self.everies.append(every)
        self.marks.append(mark)
        self.reasons.append(self.words.setdefault(word, len(self.words)))
        for name in figures.keys() - self.figures.keys():
            self.figures[name] = array("d", [ABSENT]) * known
        for name, column in self.figures.items():
            column.append(figures.get(name, ABSENT))

    def extend(self, other: Columns) -> None:
        """Take over all looks of another."""
        if self and (self.words, self.figures.keys()) == (other.words, other.figures.keys()):
            for name in ("ats", "ticks", "tooks", "everies", "marks", "reasons"):
                getattr(self, name).extend(getattr(other, name))
            for name, column in self.figures.items():
                column.extend(other.figures[name])
            return
        words = list(other.words)
        for row in range(len(other)):
            self.append(
                other.ats[row], other.ticks[row], other.tooks[row], other.everies[row], other.marks[row],
                words[other.reasons[row]], other.told(row),
            )  # fmt: skip

    def parts(self, length: int) -> dict[int, Columns]:
        """The looks by the span of `length` ms that they began in; each is named by its beginning."""
        firsts = [at // length * length for at in self.ats]
        if len(set(firsts)) == 1:
            return {firsts[0]: self}
        words, found = list(self.words), dict[int, Columns]()
        for row, first in enumerate(firsts):
            found.setdefault(first, Columns()).append(
                self.ats[row], self.ticks[row], self.tooks[row], self.everies[row], self.marks[row],
                words[self.reasons[row]], self.told(row),
            )  # fmt: skip
        return found

    def told(self, row: int) -> dict[str, float]:
        """The figures of one look."""
        return {name: column[row] for name, column in self.figures.items() if not math.isnan(column[row])}

    def samples(self, rows: Iterable[int]) -> Iterator[Sample]:
        """The looks in those rows, as values."""
        words = list(self.words)
        for row in rows:
            mark = self.marks[row]
            yield Sample(
                began=from_millis(self.ats[row]),
                tick=self.ticks[row] / 1000,
                took=self.tooks[row] / 1000,
                state=STATES[state_of(mark)],
                scheduled=is_scheduled(mark),
                full=is_full(mark),
                reason=_reason(words[self.reasons[row]]),
                measurements=self.told(row),
            )


def distribute(rows: Rows[K], into: dict[K, Columns], *, only: K | None = None) -> None:
    """Put each look where its check's are; or those of one check only."""
    words = list(rows.words)
    for row, at, names in rows.offsets():
        key = rows.whose[row]
        if only is not None and key != only:
            continue
        columns = into.get(key)
        if columns is None:
            columns = into[key] = Columns()
        columns.append(
            rows.ats[row], rows.ticks[row], rows.tooks[row], rows.everies[row], rows.marks[row],
            words[rows.reasons[row]], dict(zip(names, rows.values[at : at + len(names)], strict=True)),
        )  # fmt: skip


def _reason(word: str) -> Reason | None:
    """A word that this version does not know was written by another one: the look failed, and that is what counts."""
    if not word:
        return None
    try:
        return Reason(word)
    except ValueError:
        return Reason.NO_DATA
