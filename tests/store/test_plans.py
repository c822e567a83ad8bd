"""What is asked again and again is found by an index: an answer must not take longer because the agent is old."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from monitor.core.model import Change
from monitor.store import _deliveries, _journal, _past, _pruning
from monitor.store._database import connect
from monitor.store.contract import Delivery, Keep
from tests.store.made import NOBODY, T0, after, event, incident, transition

LEASED = Delivery(1, "e1", "check.changed", "hook", "s1", 1, b"", T0)
QUESTIONS: dict[str, Callable[[sqlite3.Connection], Any]] = {
    "transitions of a check": lambda db: _past.transitions(db, "fra1", ("check", "a"), 20),
    "the next page of them": lambda db: _past.transitions(db, "fra1", ("check", "a"), 20, before=99),
    "states of a check": lambda db: _past.states(db, "fra1", ("check", "a"), T0, after(9), []),
    "an incident": lambda db: _journal.find_incident(db, "i1"),
    "events of an incident": lambda db: _journal.bodies_of(db, "s1", 20),
    "events after one": lambda db: _journal.bodies_after(db, "e1", 20),
    "what is due": lambda db: _deliveries.claim(db, 1, "hook", after(0), after(30), 4, deep=True),
    "when something is due": lambda db: _deliveries.next_due(db, "hook"),
    "an acceptance": lambda db: _deliveries.delivered(db, 1, [LEASED]),
    "a refusal": lambda db: _deliveries.dead(db, 1, [LEASED], T0, "410"),
    "haste": lambda db: _deliveries.hasten(db, "hook", after(0)),
    "a commit": lambda db: _journal.write_changes(db, [CHANGE], frozenset({"hook"}), "fra1", 1),
    "pruning": lambda db: list(_pruning.prune(db, Keep(1, 1, 1, 1))),
}
CHANGE = Change(
    transitions=(transition(seq=1), transition(seq=2)),
    incidents=(incident("i1", resolved=after(5)), incident("i2", resolved=after(5))),
    events=tuple(event(f"e{number}", "s1") for number in range(3)),
)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(connect(tmp_path / "brownout.db", timedelta(seconds=5))) as db:
        _journal.write_changes(db, [CHANGE], NOBODY, "fra1", 1)
        yield db


@pytest.mark.parametrize("question", QUESTIONS)
def test_no_table_is_read_as_a_whole(journal: sqlite3.Connection, question: str) -> None:
    asked: list[str] = []
    journal.set_trace_callback(asked.append)
    QUESTIONS[question](journal)
    journal.set_trace_callback(None)
    assert asked
    for statement in asked:
        for *_, step in journal.execute(f"EXPLAIN QUERY PLAN {statement}"):
            assert not step.startswith("USE TEMP B-TREE"), (statement, step)
            assert not step.startswith("SCAN ") or " USING " in step or "CONSTANT ROW" in step, (statement, step)
