"""Recorded looks for a replay: out of a state directory, or out of JSON lines as `brownout export` writes them."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, TextIO

from monitor.config.suggest import Vocabulary, shorten
from monitor.core.columns import Columns
from monitor.core.lived import Line, Lived
from monitor.core.model import Check, Look, Moment, State
from monitor.core.rows import from_millis, mark_of, to_millis
from monitor.replay import in_order, look_of
from monitor.store import offline
from probes.contract import Reason

BEGINNING = datetime(1970, 1, 2, tzinfo=UTC)
"""Nothing is recorded from before."""
LONGEST_LINE = 100_000
"""Characters: no probe tells so much, and a file without line ends must not fill the memory."""
MOST_LOOKS = 20_000_000
"""Looks in one file: their times have to be brought in order, at some 100 bytes each."""
MOST_FIGURES = 1_000
"""Measurements of one check."""
MOST_STRANGERS = 1_000
"""Names that are remembered of those that the configuration does not have."""

_END = datetime(3000, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_REASONS = Vocabulary("reason", tuple(reason.value for reason in Reason))
_LARGEST = 2.0**62
_LARGEST_TICK = 1e11
"""Seconds; no machine is up for 3,000 years."""
_LONGEST_LOOK = 86_400.0
"""Seconds."""


@dataclass
class Recorded:
    """What there is to be judged again. `looks` can be taken once; what is counted is whole when it is at its end."""

    looks: Iterator[Look]
    first: datetime | None
    last: datetime | None
    ends: tuple[datetime, ...] = ()
    """When an agent ended that another one followed."""
    strangers: tuple[str, ...] = ()
    """Checks that something is recorded of, and that nothing defines."""
    silent: tuple[str, ...] = ()
    """Checks that nothing is recorded of."""
    measured: dict[str, set[str]] = field(default_factory=dict)
    """By check: the measurements that its looks had."""


def oldest_looks(db: sqlite3.Connection, until: datetime) -> dict[str, datetime]:
    """By the name under which something is recorded: when the first look began that is kept. Raises `ValueError` for
    damage, and `sqlite3.Error`."""
    found = {name: next(offline.samples(db, name, BEGINNING, until), None) for name in offline.known_checks(db)}
    return {name: sample.began for name, sample in found.items() if sample is not None}


def from_history(
    db: sqlite3.Connection,
    lived: Lived,
    asked: Collection[str],
    known: Mapping[str, datetime],
    until: datetime,
    since: datetime = BEGINNING,
) -> Recorded:
    """All that is kept from `since` to `until` of the checks with the ids `asked` for, under whatever names they
    had; `known` as `oldest_looks` tells it. Raises `ValueError` for damage, and `sqlite3.Error`."""
    newest = lived.plans[-1].checks
    heirs = {was: check for check in newest.values() if check.id not in known for was in check.was}
    lines = {name: _line(lived, name, heirs) for name in known}
    ours = {name: line for name, line in lines.items() if any(check and check.id in asked for check in line)}
    measured: dict[str, set[str]] = {}

    def looks(name: str, line: Line) -> Iterator[Look]:
        seen = measured.setdefault(line[-1].id if line[-1] else name, set())
        for sample in offline.samples(db, name, since, until):
            ended = Moment(sample.began + timedelta(seconds=sample.took), sample.tick + sample.took)
            check = lived.check(line, ended)
            if check is not None:
                seen.update(sample.measurements)
                yield look_of(check, sample)

    present = {check.id for line in ours.values() for check in line if check}
    return Recorded(
        in_order(looks(name, line) for name, line in ours.items()),
        min((known[name] for name in ours), default=None),
        until,
        tuple(end for end, _ in offline.absences(db)),
        tuple(name for name, line in lines.items() if not any(line)),
        tuple(name for name in newest if name in asked and name not in present),
        measured,
    )


def _line(lived: Lived, name: str, heirs: Mapping[str, Check]) -> Line:
    """What was renamed by a file that no agent has had yet is recorded under its old name."""
    line = lived.line(name)
    return line if any(line) or name not in heirs else (heirs[name],) * len(line)


# --- out of a file ------------------------------------------------------------------------------------------------


def from_lines(lines: TextIO, checks: Mapping[str, Check]) -> Recorded:
    """Raises `ValueError`, which names the line."""
    ids = {check.name: check.id for check in checks.values()} | {name: name for name in checks}
    columns: dict[str, Columns] = {}
    strangers: dict[str, None] = {}
    looks = 0
    for number, line in _numbered(lines):
        try:
            told = _object(line)
            name = told["check"]
            if not isinstance(name, str):
                raise TypeError("check must be a name")
            if name not in ids:
                if len(strangers) < MOST_STRANGERS:
                    strangers[shorten(name)] = None
                continue
            check = checks[ids[name]]
            _append(columns.setdefault(check.id, Columns()), check, told)
        except KeyError as error:
            raise ValueError(f"{number}: {error} is missing") from None
        except (ValueError, TypeError, OverflowError) as error:
            raise ValueError(f"{number}: {error}") from None
        looks += 1
        if looks > MOST_LOOKS:
            raise ValueError(f"{number}: more than {MOST_LOOKS:,} looks: cut the file by time, or name a --check")
    ends = [max(map(sum, zip(item.ats, item.tooks, strict=True))) for item in columns.values()]
    return Recorded(
        in_order(_looks(checks[name], item) for name, item in columns.items()),
        from_millis(min(min(item.ats) for item in columns.values())) if columns else None,
        from_millis(max(ends) + 1) if columns else None,
        (),
        tuple(strangers),
        tuple(name for name in checks if name not in columns),
        {name: set(item.figures) for name, item in columns.items()},
    )


def _numbered(lines: TextIO) -> Iterator[tuple[int, str]]:
    """Those with something in them, as they are read. Raises `ValueError` for one without an end."""
    number = 0
    while line := lines.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) > LONGEST_LINE:
            raise ValueError(f"{number}: is longer than {LONGEST_LINE:,} characters: one look is one line")
        if line.strip():
            yield number, line


def _object(line: str) -> Mapping[str, Any]:
    try:
        line.encode()
    except UnicodeEncodeError:
        raise ValueError("is not UTF-8") from None
    try:
        told = json.loads(line.rstrip("\r\n"))
    except RecursionError:
        raise ValueError("is nested too deeply to be a look") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"is no JSON ({error.msg}, column {error.colno}): one look is one line") from None
    if not isinstance(told, dict):
        raise TypeError('each line must be an object, such as {"check": "home", "at": "2026-03-01T14:00:00Z"}')
    return told


def _looks(check: Check, columns: Columns) -> Iterator[Look]:
    ends = [at + took for at, took in zip(columns.ats, columns.tooks, strict=True)]
    rows: Sequence[int] = range(len(columns))
    if any(later < earlier for earlier, later in pairwise(ends)):
        rows = sorted(rows, key=ends.__getitem__)
    return (look_of(check, sample) for sample in columns.samples(rows))


def _append(columns: Columns, check: Check, told: Mapping[str, Any]) -> None:
    millis = to_millis(_at(told["at"]))
    tick = told.get("tick")
    scheduled = told.get("scheduled", True) is not False
    reason = told.get("reason") or ""
    if reason and not (isinstance(reason, str) and reason in _REASONS):
        raise ValueError(_REASONS.unknown(str(reason)))
    figures = told.get("measurements") or {}
    if not isinstance(figures, dict):
        raise TypeError("measurements must be an object: name to value")
    columns.append(
        millis,
        millis if tick is None else round(_number(tick, "tick", _LARGEST_TICK) * 1000),
        round(_took(told.get("took_seconds", 0.0)) * 1000),
        check.every // _MILLISECOND,
        mark_of(State.UNKNOWN, scheduled=scheduled, full=bool(told.get("full", scheduled))),
        reason,
        {str(name): _figure(name, value) for name, value in figures.items()},
    )
    if len(columns.figures) > MOST_FIGURES:
        raise ValueError(f"more than {MOST_FIGURES:,} different measurements of {check.id}: is this a file of looks?")


def _at(value: Any) -> datetime:
    try:
        at = datetime.fromisoformat(str(value))
    except ValueError:
        raise ValueError(f"at: {str(value)[:40]!r} is no time such as 2026-03-01T14:00:00Z") from None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    if not BEGINNING <= at < _END:
        raise ValueError(f"at: {str(value)[:40]!r} is no time at which anybody has looked")
    return at


def _took(value: Any) -> float:
    took = _number(value, "took_seconds", _LONGEST_LOOK)
    if took < 0:
        raise ValueError("took_seconds must not be less than nothing")
    return took


def _figure(name: str, value: Any) -> float:
    """As exported, with its unit, or the bare number."""
    return _number(value.get("value") if isinstance(value, dict) else value, f"measurements.{name}", _LARGEST)


def _number(value: Any, name: str, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{shorten(name)} must be a number")
    if abs(value) > most:
        raise ValueError(f"{shorten(name)} is too large")
    return float(value)
