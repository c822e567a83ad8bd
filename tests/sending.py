"""An outbox at work in virtual time, and sinks that accept, refuse, hang and blow up as told."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any, ClassVar

import httpx

from monitor.core.model import Event, EventType
from monitor.outbox import Observer, Outbox, Outcome, Pace
from monitor.sinks.contract import Nature, Repeating, SendFailed, Sink, SinkContext
from monitor.store.contract import Delivery, Store
from monitor.store.memory import MemoryStore
from monitor.strays import OpenAt
from tests.store.made import NOBODY, told
from tests.virtual_time import START, VirtualClock, run

EXACT = Pace(jitter=0.0)

Behaviour = Callable[[Delivery], Awaitable[None]]


async def accept(delivery: Delivery) -> None: ...


async def hang(delivery: Delivery) -> None:
    await asyncio.Event().wait()


def refuse(**facts: Any) -> Behaviour:
    async def send(delivery: Delivery) -> None:
        raise SendFailed("answered 503", **facts)

    return send


def blow_up(error: BaseException) -> Behaviour:
    async def send(delivery: Delivery) -> None:
        raise error

    return send


@dataclass(frozen=True, slots=True)
class FakeSink(Sink):
    kind: ClassVar[str] = "fake"
    nature: ClassVar[Nature] = Nature.LOG

    behaviour: list[Behaviour] = field(default_factory=lambda: [accept])
    """What it does to the first attempt, the second, ... and to all after the last."""
    begun: list[tuple[float, str]] = field(default_factory=list)
    """When each attempt began, in seconds since the start, and of which event."""

    async def send(self, delivery: Delivery, context: SinkContext) -> None:
        number = len(self.begun)
        self.begun.append(((context.now - START).total_seconds(), delivery.event_id))
        await self.behaviour[min(number, len(self.behaviour) - 1)](delivery)

    @property
    def names(self) -> list[str]:
        return [name for _, name in self.begun]

    @property
    def times(self) -> list[float]:
        return [round(at, 1) for at, _ in self.begun]


@dataclass
class Bench:
    """An outbox at work, and what is needed to feed and watch it."""

    store: Store
    outbox: Outbox
    running: asyncio.Task[None]
    results: list[tuple[str, Outcome, float]]

    async def tell(self, *events: Event) -> None:
        await self.store.commit([told(*events)], NOBODY)
        self.outbox.wake({sink for event in events for sink in event.sinks})


@asynccontextmanager
async def working(
    store: Store | None = None,
    pace: Pace = EXACT,
    observer: Observer | None = None,
    notes: Mapping[str, Any] | None = None,
    open_at: OpenAt = dict,
    **sinks: Sink,
) -> AsyncIterator[Bench]:
    store = store or MemoryStore()
    journal = await store.open()
    results: list[tuple[str, Outcome, float]] = []
    async with httpx.AsyncClient(trust_env=False) as client:
        outbox = Outbox(
            store,
            sinks,
            client=client,
            terminal=io.StringIO(),
            clock=VirtualClock(),
            random=Random(1),
            notes=journal.notes if notes is None else notes,
            open_at=open_at,
            on_result=observer or (lambda row, what, took, _: results.append((row.sink, what, took))),
            pace=pace,
        )
        running = asyncio.create_task(outbox.run())
        yield Bench(store, outbox, running, results)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def after(seconds: float, *sinks: FakeSink, events: tuple[Event, ...], pace: Pace = EXACT) -> Bench:
    """Tell `events` to the sinks (named hook, chat in this order) and let `seconds` go by."""

    async def scenario() -> Bench:
        named = dict(zip(("hook", "chat"), sinks, strict=False))
        async with working(pace=pace, **named) as bench:
            await bench.tell(*events)
            await asyncio.sleep(seconds)
            return bench

    return run(scenario())


def until(open_now: asyncio.Event, then: Behaviour = accept) -> Behaviour:
    """Answers when the event is set, as `then` does."""

    async def send(delivery: Delivery) -> None:
        await open_now.wait()
        await then(delivery)

    return send


@dataclass(frozen=True, slots=True)
class People(FakeSink):
    """Reads what it is sent."""

    nature: ClassVar[Nature] = Nature.HUMAN

    bodies: list[dict[str, Any]] = field(default_factory=list)

    async def send(self, delivery: Delivery, context: SinkContext) -> None:
        self.bodies.append(json.loads(delivery.body))
        await super(People, self).send(delivery, context)

    @property
    def sentences(self) -> list[str]:
        return [body["sentence"] for body in self.bodies]


def news(number: int, state: str = "outage", at: float = 0.0, **more: Any) -> Event:
    """What is told of one incident: opened, or resolved with state `resolved`."""
    resolved, moment = state == "resolved", START + timedelta(seconds=at)
    kind = EventType.INCIDENT_RESOLVED if resolved else EventType.INCIDENT_OPENED
    stream, over = f"inc_{number}", moment.isoformat() if resolved else None
    body = {
        "id": f"evt_{number}_{state}",
        "type": kind.value,
        "at": moment.isoformat(),
        "sentence": f"Service {number} has {state}.",
        "vantage": "fra1",
        "state": {"old": "operational", "new": state},
        "since": START.isoformat() if resolved else moment.isoformat(),
        "why": "connection refused",
        "service": {"id": str(number), "title": f"Service {number}"},
        "incident": {"id": stream, "root": "home", "services": [str(number)], "resolved": over},
    }
    return Event(body["id"], kind, moment, stream, body | more, ("hook",))  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Forgetful(Repeating):
    """Keeps what is open in its memory, as the sink for Alertmanager does."""

    kind: ClassVar[str] = "forgetful"
    nature: ClassVar[Nature] = Nature.LEVEL
    again: ClassVar[timedelta] = timedelta(minutes=1)

    repeats: list[tuple[float, tuple[str, ...]]] = field(default_factory=list)
    troubles: list[bool] = field(default_factory=list)

    async def send(self, delivery: Delivery, context: SinkContext) -> None:
        if delivery.event_type == EventType.INCIDENT_RESOLVED:
            context.memory["ended"] = True
        else:
            context.memory["open"] = delivery.event_id

    async def repeat(self, kept: Mapping[str, MutableMapping[str, Any]], context: SinkContext) -> None:
        self.repeats.append(((context.now - START).total_seconds(), tuple(sorted(kept))))
        if self.troubles and self.troubles.pop():
            await hang(None)  # type: ignore[arg-type]
        for memory in kept.values():
            if "ended" in memory:
                memory.clear()
