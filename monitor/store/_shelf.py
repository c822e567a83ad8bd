"""What a memory store keeps: what outlives it, as a disk outlives an agent."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from monitor.core.columns import Columns
from monitor.core.model import CheckRecord, Event, Incident, ServiceRecord, Transition
from monitor.store.contract import DeadLetter, Delivery

AT_ONCE = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class QueuedRow:
    """One event for one sink. `due`: when it may be tried, or when its lease ends."""

    id: int
    event: Event
    sink: str
    due: datetime = AT_ONCE
    attempts: int = 0
    leased: bool = False

    def delivery(self, body: bytes) -> Delivery:
        event = self.event
        return Delivery(self.id, event.id, event.type.value, self.sink, event.stream, self.attempts, body, event.at)


@dataclass(slots=True)
class Shelf:
    """What outlives a `MemoryStore`, as a disk outlives an agent: give it to the next one."""

    origin: str = "memory"
    epoch: int = 0
    checks: dict[str, CheckRecord] = field(default_factory=dict)
    services: dict[str, ServiceRecord] = field(default_factory=dict)
    incidents: dict[str, Incident] = field(default_factory=dict)
    transitions: dict[tuple[str, str, int], Transition] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)
    bodies: dict[str, bytes] = field(default_factory=dict)
    streams: dict[str, str] = field(default_factory=dict)
    """Of the events, by id."""
    queues: dict[str, dict[str, list[QueuedRow]]] = field(default_factory=dict)
    """Unfinished rows, oldest first, by sink and stream; an empty stream is removed."""
    looks: dict[str, Columns] = field(default_factory=dict)
    watched: list[list[datetime]] = field(default_factory=list)
    """Of each agent: its first and its last sign of life."""
    dead: list[DeadLetter] = field(default_factory=list)
    rows: int = 0
