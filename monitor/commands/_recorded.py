"""Recorded looks for a replay: out of a state directory, or out of JSON lines as `brownout export` writes them."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from monitor.config.suggest import Vocabulary
from monitor.core.columns import Columns
from monitor.core.model import Check, Look, State
from monitor.core.rows import mark_of, to_millis
from monitor.replay import in_order, look_of
from monitor.store import offline
from probes.contract import Reason

BEGINNING = datetime(1970, 1, 2, tzinfo=UTC)
"""Nothing is recorded from before."""

_MILLISECOND = timedelta(milliseconds=1)
_REASONS = Vocabulary("reason", tuple(reason.value for reason in Reason))
_LARGEST_TICK = 2**62


@dataclass
class Recorded:
    """What there is to be judged again. `looks` can be taken once; what is counted is whole when it is at its end."""

    looks: Iterator[Look]
    first: datetime | None
    last: datetime | None
    ends: tuple[datetime, ...] = ()
    """When an agent ended that another one followed."""
    strangers: tuple[str, ...] = ()
    """Checks that something is recorded of, and that the configuration does not have."""
    silent: tuple[str, ...] = ()
    """Checks of the configuration that nothing is recorded of."""
    measured: dict[str, set[str]] = field(default_factory=dict)
    """By check: the measurements that its looks had."""


def from_history(db: sqlite3.Connection, checks: Mapping[str, Check], until: datetime) -> Recorded:
    """All that is kept of the checks up to `until`. Raises `ValueError` for damage, and `sqlite3.Error`."""
    known = offline.known_checks(db)
    measured: dict[str, set[str]] = {}

    def looks(check: Check) -> Iterator[Look]:
        seen = measured.setdefault(check.id, set())
        for sample in offline.samples(db, check.id, BEGINNING, until):
            seen.update(sample.measurements)
            yield look_of(check, sample)

    firsts = [
        sample.began
        for name in known
        if name in checks
        for sample in _first(offline.samples(db, name, BEGINNING, until))
    ]
    return Recorded(
        in_order(looks(check) for name, check in checks.items() if name in known),
        min(firsts, default=None),
        until,
        tuple(end for end, _ in offline.absences(db)),
        tuple(name for name in known if name not in checks),
        tuple(name for name in checks if name not in known),
        measured,
    )


def _first(samples: Iterator[Any]) -> Iterator[Any]:
    for sample in samples:
        yield sample
        return


def from_lines(lines: Iterable[str], checks: Mapping[str, Check]) -> Recorded:
    """Raises `ValueError`, which names the line."""
    ids = {check.name: check.id for check in checks.values()} | {name: name for name in checks}
    columns: dict[str, Columns] = {}
    strangers: dict[str, None] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            told = json.loads(line)
            if not isinstance(told, dict):
                raise TypeError("each line must be an object")
            name = str(told["check"])
            if name not in ids:
                strangers[name] = None
                continue
            check = checks[ids[name]]
            _append(columns.setdefault(check.id, Columns()), check, told)
        except KeyError as error:
            raise ValueError(f"{number}: {error} is missing") from None
        except (ValueError, TypeError, OverflowError) as error:
            raise ValueError(f"{number}: {error}") from None
    ats = [at for item in columns.values() for at in (min(item.ats), max(item.ats))]
    moments = [datetime(1970, 1, 1, tzinfo=UTC) + at * _MILLISECOND for at in ats]
    return Recorded(
        in_order(_looks(checks[name], item) for name, item in columns.items()),
        min(moments, default=None),
        max(moments, default=None),
        (),
        tuple(strangers),
        tuple(name for name in checks if name not in columns),
        {name: set(item.figures) for name, item in columns.items()},
    )


def _looks(check: Check, columns: Columns) -> Iterator[Look]:
    ends = [at + took for at, took in zip(columns.ats, columns.tooks, strict=True)]
    rows = sorted(range(len(columns)), key=ends.__getitem__)
    return (look_of(check, sample) for sample in columns.samples(rows))


def _append(columns: Columns, check: Check, told: Mapping[str, Any]) -> None:
    try:
        at = datetime.fromisoformat(str(told["at"]))
    except ValueError:
        raise ValueError(f"at: {str(told['at'])[:40]!r} is no time such as 2026-03-01T14:00:00Z") from None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    millis = to_millis(at)
    took = round(_number(told.get("took_seconds", 0.0), "took_seconds") * 1000)
    tick = told.get("tick")
    scheduled = told.get("scheduled", True) is not False
    reason = told.get("reason") or ""
    if reason and reason not in _REASONS:
        raise ValueError(_REASONS.unknown(str(reason)))
    figures = told.get("measurements") or {}
    if not isinstance(figures, dict):
        raise TypeError("measurements must be an object: name to value")
    columns.append(
        millis,
        millis if tick is None else round(_number(tick, "tick") * 1000),
        max(took, 0),
        check.every // _MILLISECOND,
        mark_of(State.UNKNOWN, scheduled=scheduled, full=bool(told.get("full", scheduled))),
        reason,
        {str(name): _figure(name, value) for name, value in figures.items()},
    )


def _figure(name: str, value: Any) -> float:
    """As exported, with its unit, or the bare number."""
    return _number(value.get("value") if isinstance(value, dict) else value, f"measurements.{name}")


def _number(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name} must be a number")
    if abs(value) > _LARGEST_TICK:
        raise ValueError(f"{name} is too large")
    return float(value)
