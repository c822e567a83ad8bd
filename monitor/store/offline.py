"""What commands do with a state directory, beside an agent or without one: backup, restore, and reading the past.

They come without a store: nothing here takes the directory from an agent that has it, and `restore` refuses to.
"""

from __future__ import annotations

import sqlite3

from monitor.core.model import Journal
from monitor.store._backup import Copied, back_up
from monitor.store._database import get_meta
from monitor.store._definitions import Found, definitions, written
from monitor.store._files import HISTORY, JOURNAL, reading
from monitor.store._journal import read_journal
from monitor.store._looks_sql import absences, known_checks, rollup, samples
from monitor.store._past import each_event, each_incident, each_of, each_transition
from monitor.store._restore import restore

__all__ = [
    "HISTORY",
    "JOURNAL",
    "Copied",
    "Found",
    "absences",
    "back_up",
    "definitions",
    "each_event",
    "each_incident",
    "each_of",
    "each_transition",
    "journal_of",
    "known_checks",
    "reading",
    "restore",
    "rollup",
    "samples",
    "vantage_of",
    "written",
]


def vantage_of(journal: sqlite3.Connection) -> str:
    """Under which name the rows of a journal stand; empty in one that no agent has opened yet."""
    return get_meta(journal, "vantage") or ""


def journal_of(db: sqlite3.Connection) -> Journal:
    """What an agent that was started now would know. Raises `ValueError` for damage."""
    return read_journal(db, vantage_of(db), 1)
