"""Reading the history in SQL: what is sealed, and what is not yet, as one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise

from monitor.core.columns import Columns, distribute
from monitor.core.history import LONG, SHORT, Point, Sample
from monitor.core.rollup import join, roll_up, step_for
from monitor.core.rows import from_millis, to_millis
from monitor.store._chunks import load_columns, load_points, load_rows
from monitor.store._history import BUNCH
from monitor.store._history_file import LONG_POINTS, RAW, SHORT_POINTS
from monitor.store._sealing import read_held

_CHUNKS = """
    SELECT body, text FROM (
        SELECT first, layout, body FROM {kind} WHERE series = :series AND first < :end AND last >= :begin
        UNION ALL
        SELECT first, layout, body FROM growing
        WHERE series = :series AND kind = '{kind}' AND first < :end AND last >= :begin)
    JOIN layouts ON layouts.number = layout ORDER BY first"""
_BATCHES = "SELECT looks FROM batches WHERE bunch = ? AND last >= ? AND first < ? ORDER BY first, number"


def samples(db: sqlite3.Connection, check: str, since: datetime, until: datetime) -> Iterator[Sample]:
    """Oldest first, read as they are taken. Raises `ValueError` for damage."""
    number, begin, end = _number(db, check), to_millis(since), to_millis(until)
    if number is None:
        return
    for body, layout in _chunks(db, RAW, number, begin, end):
        yield from _between(load_columns(body, layout), begin, end)
    yield from _between(_unsealed(db, number, begin, end), begin, end)


def _chunks(db: sqlite3.Connection, kind: str, series: int, begin: int, end: int) -> Iterator[tuple[bytes, str]]:
    yield from db.execute(_CHUNKS.format(kind=kind), {"series": series, "begin": begin, "end": end})


def _between(columns: Columns, begin: int, end: int) -> Iterator[Sample]:
    return columns.samples(row for row, at in enumerate(columns.ats) if begin <= at < end)


def rollup(
    db: sqlite3.Connection, check: str, since: datetime, until: datetime, step: timedelta | None
) -> list[Point]:
    """Raises `ValueError` for damage."""
    number = _number(db, check)
    if number is None:
        return []
    step = step_for(since, until, step)
    period = SHORT if step % LONG else LONG
    points = _points(db, number, period, since, until)
    if period == SHORT and _reaches_further(db, number, since, until):
        step = period = LONG * -(-step // LONG)
        points = _points(db, number, LONG, since, until)
    if not points and period != SHORT:
        points = _points(db, number, SHORT, since, until)  # where no hours are kept
    return [point for point in join(points, step) if point.at + step > since and point.at < until]


def _points(db: sqlite3.Connection, number: int, period: timedelta, since: datetime, until: datetime) -> list[Point]:
    found = _sealed(db, number, period, since, until)
    held = read_held(db, number)
    fresh, _ = roll_up(_unsealed(db, number, 0, to_millis(until)), period, held, last_seen(db))
    return found + [point for point in fresh if since - period < point.at < until]


def _sealed(db: sqlite3.Connection, number: int, period: timedelta, since: datetime, until: datetime) -> list[Point]:
    kind = SHORT_POINTS if period == SHORT else LONG_POINTS
    found: list[Point] = []
    for body, layout in _chunks(db, kind, number, to_millis(since), to_millis(until)):
        found += (point for point in load_points(body, layout) if since - period < point.at < until)
    return found


def _reaches_further(db: sqlite3.Connection, number: int, since: datetime, until: datetime) -> bool:
    """Whether of that time something is kept by hours only."""
    short = _sealed(db, number, SHORT, since, until)
    if short and short[0].at <= since + SHORT:
        return False
    long = _sealed(db, number, LONG, since, until)
    return bool(long) and (not short or long[0].at + LONG <= short[0].at)


def _unsealed(db: sqlite3.Connection, number: int, begin: int, end: int) -> Columns:
    found: dict[int, Columns] = {}
    for (blob,) in db.execute(_BATCHES, (number // BUNCH, begin, end)):
        distribute(load_rows(blob), found, only=number)
    return found.get(number, Columns())


def last_seen(db: sqlite3.Connection) -> int:
    """When an agent was last there (ms)."""
    [seen] = db.execute("SELECT MAX(seen) FROM runs").fetchone()
    return seen or 0


def absences(db: sqlite3.Connection) -> list[tuple[datetime, datetime]]:
    """The times between two agents, in order."""
    rows = list(db.execute("SELECT began, seen FROM runs ORDER BY number"))
    return [(from_millis(seen), from_millis(began)) for (_, seen), (began, _) in pairwise(rows)]


def known_checks(db: sqlite3.Connection) -> list[str]:
    """The ids of the checks that something is kept of."""
    return [row[0] for row in db.execute("SELECT check_id FROM series ORDER BY check_id")]


def _number(db: sqlite3.Connection, check: str) -> int | None:
    row = db.execute("SELECT number FROM series WHERE check_id = ?", (check,)).fetchone()
    return None if row is None else int(row[0])
