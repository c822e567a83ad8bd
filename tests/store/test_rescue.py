"""A damaged journal is kept aside, and what can be read of it goes on: cut, overwritten, scribbled upon."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from monitor.core.model import Journal
from monitor.store._database import connect
from monitor.store._rescue import DAMAGED_KEPT, bring_over
from monitor.store.contract import Backlog
from monitor.store.lasting import LastingStore
from monitor.store.sqlite import SqliteStore
from tests.store.made import NOBODY, after, event, record, service, told, whole_change

CHECKS = 60
PAGE = 4096


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal of some 60 pages: checks with memories, services, open incidents, and rows owed to two sinks."""
    folder = tmp_path_factory.mktemp("sound")
    asyncio.run(fill(folder))
    return folder


async def fill(folder: Path) -> None:
    store = SqliteStore(folder)
    await store.open()
    for number in range(1, 31):
        await store.commit([whole_change(number)], NOBODY)
    await store.commit(
        [told(*(event(f"x{n}", f"s{n}", ("hook", "pager"), text="x" * 900) for n in range(30)))], NOBODY
    )
    await store.save([record(f"c{n}", seq=n, window=[0.25] * 200) for n in range(CHECKS)])
    await store.close()


@dataclass(frozen=True, slots=True)
class Found:
    journal: Journal
    owed: dict[str, Backlog]
    rescued: bool
    known_ids: bool


async def opened(folder: Path) -> Found:
    """It always opens, can be written, and what had to be made anew is whole."""
    durable = SqliteStore(folder)
    store = LastingStore(durable)
    journal = await store.open()
    await store.commit([told(event("after", "after"))], NOBODY)
    await store.events(999)
    await store.claim("hook", after(0), after(30), 999)
    owed = dict(await store.backlog())
    await store.close()
    rescues = list(durable.rescues)
    if not rescues:
        return Found(journal, owed, rescued=False, known_ids=False)
    with closing(sqlite3.connect(folder / "brownout.db")) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
        heads = db.execute("SELECT COUNT(*) FROM outbox WHERE head = 1").fetchone()
        assert heads == db.execute("SELECT COUNT(DISTINCT sink || ' ' || stream) FROM outbox").fetchone()
    return Found(journal, owed, rescued=True, known_ids=rescues[0].known_ids)


def copied(sound: Path, to: Path) -> Path:
    to.mkdir()
    shutil.copy(sound / "brownout.db", to / "brownout.db")
    return to / "brownout.db"


async def origin_of(sound: Path, to: Path) -> str:
    copied(sound, to)
    return (await opened(to)).journal.origin


@pytest.mark.parametrize("part", [0.0, 0.001, 0.02, 0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9, 0.99, 0.9999])
async def test_a_file_that_was_cut_short(sound: Path, tmp_path: Path, part: float) -> None:
    file = copied(sound, tmp_path / "state")
    origin = await origin_of(sound, tmp_path / "whole")
    with file.open("r+b") as raw:
        raw.truncate(int(file.stat().st_size * part))
    found = await opened(file.parent)
    assert found.rescued
    assert (found.journal.origin == origin) == found.known_ids, "ids go on only where all counts are known"


async def test_damage_to_any_one_page_costs_what_is_on_it(sound: Path, tmp_path: Path) -> None:
    """Each page in turn. Whatever it is, an agent starts, and nearly always it knows nearly everything."""
    whole = copied(sound, tmp_path / "whole")
    pages = whole.stat().st_size // PAGE
    known = []
    for page in range(0, pages, 2):
        file = copied(sound, tmp_path / f"state-{page}")
        with file.open("r+b") as raw:
            raw.seek(PAGE * page)
            raw.write(b"\xa5" * PAGE)
        found = await opened(file.parent)
        known.append(len(found.journal.checks) + len(found.journal.incidents))
        shutil.rmtree(file.parent)
    everything = CHECKS + 1 + 30
    assert sum(count >= everything - 20 for count in known) >= len(known) * 0.8, known


async def test_scribbles_never_keep_an_agent_from_starting(sound: Path, tmp_path: Path) -> None:
    dice = random.Random(4)
    for turn in range(25):
        file = copied(sound, tmp_path / f"state-{turn}")
        with file.open("r+b") as raw:
            for _ in range(dice.randint(1, 40)):
                raw.seek(dice.randrange(file.stat().st_size))
                raw.write(dice.randbytes(dice.randint(1, 60)))
        await opened(file.parent)
        shutil.rmtree(file.parent)


async def test_what_is_lost_of_a_check_goes_on_from_its_last_transition(sound: Path, tmp_path: Path) -> None:
    file = copied(sound, tmp_path / "state")
    with closing(sqlite3.connect(file)) as db:
        db.execute("UPDATE checks SET snapshot = CAST('{no json' AS BLOB) WHERE check_id = 'a'")
        db.execute("UPDATE services SET state = 'wonderful'")
        db.execute("PRAGMA writable_schema = ON")
        db.commit()
    found = await opened(file.parent)
    assert found.rescued
    assert found.known_ids
    kept = found.journal.checks["a"]
    assert (kept.seq, kept.state, dict(kept.snapshot)) == (30, "down", {})
    assert len(found.journal.checks) == CHECKS + 1


