"""Sealing: the looks of some checks, which lie in many small batches, become chunks and roll-ups."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import timedelta

from monitor.core.columns import Columns, distribute
from monitor.core.history import LONG, SHORT, Point, Retention
from monitor.core.rollup import Held, join, roll_up
from monitor.core.rows import STATES, Rows, to_millis
from monitor.store._chunks import dump_columns, dump_points, dump_rows, load_columns, load_points, load_rows
from monitor.store._database import transaction
from monitor.store._history_file import LONG_POINTS, RAW, SHORT_POINTS

Write = tuple[str, tuple[object, ...]]

_COVERED = {RAW: 6 * 3_600_000, SHORT_POINTS: 4 * 86_400_000, LONG_POINTS: 20 * 86_400_000}
"""How much time a chunk covers (ms): long enough to be packed well, short enough to be written anew at every sealing
until it is complete."""
_HELD_MOST = 400 * 86_400_000
"""Milliseconds for which a state is known to go on, at most: as long as anything is kept by default."""

_ADD_BATCH = "INSERT INTO batches (bunch, first, last, looks) VALUES (?, ?, ?, ?)"
_ADD_LAYOUT = "INSERT OR IGNORE INTO layouts (text) VALUES (?)"
_GROW = """
    INSERT INTO growing (kind, series, first, last, layout, body)
    VALUES (?, ?, ?, ?, (SELECT number FROM layouts WHERE text = ?), ?)
    ON CONFLICT DO UPDATE SET layout = excluded.layout, body = excluded.body"""
_FIND = """
    SELECT body, text FROM growing JOIN layouts ON layouts.number = layout
    WHERE kind = ? AND series = ? AND first = ?"""
_COMPLETE = """
    INSERT INTO {kind} (series, first, last, layout, body)
    VALUES (?, ?, ?, (SELECT number FROM layouts WHERE text = ?), ?)"""
_GROWN = "DELETE FROM growing WHERE kind = ? AND series = ? AND first = ?"
_HOLD = "UPDATE series SET held_state = ?, held_since = ?, held_until = ? WHERE number = ?"


def kept_by_kind(retention: Retention) -> dict[str, timedelta]:
    """How long each kind of chunk is kept."""
    return {RAW: retention.raw, SHORT_POINTS: retention.five_minutes, LONG_POINTS: retention.hourly}


def add_batch(db: sqlite3.Connection, bunch: int, rows: Rows[int]) -> None:
    db.execute(_ADD_BATCH, (bunch, min(rows.ats), max(rows.ats), dump_rows(rows)))


def read_held(db: sqlite3.Connection, series: int) -> Held | None:
    """The state that goes on; None where there is none, or none that we have written: time is counted by it."""
    row = db.execute("SELECT held_state, held_since, held_until FROM series WHERE number = ?", (series,)).fetchone()
    if row is None or not all(isinstance(value, int) for value in row):
        return None
    state, since, until = row
    if not (0 <= state < len(STATES) and since >= 0):
        return None
    return Held(state, since, min(until, since + _HELD_MOST))


def seal(db: sqlite3.Connection, retention: Retention, bunch: int, cut: int) -> Iterator[None]:
    """All looks of the bunch that began before `cut` (ms), in one transaction at the end; yields after each slice."""
    cursor = db.execute("SELECT number FROM batches WHERE bunch = ? AND first < ?", (bunch, cut))
    numbers = [row[0] for row in cursor]
    found: dict[int, Columns] = {}
    rest: Rows[int] = Rows()
    for number in numbers:
        [blob] = db.execute("SELECT looks FROM batches WHERE number = ?", (number,)).fetchone()
        _take(blob, cut, found, rest)
        yield
    writes: list[Write] = []
    for series, columns in found.items():
        if retention.raw:
            writes += _chunks(db, series, columns, cut)
        yield
        held = read_held(db, series)
        for kind, period in ((SHORT_POINTS, SHORT), (LONG_POINTS, LONG)):
            points, after = roll_up(columns, period, held, cut)
            if kept_by_kind(retention)[kind]:
                writes += _points(db, series, kind, points, cut)
            yield
        assert after is not None  # noqa: S101  (there are looks)
        writes.append((_HOLD, (after.state, after.since, after.until, series)))
    with transaction(db, durable=False):
        for statement, values in writes:
            db.execute(statement, values)
        db.executemany("DELETE FROM batches WHERE number = ?", [(number,) for number in numbers])
        if rest:
            add_batch(db, bunch, rest)


def _take(blob: bytes, cut: int, found: dict[int, Columns], rest: Rows[int]) -> None:
    try:
        early, late = load_rows(blob).cut(cut)
    except ValueError:
        return  # a batch that cannot be read is given up; the others are not
    distribute(early, found)
    rest.extend(late)


def _chunks(db: sqlite3.Connection, series: int, columns: Columns, cut: int) -> Iterator[Write]:
    """The looks, beside those that are in the chunk of their hours."""
    for first, part in columns.parts(_COVERED[RAW]).items():
        known = Columns()
        for body, layout in db.execute(_FIND, (RAW, series, first)):
            with suppress(ValueError):  # what cannot be read makes room
                known = load_columns(body, layout)
        known.extend(part)
        body, layout = dump_columns(known)
        yield from _put(RAW, series, first, cut, body, layout)


def _points(db: sqlite3.Connection, series: int, kind: str, points: Sequence[Point], cut: int) -> Iterator[Write]:
    """Each point into the chunk of its days, beside those that are there."""
    parts: dict[int, list[Point]] = {}
    for point in points:
        parts.setdefault(to_millis(point.at) // _COVERED[kind] * _COVERED[kind], []).append(point)
    for first, part in parts.items():
        known: list[Point] = []
        for body, layout in db.execute(_FIND, (kind, series, first)):
            with suppress(ValueError):
                known = load_points(body, layout)
        body, layout = dump_points(join([*known, *part], part[0].span))
        yield from _put(kind, series, first, cut, body, layout)


def _put(kind: str, series: int, first: int, cut: int, body: bytes, layout: str) -> Iterator[Write]:
    """A chunk that is complete goes to its table's end, where it fills pages; until then it is where it can grow."""
    last = first + _COVERED[kind]
    yield _ADD_LAYOUT, (layout,)
    if cut < last:
        yield _GROW, (kind, series, first, last, layout, body)
    else:
        yield _COMPLETE.format(kind=kind), (series, first, last, layout, body)
        yield _GROWN, (kind, series, first)
