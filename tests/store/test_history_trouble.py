"""What happens to the history's file while the agent runs: damage, removal, replacement, and who reads it then."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from monitor.store._archive import DAMAGED_KEPT
from monitor.store._files import HISTORY
from monitor.store.contract import StoreError
from monitor.store.sqlite import SqliteStore
from tests.store.made import NOBODY, whole_change
from tests.store.test_history import EVERY, at, look, recorded, tended
from tests.store.test_history_file import kept_aside, opened


async def running(folder: Path) -> SqliteStore:
    """With more than its connections keep in memory, so that damage is met."""
    store = await opened(folder)
    dice = random.Random(7)
    for number in range(40):
        await recorded(store, [look(EVERY * (60 * number + step), dice.random()) for step in range(60)])
    await shrunk(store)
    return store


async def shrunk(store: SqliteStore) -> None:
    """What its connection keeps in memory it reads anew; a busy one would soon."""
    archive = store._archive

    def shrink() -> None:
        assert archive._db is not None
        archive._db.execute("PRAGMA shrink_memory")

    await asyncio.wrap_future(archive._writing.submit(shrink))


def overwrite(folder: Path) -> None:
    """All but the first page, in the log as well."""
    for file, kept in ((folder / HISTORY, 1024), (folder / f"{HISTORY}-wal", 32)):
        with file.open("r+b") as raw:
            size = raw.seek(0, 2)
            raw.seek(kept)
            raw.write(b"\xa5" * max(size - kept, 0))


async def test_damage_while_it_runs_costs_the_past_and_no_look_from_then_on(tmp_path: Path) -> None:
    store = await running(tmp_path)
    overwrite(tmp_path)
    with pytest.raises(StoreError, match=r"the history .*history\.db"):
        await store.samples("home", at(0), at(99_999))
    await shrunk(store)
    for number in range(3):
        await recorded(store, [look(90_000 + number, 0.5)])
        await tended(store, at(90_000 + 9 * 3600))
        await shrunk(store)
    assert len(kept_aside(tmp_path)) == 1
    assert len(await store.samples("home", at(90_000), at(90_009))) == 3, "whoever reads it reads the new one"
    await store.close()


async def test_damage_that_a_reader_meets_is_looked_for_by_the_writer(tmp_path: Path) -> None:
    """What the writer keeps in memory would hide it, and charts would fail for hours."""
    store = await opened(tmp_path)
    await recorded(store, [look(0)])
    for name in (HISTORY, f"{HISTORY}-wal"):
        (tmp_path / name).write_bytes(b"\xa5" * (tmp_path / name).stat().st_size)
    await recorded(store, [look(1)])
    with pytest.raises(StoreError, match="the history"):
        await store.samples("home", at(0), at(9))
    await recorded(store, [look(2)])
    assert len(await store.samples("home", at(0), at(9))) == 1
    assert len(kept_aside(tmp_path)) == 1
    await store.close()


async def test_a_few_damaged_histories_are_kept(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    for number in range(DAMAGED_KEPT + 2):
        await recorded(store, [look(number)])
        await store.close()
        (tmp_path / HISTORY).write_bytes(b"garbage %d" % number * 50)
        await store.open()
    await store.close()
    assert [file.read_bytes()[:9] for file in kept_aside(tmp_path)] == [b"garbage %d" % n for n in (2, 3)]


async def test_a_history_whose_tables_have_gone_is_kept_aside(tmp_path: Path) -> None:
    await (await opened(tmp_path)).close()
    with closing(sqlite3.connect(tmp_path / HISTORY)) as db:
        db.execute("DROP TABLE series")
    store = await opened(tmp_path)
    await recorded(store, [look(0)])
    await store.close()
    assert kept_aside(tmp_path)


async def test_a_history_that_is_removed_or_replaced_while_it_runs(tmp_path: Path) -> None:
    other = await opened(tmp_path / "other")
    await recorded(other, [look(0, 0.75)])
    await other.close()
    store = await running(tmp_path / "state")
    file = tmp_path / "state" / HISTORY
    file.unlink()
    await recorded(store, [look(0, 0.5)])
    assert file.exists()
    assert [item.measurements["response_time"] for item in await store.samples("home", at(0), at(9))] == [0.5]
    (tmp_path / "other" / HISTORY).replace(file)
    await recorded(store, [look(1, 0.25)])
    found = await store.samples("home", at(0), at(9))
    assert [item.measurements["response_time"] for item in found] == [0.75, 0.25], "and not what was in our log"
    await store.close()
    assert not kept_aside(file.parent)
    with closing(sqlite3.connect(file)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


async def test_who_reads_before_the_history_can_be_written_reads_it_afterwards(tmp_path: Path) -> None:
    before = await opened(tmp_path)
    await recorded(before, [look(0)])
    await before.close()
    whole = (tmp_path / HISTORY).read_bytes()
    (tmp_path / HISTORY).unlink()
    (tmp_path / HISTORY).symlink_to("unmounted/history.db")
    store = await opened(tmp_path)
    with pytest.raises(StoreError, match="the history"):
        await store.samples("home", at(0), at(9))
    (tmp_path / HISTORY).unlink()
    (tmp_path / HISTORY).write_bytes(whole)
    assert len(await store.samples("home", at(0), at(9))) == 1
    await recorded(store, [look(1)])
    assert len(await store.samples("home", at(0), at(9))) == 2
    await store.close()


async def test_trouble_with_the_journal_is_not_called_the_historys(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    await store.commit([whole_change()], NOBODY)
    with closing(sqlite3.connect(tmp_path / "brownout.db")) as db:
        db.execute("ALTER TABLE transitions RENAME TO gone")
    with pytest.raises(StoreError, match=r"the journal .*no such table"):
        await store.transitions("check", "a", 9)
    with closing(sqlite3.connect(tmp_path / "brownout.db")) as db:
        db.execute("ALTER TABLE gone RENAME TO transitions")
    assert len(await store.transitions("check", "a", 9)) == 1
    await store.close()
