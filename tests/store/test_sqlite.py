"""What only SQLite has: files, other processes, kills, full disks, old and new schemas."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from monitor.store import _deliveries, _pruning
from monitor.store._database import migrations
from monitor.store.contract import Damaged, Keep, StoreBusy, StoreError
from monitor.store.sqlite import PRUNE_EVERY, SqliteStore
from tests.end_to_end.rig import POWERLESS
from tests.store.made import NOBODY, event, told, whole_change

COMMITTER = """
import asyncio, sys
from pathlib import Path
from monitor.store.sqlite import PRUNE_EVERY, SqliteStore
from tests.store.made import NOBODY, whole_change

async def main():
    store = SqliteStore(Path(sys.argv[1]))
    await store.open()
    for number in range(1, 1_000_000):
        await store.commit([whole_change(number)], NOBODY)
        print(number, flush=True)

asyncio.run(main())
"""


async def test_kill_9_loses_nothing_and_a_second_agent_is_refused_meanwhile(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    root = Path(__file__).parents[2]
    with subprocess.Popen([sys.executable, "-c", COMMITTER, tmp_path], stdout=subprocess.PIPE, cwd=root) as agent:  # noqa: ASYNC220
        assert agent.stdout
        for _ in range(50):
            told_so = int(agent.stdout.readline())
        with pytest.raises(StoreBusy, match=rf"pid {agent.pid}\b.*stop it"):
            await store.open()
        agent.send_signal(signal.SIGKILL)
        told_so = int((agent.stdout.read().split() or [told_so])[-1])
    journal = await store.open()
    assert told_so <= journal.checks["a"].seq <= told_so + 1
    assert len(journal.incidents) == len(await store.events(1_000_000)) == journal.checks["a"].seq
    assert (await store.backlog())["hook"].waiting == journal.checks["a"].seq
    await store.close()


async def test_a_new_directory_is_for_us_alone(tmp_path: Path) -> None:
    state_dir = tmp_path / "var" / "brownout"
    store = SqliteStore(state_dir)
    await store.open()
    assert stat.S_IMODE(state_dir.stat().st_mode) == 0o700
    assert stat.S_IMODE((state_dir / "brownout.db").stat().st_mode) == 0o600
    await store.close()


async def test_a_state_dir_that_cannot_be_one(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(StoreError, match="file is not a directory"):
        await SqliteStore(file).open()
    with pytest.raises(StoreError, match="lies below a file"):
        await SqliteStore(file / "below").open()


OPENER = """
import asyncio, sys
from pathlib import Path
from monitor.store.contract import StoreError
from monitor.store.sqlite import SqliteStore
try:
    asyncio.run(SqliteStore(Path(sys.argv[1])).open())
except StoreError as error:
    print(error)
