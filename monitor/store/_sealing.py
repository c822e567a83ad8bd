"""Sealing: the looks of some checks, which lie in many small batches, become chunks and roll-ups."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

from monitor.core.columns import Columns, distribute
from monitor.core.history import LONG, SHORT, Point, Retention
from monitor.core.rollup import Held, join, roll_up
from monitor.core.rows import Rows, to_millis
from monitor.store._chunks import dump_columns, dump_points, dump_rows, load_points, load_rows
from monitor.store._history_file import LONG_POINTS, RAW, SHORT_POINTS

Write = tuple[str, tuple[object, ...]]

_COVERED = {SHORT_POINTS: 86_400_000, LONG_POINTS: 20 * 86_400_000}
"""How much time a chunk of roll-ups covers (ms): long enough to be packed well, and it is written anew every time."""

_ADD_BATCH = "INSERT INTO batches (bunch, first, last, looks) VALUES (?, ?, ?, ?)"
_ADD_LAYOUT = "INSERT OR IGNORE INTO layouts (text) VALUES (?)"
_ADD_CHUNK = """
    INSERT INTO chunks (kind, series, first, last, layout, body)
    VALUES (?, ?, ?, ?, (SELECT number FROM layouts WHERE text = ?), ?)"""
_CHANGE_CHUNK = "UPDATE chunks SET layout = (SELECT number FROM layouts WHERE text = ?), body = ? WHERE number = ?"
_FIND_CHUNK = """
    SELECT chunks.number, body, text FROM chunks JOIN layouts ON layouts.number = layout
    WHERE series = ? AND kind = ? AND first = ?"""
_HOLD = "UPDATE series SET held_state = ?, held_since = ?, held_until = ? WHERE number = ?"


def kept_by_kind(retention: Retention) -> dict[int, timedelta]:
    """How long each kind of chunk is kept."""
    return {RAW: retention.raw, SHORT_POINTS: retention.five_minutes, LONG_POINTS: retention.hourly}


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All or nothing; it survives a kill, and may be lost with the power."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def add_batch(db: sqlite3.Connection, bunch: int, rows: Rows[int]) -> None:
    db.execute(_ADD_BATCH, (bunch, min(rows.ats), max(rows.ats), dump_rows(rows)))


def read_held(db: sqlite3.Connection, series: int) -> Held | None:
    row = db.execute("SELECT held_state, held_since, held_until FROM series WHERE number = ?", (series,)).fetchone()
    return None if row is None or row[0] is None else Held(*row)


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
            writes += _chunk(series, columns)
        yield
        held = read_held(db, series)
        for kind, period in ((SHORT_POINTS, SHORT), (LONG_POINTS, LONG)):
            points, after = roll_up(columns, period, held, cut)
            if kept_by_kind(retention)[kind]:
                writes += _points(db, series, kind, points)
            yield
        assert after is not None  # noqa: S101  (there are looks)
        writes.append((_HOLD, (after.state, after.since, after.until, series)))
    with transaction(db):
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


def _chunk(series: int, columns: Columns) -> Iterator[Write]:
    body, layout = dump_columns(columns)
    yield _ADD_LAYOUT, (layout,)
    yield _ADD_CHUNK, (RAW, series, min(columns.ats), max(columns.ats), layout, body)


def _points(db: sqlite3.Connection, series: int, kind: int, points: Sequence[Point]) -> Iterator[Write]:
    """Each point into the chunk of its days, beside those that are there."""
    parts: dict[int, list[Point]] = {}
    for point in points:
        parts.setdefault(to_millis(point.at) // _COVERED[kind] * _COVERED[kind], []).append(point)
    for first, part in parts.items():
        row = db.execute(_FIND_CHUNK, (series, kind, first)).fetchone()
        known = _read_points(row[1], row[2]) if row else []
        body, layout = dump_points(join([*known, *part], part[0].span))
        yield _ADD_LAYOUT, (layout,)
        if row:
            yield _CHANGE_CHUNK, (layout, body, row[0])
        else:
            yield _ADD_CHUNK, (kind, series, first, first + _COVERED[kind], layout, body)


def _read_points(body: bytes, layout: str) -> list[Point]:
    try:
        return load_points(body, layout)
    except ValueError:
        return []  # what cannot be read makes room
