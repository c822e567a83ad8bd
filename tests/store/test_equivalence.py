"""Memory and SQLite, driven by the same random steps, say the same."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from monitor.core.model import Change, Event, Note
from monitor.store.contract import Delivery, Keep, Store
from monitor.store.memory import MemoryStore, Shelf
from monitor.store.sqlite import SqliteStore
from tests.store.made import after, event, incident, record, service, told

SINKS = ("hook", "pager", "chat")
LEVEL = frozenset({"pager"})
KEEP = Keep(events=4, dead=2, evidence=3, incidents=2)
moments = st.integers(0, 60)


class Stores(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = Path(tempfile.mkdtemp())
        self.shelf = Shelf()
        self.leases: list[tuple[Delivery, Delivery]] = []
        self.events = 0
        self.open()

    def open(self) -> None:
        self.stores: tuple[Store, ...] = (MemoryStore(self.shelf, keep=KEEP), SqliteStore(self.folder, keep=KEEP))
        journals = [self.run(store.open()) for store in self.stores]
        facts = [(j.epoch, j.checks, j.services, j.incidents, j.notes) for j in journals]
        assert facts[0] == facts[1]

    def run(self, work: Awaitable[Any]) -> Any:
        async def wait() -> Any:
            return await work

        return self.runner.run(wait())

    def both(self, call: Callable[[Store], Awaitable[Any]]) -> Any:
        answers = [self.run(call(store)) for store in self.stores]
        assert answers[0] == answers[1]
        return answers[0]

    @rule(stream=st.sampled_from("ab"), sinks=st.sets(st.sampled_from(SINKS)), count=st.integers(1, 3))
    def tell(self, stream: str, sinks: set[str], count: int) -> None:
        made: list[Event] = []
        for _ in range(count):
            self.events += 1
            made.append(event(f"e{self.events}", stream, tuple(sorted(sinks))))
        self.both(lambda store: store.commit([told(*made)], LEVEL))
        self.both(lambda store: store.commit([told(made[-1])], LEVEL))

    @rule(seq=st.integers(1, 5), updates=st.integers(0, 3), name=st.sampled_from("ij"), over=st.booleans())
    def change(self, seq: int, updates: int, name: str, *, over: bool) -> None:
        case = incident(name, updates, after(updates) if over else None)
        change = Change((record(seq=seq, n=updates),), (service(seq=seq),), (), (case,))
        self.both(lambda store: store.commit([change], LEVEL))

    @rule(name=st.sampled_from("ab"), value=st.sampled_from((None, 1, {"x": [2]})))
    def note(self, name: str, value: object) -> None:
        self.both(lambda store: store.commit([Change(notes=(Note(name, value),))], LEVEL))

    @rule(sink=st.sampled_from(SINKS), now=moments, lease=st.integers(1, 30), limit=st.integers(1, 3))
    def claim(self, sink: str, now: int, lease: int, limit: int) -> None:
        claimed = [self.run(s.claim(sink, after(now), after(now + lease), limit)) for s in self.stores]
        assert [without_id(d) for d in claimed[0]] == [without_id(d) for d in claimed[1]]
        self.leases += zip(*claimed, strict=True)

    @rule(
        which=st.integers(0, 5),
        how=st.sampled_from(("delivered", "failed", "dead")),
        now=moments,
        keep=st.booleans(),
    )
    def settle(self, which: int, how: str, now: int, *, keep: bool) -> None:
        if which < len(self.leases):
            pair = self.leases[which] if keep else self.leases.pop(which)
            for store, delivery in zip(self.stores, pair, strict=True):
                self.run(settling(store, how, delivery, after(now)))

    @rule(sink=st.sampled_from(SINKS), now=moments)
    def hasten(self, sink: str, now: int) -> None:
        self.both(lambda store: store.hasten(sink, after(now)))

    @rule()
    def reopen(self) -> None:
        self.both(lambda store: store.close())
        self.open()

    @invariant()
    def they_agree(self) -> None:
        for sink in SINKS:
            self.both(lambda store, sink=sink: store.next_due(sink))
        self.both(lambda store: store.backlog())
        self.both(lambda store: store.events(99))
        self.both(lambda store: store.incidents(99))
        letters = [self.run(store.dead_letters(99)) for store in self.stores]
        facts = [[(x.delivery.event_id, x.delivery.attempt, x.error, x.died) for x in found] for found in letters]
        assert facts[0] == facts[1]

    def teardown(self) -> None:
        self.both(lambda store: store.close())
        self.runner.close()
        shutil.rmtree(self.folder)


def without_id(delivery: Delivery) -> tuple[Any, ...]:
    d = delivery
    return d.event_id, d.event_type, d.sink, d.stream, d.attempt, d.body, d.at


def settling(store: Store, how: str, delivery: Delivery, now: datetime) -> Awaitable[None]:
    if how == "delivered":
        return store.delivered([delivery], now)
    if how == "failed":
        return store.failed([delivery], now, "503")
    return store.dead([delivery], now, "410")


def test_all_stores_say_the_same() -> None:
    run_state_machine_as_test(
        Stores,
        settings=settings(max_examples=25, stateful_step_count=30, suppress_health_check=list(HealthCheck)),
    )