@pytest.mark.parametrize(
    "garbage", [b"not a database at all" * 500, b"SQLite format 3\0", b""], ids=["text", "head", "nothing"]
)
async def test_what_is_no_database_is_kept_and_a_fresh_one_begun(tmp_path: Path, garbage: bytes) -> None:
    (tmp_path / "brownout.db").write_bytes(garbage)
    found = await opened(tmp_path)
    assert (found.rescued, found.known_ids, dict(found.journal.checks)) == (True, False, {})
    [aside] = damaged(tmp_path)
    assert aside.read_bytes() == garbage


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir], ids=["pipe", "directory"])
async def test_what_is_no_file_is_kept_aside_without_being_read(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """To open a pipe waits until somebody writes to it."""
    make(tmp_path / "brownout.db")
    found = await opened(tmp_path)
    assert (found.rescued, found.known_ids) == (True, False)
    assert [aside.is_file() for aside in damaged(tmp_path)] == [False]


@pytest.mark.parametrize("suffix", ["-wal", "-shm"])
@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir], ids=["pipe", "directory"])
async def test_what_is_no_log_costs_only_what_stands_in_the_log(
    sound: Path, tmp_path: Path, make: Callable[[Path], None], suffix: str
) -> None:
    file = copied(sound, tmp_path / "state")
    make(file.with_name(f"brownout.db{suffix}"))
    found = await opened(file.parent)
    assert (found.rescued, found.known_ids, len(found.journal.checks)) == (True, True, CHECKS + 1)


FOREIGN = {
    "none of our tables": "CREATE TABLE cats (name)",
    "a table named as ours": "CREATE TABLE events (id, happened)",
    "a count of versions": "CREATE TABLE meta (key, value); INSERT INTO meta VALUES ('schema_version', '1')",
    "another count": "CREATE TABLE meta (name, version)",
}


@pytest.mark.parametrize("what", FOREIGN)
async def test_the_database_of_another_program_is_kept_aside_as_it_is(tmp_path: Path, what: str) -> None:
    with closing(sqlite3.connect(tmp_path / "brownout.db")) as db:
        db.executescript(FOREIGN[what])
    content = (tmp_path / "brownout.db").read_bytes()
    found = await opened(tmp_path)
    assert (found.rescued, found.known_ids, dict(found.journal.checks)) == (True, False, {})
    assert [aside.read_bytes() for aside in damaged(tmp_path)] == [content]


async def test_a_few_damaged_files_are_kept(tmp_path: Path) -> None:
    for number in range(DAMAGED_KEPT + 2):
        (tmp_path / "brownout.db").write_bytes(b"garbage %d" % number * 50)
        (tmp_path / "brownout.db-wal").unlink(missing_ok=True)
        await opened(tmp_path)
    kept = damaged(tmp_path)
    assert [file.read_bytes()[:9] for file in kept] == [b"garbage %d" % n for n in range(2, DAMAGED_KEPT + 2)]


async def test_what_is_owed_is_owed_on(sound: Path, tmp_path: Path) -> None:
    """Open keys of sinks come back by the incidents' told sets, undelivered rows by themselves."""
    file = copied(sound, tmp_path / "state")
    _scribble_on(file, lambda db: db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'meta'").fetchone()[0])
    found = await opened(file.parent)
    assert found.rescued
    assert not found.known_ids, "the journal's name is lost"
    assert all(incident.told == {"hook", "pager"} for incident in found.journal.incidents)
    assert len(found.journal.incidents) == 30
    assert (found.owed["hook"].waiting, found.owed["pager"].waiting) == (61, 30)
    assert found.journal.services["shop"] == service(seq=30)
    assert found.journal.checks["c7"].since == after(7)


def damaged(folder: Path) -> list[Path]:
    return sorted(folder.glob("journal-damaged-*.db"))


def _scribble_on(file: Path, page_of: Callable[[sqlite3.Connection], int]) -> None:
    with closing(sqlite3.connect(file)) as db:
        page = page_of(db)
    with file.open("r+b") as raw:
        raw.seek(PAGE * (page - 1))
        raw.write(b"\xa5" * PAGE)


async def test_old_transitions_are_not_written_anew_after_a_rescue(sound: Path, tmp_path: Path) -> None:
    file = copied(sound, tmp_path / "state")
    with closing(sqlite3.connect(file)) as db:
        db.execute("INSERT INTO meta VALUES ('evidence_dropped', '20')")
        db.execute("UPDATE services SET state = 'wonderful'")
        db.commit()
    assert (await opened(file.parent)).rescued
    with closing(sqlite3.connect(file)) as db:
        assert db.execute("SELECT value FROM meta WHERE key = 'evidence_dropped'").fetchone() == ("20",)


def test_trouble_of_the_fresh_journal_is_not_taken_for_damage_of_the_old_one(sound: Path, tmp_path: Path) -> None:
    """Else what could be read would be given up with it."""
    file = copied(sound, tmp_path / "state")
    fresh = connect(tmp_path / "fresh.db", timedelta(seconds=1))
    fresh.execute("PRAGMA query_only = ON")
    with closing(fresh), pytest.raises(sqlite3.OperationalError, match="readonly"):
        bring_over(file, fresh, None)
