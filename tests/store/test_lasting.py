"""The store that lasts: what happens between the first write that fails and the first that works again."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import structlog

from monitor.core.model import Change, Event, EventType, Note
from monitor.store._spare import Bounds
from monitor.store.contract import Refused, StoreError, Unstorable
from monitor.store.lasting import LastingStore
from monitor.store.sqlite import SqliteStore
from tests.end_to_end.disks import small_disk
from tests.store.made import NOBODY, after, event, incident, record, told, whole_change

LEVEL = frozenset({"pager"})
AT_ONCE = timedelta(milliseconds=1)


class Place:
    """A journal, the store in front of it, and another program that can hold it."""

    def __init__(self, folder: Path, bounds: Bounds) -> None:
        self.folder = folder
        self.durable = SqliteStore(folder, busy_timeout=AT_ONCE)
        self.store = LastingStore(self.durable, bounds=bounds, retry=0.01)
        self._other: sqlite3.Connection | None = None

    def hold(self) -> None:
        self._other = sqlite3.connect(self.folder / "brownout.db", isolation_level=None)
        self._other.execute("BEGIN IMMEDIATE")

    async def release(self) -> None:
        assert self._other is not None
        self._other.close()
        await self.until(lambda: not self.store.condition.trouble)

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not holds():  # noqa: ASYNC110  (what is waited for sets no event)
                await asyncio.sleep(0.01)

    async def claimed(self, sink: str = "hook", at: float = 0) -> list[str]:
        return [delivery.event_id for delivery in await self.store.claim(sink, after(at), after(at + 30), 99)]

    def rows(self) -> list[tuple[str, str, int, int]]:
        with closing(sqlite3.connect(self.folder / "brownout.db")) as db:
            found = "SELECT e.id, o.state, o.head, o.attempts FROM outbox o JOIN events e ON e.number = o.event"
            return db.execute(f"{found} ORDER BY o.id").fetchall()


@asynccontextmanager
async def place(folder: Path, bounds: Bounds = Bounds()) -> AsyncIterator[Place]:  # noqa: B008
    here = Place(folder, bounds)
    await here.store.open()
    running = asyncio.create_task(here.store.run())
    try:
        yield here
    finally:
        running.cancel()
        await asyncio.wait([running])
        await here.store.close()


async def test_rows_are_sent_from_memory_in_order_and_then_written_down(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        await here.store.commit([told(event("e1"), event("f1", "check:f"))], NOBODY)
        here.hold()
        await here.store.commit([told(event("e2"), event("g1", "check:g"), event("h1", "check:h"))], NOBODY)
        assert here.store.condition.waiting == 3
        assert "another program holds it" in here.store.condition.trouble
        first, f, g, h = await here.store.claim("hook", after(0), after(30), 99)
        assert (first.event_id, json.loads(first.body).get("durable")) == ("e1", None), "it is in the journal"
        assert json.loads(g.body)["durable"] is False
        await here.store.delivered([first], after(1))
        await here.store.failed([f], after(60), "503")
        await here.store.dead([g], after(1), "410")
        await here.release()
        assert here.rows() == [
            ("f1", "waiting", 1, 1),
            ("e2", "waiting", 1, 0),
            ("g1", "dead", 0, 1),
            ("h1", "leased", 1, 1),
        ]
        await here.store.delivered([h], after(2))
        assert [row[0] for row in here.rows()] == ["f1", "e2", "g1"], "a send that was under way is settled later"
        [second] = await here.store.claim("hook", after(3), after(30), 99)
        assert (second.event_id, json.loads(second.body)["durable"]) == ("e2", False), (
            "the same bytes on every attempt"
        )
        [letter] = await here.store.dead_letters(9)
        assert letter.error == "410"


async def test_a_lease_from_the_journal_is_settled_from_memory(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        await here.store.commit([told(event("e1"), event("e2"))], NOBODY)
        [first] = await here.store.claim("hook", after(0), after(30), 99)
        here.hold()
        await here.store.delivered([first], after(1))
        assert await here.claimed(at=1) == ["e2"]
        await here.release()
        assert here.rows() == [("e2", "leased", 1, 1)]


async def test_level_sinks_are_superseded_in_memory_too(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        await here.store.commit([told(event("e1", sinks=("pager",)))], LEVEL)
        here.hold()
        await here.store.commit([told(event("e2", sinks=("pager",)))], LEVEL)
        assert await here.claimed("pager") == ["e2"]
        await here.store.commit([told(event("e3", sinks=("pager",)))], LEVEL)
        await here.release()
        assert here.rows() == [("e2", "leased", 1, 1), ("e3", "waiting", 0, 0)]


async def test_states_and_incidents_come_into_the_journal(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        here.hold()
        for number in (1, 2, 3):
            await here.store.commit([whole_change(number)], NOBODY)
        with pytest.raises(StoreError):
            await here.store.save([record(seq=3)])
        assert [found.id for found in await here.store.incidents(9)] == ["i3", "i2", "i1"]
        assert [body["id"] for body in await here.store.events(2)] == ["e3", "e2"]
        assert (await here.store.incident("i2")) == replace(incident("i2"))
        await here.release()
        assert [body["id"] for body in await here.store.events(9)] == ["e3", "e2", "e1"]
    journal = await SqliteStore(tmp_path).open()
    assert (journal.checks["a"].seq, journal.services["shop"].seq, len(journal.incidents)) == (3, 3, 3)


async def test_notes_come_into_the_journal(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        await here.store.commit([Change(notes=(Note("before", 1), Note("gone", 1)))], NOBODY)
        here.hold()
        await here.store.commit([Change(notes=(Note("a", 1), Note("gone", 2)))], NOBODY)
        await here.store.commit([Change(notes=(Note("a", 2), Note("gone", None)))], NOBODY)
        await here.release()
    assert (await SqliteStore(tmp_path).open()).notes == {"before": 1, "a": 2}


async def test_what_cannot_be_stored_is_refused_in_memory_as_well(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        here.hold()
        with pytest.raises(Unstorable):
            await here.store.commit([told(event("e1", wrong=object()))], NOBODY)
        await here.store.commit([told(event("e2"))], NOBODY)
        await here.release()
        assert [row[0] for row in here.rows()] == ["e2"]


def big(name: str, kind: EventType, stream: str) -> Change:
    return told(replace(event(name, stream, text="x" * 1000), type=kind))


async def test_memory_is_bounded_and_small_news_go_first(tmp_path: Path) -> None:
    async with place(tmp_path, Bounds(events=20, bytes=10**9)) as here:
        here.hold()
        await here.store.commit([big("sent", EventType.INCIDENT_OPENED, "s")], NOBODY)
        [sent] = await here.store.claim("hook", after(0), after(30), 99)
        await here.store.delivered([sent], after(1))
        for number in range(8):
            await here.store.commit([big(f"o{number}", EventType.INCIDENT_OPENED, f"i{number}")], NOBODY)
            await here.store.commit([big(f"c{number}", EventType.CHECK_CHANGED, f"c{number}")], NOBODY)
        for number in range(12):
            await here.store.commit([big(f"p{number}", EventType.INCIDENT_OPENED, f"j{number}")], NOBODY)
        condition = here.store.condition
        assert (condition.unsent, condition.forgotten) == (8, 1)
        assert condition.waiting == 20
        assert not [name for name in await here.claimed() if name.startswith("c")], "what a check does is small news"
        await here.release()
        assert len(here.rows()) == 20
        assert here.store.condition.unsent == 8, "it is told as long as the agent runs"


async def test_memory_is_bounded_in_bytes(tmp_path: Path) -> None:
    async with place(tmp_path, Bounds(bytes=20_000)) as here:
        here.hold()
        for number in range(100):
            await here.store.commit([big(f"o{number}", EventType.INCIDENT_OPENED, f"i{number}")], NOBODY)
        left = await here.claimed()
        assert 10 <= len(left) <= 20
        assert left[-1] == "o99", "the oldest went"
        await here.store.commit([big("last", EventType.INCIDENT_OPENED, "last")], NOBODY)
        await here.release()
        assert {row[0] for row in here.rows()} >= set(left), "of what is being sent nothing is taken"


async def test_damage_while_it_runs_costs_nothing_that_is_known(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        here.store.everything = lambda: Change(checks=(record("a", seq=7), record("b", seq=9)))
        await here.store.commit([whole_change(7), told(event("e8", "x"))], NOBODY)
        await here.store.commit([Change(notes=(Note("told", None),))], NOBODY)
        with (tmp_path / "brownout.db").open("r+b") as raw, (tmp_path / "brownout.db-wal").open("r+b") as log:
            for file in (raw, log):
                size = file.seek(0, 2)
                file.seek(0)
                file.write(b"\xa5" * size)
        (tmp_path / "brownout.db-shm").write_bytes(b"\xa5" * 32768)
        with structlog.testing.capture_logs() as logged:
            await here.store.commit([told(event("e9", "y"))], NOBODY)
            await here.claimed()
            await here.until(lambda: bool(here.store.condition.damaged) and not here.store.condition.trouble)
        assert [line["event_ids"] for line in logged if line["event"] == "journal_damaged"] == ["go on"]
        assert here.store.condition.set_aside.startswith(str(tmp_path / "journal-damaged-"))
        origin = here.store._origin
    journal = await SqliteStore(tmp_path).open()
    assert journal.origin == origin
    assert {name: kept.seq for name, kept in journal.checks.items()} == {"a": 7, "b": 9}
    assert journal.notes == {"maintenance:1": {"until": 7}}


async def test_a_record_is_never_ahead_of_events_that_are_still_to_come(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        answers: list[Change | None] = [None, None, Change(checks=(record("a", seq=3),))]
        here.store.everything = lambda: answers.pop(0) if len(answers) > 1 else answers[0]
        for name in ("brownout.db", "brownout.db-wal", "brownout.db-shm"):
            (tmp_path / name).unlink()
        await here.store.commit([told(event("e1"))], NOBODY)
        await here.until(lambda: not here.store.condition.trouble and (tmp_path / "brownout.db").exists())
        assert len(answers) == 1
        assert here.rows() == [("e1", "waiting", 1, 0)]


async def test_the_log_is_not_flooded(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        here.hold()
        with structlog.testing.capture_logs() as logged:
            await here.store.commit([told(event("e1"))], NOBODY)
            await here.until(lambda: here.store.condition.failures > 20)
            await here.release()
        assert [line["event"] for line in logged] == ["journal_failed", "journal_written_again"]


async def test_leases_of_the_agent_before_end_where_the_journal_can_only_be_read(tmp_path: Path) -> None:
    before = SqliteStore(tmp_path)
    await before.open()
    await before.commit([told(event("e1"))], NOBODY)
    await before.claim("hook", after(0), after(3000), 9)
    await before.close()
    here = Place(tmp_path, Bounds())
    here.hold()
    assert (await here.store.open()).origin
    assert await here.claimed() == ["e1"]
    running = asyncio.create_task(here.store.run())
    await here.release()
    running.cancel()
    assert here.rows() == [("e1", "leased", 1, 2)]
    await here.store.close()


async def test_a_new_agent_on_a_full_disk_keeps_its_name(tmp_path: Path) -> None:
    """Event ids are made of the journal's name: it must be that of the events that were told from memory."""
    with small_disk(tmp_path / "state") as disk:
        disk.fill()
        async with place(disk.folder) as here:
            assert "disk" in here.store.condition.trouble
            name = here.store._origin
            await here.store.commit([whole_change()], NOBODY)
            assert await here.claimed() == ["e1"]
            await here.until(lambda: here.store.condition.failures > 5)
            disk.empty()
            await here.until(lambda: not here.store.condition.trouble)
            assert here.store.condition.damaged == 0, "what was begun on a full disk is no damaged journal"
            assert here.rows() == [("e1", "leased", 1, 1)]
        journal = await SqliteStore(disk.folder).open()
        assert (journal.origin, set(journal.checks)) == (name, {"a"})


