"""A history of many checks, made of those of a few: each is there many times, as if all had lived side by side."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path

from monitor.store._history_file import LONG_POINTS, PAGE, RAW, SHORT_POINTS, connect

BUSY = timedelta(seconds=5)
_KINDS = (RAW, SHORT_POINTS, LONG_POINTS)


def name_of(number: int) -> str:
    return f"check {number}"


def multiply(sources: Sequence[Path], target: Path, checks: int) -> tuple[float, float]:
    """Bytes of the raw samples, with their part of what the file takes besides, and of all but the empty tables."""
    with closing(connect(target, BUSY)) as db:
        [empty] = db.execute("PRAGMA page_count").fetchone()
        db.execute("PRAGMA synchronous = OFF")
        db.execute("PRAGMA cache_size = -20000")
        for place, source in enumerate(sources):
            db.execute(f"ATTACH '{source}' AS y{place}")
        db.execute("BEGIN")
        layouts = [_layouts(db, place) for place in range(len(sources))]
        for number in range(checks):
            place = number % len(sources)
            held = db.execute(f"SELECT held_state, held_since, held_until FROM y{place}.series").fetchone()
            db.execute("INSERT INTO series VALUES (?, ?, ?, ?, ?)", (number + 1, name_of(number), *held))
        for kind in _KINDS:
            _copy(db, kind, layouts, checks)
        db.execute("COMMIT")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        [pages] = db.execute("PRAGMA page_count").fetchone()
        raw, *rest = (_bytes(db, kind) for kind in _KINDS)
    whole = float((pages - empty) * PAGE)
    return whole * raw / (raw + sum(rest)), whole


def _layouts(db: sqlite3.Connection, place: int) -> dict[int, int]:
    """The numbers of the target's layouts by those of a source."""
    db.execute(f"INSERT OR IGNORE INTO layouts (text) SELECT text FROM y{place}.layouts")
    query = f"SELECT theirs.number, ours.number FROM y{place}.layouts theirs JOIN main.layouts ours USING (text)"
    return dict(db.execute(query))


def _copy(db: sqlite3.Connection, kind: str, layouts: Sequence[dict[int, int]], checks: int) -> None:
    """In the order of time, as agents write: what is as old lies together."""
    for table, also in ((kind, ""), ("growing", f" WHERE kind = '{kind}'")):
        found = [
            (first, place, last, known[layout], body)
            for place, known in enumerate(layouts)
            for first, last, layout, body in db.execute(
                f"SELECT first, last, layout, body FROM y{place}.{table}{also}"
            )
        ]
        columns, values = ("kind, ", f"'{kind}', ") if also else ("", "")
        add = f"INSERT INTO {table} ({columns}series, first, last, layout, body) VALUES ({values}?, ?, ?, ?, ?)"
        for first, place, last, layout, body in sorted(found, key=lambda row: row[:2]):
            series = range(place + 1, checks + 1, len(layouts))
            db.executemany(add, ((number, first, last, layout, body) for number in series))


def _bytes(db: sqlite3.Connection, kind: str) -> int:
    growing = "SELECT COALESCE(SUM(LENGTH(body)), 0) FROM growing WHERE kind = ?"
    [complete] = db.execute(f"SELECT COALESCE(SUM(LENGTH(body)), 0) FROM {kind}").fetchone()
    return int(complete + db.execute(growing, (kind,)).fetchone()[0])
