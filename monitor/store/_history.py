"""The history in SQL: looks come in batches, are sealed into chunks and roll-ups every two hours, and go by age.

A look is written twice: at once, in a batch with those of other checks, which survives a kill; and once more when its
hours are complete, among its check's, which is small. Sealing, pruning and giving pages back are cut into slices of a
few milliseconds.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from time import perf_counter

from monitor.core.history import Retention
from monitor.core.naming import known_as
from monitor.core.rows import Rows, to_millis
from monitor.store._database import transaction
from monitor.store._definitions import Written, keep
from monitor.store._history_file import Unreadable
from monitor.store._sealing import add_batch, kept_by_kind, seal

BUNCH = 32
"""Checks that are written together."""
SEAL_EVERY = 2
"""Hours between two sealings of a bunch; they take turns."""
MARGIN = timedelta(minutes=2)
"""So long after an hour has ended it is sealed: looks that began in it may still be under way. What comes later is
joined to it."""
SLICE = 0.004
"""Seconds of work in one slice, about."""
_PRUNED_AT_ONCE = 16
"""Rows removed in a slice. It also bounds what a clock that is wrong for a moment can cost."""
SPARE_PAGES = 8_000
"""Free pages kept for what comes next; beyond them, and a quarter of the file, they are given back."""
_PAGES_AT_ONCE = 32
_PRUNE_EVERY = 60_000
"""Milliseconds between two searches for what is too old."""
_HOUR = 3_600_000
_DAY = 24 * _HOUR
_MOST_SERIES = 2**32
"""Their numbers have four bytes in a batch."""
_MILLISECOND = timedelta(milliseconds=1)

_PRUNE = "DELETE FROM {kind} WHERE number IN (SELECT number FROM {kind} WHERE last < ? ORDER BY number LIMIT ?)"
_PRUNE_GROWING = "DELETE FROM growing WHERE kind = ? AND last < ?"


class History:
    """All of it is called on one thread. Raises `sqlite3.Error`, `Unreadable`; `ValueError` for damage in a blob."""

    def __init__(self, db: sqlite3.Connection, retention: Retention, *, spare: int = SPARE_PAGES) -> None:
        """`spare`: free pages that are kept at least."""
        self._db = db
        self._retention = retention
        self._spare_pages = spare
        self._run: int | None = None
        self._seen: set[str] = set()
        """The names that had looks since the start, as they are now."""
        self._recall()
        self._work: Iterator[None] | None = None
        """The sealing that is under way."""
        self._prune_at = 0
        """When it is looked for something to prune (ms)."""

    def record(self, looks: Rows[str], now: datetime) -> None:
        """Keep looks; a bunch at a time, so that sealing finds them together."""
        run, seen = self._run, set(self._seen)
        try:
            with transaction(self._db, durable=False):
                if any(kept_by_kind(self._retention).values()):
                    numbers = [self._number(check, looks.formerly) for check in looks.whose]
                    for bunch, rows in looks.split(numbers, lambda number: number // BUNCH):
                        add_batch(self._db, bunch, rows)
                        first = min(rows.ats)
                        self._oldest[bunch] = min(first, self._oldest.get(bunch, first))
                self._live(to_millis(now))
        except BaseException:
            # What was noted meanwhile is not in the file: looks would be kept under numbers that name nobody.
            self._run, self._seen = run, seen
            self._recall()
            raise

    def define(self, definition: Written) -> None:
        """Keep what looks are judged by, for as long as there are looks of that time."""
        raw = max(self._retention.raw // _MILLISECOND, _DAY)
        with transaction(self._db, durable=False):
            keep(self._db, definition, definition.at - raw)

    def reread(self) -> None:
        """Raises `sqlite3.Error` where the file is damaged, as somebody else has found: what is kept of it in memory
        would hide that until long after."""
        self._db.execute("PRAGMA shrink_memory")
        self._recall()

    def _recall(self) -> None:
        self._numbers: dict[str, int] = dict(self._db.execute("SELECT check_id, number FROM series"))
        if not all(0 <= number < _MOST_SERIES for number in self._numbers.values()):
            raise Unreadable("the history is damaged (a series has a number that nobody has given)")
        self._oldest: dict[int, int] = dict(self._db.execute("SELECT bunch, MIN(first) FROM batches GROUP BY bunch"))
        """Of each bunch that has looks which are not sealed: when the first of them began (ms)."""

    def _live(self, now: int) -> None:
        if self._run is None:
            self._run = self._db.execute("INSERT INTO runs (began, seen) VALUES (?, ?)", (now, now)).lastrowid
        self._db.execute("UPDATE runs SET seen = ? WHERE number = ?", (now, self._run))

    def _number(self, check: str, formerly: Mapping[str, Sequence[str]]) -> int:
        """Of the series that the next look at the check belongs to: in one batch there may be looks from before it
        was renamed and from afterwards."""
        if check not in self._seen:
            former = known_as(check, formerly.get(check, ()), self._numbers, self._seen)
            if former is not None:
                self._rename(former, check)
            self._seen.add(check)
        number = self._numbers.get(check)
        if number is None:
            number = self._db.execute("INSERT INTO series (check_id) VALUES (?)", (check,)).lastrowid
            assert number is not None  # noqa: S101  (a row was inserted)
            self._numbers[check] = number
        return number

    def _rename(self, former: str, check: str) -> None:
        if check in self._numbers:
            self._rename(check, f"{check}#{self._numbers[check]}")  # of a check that went long ago; it goes by age
        number = self._numbers[check] = self._numbers.pop(former)
        self._seen.discard(former)
        self._db.execute("UPDATE series SET check_id = ? WHERE number = ?", (check, number))

    def tend(self, now: datetime) -> bool:
        """One slice of what is to be done; whether there is more."""
        until = perf_counter() + SLICE
        if self._work is None:
            self._work = self._next_sealing(to_millis(now - MARGIN) // _HOUR)
        if self._work is None:
            return self._prune(to_millis(now))
        try:
            while perf_counter() < until:
                next(self._work)
        except StopIteration:
            self._work = None
        except BaseException:
            self._work = None  # it begins anew the next time
            raise
        return True

    def _next_sealing(self, hour: int) -> Iterator[None] | None:
        """Of the next bunch whose turn it is at the beginning of this hour (hours since 1970)."""
        cut = hour * _HOUR
        for bunch, oldest in self._oldest.items():
            turn = (hour + bunch) % SEAL_EVERY == 0 and oldest < cut - _HOUR
            if turn or oldest < cut - SEAL_EVERY * _HOUR:
                return self._seal(bunch, cut)
        return None

    def _seal(self, bunch: int, cut: int) -> Iterator[None]:
        yield from seal(self._db, self._retention, bunch, cut)
        [oldest] = self._db.execute("SELECT MIN(first) FROM batches WHERE bunch = ?", (bunch,)).fetchone()
        self._oldest.pop(bunch, None)
        if oldest is not None:
            self._oldest[bunch] = oldest
        yield

    def _prune(self, now: int) -> bool:
        """Remove some of what is too old; give free pages back when there are many more than will be needed."""
        if now < self._prune_at <= now + _PRUNE_EVERY:
            return False
        with transaction(self._db, durable=False):
            for kind, kept in kept_by_kind(self._retention).items():
                oldest = now - kept // _MILLISECOND
                removed = self._db.execute(_PRUNE.format(kind=kind), (oldest, _PRUNED_AT_ONCE)).rowcount
                if removed == _PRUNED_AT_ONCE:
                    return True
                self._db.execute(_PRUNE_GROWING, (kind, oldest))
            longest = max(kept_by_kind(self._retention).values()) // _MILLISECOND
            self._db.execute("DELETE FROM runs WHERE seen < ?", (now - longest,))
        if self._spare() > 0:
            # A step for each page, and `execute` makes but one: it gave back one page a slice.
            self._db.executescript(f"PRAGMA incremental_vacuum({_PAGES_AT_ONCE})")
            return True
        self._prune_at = now + _PRUNE_EVERY
        return False

    def _spare(self) -> int:
        """Free pages that can be given back."""
        [free] = self._db.execute("PRAGMA freelist_count").fetchone()
        [pages] = self._db.execute("PRAGMA page_count").fetchone()
        return int(free - max(self._spare_pages, pages // 4))
