"""The store that lasts, when the journal is another agent's by now, or another file."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import structlog

from monitor.store._spare import Bounds
from monitor.store.contract import StoreError
from monitor.store.sqlite import SqliteStore
from tests.store.made import NOBODY, event, told, whole_change
from tests.store.test_lasting import Place


async def test_a_journal_that_another_agent_has_taken_is_let_go_of_all_the_same(tmp_path: Path) -> None:
    here = Place(tmp_path, Bounds())
    await here.store.open()
    here.hold()
    await here.store.commit([told(event("e1"))], NOBODY)
    assert here._other
    here._other.close()
    (tmp_path / "agent.lock").unlink()
    other = SqliteStore(tmp_path)
    await other.open()
    with structlog.testing.capture_logs() as logged:
        await here.store.close()
    assert [(line["event"], "another agent" in line["error"]) for line in logged][-1] == ("journal_unwritten", True)
    assert not [name for name in open_files() if name.endswith("agent.lock (deleted)")], "it was let go"
    await other.close()


async def test_a_journal_that_is_put_in_the_place_of_ours_is_not_mixed_with_it(tmp_path: Path) -> None:
    """Our log lies where its own would be: SQLite would write our pages over its."""
    other = SqliteStore(tmp_path / "other")
    await other.open()
    await other.commit([whole_change(5)], NOBODY)
    await other.close()
    here = Place(tmp_path / "state", Bounds())
    await here.store.open()
    await here.store.commit([told(event("ours"))], NOBODY)
    (tmp_path / "other" / "brownout.db").replace(tmp_path / "state" / "brownout.db")
    await here.store.commit([told(event("late"))], NOBODY)
    with pytest.raises(StoreError, match="another than was thought"):
        await here.store.run()
    await here.store.close()
    with closing(sqlite3.connect(tmp_path / "state" / "brownout.db")) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert db.execute("SELECT id FROM events ORDER BY number").fetchall() == [("e5",), ("late",)]


def open_files() -> list[str]:
    return [str(entry.readlink()) for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()]
