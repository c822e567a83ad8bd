"""Reading a journal that cannot be written: on a read-only or full disk, or kept aside because it is damaged."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from monitor.core.model import Journal
from monitor.store import _deliveries, _journal
from monitor.store._database import get_meta, get_number
from monitor.store._files import reading
from monitor.store.contract import Row


@dataclass(frozen=True, slots=True)
class Known:
    """What could be read: the state of everything, and what is owed to sinks."""

    journal: Journal
    rows: tuple[Row, ...]


def peek(path: Path, limit: int) -> Known | None:
    """None: there is no journal, or nothing of it can be read. At most `limit` rows."""
    try:
        with reading(path) as db:
            vantage = get_meta(db, "vantage")
            journal = _journal.read_journal(db, vantage or "", get_number(db, "epoch"))
            return Known(journal, tuple(_deliveries.unfinished(db, 0, limit)))
    except (sqlite3.Error, OSError, ValueError):
        return None
