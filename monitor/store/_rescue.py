"""A damaged journal is kept aside, and what can be read of it goes into a fresh one.

Table by table in the order of what would be missed most, row by row from both ends: damage to one page costs what is
on that page. The damaged file is only read.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monitor.core.model import ServiceState, State
from monitor.store import _deliveries, _journal
from monitor.store._codec import decode_body, from_micros, read_count, read_text
from monitor.store._database import get_meta, new_origin, set_meta
from monitor.store._files import keep_aside, reading
from monitor.store.contract import StoreError

DAMAGED_KEPT = 3
"""Damaged files kept aside; a further one replaces the oldest."""
REST_PATIENCE = 5.0
"""Seconds for what is nice to have: nobody is watched meanwhile."""
_GAP_LIMIT = 20_000
"""Row numbers between two damaged places that are tried one by one."""

_FIRST = ("checks", "services", "incidents", "notes", "events", "outbox", "transitions")
"""What the agent goes on with, and what it owes; then the rest."""

_NUMBERS = ("epoch", "evidence_dropped")
_Row = tuple[Any, ...]


@dataclass(slots=True)
class Rescue:
    """What became of a damaged journal."""

    aside: Path
    rows: dict[str, int] = field(default_factory=dict)
    """Brought over, by table."""
    known_ids: bool = False
    """Whether event ids go on where they were: the journal's name and every count of changes could be read."""


def set_aside(path: Path) -> Path:
    """Rename the file, its -wal and its -shm; where it is now. Raises `StoreError` where nothing can be renamed."""
    try:
        return keep_aside(path, "journal", DAMAGED_KEPT)
    except OSError as error:
        raise StoreError(f"the journal {path} is damaged and cannot be kept aside: {error.strerror}") from error


def bring_over(aside: Path, fresh: sqlite3.Connection, origin: str | None) -> Rescue:
    """Into a fresh journal, inside a transaction, all that can be read of the damaged one. `origin`: its name, if we
    know it by ourselves."""
    rescue = Rescue(aside)
    with ExitStack() as stack:
        try:
            old = stack.enter_context(reading(aside))
        except (sqlite3.DatabaseError, OSError):  # nothing of it can be read
            old = None
        if old is not None:  # from here on what is raised is trouble of the fresh one, as no read of the old one is
            old.text_factory = _lenient
            _bring_meta(old, fresh)
            rescue.known_ids = _bring_tables(old, fresh, rescue.rows) and _has_a_name(old)
    if origin is not None:
        rescue.known_ids = True
    # A count that begins anew would give new changes the ids of old ones, and receivers would think they know them.
    kept = get_meta(fresh, "origin") if rescue.known_ids else None
    set_meta(fresh, "origin", origin or kept or new_origin())
    return rescue