HOLDER = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


async def test_another_process_holds_the_journal(tmp_path: Path) -> None:
    """Somebody has typed BEGIN IMMEDIATE into a shell, and gone to lunch."""
    async with place(tmp_path) as here:
        command = [sys.executable, "-c", HOLDER, tmp_path / "brownout.db"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as shell:  # noqa: ASYNC220
            assert shell.stdout
            assert shell.stdout.readline() == b"held\n"
            await here.store.commit([told(event("e1"))], NOBODY)
            [page] = await here.store.claim("hook", after(0), after(30), 9)
            await here.store.delivered([page], after(1))
            assert "another program holds it" in here.store.condition.trouble
        await here.until(lambda: not here.store.condition.trouble)
        assert here.rows() == []
        assert [body["id"] for body in await here.store.events(9)] == ["e1"]


async def test_what_a_person_has_to_mend_is_not_lived_with(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(Refused, match="not a directory"):
        await LastingStore(SqliteStore(tmp_path / "state")).open()


async def test_what_is_lost_by_a_stop_is_said(tmp_path: Path) -> None:
    here = Place(tmp_path, Bounds())
    await here.store.open()
    here.hold()
    await here.store.commit([told(event("e1"))], NOBODY)
    with structlog.testing.capture_logs() as logged:
        await here.store.close()
    assert [(line["event"], line.get("events")) for line in logged][-1] == ("journal_unwritten", 1)


async def test_what_was_given_up_does_not_fill_the_memory(tmp_path: Path) -> None:
    """Days of a full disk, and a sink that answers 410 all the while."""
    async with place(tmp_path, Bounds(events=20)) as here:
        here.hold()
        for number in range(100):
            await here.store.commit([told(event(f"e{number}"))], NOBODY)
            [delivery] = await here.store.claim("hook", after(0), after(30), 9)
            await here.store.dead([delivery], after(number), "410")
        letters = [letter.delivery.event_id for letter in await here.store.dead_letters(999)]
        assert 15 <= len(letters) <= 20
        assert letters[0] == "e99"
        await here.release()
        assert [row[0] for row in here.rows()] == letters[::-1]


def test_the_mark_is_a_field_of_the_event() -> None:
    schema = json.loads((Path(__file__).parents[2] / "monitor/schemas/event.schema.json").read_text("utf-8"))
    assert schema["properties"]["durable"]["type"] == "boolean"
    assert Event.__doc__
