"""From every schema that was ever released to the newest: what was known is known, and event ids go on."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from monitor.core.model import Impact, Incident, Journal
from monitor.store._database import COPIES_KEPT, connect, migrations
from monitor.store._peek import peek
from monitor.store.contract import Backlog
from monitor.store.offline import each_incident, reading
from monitor.store.sqlite import SqliteStore
from tests.core.builders import moment
from tests.end_to_end.rig import ROOT, agent
from tests.store.fixtures.story import HOOK, NAMES, NOBODY, NOTES, begin, event_ids, go_down, recover

FIXTURES = sorted((Path(__file__).parent / "fixtures").glob("schema-*.sql"))
PATIENCE = timedelta(seconds=5)
NOTED = "schema-003"
"""The first that has notes."""


def laid_out(fixture: Path, state_dir: Path) -> Path:
    """The journal as the version of that time has left it."""
    state_dir.mkdir(mode=0o700, exist_ok=True)
    file = state_dir / "brownout.db"
    with closing(sqlite3.connect(file)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.executescript(fixture.read_text(encoding="utf-8"))
    return file


def of_file(file: Path, question: str) -> str:
    with closing(sqlite3.connect(file)) as db:
        return str(db.execute(question).fetchone()[0])


VERSION = "SELECT value FROM meta WHERE key = 'schema_version'"


def test_every_schema_has_its_fixture() -> None:
    assert [int(file.stem.removeprefix("schema-")) for file in FIXTURES] == list(migrations()), (
        "a schema is new: python -m tests.store.fixtures.make"
    )


@pytest.mark.parametrize("fixture", FIXTURES, ids=lambda file: file.stem)
async def test_upgrade(fixture: Path, tmp_path: Path) -> None:
    file = laid_out(fixture, tmp_path)
    origin = of_file(file, "SELECT value FROM meta WHERE key = 'origin'")
    known = peek(file, 99)
    told_before = set(event_ids(go_down(begin(Journal(origin, 1)))))
    store = SqliteStore(tmp_path, vantage="local")
    journal = await store.open()
    assert journal.origin == origin
    assert known is not None
    assert replace(known.journal, epoch=journal.epoch) == journal, "also where it can only be read"
    noted = {name: value for name, value in journal.notes.items() if not name.startswith("flapping:")}
    assert noted == ({note.name: note.value for note in NOTES.notes} if fixture.stem >= NOTED else {})
    assert {name: record.state for name, record in journal.checks.items()} == dict.fromkeys(NAMES, "down")
    assert {name: record.state for name, record in journal.services.items()} == dict.fromkeys(NAMES, "outage")
    assert [incident.told for incident in journal.incidents] == [frozenset({HOOK})] * 3
    assert {incident.root for incident in journal.incidents} == set(NAMES)
    assert {str(body["id"]) for body in await store.events(99)} >= told_before
    assert (await store.backlog())[HOOK] == Backlog(1, 1, moment(3).at)

    changes = recover(begin(journal, at=150))
    uninterrupted = begin(Journal(origin, 1))
    go_down(uninterrupted)
    assert event_ids(changes) == event_ids(recover(uninterrupted)), "as if there had been no upgrade"
    await store.commit(changes, NOBODY)
    assert (await store.backlog())[HOOK].waiting == 1 + len([e for c in changes for e in c.events if e.sinks])
    waiting = await store.claim(HOOK, moment(300).at, moment(400).at, 99)
    assert [delivery.attempt for delivery in waiting if delivery.event_id in told_before] == [2]
    await store.close()
    assert of_file(file, VERSION) == str(max(migrations()))
    if fixture != FIXTURES[-1]:
        assert of_file(tmp_path / f"journal-before-schema-{max(migrations()):03}.db", VERSION) == fixture.stem[-1]


OF_BEFORE = [file for file in FIXTURES if file.stem < "schema-004"]
"""Those that did not keep the worst that an incident was."""
TWO_WITH_LESS = """
UPDATE incidents SET impact = 'degradation' WHERE root <> 'pay';
UPDATE events SET body = CAST('{' AS BLOB) WHERE stream = (SELECT id FROM incidents WHERE root = 'home');
"""
"""Of three outages two have become degradations since; what was told of the one is damaged."""


def worst(incidents: Iterable[Incident]) -> dict[str, Impact]:
    return {incident.root: incident.worst for incident in incidents}


@pytest.mark.parametrize("fixture", OF_BEFORE, ids=lambda file: file.stem)
async def test_the_worst_that_an_incident_was_is_what_is_known_of_it(fixture: Path, tmp_path: Path) -> None:
    file = laid_out(fixture, tmp_path)
    with closing(sqlite3.connect(file)) as db:
        db.executescript(TWO_WITH_LESS)
    known = peek(file, 99)
    assert known is not None
    less, outage = Impact.DEGRADATION, Impact.OUTAGE
    assert worst(known.journal.incidents) == {"home": less, "shop": less, "pay": outage}, "as it can only be read"
    with reading(file) as db:
        assert worst(each_incident(db, moment(0).at, moment(900).at)) == worst(known.journal.incidents)
    store = SqliteStore(tmp_path, vantage="local")
    assert worst((await store.open()).incidents) == {"home": less, "shop": outage, "pay": outage}
    await store.close()


async def test_a_damaged_journal_of_before_keeps_its_incidents(tmp_path: Path) -> None:
    file = laid_out(OF_BEFORE[-1], tmp_path)
    with closing(sqlite3.connect(file)) as db:
        db.execute("UPDATE meta SET value = 'x' WHERE key = 'schema_version'")
        db.commit()
    store = SqliteStore(tmp_path, vantage="local")
    assert worst((await store.open()).incidents) == dict.fromkeys(NAMES, Impact.OUTAGE)
    assert [rescue.rows["incidents"] for rescue in store.rescues] == [3]
    await store.close()


def later(version: int, statement: str = "CREATE TABLE more_{0} (x)") -> dict[int, str]:
    """The migrations of a version to come."""
    new = range(max(migrations()) + 1, version + 1)
    return migrations() | {number: statement.format(number) + ";\n" for number in new}


def test_a_copy_is_made_before_the_journal_is_changed(tmp_path: Path) -> None:
    file, newest = laid_out(FIXTURES[-1], tmp_path), max(migrations())
    for version in range(newest + 1, newest + 5):
        connect(file, PATIENCE, scripts=later(version)).close()
        copy = tmp_path / f"journal-before-schema-{version:03}.db"
        assert of_file(copy, VERSION) == str(version - 1)
        assert of_file(file, VERSION) == str(version)
        assert of_file(copy, "SELECT COUNT(*) FROM checks") == "3"
        assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert len(list(tmp_path.glob("journal-before-schema-*"))) == COPIES_KEPT


SLOW = """
import sys
from datetime import timedelta
from pathlib import Path
from monitor.store._database import connect
from tests.store.test_upgrade import later, migrations
MANY = '''CREATE TABLE more_{0} (x);
DELETE FROM checks;
INSERT INTO more_{0}
    WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 1000000000) SELECT x FROM n'''
