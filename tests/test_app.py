"""The agent as a whole: a part that dies takes it down, loudly; it never goes on half alive."""

from __future__ import annotations

import asyncio
import os
import resource
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import ClassVar

import httpx
import pytest
import structlog

from monitor import address
from monitor.app import Agent, StartError
from monitor.config.load import load
from monitor.config.model import Config, Listen
from monitor.core.model import Change, CheckRecord, Event, Journal
from monitor.kinds import installed_kinds
from monitor.lifetime import run_until_signal
from monitor.sinks.contract import Nature, SendFailed, Sink, SinkContext
from monitor.store.contract import Delivery, Fenced, JournalCondition, StoreError
from monitor.store.memory import MemoryStore
from monitor.web import bind
from tests.end_to_end.rig import agent, until

CHECKS = """\
agent: {listen: "127.0.0.1:0", state_dir: state, vantage: {name: test}}
sinks: {terminal: {type: console}}
checks: [{name: home, probe: tcp, address: "127.0.0.1:9", every: 200ms}]
"""


@pytest.fixture
def config(tmp_path: Path) -> Config:
    file = tmp_path / "checks.yaml"
    file.write_text(CHECKS)
    return load(file, kinds=installed_kinds(), env={})


class Sound(MemoryStore):
    """Has what an agent asks of its store besides: this one has never had any trouble."""

    condition = JournalCondition()

    async def run(self) -> None:
        await asyncio.Event().wait()


class Dying(Sound):
    """Raises what no part expects, in the part that calls it."""

    def __init__(self, call: str, error: Exception) -> None:
        super().__init__()
        self._call_, self._error = call, error

    def _meet(self, call: str) -> None:
        if call == self._call_:
            raise self._error

    async def open(self) -> Journal:
        self._meet("open")
        return await super().open()

    async def claim(
        self, sink: str, now: datetime, lease_until: datetime, limit: int, *, deep: bool = False
    ) -> list[Delivery]:
        self._meet("claim")
        return await super().claim(sink, now, lease_until, limit, deep=deep)

    async def commit(self, changes: Sequence[Change], supersedes: frozenset[str]) -> Sequence[Event]:
        self._meet("commit")
        return await super().commit(changes, supersedes)

    async def save(self, checks: Sequence[CheckRecord]) -> None:
        self._meet("save")
        await super().save(checks)


@pytest.mark.parametrize("call", ["claim", "commit"])
async def test_a_part_that_dies_takes_the_agent_down_and_says_so(config: Config, call: str) -> None:
    with structlog.testing.capture_logs() as logged:
        code = await asyncio.wait_for(run_until_signal(Agent(config, store=Dying(call, ZeroDivisionError()))), 30)
    assert code == 1
    assert [line["log_level"] for line in logged if line["event"] == "agent_died"] == ["error"]
    assert "stopped" not in [line["event"] for line in logged], "it did not end in order"


class Refusing(Sink):
    """A webhook whose URL was mistyped."""

    kind: ClassVar[str] = "refusing"
    nature: ClassVar[Nature] = Nature.LOG

    async def send(self, delivery: Delivery, context: SinkContext) -> None:
        raise SendFailed("answered 404", permanent=True)


async def test_a_sink_that_refuses_events_shows_in_the_health(config: Config) -> None:
    stop = asyncio.Event()
    with structlog.testing.capture_logs() as logged:
        running = asyncio.create_task(Agent(config, store=Sound(), sinks={"terminal": Refusing()}).run(stop))
        await until(lambda: any(line["event"] == "outbox.dead_letter" for line in logged), "a dead letter")
    [url] = [line["page"] for line in logged if line["event"] == "started"]
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        document = (await client.get(f"{url}healthz")).json()
        status = (await client.get(f"{url}api/v1/status")).json()
    stop.set()
    await running
    assert document["status"] == "warn"
    told = "the sink terminal has refused an event for good"
    assert told in document["output"]
    assert told in status["agent"]["impaired"][0]


