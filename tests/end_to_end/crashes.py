"""A store and a sink that die at a given point: before or after the n-th call of one kind.

What has happened before the point has happened for good; whatever is asked afterwards is answered by the same death,
as a dead process asks nothing more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, NoReturn

from monitor.core.incident import NO_LONGER_WATCHED
from monitor.core.model import Change, CheckRecord, Event, Incident, Journal
from monitor.sinks.contract import Nature, Sink, SinkContext
from monitor.store.contract import Backlog, DeadLetter, Delivery, Store


class Crash(BaseException):
    """The end of the process. Not an Exception: nothing in the agent may catch it."""


class Side(StrEnum):
    BEFORE = "before"
    AFTER = "after"


OPERATIONS = ("commit", "save", "claim", "send", "delivered")
"""What leaves a trace: in the journal, or in the world. A commit of what a reload has ended is a `retire`."""


@dataclass(frozen=True, slots=True)
class Point:
    """``before the 3rd commit``; the 0th never comes."""

    operation: str = "commit"
    side: Side = Side.BEFORE
    number: int = 0

    @classmethod
    def parse(cls, text: str) -> Point:
        operation, side, number = text.split(":")
        return cls(operation, Side(side), int(number))

    def __str__(self) -> str:
        return f"{self.operation}:{self.side}:{self.number}"


def die() -> NoReturn:
    raise Crash


@dataclass
class Fate:
    """Counts the calls and ends the process at its point."""

    point: Point = field(default_factory=Point)
    end: Callable[[], NoReturn] = die
    counts: dict[str, int] = field(default_factory=dict)
    any_call: int | None = None
    """Instead of a point: the number of the call, of whatever kind, before which it ends."""
    dead: bool = False

    @contextmanager
    def calling(self, operation: str) -> Iterator[None]:
        """Around each call."""
        self._breathe()
        number = self.counts[operation] = self.counts.get(operation, 0) + 1
        self._meet(Point(operation, Side.BEFORE, number))
        if self.any_call is not None and sum(self.counts.values()) >= self.any_call:
            self._end()
        yield
        self._breathe()
        self._meet(Point(operation, Side.AFTER, number))

    def _meet(self, point: Point) -> None:
        if point == self.point:
            self._end()

    def _end(self) -> NoReturn:
        self.dead = True
        self.end()

    def _breathe(self) -> None:
        if self.dead:
            raise Crash


def _retires(change: Change) -> bool:
    return any(transition.verdict.why == NO_LONGER_WATCHED for transition in change.transitions)


class MortalStore:
    """A `Store` around another."""

    def __init__(self, inner: Store, fate: Fate) -> None:
        self._inner = inner
        self._fate = fate

    async def open(self) -> Journal:
        return await self._inner.open()

    async def commit(self, changes: Sequence[Change], supersedes: frozenset[str]) -> Sequence[Event]:
        with self._fate.calling("retire" if any(map(_retires, changes)) else "commit"):
            return await self._inner.commit(changes, supersedes)

    async def save(self, checks: Sequence[CheckRecord]) -> None:
        with self._fate.calling("save"):
            await self._inner.save(checks)

    async def claim(
        self, sink: str, now: datetime, lease_until: datetime, limit: int, *, deep: bool = False
    ) -> list[Delivery]:
        with self._fate.calling("claim"):
            return await self._inner.claim(sink, now, lease_until, limit, deep=deep)

    async def delivered(self, deliveries: Sequence[Delivery], now: datetime) -> None:
        with self._fate.calling("delivered"):
            await self._inner.delivered(deliveries, now)

    async def failed(self, deliveries: Sequence[Delivery], retry_at: datetime, error: str) -> None:
        await self._inner.failed(deliveries, retry_at, error)

    async def dead(self, deliveries: Sequence[Delivery], now: datetime, error: str) -> None:
        await self._inner.dead(deliveries, now, error)

    async def hasten(self, sink: str, now: datetime) -> None:
        await self._inner.hasten(sink, now)

    async def next_due(self, sink: str) -> datetime | None:
        return await self._inner.next_due(sink)

    async def backlog(self) -> Mapping[str, Backlog]:
        return await self._inner.backlog()

    async def dead_letters(self, limit: int) -> list[DeadLetter]:
        return await self._inner.dead_letters(limit)

    async def incidents(self, limit: int) -> list[Incident]:
        return await self._inner.incidents(limit)

    async def events(self, limit: int) -> list[Mapping[str, Any]]:
        return await self._inner.events(limit)

    def __getattr__(self, name: str) -> Any:
        """The history, of which nothing that is told depends, and what only a `LastingStore` asks."""
        return getattr(self._inner, name)

    async def close(self) -> None:
        await self._inner.close()


@dataclass(frozen=True, slots=True)
class MortalSink(Sink):
    """A sink around another. After: the other side has it, and we never knew."""

    kind: ClassVar[str] = "mortal"
    nature: ClassVar[Nature] = Nature.LOG

    inner: Sink
    fate: Fate

    async def send(self, delivery: Delivery, context: SinkContext) -> None:
        with self.fate.calling("send"):
            await self.inner.send(delivery, context)


@dataclass(frozen=True, slots=True)
class Recording(Sink):
    """The other side: remembers what it has accepted."""

    kind: ClassVar[str] = "recording"
    nature: ClassVar[Nature] = Nature.LOG

    accepted: list[Delivery] = field(default_factory=list)

    async def send(self, delivery: Delivery, context: SinkContext) -> None:
        self.accepted.append(delivery)
