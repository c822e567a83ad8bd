"""Looks and roll-ups as blobs.

Three kinds: a *batch* of looks at several checks (written every few seconds: cheap to make), a *chunk* of looks at
one check, and a chunk of its roll-ups (made once, kept long: small). Each begins with the version of its format.
"""

from __future__ import annotations

import json
import zlib
from array import array
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from monitor.core.columns import ABSENT, Columns
from monitor.core.history import Figures, Point
from monitor.core.rows import STATES, Rows, from_millis, to_millis
from monitor.store import _codes
from monitor.store._pack import Taker, put_bytes, put_column, put_number, put_steps

_FORMAT = 1
_MILLISECOND = timedelta(milliseconds=1)
_FIGURES = {"p50": None, "min": "p50", "mean": "p50", "p95": "p50", "p99": "p95", "max": "p99"}
"""In this order, each as the difference of its code to that of one before it, to which it lies close."""


P = ParamSpec("P")
T = TypeVar("T")


def _sound(load: Callable[P, T]) -> Callable[P, T]:
    """Whatever damage leads to is a `ValueError`."""

    @wraps(load)
    def guarded(*given: P.args, **named: P.kwargs) -> T:
        try:
            return load(*given, **named)
        except (ArithmeticError, LookupError, StopIteration, TypeError) as error:
            raise ValueError(f"it is damaged: {error}") from error

    return guarded


def dump_rows(rows: Rows[int]) -> bytes:
    """A batch."""
    codes, escaped = _codes.encode(rows.values)
    base = rows.ats[0] if rows else 0
    apart = [at - tick for at, tick in zip(rows.ats, rows.ticks, strict=True)]
    parts = (
        json.dumps([list(rows.words), list(map(list, rows.layouts))]).encode(),
        array("I", rows.whose).tobytes(),
        array("q", (at - base for at in rows.ats)).tobytes(),
        array("q", apart).tobytes(),
        rows.tooks.tobytes(),
        rows.everies.tobytes(),
        rows.marks.tobytes(),
        rows.reasons.tobytes(),
        rows.shapes.tobytes(),
        codes.tobytes(),
        escaped.tobytes(),
    )
    body = put_number(base) + b"".join(map(put_bytes, parts))
    return bytes((_FORMAT,)) + zlib.compress(body, 1)


@_sound
def load_rows(blob: bytes) -> Rows[int]:
    """Raises `ValueError` for what is no batch."""
    taker = Taker(_inflated(blob))
    base = taker.number()
    words, layouts = json.loads(taker.blob())
    rows = Rows[int]()
    rows.words = {word: place for place, word in enumerate(words)}
    rows.layouts = {tuple(names): place for place, names in enumerate(layouts)}
    rows.whose = _column("I", taker).tolist()
    rows.ats = array("q", (at + base for at in _column("q", taker)))
    rows.ticks = array("q", (at - apart for at, apart in zip(rows.ats, _column("q", taker), strict=True)))
    rows.tooks, rows.everies = _column("q", taker), _column("q", taker)
    rows.marks, rows.reasons, rows.shapes = _column("B", taker), _column("H", taker), _column("H", taker)
    codes = _column("H", taker)
    rows.values = _codes.decode(codes, _column("d", taker))
    return rows


def dump_columns(columns: Columns) -> tuple[bytes, str]:
    """A chunk of looks, and the names in it, which many chunks share."""
    layout = json.dumps([list(columns.words), list(columns.figures)])
    found = [
        bytes((_FORMAT,)),
        put_number(len(columns)),
        put_steps(columns.ticks),
        put_steps([at - tick for at, tick in zip(columns.ats, columns.ticks, strict=True)]),
        *map(put_column, (columns.tooks, columns.everies, columns.marks, columns.reasons)),
    ]
    for values in columns.figures.values():
        codes, escaped = _codes.encode(values)
        found += [put_column(codes), put_bytes(escaped.tobytes())]
    return b"".join(found), layout


