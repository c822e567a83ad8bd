"""Reading the journal and the memory that stands in for it, as one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from asyncio import timeout
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

from monitor.core.history import SAMPLES_LIMIT, Past, Point, Sample, Span
from monitor.core.lived import Definition
from monitor.core.model import Change, Incident
from monitor.core.rows import Rows
from monitor.store._peek import Known
from monitor.store._rescue import Rescue
from monitor.store._spare import Spare
from monitor.store.contract import Account, DeadLetter, Row, Store, StoreError

T = TypeVar("T")

PATIENCE = 10.0
"""Seconds until a disk that does not answer counts as one that cannot be written."""


class Silent(StoreError):
    """The disk may never answer again."""


async def patiently(call: Awaitable[T]) -> T:
    try:
        async with timeout(PATIENCE):
            return await call
    except TimeoutError:
        raise Silent(f"the journal's disk has not answered for {PATIENCE:g} s") from None


class Durable(Store, Protocol):
    """A store on a disk, and what a `LastingStore` needs of it besides; see `SqliteStore`."""

    @property
    def rescues(self) -> Sequence[Rescue]: ...

    @property
    def unfamiliar(self) -> bool: ...

    async def peek(self, limit: int) -> Known | None: ...

    async def unfinished(self, limit: int) -> list[Row]: ...

    async def revive(self, origin: str) -> str: ...

    async def catch_up(self, changes: Sequence[Change], accounts: Sequence[Account]) -> None: ...


class TwoSources(ABC):
    """What a `Store` tells of the past. The history has a file of its own, and its own trouble."""

    _durable: Durable
    _spare: Spare | None
    """The memory that stands in for the journal; None while none does. It is asked before the journal: what it hands
    over in between is then told twice, and not left out."""

    @abstractmethod
    async def _there(self, call: Callable[[Durable], Awaitable[T]]) -> T | None:
        """From the journal; None where its trouble is known and it cannot be read."""

    async def dead_letters(self, limit: int) -> list[DeadLetter]:
        here = await self._spare.store.dead_letters(limit) if self._spare else []
        there = await self._there(lambda store: store.dead_letters(limit)) or []
        return [*here, *there][:limit]

    async def incidents(self, limit: int) -> list[Incident]:
        here = await self._spare.store.incidents(limit) if self._spare else []
        there = await self._there(lambda store: store.incidents(limit)) or []
        merged = ({item.id: item for item in there} | {item.id: item for item in here}).values()
        return sorted(merged, key=lambda incident: (incident.opened, incident.id), reverse=True)[:limit]

    async def incident(self, identity: str) -> Incident | None:
        here = await self._spare.store.incident(identity) if self._spare else None
        return here or await self._there(lambda store: store.incident(identity))

    async def events(self, limit: int) -> list[Mapping[str, Any]]:
        here = self._spare.newest(limit) if self._spare else []
        there = await self._there(lambda store: store.events(limit)) or []
        return _once([*here, *there])[:limit]

    async def incident_events(self, identity: str, limit: int) -> list[Mapping[str, Any]]:
        here = self._spare.oldest(limit, identity) if self._spare else []
        there = await self._there(lambda store: store.incident_events(identity, limit)) or []
        return _once([*there, *here])[:limit]

    async def events_after(self, event: str, limit: int) -> list[Mapping[str, Any]] | None:
        here = self._spare.oldest(limit) if self._spare else []
        if self._spare and (rest := self._spare.after(event, limit)) is not None:
            return rest
        there = await self._there(lambda store: store.events_after(event, limit))
        return None if there is None else _once([*there, *here])[:limit]

    async def record(self, looks: Rows[str], now: datetime) -> None:
        await self._durable.record(looks, now)

    async def define(self, definition: Definition) -> None:
        await self._durable.define(definition)

    async def tend(self, now: datetime) -> bool:
        return await self._durable.tend(now)

    async def transitions(self, kind: str, subject: str, limit: int, before: int | None = None) -> list[Past]:
        """Without those that only memory has yet: they have no number to ask on from."""
        return await self._durable.transitions(kind, subject, limit, before)

    async def states(self, kind: str, subject: str, since: datetime, until: datetime) -> list[Span]:
        return await self._durable.states(kind, subject, since, until)

    async def samples(self, check: str, since: datetime, until: datetime, limit: int = SAMPLES_LIMIT) -> list[Sample]:
        return await self._durable.samples(check, since, until, limit)

    async def rollup(
        self, check: str, since: datetime, until: datetime, step: timedelta | None = None
    ) -> list[Point]:
        return await self._durable.rollup(check, since, until, step)


def _once(bodies: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The same event may be told by both."""
    return list({body["id"]: body for body in bodies}.values())