@pytest.mark.parametrize("call", ["claim", "commit"])
async def test_an_agent_that_was_replaced_stops(config: Config, call: str) -> None:
    with structlog.testing.capture_logs() as logged:
        code = await asyncio.wait_for(run_until_signal(Agent(config, store=Dying(call, Fenced("replaced")))), 30)
    assert code == 1
    assert [line["log_level"] for line in logged if line["event"] == "fenced"] == ["error"]


async def test_a_journal_that_does_not_open_is_told_before_anything_is_started(config: Config) -> None:
    dying = Agent(config, store=Dying("open", StoreError("move the file away")))
    with pytest.raises(StartError, match="move the file away"):
        await dying.run(asyncio.Event())
    assert not dying.started.is_set()


@pytest.mark.parametrize("host", ["ü..x", "a" * 64 + ".example"])
async def test_a_host_that_cannot_be_a_name_is_told_in_words(tmp_path: Path, host: str) -> None:
    file = tmp_path / "checks.yaml"
    file.write_text(CHECKS.replace("127.0.0.1:0", f"{host}:80"))
    wrong = load(file, kinds=installed_kinds(), env={})
    with pytest.raises(StartError, match=f"cannot listen on {host}:80: .*write another agent.listen"):
        await Agent(wrong, store=Sound()).run(asyncio.Event())


async def test_the_agent_takes_all_descriptors_it_may_have(tmp_path: Path, config: Config) -> None:
    few = ("sh", "-c", 'ulimit -Sn 200; exec "$@"', "sh")
    with agent(tmp_path, "run", tmp_path / "checks.yaml", before=few) as running:
        await running.started()
        soft, hard = resource.prlimit(running.process.pid, resource.RLIMIT_NOFILE)
        assert soft == hard > 200


async def test_where_one_listener_cannot_be_had_the_other_is_let_go(config: Config) -> None:
    [taken] = bind("127.0.0.1", 0)
    [free] = bind("127.0.0.1", 0)
    inner, outer = (Listen("127.0.0.1", item.getsockname()[1]) for item in (free, taken))
    free.close()
    settings = replace(config.agent, listen=inner, public=outer)
    with taken, pytest.raises(StartError, match=r"another agent\.public\.listen") as caught:
        await Agent(replace(config, agent=settings), store=MemoryStore()).run(asyncio.Event())
    [again] = bind("127.0.0.1", inner.port)
    again.close()
    assert caught  # its traceback holds what was bound; the port must be free all the same


async def test_a_real_agent_whose_journal_was_taken_over(tmp_path: Path, config: Config) -> None:
    with agent(tmp_path, "run", tmp_path / "checks.yaml") as running:
        await running.started()
        with sqlite3.connect(tmp_path / "state" / "brownout.db", timeout=20) as db:
            db.execute("UPDATE meta SET value = value + 1 WHERE key = 'epoch'")
        db.close()
        # At the latest with the next flush.
        assert await running.ended(40) == 1
        assert running.lines("fenced")
        assert not running.lines("stopped"), "it did not end in order"


@pytest.mark.parametrize("kind", ["pipe", "link", "directory"])
async def test_what_lies_in_the_place_of_the_address_neither_holds_up_a_start_nor_is_written_to(
    tmp_path: Path, config: Config, kind: str
) -> None:
    state, victim = tmp_path / "state", tmp_path / "victim"
    state.mkdir()
    victim.write_text("precious")
    file = state / "agent.url"
    make = {"pipe": os.mkfifo, "link": lambda path: path.symlink_to(victim), "directory": Path.mkdir}
    make[kind](file)
    started, stop = Agent(config, store=Sound()), asyncio.Event()
    running = asyncio.create_task(started.run(stop))
    try:
        await asyncio.wait_for(started.started.wait(), 20)
        told = address.told(state)
        assert told.startswith("http://127.0.0.1:") or kind == "directory"
    finally:
        stop.set()
    await running
    assert victim.read_text() == "precious"
    assert [path.name for path in state.iterdir()] == (["agent.url"] if kind == "directory" else [])


def test_an_address_that_is_no_file_is_none(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "agent.url")
    assert address.told(tmp_path) == ""