connect(Path(sys.argv[1]), timedelta(seconds=5), scripts=later(max(migrations()) + 1, MANY))
"""


async def test_a_migration_that_is_killed_leaves_the_journal_as_it_was(tmp_path: Path) -> None:
    file = laid_out(FIXTURES[-1], tmp_path)
    command = [sys.executable, "-c", SLOW, file]
    with subprocess.Popen(command, cwd=ROOT) as upgrade:  # noqa: ASYNC220
        give_up = time.monotonic() + 30
        wal = file.with_name("brownout.db-wal")
        while not (wal.exists() and wal.stat().st_size > 2**20):
            assert upgrade.poll() is None
            assert time.monotonic() < give_up
            time.sleep(0.01)  # noqa: ASYNC251  (there is no loop to hold)
        upgrade.kill()
    assert of_file(file, VERSION) == str(max(migrations()))
    store = SqliteStore(tmp_path, vantage="local")
    assert set((await store.open()).checks) == set(NAMES)
    await store.close()


CHECKS = """\
agent: {listen: "127.0.0.1:0", state_dir: state}
checks: [{name: home, probe: tcp, address: "127.0.0.1:9", every: 200ms}]
"""


async def test_a_newer_journal_is_refused_and_left_alone(tmp_path: Path) -> None:
    config = tmp_path / "checks.yaml"
    config.write_text(CHECKS)
    file, newer = laid_out(FIXTURES[-1], tmp_path / "state"), max(migrations()) + 1
    connect(file, PATIENCE, scripts=later(newer)).close()
    before = file.read_bytes()
    with agent(tmp_path, "run", config) as running:
        assert await running.ended() == 2
        said = f"was written by a newer Brownout (schema {newer}, this one knows {newer - 1})"
        assert said in running.log
        assert "nothing was started" in running.log
        copy = file.with_name(f"journal-before-schema-{newer:03}.db")
        assert f"brownout restore {copy} --state-dir {file.parent}" in running.log, "the copy of the upgrade"
    assert file.read_bytes() == before


async def test_the_lock_file_of_an_agent_that_was_killed_refuses_nobody(tmp_path: Path) -> None:
    config = tmp_path / "checks.yaml"
    config.write_text(CHECKS)
    with agent(tmp_path, "run", config) as first:
        await first.started()
        await first.kill()
    assert (tmp_path / "state" / "agent.lock").read_text() == f"{first.process.pid}\n"
    with agent(tmp_path, "run", config) as second:
        await second.started()
        assert await second.stop() == 0