"""


def test_a_state_dir_of_someone_else(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    command = [*POWERLESS, sys.executable, "-c", OPENER, str(tmp_path)]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=50, check=True)
    tmp_path.chmod(0o700)
    assert "cannot be written by this user" in done.stdout


async def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    await store.open()
    await store.close()
    newest = max(migrations())
    write(tmp_path, f"UPDATE meta SET value = '{newest + 7}' WHERE key = 'schema_version'")
    with pytest.raises(StoreError, match=rf"newer Brownout \(schema {newest + 7}, this one knows {newest}\)"):
        await store.open()
    write(tmp_path, f"UPDATE meta SET value = '{newest}' WHERE key = 'schema_version'")
    await store.open()
    await store.close()


def test_migrations_are_numbered_without_a_gap() -> None:
    assert list(migrations()) == list(range(1, len(migrations()) + 1))


async def test_a_full_disk_is_said_and_heals(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    await store.open()
    await store._read(lambda db: db.execute("PRAGMA max_page_count = 1").fetchone())
    changes = [told(*(event(f"e{n}", f"s{n}", text="x" * 1000) for n in range(50)))]
    with pytest.raises(StoreError, match="disk is full: make room"):
        await store.commit(changes, NOBODY)
    assert await store.backlog() == {}
    await store._read(lambda db: db.execute("PRAGMA max_page_count = 1000000").fetchone())
    await store.commit(changes, NOBODY)
    assert (await store.backlog())["hook"].waiting == 50
    await store.close()


async def test_a_locked_file_is_said(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path, busy_timeout=timedelta(milliseconds=1))
    await store.open()
    other = sqlite3.connect(tmp_path / "brownout.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="another program holds it"):
        await store.commit([whole_change()], NOBODY)
    other.close()
    await store.commit([whole_change()], NOBODY)
    await store.close()


async def test_old_events_are_pruned_while_it_runs(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path, keep=Keep(events=10))
    await store.open()
    await store.commit([told(*(event(f"e{n}", sinks=()) for n in range(PRUNE_EVERY)))], NOBODY)
    while len(await store.events(9999)) > 10:  # it has its turn between two questions
        pass
    await store.close()


async def test_a_commit_waits_for_a_slice_of_pruning_and_not_for_all_of_it(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path, keep=Keep(events=10))
    await store.open()
    await store.commit([told(*(event(f"e{n}", sinks=()) for n in range(PRUNE_EVERY - 1)))], NOBODY)
    held = threading.Event()
    store._thread.submit(held.wait)
    store._thread.submit(store._prune)
    before = asyncio.create_task(store.events(9999))
    committed = asyncio.create_task(store.commit([whole_change()], NOBODY))
    then = asyncio.create_task(store.events(9999))
    await asyncio.sleep(0)  # they queue up, in this order
    held.set()
    await committed
    assert len(await before) == PRUNE_EVERY - 1 - _pruning.AT_ONCE, "one slice was done"
    assert len(await then) == len(await before) + 1, "and no other came between"
    while len(await store.events(9999)) > 11:
        pass
    await store.close()


async def test_damage_that_only_pruning_meets_is_not_written_over(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path, keep=Keep(events=10))
    await store.open()
    await store.commit([told(*(event(f"e{n}", sinks=(), text="x" * 999) for n in range(500)))], NOBODY)
    await store.close()
    with closing(sqlite3.connect(tmp_path / "brownout.db")) as db:
        [page] = db.execute(
            "SELECT pageno FROM dbstat WHERE name = 'events' AND pagetype = 'leaf' LIMIT 1"
        ).fetchone()
    with (tmp_path / "brownout.db").open("r+b") as raw:
        raw.seek(4096 * (page - 1))
        raw.write(b"\xa5" * 4096)
    await store.open()
    assert len(store.rescues) == 1, "it is better met now than while it watches"
    await store.commit([told(event("new"))], NOBODY)
    with (tmp_path / "brownout.db").open("r+b") as raw:
        assert await store._read(lambda db: db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone())
        assert await store._read(lambda db: db.execute("PRAGMA shrink_memory").fetchone()) is None
        size = raw.seek(0, 2)
        raw.seek(4096)
        raw.write(b"\xa5" * (size - 4096))
    store._thread.submit(store._prune)
    with pytest.raises(Damaged):
        await store.commit([told(event("newer"))], NOBODY)
    assert await store.revive("known")
    await store.commit([told(event("newer"))], NOBODY)
    await store.close()


async def test_a_renamed_vantage_keeps_its_memory(tmp_path: Path) -> None:
    before, later = SqliteStore(tmp_path, vantage="local"), SqliteStore(tmp_path, vantage="fra1")
    await before.open()
    await before.commit([whole_change(7)], NOBODY)
    await before.close()
    journal = await later.open()
    assert journal.checks["a"].seq == journal.services["shop"].seq == 7
    await later.close()


async def test_claims_do_not_search_the_backlog(tmp_path: Path) -> None:
    """10,000 waiting rows behind one that failed: a plan with a scan or a sort in it would hold every claim."""
    store = SqliteStore(tmp_path)
    await store.open()
    plan = await store._read(
        lambda db: " | ".join(
            row[3] for row in db.execute("EXPLAIN QUERY PLAN " + _deliveries._CLAIMABLE, ("hook", 0, 4))
        )
    )
    assert plan.endswith("INDEX outbox_heads (sink=? AND due<?)")
    await store.close()


def write(state_dir: Path, statement: str) -> None:
    db = sqlite3.connect(state_dir / "brownout.db")
    with db:
        db.execute(statement)
    db.close()
