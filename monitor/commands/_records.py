"""What is exported, record by record: as an object for a line of JSON, and as rows of cells for CSV.

In CSV a look or a period is one row for each of its measurements, so that the columns are the same for all checks.
"""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from datetime import UTC, datetime, timedelta
from typing import Any

from monitor.core.history import Figures
from monitor.core.model import State
from monitor.store import offline

Record = Mapping[str, Any]
Units = Mapping[tuple[str, str], str]
Clean = Callable[[Any], Any]
"""Takes secrets out of a tree of JSON values: what was no secret when it was written may have become one."""

_FIGURES = tuple(field.name for field in fields(Figures))
CSV: Mapping[str, tuple[str, ...]] = {
    "samples": ("check", "at", "took_seconds", "state", "reason", "scheduled", "measurement", "unit", "value"),
    "rollups": (
        "check", "at", "span_seconds", "looks", "failed", *(f"{state.value}_seconds" for state in State),
        "measurement", "unit", *_FIGURES,
    ),
    "transitions": (
        "kind", "subject", "seq", "at", "since", "old", "new", "reason", "why", "measurement", "value", "limit",
        "was",
    ),
    "events": ("id", "type", "at", "sentence", "body"),
    "incidents": (
        "id", "services", "root", "checks", "impact", "opened", "since", "resolved", "updates", "why", "worst",
    ),
}  # fmt: skip
"""The columns, by what is exported."""

AT_ONCE = 1_000
"""Periods of roll-ups that are read at once."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def samples(db: sqlite3.Connection, check: str, since: datetime, until: datetime, units: Units) -> Iterator[Record]:
    for sample in offline.samples(db, check, since, until):
        yield {
            "check": check,
            "at": _iso(sample.began),
            "took_seconds": sample.took,
            "state": sample.state.value,
            "reason": sample.reason.value if sample.reason else None,
            "scheduled": sample.scheduled,
            "tick": sample.tick,
            "full": sample.full,
            "measurements": {
                name: {"value": value, "unit": units.get((check, name))}
                for name, value in sample.measurements.items()
            },
        }


def rollups(
    db: sqlite3.Connection, check: str, since: datetime, until: datetime, step: timedelta, units: Units
) -> Iterator[Record]:
    told = _EPOCH + (since - _EPOCH) // step * step  # periods begin there, and none is to be cut by a window
    while told < until:
        end = told + step * AT_ONCE
        for point in offline.rollup(db, check, told, end, step):
            if point.at >= min(end, until):
                break
            yield {
                "check": check,
                "at": _iso(point.at),
                "span_seconds": point.span.total_seconds(),
                "looks": point.looks,
                "failed": point.failed,
                **{f"{state.value}_seconds": point.seconds.get(state, 0.0) for state in State},
                "measurements": {
                    name: {"unit": units.get((check, name)), **asdict(figures)}
                    for name, figures in point.figures.items()
                },
            }
        told = end


def transitions(
    db: sqlite3.Connection, since: datetime, until: datetime, checks: Sequence[str], clean: Clean
) -> Iterator[Record]:
    """All; or those of some checks, under whatever ids these had."""
    found = offline.each_transition(db, since, until)
    for item in offline.each_of(db, offline.vantage_of(db), checks, since, until) if checks else found:
        verdict = item.verdict
        yield {
            "kind": item.kind,
            "subject": item.subject,
            "seq": item.seq,
            "at": _iso(item.at),
            "since": _iso(item.since),
            "old": item.old,
            "new": item.new,
            "reason": verdict.reason.value if verdict.reason else None,
            "why": clean(verdict.why),
            "measurement": verdict.measurement,
            "value": verdict.value,
            "limit": verdict.limit,
            "was": item.was or None,
            "evidence": clean(dict(item.evidence)),
        }


def events(db: sqlite3.Connection, since: datetime, until: datetime, clean: Clean) -> Iterator[Record]:
    """The published bodies (docs/events.md)."""
    for body in offline.each_event(db, since, until):
        yield clean(json.loads(body))


def incidents(db: sqlite3.Connection, since: datetime, until: datetime, clean: Clean) -> Iterator[Record]:
    for item in offline.each_incident(db, since, until):
        yield {
            "id": item.id,
            "services": list(item.services),
            "root": item.root,
            "checks": list(item.checks),
            "impact": item.impact.value,
            "opened": _iso(item.opened),
            "since": _iso(item.since),
            "resolved": _iso(item.resolved) if item.resolved else None,
            "updates": item.updates,
            "why": clean(item.why),
            "worst": item.worst.value,
        }


def written(record: Record, what: str, form: str) -> Iterator[str]:
    """The lines of one record."""
    if form == "jsonl":
        yield json.dumps(record, ensure_ascii=False)
        return
    for cells in _rows(record, what):
        line = io.StringIO()
        csv.writer(line, lineterminator="").writerow(map(_cell, cells))
        yield line.getvalue()


def _rows(record: Record, what: str) -> Iterator[list[Any]]:
    if what == "events":
        record = {
            **record,
            "at": record.get("at", record.get("time")),
            "body": json.dumps(record, ensure_ascii=False),
        }
    measured = record.get("measurements") or {None: {}}
    for name, figures in measured.items():
        row = {**record, **({"measurement": name} if "measurements" in record else {}), **figures}
        yield [row.get(column) for column in CSV[what]]


def _cell(value: Any) -> Any:
    """A text that a spreadsheet would take for a formula is made one that it shows: targets write these texts."""
    if isinstance(value, list | tuple):
        value = " ".join(value)
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r", "\n"):
        return "'" + value
    return value


def _iso(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
