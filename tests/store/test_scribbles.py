"""Figures and texts that nobody has written, in a journal that is whole by SQLite's measure: damage as any other."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from monitor.core.model import Change
from monitor.store.contract import Damaged, StoreError
from monitor.store.lasting import LastingStore
from monitor.store.sqlite import SqliteStore
from tests.end_to_end.rig import until
from tests.store.made import NOBODY, after, event, incident, told, whole_change

BY_TYPE: dict[str, Any] = {"INTEGER": 2**63 - 1, "TEXT": "[" * 100_000, "BLOB": b"[" * 100_000}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound")
    asyncio.run(fill(folder))
    return folder / "brownout.db"


async def fill(folder: Path) -> None:
    """A row of everything, in each of its states."""
    store = SqliteStore(folder)
    await store.open()
    await store.commit([whole_change(1), told(*(event(name, name) for name in ("sent", "late", "dead")))], NOBODY)
    await store.commit([Change(incidents=(incident("over", resolved=after(5)),))], NOBODY)
    _, sent, late, dead = await store.claim("hook", after(0), after(30), 9)
    await store.delivered([sent], after(1))
    await store.failed([late], after(60), "503")
    await store.dead([dead], after(1), "410")
    await store.close()


async def lived(folder: Path) -> int:
    """All that an agent asks of its journal; how many files were kept aside for it."""
    durable = SqliteStore(folder)
    store = LastingStore(durable, retry=0.001)
    journal = await store.open()
    mending = asyncio.create_task(store.run())
    await store.commit([whole_change(7), told(event("new", "new"))], NOBODY)
    for delivery in await store.claim("hook", after(99), after(199), 9):
        await store.failed([delivery], after(100), "503")
    await store.backlog()
    await store.next_due("hook")
    await store.dead_letters(9)
    await store.incidents(9)
    await store.events_after("e1", 9)
    with suppress(StoreError):  # what the page asks for costs nobody but who asks
        await store.transitions("check", "a", 9)
    await until(lambda: not store.condition.trouble, "a journal that is mended")
    mending.cancel()
    await store.close()
    assert all(item.since + timedelta(days=99) and item.seq + 1 for item in journal.checks.values())
    return len(durable.rescues)


@pytest.mark.parametrize(
    "table", ["meta", "checks", "services", "incidents", "transitions", "events", "outbox", "notes"]
)
async def test_no_scribble_keeps_an_agent_from_its_work_and_none_is_met_twice(
    sound: Path, tmp_path: Path, table: str
) -> None:
    """An agent that met one by an exception would meet it again after its restart, and for ever."""
    with closing(sqlite3.connect(sound)) as db:
        columns = [(row[1], BY_TYPE[row[2]]) for row in db.execute(f"PRAGMA table_info({table})")]
    rescued = 0
    for column, scribble in columns:
        folder = tmp_path / column
        folder.mkdir()
        shutil.copy(sound, folder / "brownout.db")
        if not scribbled(folder / "brownout.db", table, column, scribble):
            continue
        try:
            rescued += await lived(folder)
            again = await lived(folder)
        except Exception as error:
            raise AssertionError(f"{scribble!r:.40} in {table}.{column}") from error
        assert not again, f"{scribble!r:.40} in {table}.{column} was brought over"
    assert rescued


def scribbled(file: Path, table: str, column: str, value: Any) -> bool:
    """Whether SQLite takes it."""
    # That of the schema is a matter for a person: it may be that of a newer version.
    where = "key <> 'schema_version'" if table == "meta" else "1"
    with closing(sqlite3.connect(file)) as db, suppress(sqlite3.IntegrityError):
        db.execute(f"UPDATE OR IGNORE {table} SET {column} = ? WHERE {where}", (value,))
        db.commit()
        return True
    return False


@pytest.mark.parametrize("key", ["epoch", "origin", "evidence_dropped"])
async def test_what_is_known_besides_goes_on(sound: Path, tmp_path: Path, key: str) -> None:
    shutil.copy(sound, tmp_path / "brownout.db")
    with closing(sqlite3.connect(tmp_path / "brownout.db")) as db:
        db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, "9" * 20 if key != "origin" else ""))
        db.commit()
        [origin] = db.execute("SELECT value FROM meta WHERE key = 'origin'").fetchone()
    store = SqliteStore(tmp_path)
    journal = await store.open()
    assert (journal.checks["a"].seq, len(journal.incidents)) == (1, 1)
    assert (journal.origin == origin) == (key != "origin"), "the name of the journal"
    assert [rescue.known_ids for rescue in store.rescues] == ([key != "origin"])
    await store.close()


async def test_what_is_met_while_an_agent_runs_is_mended_by_what_it_knows(sound: Path, tmp_path: Path) -> None:
    shutil.copy(sound, tmp_path / "brownout.db")
    store = SqliteStore(tmp_path)
    await store.open()
    with closing(sqlite3.connect(tmp_path / "brownout.db")) as db:
        db.execute("UPDATE incidents SET opened = 9223372036854775807")
        db.commit()
    with pytest.raises(Damaged):
        await store.incidents(9)
    await store.close()
