"""Lives of an agent in virtual time, written down as its store would, and told again by `brownout replay`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog

from monitor.cli import main
from monitor.clock import Clock
from monitor.core.event import Source
from monitor.core.lived import Definition, just_seen
from monitor.core.model import Change, Check, Event, Journal, OutageRule, Service, Transition
from monitor.core.plan import Plan
from monitor.core.portions import portions
from monitor.core.routing import Route, Term
from monitor.core.rows import Rows
from monitor.core.sight import Ailment, Trouble
from monitor.core.succession import succeed
from monitor.core.wording import iso
from monitor.core.world import World
from monitor.pipeline import Pipeline
from monitor.runner import Runner
from monitor.scheduler import Scheduler
from monitor.store.memory import MemoryStore, Shelf
from monitor.store.sqlite import SqliteStore
from tests.simulation import Counter, NoNames, NoTls
from tests.store.made import NOBODY
from tests.virtual_time import START, VirtualClock, run

SINK = "chat"
CONFIG = """\
agent: {state_dir: state, vantage: {name: virtual}}
sinks: {chat: {type: console}}
routes: [{to: [chat]}]
checks:
  - {name: home, probe: http, url: "http://127.0.0.1/"}
"""


def plan_of(*checks: Check, services: Sequence[Service] = ()) -> Plan:
    """Everything is told. A check whose service is not given has one of its own."""
    given = {service.id: service for service in services}
    own = {
        check.id: Service(check.id, check.name, (check.id,), OutageRule(1, (check.id,)), implicit=True)
        for check in checks
        if check.service not in given
    }
    routes = (Route((SINK,)), Route((SINK,), Term("event", "*")))
    return Plan({check.id: check for check in checks}, own | given, routes, Source("virtual"), frozenset({SINK}))


@dataclass
class Diary:
    """What is left of some lives."""

    shelf: Shelf = field(default_factory=Shelf)
    lives: list[Rows[str]] = field(default_factory=list)
    """Of each: its looks, as they went to the history."""
    definitions: list[tuple[int, Definition]] = field(default_factory=list)
    """In which life something came into force, and what."""
    ends: list[datetime] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    @property
    def transitions(self) -> list[Transition]:
        return list(self.shelf.transitions.values())


class Agent:
    """One life: a scheduler, a runner and a pipeline."""

    def __init__(self, diary: Diary, plan: Plan, store: MemoryStore, journal: Journal, clock: Clock) -> None:
        rows = Rows[str]()
        diary.lives.append(rows)
        self.diary, self.clock, self.world = diary, clock, World(plan, journal, clock.now())
        self._define(plan)
        self.pipeline = Pipeline(
            self.world, Runner(clock, NoNames(), NoTls()), store, clock,
            level_sinks=frozenset(), wake=lambda _: None, observer=Counter(),
            record=lambda of, look, state: rows.add(of.id, of, look, state), publish=diary.events.extend,
            ask=lambda name: self.scheduler.ask(name),
        )  # fmt: skip
        self.scheduler = Scheduler(
            plan.checks.values(), self.pipeline.look, self.pipeline.pass_over,
            lambda name: self.world.judges[name].extra_timeout, clock,
            limit=500, limit_per_host=8, observer=Counter(),
            soft_deadline=self.pipeline.soft_deadline, overdue=self.pipeline.overdue,
        )  # fmt: skip
        if (change := self.world.start(clock.now())) is not None:
            self.pipeline.writer.enter(change)

    def _define(self, plan: Plan) -> None:
        now = self.clock.now()
        definition = Definition(now.at, plan, just_seen(self.world.judges, now))
        self.diary.definitions.append((len(self.diary.lives) - 1, definition))

    def reload(self, plan: Plan) -> None:
        """As a takeover in one slice."""
        found = portions(self.world.plan, plan)
        self._define(plan)
        self.world, change = succeed(self.world, plan, self.clock.now())
        self.pipeline.adopt(self.world, frozenset())
        if change is not None:
            self.pipeline.writer.enter(change)
        self.scheduler.adopt(
            [name for portion in found for name in portion.before.checks],
            [check for portion in found for check in portion.after.checks.values()],
        )

    def lose(self, trouble: Trouble = Trouble.NETWORK) -> None:
        self.pipeline.sighted([Ailment(trouble, self.clock.now(), "nobody answers")])

    def find_again(self) -> None:
        self.pipeline.sighted([])


Deed = tuple[float, Callable[[Agent], None]]
"""At which second of the test, and what is done then."""


async def live(
    diary: Diary, plan: Plan, until: float, deeds: Iterable[Deed] = (), clock: Clock | None = None
) -> None:
    """One life, to that second of the test."""
    now, store = clock or VirtualClock(), MemoryStore(diary.shelf)
    agent = Agent(diary, plan, store, await store.open(), now)
    writer = agent.pipeline.writer
    running: tuple[Awaitable[None], ...] = (agent.scheduler.run(), writer.run(), agent.pipeline.keep_time())
    parts = [asyncio.ensure_future(part) for part in running]
    for at, do in deeds:
        await asyncio.wait(parts, timeout=at - now.now().tick, return_when=asyncio.FIRST_EXCEPTION)
        do(agent)
    await asyncio.wait(parts, timeout=until - now.now().tick, return_when=asyncio.FIRST_EXCEPTION)
    for part in parts:
        assert not part.done(), part.exception()
        part.cancel()
    await asyncio.wait(parts)
    await writer.settle()
    diary.ends.append(now.now().at)
    await asyncio.sleep(5)  # until somebody begins the next one


def lived(*lives: Callable[[Diary], Awaitable[None]]) -> Diary:
    """The diary of lives, one after another."""
    diary = Diary()

    async def main_() -> None:
        for life in lives:
            await life(diary)

    with structlog.testing.capture_logs():
        run(main_())
    return diary


async def write_down(diary: Diary, folder: Path, *, defined: bool = True) -> None:
    """Into a state directory, as the agents of those lives would have. Without `defined`: as older versions did."""
    for number, (rows, end) in enumerate(zip(diary.lives, diary.ends, strict=True)):
        store = SqliteStore(folder, vantage="virtual")
        await store.open()
        for life, definition in diary.definitions:
            if defined and life == number:
                await store.define(definition)
        await store.record(rows, end)
        while await store.tend(end):
            pass
        if number == 0:
            await store.commit([Change(transitions=tuple(diary.transitions))], NOBODY)
        await store.close()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where an agent's file is; the state directory is `state` beside it."""
    (tmp_path / "checks.yaml").write_text(CONFIG, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


FAR = START + timedelta(days=2)


def replayed(capsys: pytest.CaptureFixture[str], *words: object, until: datetime = FAR) -> Any:
    """What it tells machines, of all that was lived."""
    span = ("--since", iso(START - timedelta(days=1)), "--until", iso(until))
    assert main(["replay", "--json", *span, *map(str, words)]) == 0
    return json.loads(capsys.readouterr().out)


def shown(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """What it tells people."""
    assert main(["replay", "--since", "2025-12-31", "--until", "2026-01-03", *map(str, words)]) == 0
    return capsys.readouterr().out


def story(told: Iterable[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Of the transitions that a replay tells: all but the moment, the words, and the ids of incidents."""
    fields = ("subject", "kind", "old", "new", "reason", "since")
    known = (item | ({"subject": "incident"} if item["kind"] == "incident" else {}) for item in told)
    return sorted((tuple(item[name] for name in fields) for item in known), key=lambda item: (item[:2], item[-1]))


def as_told(items: Iterable[Transition]) -> list[tuple[Any, ...]]:
    """The same of those that were lived; what a replay does not tell is left out."""
    found = (
        {
            "subject": item.subject, "kind": item.kind, "old": item.old, "new": item.new, "since": iso(item.since),
            "reason": item.verdict.reason.value if item.verdict.reason else None,
        }
        for item in items
        if not item.was
    )  # fmt: skip
    return story(found)
