"""The history's file: what damage, age and a change of mind do to it, and that the journal does not notice."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from monitor.core.history import SHORT, Retention
from monitor.core.model import Check, State
from monitor.core.rows import Rows
from monitor.store._files import HISTORY
from monitor.store._history import History
from monitor.store._history_file import connect
from monitor.store._looks_sql import known_checks, samples
from monitor.store.contract import Store, StoreError
from monitor.store.sqlite import SqliteStore
from tests.core.builders import START, check
from tests.store.made import NOBODY, whole_change
from tests.store.test_history import EVERY, at, look, recorded, tended

DAY = 86_400.0


async def opened(folder: Path, **kept: timedelta) -> SqliteStore:
    store = SqliteStore(folder, retention=Retention(**kept))
    await store.open()
    return store


async def filled(store: Store, days: float, *, since: float = 0.0) -> None:
    """A look every ten minutes."""
    for start in range(round(since), round(days * DAY), 6 * 3600):
        await recorded(store, [look(start + number * 600.0) for number in range(36)])
        await tended(store, at(start + 6 * 3600))


def kept_aside(folder: Path) -> list[Path]:
    return sorted(folder.glob("history-damaged-*.db"))


@pytest.mark.parametrize("damage", [b"this is no database", b""])
async def test_a_damaged_history_is_kept_aside_and_harms_nothing(tmp_path: Path, damage: bytes) -> None:
    store = await opened(tmp_path)
    await recorded(store, [look(0)])
    await store.commit([whole_change()], NOBODY)
    await store.close()
    file = tmp_path / HISTORY
    file.write_bytes(damage * 500 if damage else b"SQLite format 3\x00" + file.read_bytes()[16:99] + b"\xff" * 9000)
    store = await opened(tmp_path)
    assert await store.samples("home", at(0), at(99)) == []
    assert len(await store.transitions("check", "a", 9)) == 1, "the journal is whole"
    await recorded(store, [look(60)])
    assert len(await store.samples("home", at(0), at(99))) == 1
    await store.close()
    assert kept_aside(tmp_path)


@pytest.mark.parametrize("name", [HISTORY, f"{HISTORY}-wal"])
@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir], ids=["pipe", "directory"])
async def test_what_is_no_file_is_kept_aside_without_being_read(
    tmp_path: Path, make: Callable[[Path], None], name: str
) -> None:
    """To open a pipe waits until somebody writes to it."""
    store = await opened(tmp_path)
    await recorded(store, [look(0)])
    await store.close()
    (tmp_path / name).unlink(missing_ok=True)
    make(tmp_path / name)
    store = await opened(tmp_path)
    assert await store.samples("home", at(0), at(99)) == []
    await recorded(store, [look(60)])
    assert len(await store.samples("home", at(0), at(99))) == 1
    await store.close()
    assert kept_aside(tmp_path)


async def test_a_pipe_in_the_historys_place_holds_up_nobody_who_reads(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    await recorded(store, [look(0)])
    (tmp_path / HISTORY).unlink()
    (tmp_path / f"{HISTORY}-wal").unlink()
    os.mkfifo(tmp_path / HISTORY)
    with pytest.raises(StoreError, match="is a pipe, a device or a directory"):
        await store.rollup("home", at(0), at(99))
    await recorded(store, [look(60)])
    assert len(await store.samples("home", at(0), at(99))) == 1
    await store.close()


async def test_a_series_with_a_number_that_nobody_has_given_is_damage(tmp_path: Path) -> None:
    """It was an exception in the midst of a batch, at each start again."""
    store = await opened(tmp_path)
    await recorded(store, [look(0)])
    await store.close()
    with closing(sqlite3.connect(tmp_path / HISTORY)) as db:
        db.execute("UPDATE series SET number = 9223372036854775807")
        db.commit()
    store = await opened(tmp_path)
    await recorded(store, [look(60)])
    assert len(await store.samples("home", at(0), at(99))) == 1
    await store.close()
    assert kept_aside(tmp_path)


@pytest.mark.parametrize("version", [0, 1])
async def test_the_database_of_another_program_is_kept_aside_as_it_is(tmp_path: Path, version: int) -> None:
    with closing(sqlite3.connect(tmp_path / HISTORY)) as db:
        db.execute("CREATE TABLE batches (name)")
        db.execute(f"PRAGMA user_version = {version}")
        db.commit()
    content = (tmp_path / HISTORY).read_bytes()
    store = await opened(tmp_path)
    await recorded(store, [look(0)])
    assert len(await store.samples("home", at(0), at(9))) == 1
    await store.close()
    assert [file.read_bytes() for file in kept_aside(tmp_path)] == [content]


async def test_a_history_of_a_newer_version_is_kept_aside(tmp_path: Path) -> None:
    await (await opened(tmp_path)).close()
    with closing(sqlite3.connect(tmp_path / HISTORY)) as db:
        db.execute("PRAGMA user_version = 99")
    store = await opened(tmp_path)
    await recorded(store, [look(0)])
    await store.close()
    assert kept_aside(tmp_path)


async def test_a_history_that_cannot_be_opened_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / HISTORY).symlink_to("unmounted/history.db")
    store = await opened(tmp_path)
    with pytest.raises(StoreError, match="history"):
        await recorded(store, [look(0)])
    await store.commit([whole_change()], NOBODY)
    assert (await store.states("check", "a", at(-(10**8)), at(0))) != [], "states need no history"
    (tmp_path / "unmounted").mkdir()
    await recorded(store, [look(0)])
    await store.close()


async def test_the_past_goes_by_age(tmp_path: Path) -> None:
    store = await opened(tmp_path, raw=timedelta(days=1), five_minutes=timedelta(days=2), hourly=timedelta(days=40))
    await filled(store, 8)
    end = at(8 * DAY)
    [first, *_] = await store.samples("home", at(0), end)
    assert at(6.5 * DAY) < first.began < at(7.2 * DAY)
    short = await store.rollup("home", at(7 * DAY), end, SHORT)
    assert {point.span for point in short} == {SHORT}
    older = await store.rollup("home", at(0), end, SHORT)
    assert older[0].at == at(0)
    assert {point.span for point in older} == {timedelta(hours=1)}, "of that time only hours are kept"
    assert sum(point.looks for point in older) == 8 * 144
    await store.close()


async def test_what_is_off_is_not_kept(tmp_path: Path) -> None:
    off = timedelta(0)
    store = await opened(tmp_path, raw=off, five_minutes=off)
    await filled(store, 2)
    assert len(await store.samples("home", at(0), at(2 * DAY))) < 5 * 6, "only what waits to be rolled up"
    points = await store.rollup("home", at(0), at(2 * DAY))
    assert sum(point.looks for point in points) == 2 * 144
    await store.close()
    store = await opened(tmp_path / "nothing", raw=off, five_minutes=off, hourly=off)
    await filled(store, 1)
    assert await store.samples("home", at(0), at(DAY)) == []
    assert await store.rollup("home", at(0), at(DAY)) == []
    await store.close()


async def test_a_shorter_retention_gives_pages_back(tmp_path: Path) -> None:
    with closing(connect(tmp_path / HISTORY, timedelta(seconds=1))) as db:
        row = "INSERT INTO raw (series, first, last, layout, body) VALUES (1, 0, 0, 1, zeroblob(5000))"
        db.executescript("BEGIN;" + f"{row};" * 200 + "COMMIT;")
        before = pages(tmp_path)
        history = History(db, Retention(), spare=10)
        slices = 0
        while history.tend(at(0)):
            slices += 1
    assert 20 < slices < 100, "a few rows and pages at a time"
    assert pages(tmp_path) < before / 4


def pages(folder: Path) -> int:
    with closing(sqlite3.connect(folder / HISTORY)) as db:
        return int(db.execute("PRAGMA page_count").fetchone()[0])


async def test_a_damaged_batch_costs_only_itself(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    for number in range(4):
        await recorded(store, [look(EVERY * number)])
    await store.close()
    with closing(sqlite3.connect(tmp_path / HISTORY)) as db:
        db.execute("UPDATE batches SET looks = x'00' WHERE number = 2")
        db.commit()
    store = await opened(tmp_path)
    with pytest.raises(StoreError, match="history"):
        await store.samples("home", at(0), at(999))
    await tended(store, at(9 * 3600))
    assert len(await store.samples("home", at(0), at(999))) == 3
    await store.close()


@pytest.mark.parametrize("column", ["held_state", "held_since", "held_until"])
@pytest.mark.parametrize("value", [-(2**63), -1, 2**63 - 1, "x", 1.5, None])
async def test_a_state_that_nobody_has_written_holds_up_nothing(tmp_path: Path, column: str, value: object) -> None:
    store = await opened(tmp_path)
    await recorded(store, [look(EVERY * number) for number in range(60)])
    await tended(store, at(9 * 3600))
    await store.close()
    with closing(sqlite3.connect(tmp_path / HISTORY)) as db:
        db.execute(f"UPDATE series SET {column} = ?", (value,))
        db.commit()
    store = await opened(tmp_path)
    await recorded(store, [look(12 * 3600)])
    await tended(store, at(30 * 3600))
    points = await store.rollup("home", at(0), at(86_400), timedelta(hours=1))
    assert [point.looks for point in points if point.looks] == [60, 1]
    await store.close()
    assert not kept_aside(tmp_path)


async def test_looks_that_come_late_join_their_hour(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    await recorded(store, [look(EVERY * number) for number in range(60)])
    await tended(store, at(9 * 3600))
    await recorded(store, [look(30)])
    await store.record(Rows(), at(20 * 3600))
    await tended(store, at(20 * 3600))
    [point] = await store.rollup("home", at(0), at(3599), timedelta(hours=1))
    assert point.looks == 61
    assert len(await store.samples("home", at(0), at(3600))) == 61
    await store.close()


def test_a_batch_that_failed_leaves_no_number_behind(tmp_path: Path) -> None:
    """Or looks would be kept under numbers that the file does not know, and a later check would get them."""
    with closing(connect(tmp_path / HISTORY, timedelta(seconds=1))) as db:
        history = History(db, Retention())
        history.record(one_look(0, check("first")), START)
        db.execute("CREATE TEMP TRIGGER full BEFORE UPDATE ON runs BEGIN SELECT RAISE(ABORT, 'full'); END")
        for refused in (check("second"), check("third", was=("first",))):
            with pytest.raises(sqlite3.Error, match="full"):
                history.record(one_look(60, refused), START)
        db.execute("DROP TRIGGER full")
        history.record(one_look(120, check("third", was=("first",))), START)
        history.record(one_look(120, check("fourth")), START)
        found = {name: len(list(samples(db, name, START, START + timedelta(hours=1)))) for name in known_checks(db)}
    assert found == {"third": 2, "fourth": 1}


def one_look(seconds: float, of: Check) -> Rows[str]:
    rows = Rows[str]()
    rows.add(of.id, of, look(seconds, of=of), State.UP)
    return rows