def _lenient(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _meta(db: sqlite3.Connection, key: str) -> str | None:
    try:
        return get_meta(db, key)
    except sqlite3.Error:
        return None


def _has_a_name(old: sqlite3.Connection) -> bool:
    try:
        return bool(_journal.read_origin(old))
    except (sqlite3.Error, ValueError):
        return False


def _bring_meta(old: sqlite3.Connection, fresh: sqlite3.Connection) -> None:
    for key in ("epoch", "vantage", "evidence_dropped", *(["origin"] if _has_a_name(old) else [])):
        value = _meta(old, key)
        with suppress(ValueError):
            if value is not None:
                set_meta(fresh, key, str(read_count(int(value))) if key in _NUMBERS else value)


def _bring_tables(old: sqlite3.Connection, fresh: sqlite3.Connection, counts: dict[str, int]) -> bool:
    """Whether every count of changes is known."""
    have = [row[0] for row in fresh.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    rest = [name for name in have if name not in (*_FIRST, "meta") and not name.startswith("sqlite_")]
    whole = {name: _bring_table(old, fresh, name, counts) for name in _FIRST}
    _set_heads(fresh)
    lost = not (whole["checks"] and whole["services"])
    if lost:
        _count_on(fresh)
    give_up = time.monotonic() + REST_PATIENCE
    for name in rest:
        _bring_table(old, fresh, name, counts, give_up)
    return not lost or whole["transitions"]


def _bring_table(
    old: sqlite3.Connection,
    fresh: sqlite3.Connection,
    table: str,
    counts: dict[str, int],
    give_up: float = float("inf"),
) -> bool:
    """Whether all of it was there and could be read."""
    new = [row[1] for row in fresh.execute(f"PRAGMA table_info({table})")]
    try:
        known = {row[1] for row in old.execute(f"PRAGMA table_info({table})")}
    except sqlite3.Error:
        known = set()
    columns = [name for name in new if name in known]
    whole = bool(columns)
    must_fit = _FITS.get(table, len)
    put = f"INSERT OR IGNORE INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608
    counts[table] = 0
    for row in _rows(old, table, columns) if columns else ():
        if row is None or time.monotonic() > give_up:
            whole = False
            if row is None:
                continue
            break
        try:
            must_fit(dict(zip(columns, row, strict=True)))
            counts[table] += fresh.execute(put, row).rowcount
        except (ValueError, KeyError, sqlite3.IntegrityError):
            whole = False
    return whole


def _rows(old: sqlite3.Connection, table: str, columns: list[str]) -> Iterator[_Row | None]:
    """The rows that can be read; None where some cannot."""
    what = f"SELECT rowid, {', '.join(columns)} FROM {table}"  # noqa: S608
    reached = [0, 0]
    for turn, order in enumerate(("", " DESC")):
        try:
            for row in old.execute(f"{what} ORDER BY rowid{order}"):
                reached[turn] = row[0]
                yield row[1:]
        except sqlite3.Error:
            yield None
        else:
            return
    for number in range(reached[0] + 1, min(reached[1], reached[0] + _GAP_LIMIT)):
        try:
            row = old.execute(f"{what} WHERE rowid = ?", (number,)).fetchone()
        except sqlite3.Error:
            continue
        if row is not None:
            yield row[1:]


def _set_heads(fresh: sqlite3.Connection) -> None:
    fresh.execute("DELETE FROM outbox WHERE event NOT IN (SELECT number FROM events)")
    fresh.execute("UPDATE outbox SET head = 0")
    fresh.execute(
        """UPDATE outbox SET head = 1 WHERE id IN
            (SELECT MIN(id) FROM outbox WHERE state <> 'dead' GROUP BY sink, stream)"""
    )


def _count_on(fresh: sqlite3.Connection) -> None:
    """Whose record is lost goes on from its last transition: the state that was told, and the count of changes."""
    for kind, table, name, more, values in (
        ("check", "checks", "check_id", ", snapshot", ", CAST('{}' AS BLOB)"),
        ("service", "services", "service", "", ""),
    ):
        fresh.execute(
            f"""INSERT OR IGNORE INTO {table} ({name}, vantage, epoch, state, since, seq{more})
            SELECT subject, vantage, 0, new, since, MAX(seq){values} FROM transitions WHERE kind = ?
            GROUP BY subject, vantage""",  # noqa: S608
            (kind,),
        )


def _fits_check(row: Mapping[str, Any]) -> None:
    _journal.read_check((row["check_id"], row["state"], row["since"], row["seq"], row["snapshot"]))
    read_text(row["vantage"])


def _fits_service(row: Mapping[str, Any]) -> None:
    _journal.read_service((row["service"], row["state"], row["since"], row["seq"]))
    read_text(row["vantage"])


def _fits_incident(row: Mapping[str, Any]) -> None:
    whole = {"worst": row["impact"], **row}  # an earlier version kept none
    _journal.read_incident(tuple(whole[name] for name in _journal.INCIDENT_COLUMNS))


def _fits_note(row: Mapping[str, Any]) -> None:
    _journal.read_note((row["name"], row["value"]))
    read_text(row["vantage"])


def _fits_transition(row: Mapping[str, Any]) -> None:
    """But for what JSON it holds: that harms nobody but who asks for it, and there may be a million of them."""
    for name in ("number", "seq"):
        read_count(row[name])
    for name in ("at", "since"):
        from_micros(row[name])
    states: Mapping[Any, Callable[[Any], object]] = {"check": State, "service": ServiceState}
    states.get(row["kind"], read_text)(row["new"])


def _fits_event(row: Mapping[str, Any]) -> None:
    read_count(row["number"])
    from_micros(row["at"])
    for name in ("id", "type", "stream"):
        read_text(row[name])
    if not isinstance(row["body"], bytes):
        raise ValueError("no body")  # noqa: TRY004  (damage of the file, not of the program)
    decode_body(row["body"])


def _fits_outbox(row: Mapping[str, Any]) -> None:
    for name in ("id", "event", "attempts"):
        read_count(row[name])
    for name in ("sink", "stream"):
        read_text(row[name])
    from_micros(row["due"])
    if row["state"] == "dead":
        from_micros(row["died"])
        read_text(row["error"])
    if row["state"] not in _deliveries.STATES:
        raise ValueError(row["state"])


_FITS: dict[str, Callable[[Mapping[str, Any]], None]] = {
    "checks": _fits_check,
    "services": _fits_service,
    "incidents": _fits_incident,
    "notes": _fits_note,
    "transitions": _fits_transition,
    "events": _fits_event,
    "outbox": _fits_outbox,
}
"""Each raises for a row that is not what it should be: damage need not break the file, it may only change what is in
it. What is brought over has to be what is accepted when it is read: else the fresh file would be damaged, too."""
