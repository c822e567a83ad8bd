"""Backup beside a writing agent, restore where none runs; each command as a process of its own."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from monitor.store._backup import back_up
from monitor.store._restore import BEFORE, restore
from monitor.store.contract import Refused, StoreBusy, StoreError
from monitor.store.sqlite import SqliteStore
from tests.end_to_end.disks import small_disk
from tests.end_to_end.rig import BROWNOUT, ROOT, environment
from tests.store.made import NOBODY, after, event, told, whole_change
from tests.store.test_sqlite import COMMITTER


def brownout(*arguments: str | Path) -> tuple[int, str]:
    done = subprocess.run(
        [BROWNOUT, *arguments], capture_output=True, text=True, timeout=50, env=environment(), check=False
    )
    return done.returncode, done.stdout + done.stderr


async def filled(state_dir: Path) -> None:
    """One event accepted, one waiting for its second attempt, one never tried, one given up."""
    store = SqliteStore(state_dir)
    await store.open()
    await store.commit([whole_change(3), told(*(event(name, name) for name in ("sent", "late", "dead")))], NOBODY)
    never, sent, late, dead = await store.claim("hook", after(0), after(30), 9)
    await store.failed([never], after(0), "503")
    await store.delivered([sent], after(1))
    await store.failed([late], after(60), "503")
    await store.dead([dead], after(1), "410")
    await store.close()


async def test_what_is_restored_is_what_was_known_and_owed(tmp_path: Path) -> None:
    state, backup = tmp_path / "state", tmp_path / "backup.db"
    await filled(state)
    copied = back_up(state, backup)
    assert (copied.checks, copied.incidents, copied.rows) == (1, 1, 2)
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    assert copied.history == tmp_path / "backup.history.db"
    shutil.rmtree(state)
    state.mkdir(mode=0o700)
    restore(backup, state)
    store = SqliteStore(state)
    journal = await store.open()
    assert (journal.checks["a"].seq, journal.incidents[0].told) == (3, {"hook", "pager"})
    assert {item.event_id: item.attempt for item in await store.claim("hook", after(99), after(199), 9)} == {
        "e3": 2,
        "late": 2,
    }, "and not what was accepted"
    assert [letter.delivery.event_id for letter in await store.dead_letters(9)] == ["dead"]
    await store.close()


async def test_beside_an_agent_that_writes_as_fast_as_it_can(tmp_path: Path) -> None:
    """The copy is of one moment, and the agent is not held up: it goes on committing while it is made."""
    state = tmp_path / "state"
    with subprocess.Popen([sys.executable, "-c", COMMITTER, state], stdout=subprocess.PIPE, cwd=ROOT) as agent:  # noqa: ASYNC220
        assert agent.stdout
        for _ in range(200):
            before = int(agent.stdout.readline())
        code, said = brownout("backup", tmp_path / "backup.db", "--state-dir", state)
        agent.send_signal(signal.SIGKILL)
        later = int(agent.stdout.read().split()[-1])
    assert code == 0, said
    with closing(sqlite3.connect(tmp_path / "backup.db")) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        [seq] = db.execute("SELECT seq FROM checks").fetchone()
        for table in ("incidents", "transitions", "events", "outbox"):
            assert db.execute(f"SELECT COUNT(*) FROM {table}").fetchone() == (seq,)
    assert before <= seq < later


async def test_nothing_is_left_behind_where_there_is_no_room(tmp_path: Path) -> None:
    await filled(tmp_path / "state")
    with small_disk(tmp_path / "disk") as disk:
        disk.fill()
        code, said = brownout("backup", disk.folder / "backup.db", "--state-dir", tmp_path / "state")
        assert (code, [file.name for file in disk.folder.glob("*")]) == (1, ["ballast"])
        assert "no backup was made" in said


async def test_what_is_asked_wrongly_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    state, backup = tmp_path / "state", tmp_path / "backup.db"
    with pytest.raises(Refused, match="is not there, or may not be read"):
        back_up(state, backup)
    await filled(state)
    backup.write_text("precious")
    with pytest.raises(Refused, match="is there already: name another file, or add --force"):
        back_up(state, backup)
    with pytest.raises(StoreError, match="No such file or directory"):
        back_up(state, tmp_path / "nowhere" / "backup.db")
    with pytest.raises(Refused, match=r"backup\.db is no backup of a journal: file is not a database"):
        restore(backup, state)
    back_up(state, backup, force=True, history=False)
    with pytest.raises(Refused, match="there is no file"):
        restore(tmp_path / "nothing.db", state)
    whole = backup.read_bytes()
    backup.write_bytes(whole[: len(whole) // 2])
    with pytest.raises((Refused, StoreError), match=r"malformed|damaged"):
        restore(backup, state)
    other = tmp_path / "other.db"
    with closing(sqlite3.connect(other)) as db:
        db.execute("CREATE TABLE cats (name)")
        db.commit()
    with pytest.raises(Refused, match="a database of something else"):
        restore(other, state)
    backup.write_bytes(whole)
    with closing(sqlite3.connect(backup)) as db:
        db.execute("UPDATE meta SET value = '99' WHERE key = 'schema_version'")
        db.commit()
    with pytest.raises(Refused, match="newer Brownout"):
        restore(backup, state)
    backup.write_bytes(whole)
    store = SqliteStore(state)
    await store.open()
    with pytest.raises(StoreBusy, match=f"pid {os.getpid()}"):
        restore(backup, state)
    assert (await store.backlog())["hook"].waiting == 2
    await store.close()
    assert not (state / BEFORE).exists()


async def test_the_journal_that_was_there_is_kept_whole(tmp_path: Path) -> None:
    """Its log goes into it: were it left, it would be taken for that of the restored one."""
    state, backup = tmp_path / "state", tmp_path / "backup.db"
    await filled(state)
    back_up(state, backup)
    store = SqliteStore(state)
    await store.open()
    await store.commit([whole_change(8)], NOBODY)
    crashed = tmp_path / "crashed"
    shutil.copytree(state, crashed)
    await store.close()
    assert (crashed / "brownout.db-wal").stat().st_size > 0
    restore(backup, crashed)
    for name, seq in (("brownout.db", 3), (BEFORE, 8)):
        with closing(sqlite3.connect(crashed / name)) as db:
            assert db.execute("SELECT seq FROM checks").fetchone() == (seq,), name


async def test_a_backup_never_takes_the_place_of_what_is_the_agents_or_is_no_file(tmp_path: Path) -> None:
    """Also with --force: without its lock, for one, a second agent could start."""
    state, other = tmp_path / "state", tmp_path / "other"
    await filled(state)
    (tmp_path / "door").symlink_to(state)
    for target in (*(state / name for name in ("brownout.db", "agent.lock", "new.db", "deep/er.db")),
                   tmp_path / "door" / "agent.lock"):  # fmt: skip
        with pytest.raises(Refused, match="lies in the agent's own"):
            back_up(state, target, force=True)
    other.mkdir()
    os.mkfifo(other / "pipe")
    (other / "link").symlink_to(state / "brownout.db")
    (other / "nowhere").symlink_to(other / "nothing")
    (other / "disk").mkdir()
    os.mkfifo(other / "beside.history.db")
    before = content_of(tmp_path)
    for name in ("pipe", "link", "nowhere", "disk", "beside.db"):
        with pytest.raises(Refused, match="is no file that could be replaced"):
            back_up(state, other / name, force=True)
    with pytest.raises(Refused, match="is no file that could be replaced"):
        back_up(state, Path("/dev/null"), force=True)
    assert content_of(tmp_path) == before


def content_of(folder: Path) -> dict[Path, bytes | int]:
    """Of every file in it; of what is none its kind."""
    return {
        path: path.read_bytes() if path.is_file() else stat.S_IFMT(path.lstat().st_mode) for path in folder.rglob("*")
    }


def foreign(file: Path) -> None:
    """The database of another program, which counts its versions as we do."""
    with closing(sqlite3.connect(file)) as db:
        db.execute("CREATE TABLE batches (name)")
        db.execute("PRAGMA user_version = 1")
        db.commit()


NO_HISTORIES: dict[str, Callable[[Path], object]] = {
    "text": lambda file: file.write_text("precious"),
    "nothing": lambda file: file.write_bytes(b""),
    "empty": lambda file: sqlite3.connect(file).execute("VACUUM").connection.close(),
    "foreign": foreign,
    "pipe": os.mkfifo,
    "directory": Path.mkdir,
    "link to nothing": lambda file: file.symlink_to("nothing"),
}


@pytest.mark.parametrize("kind", NO_HISTORIES)
async def test_nothing_is_restored_when_the_history_beside_it_is_none(tmp_path: Path, kind: str) -> None:
    state, backup = tmp_path / "state", tmp_path / "backup.db"
    await filled(state)
    back_up(state, backup)
    beside = tmp_path / "backup.history.db"
    before, whole = content_of(state), beside.read_bytes()
    beside.unlink()
    NO_HISTORIES[kind](beside)
    with pytest.raises(Refused, match="; move it away to restore the journal alone"):
        restore(backup, state)
    assert content_of(state) == before
    if beside.is_dir():
        return
    beside.unlink()
    beside.write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(Refused, match=r"backup\.history\.db"):
        restore(backup, state)
    assert content_of(state) == before


async def test_what_was_there_is_kept_as_a_backup_of_both(tmp_path: Path) -> None:
    """So a restore that was a mistake is taken back by another."""
    state, backup = tmp_path / "state", tmp_path / "backup.db"
    await filled(state)
    back_up(state, backup)
    mark(state, "later")
    restored = restore(backup, state)
    assert (restored.kept, marks(state)) == (state / BEFORE, [])
    restore(state / BEFORE, state)
    assert marks(state) == ["later"]
    assert back_up(state, tmp_path / "alone.db", history=False).history is None
    restore(tmp_path / "alone.db", state)
    assert marks(state) == ["later"], "the history stays as it is"
    assert not (state / "journal-before-restore.history.db").exists(), "none goes with the journal that is kept now"


def mark(state: Path, name: str) -> None:
    with closing(sqlite3.connect(state / "history.db")) as db:
        db.execute("INSERT INTO series (check_id) VALUES (?)", (name,))
        db.commit()


def marks(state: Path) -> list[str]:
    with closing(sqlite3.connect(state / "history.db")) as db:
        return [row[0] for row in db.execute("SELECT check_id FROM series")]


async def test_what_is_no_database_is_kept_aside_and_replaced(tmp_path: Path) -> None:
    state, backup = tmp_path / "state", tmp_path / "backup.db"
    await filled(state)
    back_up(state, backup)
    for name in ("brownout.db", "history.db"):
        (state / name).unlink()
    os.mkfifo(state / "brownout.db")
    (state / "history.db").mkdir()
    (state / "brownout.db-wal").write_bytes(b"of another database")
    assert restore(backup, state).kept is None
    assert not (state / "brownout.db-wal").exists(), "it would be taken for that of the restored one"
    assert sorted(file.name.partition("-damaged-")[0] for file in state.glob("*-damaged-*.db")) == [
        "history",
        "journal",
    ]
    store = SqliteStore(state)
    assert (await store.open()).checks["a"].seq == 3
    await store.close()


async def test_a_journal_that_another_program_holds_is_left_in_its_place(tmp_path: Path) -> None:
    state, backup = tmp_path / "state", tmp_path / "backup.db"
    await filled(state)
    back_up(state, backup)
    before = content_of(state).keys()
    with closing(sqlite3.connect(state / "history.db", isolation_level=None)) as shell:
        shell.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreError, match=r"history\.db cannot be kept: database is locked; nothing was restored"):
            restore(backup, state)
    assert content_of(state).keys() == before


async def test_a_history_that_is_none_does_not_keep_the_journal_from_its_backup(tmp_path: Path) -> None:
    state, backup = tmp_path / "state", tmp_path / "backup.db"
    await filled(state)
    (state / "history.db").unlink()
    foreign(state / "history.db")
    with pytest.raises(StoreError, match=r"something else; .*backup\.db is there, without the history"):
        back_up(state, backup)
    with pytest.raises(Refused, match="is there already"):
        back_up(state, backup)
    (state / "brownout.db").unlink()
    foreign(state / "brownout.db")
    with pytest.raises(StoreError, match="something else; no backup was made"):
        back_up(state, tmp_path / "other.db")
    assert not (tmp_path / "other.db").exists()


async def test_where_there_is_no_room_nothing_is_restored(tmp_path: Path) -> None:
    await filled(tmp_path / "state")
    back_up(tmp_path / "state", tmp_path / "backup.db")
    with small_disk(tmp_path / "disk") as disk:
        await filled(disk.folder / "state")
        before = (disk.folder / "state" / "brownout.db").read_bytes()
        disk.fill()
        code, said = brownout("restore", tmp_path / "backup.db", "--state-dir", disk.folder / "state")
        assert (code, "nothing was restored" in said) == (1, True), said
        assert (disk.folder / "state" / "brownout.db").read_bytes() == before
        assert not list((disk.folder / "state").glob("*.restored"))


@pytest.mark.skipif(os.getuid() != 0, reason="only root may restore for another user")
async def test_what_root_restores_belongs_to_the_agent(tmp_path: Path) -> None:
    """A wiped folder, as after a reinstallation: also the lock must be the agent's."""
    state, backup = tmp_path / "state", tmp_path / "backup.db"
    await filled(state)
    back_up(state, backup)
    shutil.rmtree(state)
    state.mkdir(mode=0o700)
    os.chown(state, 65534, 65534)
    restore(backup, state)
    assert {file.name for file in state.iterdir()} == {"agent.lock", "brownout.db", "history.db"}
    assert {(file.stat().st_uid, file.stat().st_gid) for file in state.iterdir()} == {(65534, 65534)}


async def test_a_backup_leaves_no_trace_where_no_agent_runs(tmp_path: Path) -> None:
    """Files that SQLite makes beside a database belong to whoever reads it."""
    state = tmp_path / "state"
    await filled(state)
    before = {file.name for file in state.iterdir()}
    back_up(state, tmp_path / "backup.db")
    assert {file.name for file in state.iterdir()} == before