@_sound
def load_columns(blob: bytes, layout: str) -> Columns:
    """Raises `ValueError` for what is no chunk of looks."""
    taker = _taker(blob)
    words, names = json.loads(layout)
    columns, count = Columns(), taker.count()
    columns.words = {word: place for place, word in enumerate(words)}
    columns.ticks = array("q", taker.steps(count))
    columns.ats = array("q", (tick + apart for tick, apart in zip(columns.ticks, taker.steps(count), strict=True)))
    columns.tooks, columns.everies = array("q", taker.column(count)), array("q", taker.column(count))
    columns.marks, columns.reasons = array("B", taker.column(count)), array("H", taker.column(count))
    for name in names:
        codes = taker.column(count)
        columns.figures[name] = _codes.decode(codes, _column("d", taker))
    return columns


def dump_points(points: Sequence[Point]) -> tuple[bytes, str]:
    """A chunk of roll-ups of one period, in order of time, and the names in it."""
    names = list(dict.fromkeys(name for point in points for name in point.figures))
    period = points[0].span // _MILLISECOND if points else 1
    found = [
        bytes((_FORMAT,)),
        put_number(len(points)),
        put_number(period),
        put_steps([to_millis(point.at) // period for point in points]),
        put_column([point.looks for point in points]),
        put_column([point.failed for point in points]),
    ]
    found += [put_column([round(point.seconds.get(state, 0.0) * 1000) for point in points]) for state in STATES]
    for name in names:
        found += _dumped([point.figures.get(name) for point in points])
    return b"".join(found), json.dumps(names)


def _dumped(figures: Sequence[Figures | None]) -> list[bytes]:
    found = [put_column([0 if item is None else item.count for item in figures])]
    known: dict[str | None, Sequence[int]] = {None: [0] * len(figures)}
    for which, base in _FIGURES.items():
        codes, escaped = _codes.encode(ABSENT if item is None else getattr(item, which) for item in figures)
        found += [put_column([code - other for code, other in zip(codes, known[base], strict=True)])]
        found += [put_bytes(escaped.tobytes())]
        known[which] = codes
    return found


@_sound
def load_points(blob: bytes, layout: str) -> list[Point]:
    """Raises `ValueError` for what is no chunk of roll-ups."""
    taker = _taker(blob)
    count, period = taker.count(), taker.number()
    ats, looks, failed = taker.steps(count), taker.column(count), taker.column(count)
    seconds = [taker.column(count) for _ in STATES]
    told = {name: _loaded(taker, count) for name in json.loads(layout)}
    return [
        Point(
            at=from_millis(ats[row] * period),
            span=timedelta(milliseconds=period),
            looks=looks[row],
            failed=failed[row],
            seconds={state: column[row] / 1000 for state, column in zip(STATES, seconds, strict=True) if column[row]},
            figures={name: item for name, column in told.items() if (item := column[row]) is not None},
        )
        for row in range(count)
    ]


def _loaded(taker: Taker, count: int) -> list[Figures | None]:
    counts = taker.column(count)
    known: dict[str | None, Sequence[int]] = {None: [0] * count}
    values: dict[str, Any] = {}
    for which, base in _FIGURES.items():
        known[which] = [step + other for step, other in zip(taker.column(count), known[base], strict=True)]
        values[which] = _codes.decode(known[which], _column("d", taker))
    return [
        Figures(counts[row], **{which: values[which][row] for which in _FIGURES}) if counts[row] else None
        for row in range(count)
    ]


def _taker(blob: bytes) -> Taker:
    if not blob or blob[0] != _FORMAT:
        raise ValueError("it has an unknown format")
    return Taker(blob[1:])


def _inflated(blob: bytes) -> bytes:
    if not blob or blob[0] != _FORMAT:
        raise ValueError("it has an unknown format")
    try:
        return zlib.decompress(blob[1:])
    except zlib.error as error:
        raise ValueError(str(error)) from error


def _column(kind: str, taker: Taker) -> array[Any]:
    column = array(kind)
    column.frombytes(taker.blob())
    return column
