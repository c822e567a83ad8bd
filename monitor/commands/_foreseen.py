"""What a configuration to come would call bad at once, by the looks that were taken last."""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from monitor.commands._recorded import from_history
from monitor.core.lived import Definition, always
from monitor.core.model import Verdict
from monitor.core.plan import Plan
from monitor.replay import Replay
from monitor.store.offline import definitions, known_checks, reading, written

BACK = timedelta(hours=2)
"""How far looks are judged again: the windows of thresholds are filled by then."""
MOST = 500
"""Checks that are judged again: it takes about a second for a hundred."""


def is_in_force(history: Path, plan: Plan) -> bool | None:
    """Whether an agent has that plan in force, or had it at its end; None where that is not recorded."""
    try:
        if history.exists():
            with reading(history) as db:
                newest = next(iter(deque(definitions(db, plan.source), maxlen=1)), None)
            if newest is not None:
                return written(Definition(newest.at, plan)).digest == newest.digest
    except (sqlite3.Error, ValueError, OSError):
        pass  # as if there were none
    return None


def foreseen(history: Path, plan: Plan, names: Sequence[str]) -> dict[str, Verdict]:
    """By check: the verdict of those that a threshold would call bad, by the looks of the last hours. Nothing where
    there are none, or they cannot be read."""
    try:
        if names and history.exists():
            with reading(history) as db:
                return dict(_judged(db, plan, set(names[:MOST])))
    except (sqlite3.Error, ValueError, OSError):
        pass  # what is in force is told all the same
    return {}


def _judged(db: sqlite3.Connection, plan: Plan, names: Collection[str]) -> Iterator[tuple[str, Verdict]]:
    until = datetime.now(UTC)
    since, lived = until - BACK, always(plan)
    recorded = from_history(db, lived, names, dict.fromkeys(known_checks(db), since), until, since)
    again = Replay(lived, recorded.ends)
    for look in recorded.looks:
        for _ in again.take(look):
            pass
    judges = again.world.judges if again.world is not None else {}
    for name in names:
        # What looks find is the agent's to say, which has taken more of them than are recorded yet.
        if name in judges and judges[name].state.bad and judges[name].verdict.condition is not None:
            yield name, judges[name].verdict
