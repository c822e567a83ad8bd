"""The outbox of a memory store: leases, their end, and who is next in a stream."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from monitor.core.model import Event, EventType
from monitor.store._codec import decode_body
from monitor.store._shelf import AT_ONCE, QueuedRow, Shelf
from monitor.store.contract import Backlog, DeadLetter, Delivery, Owed


class MemoryOutbox(ABC):
    """That part of a `Store`."""

    _shelf: Shelf

    @abstractmethod
    def _guard(self) -> None:
        """Raises where this store may not be used (any more)."""

    async def claim(
        self, sink: str, now: datetime, lease_until: datetime, limit: int, *, deep: bool = False
    ) -> list[Delivery]:
        self._guard()
        queues = self._shelf.queues.get(sink, {})
        ready = [row for row in _heads(queues) if row.due <= now]
        ready.sort(key=lambda row: (row.due, row.id))
        taken = [row for head in ready[:limit] for row in (queues[head.event.stream] if deep else [head])]
        for row in taken:
            row.leased, row.due, row.attempts = True, lease_until, row.attempts + 1
        return [row.delivery(self._shelf.bodies[row.event.id]) for row in taken]

    async def delivered(self, deliveries: Sequence[Delivery], now: datetime) -> None:  # noqa: ARG002  (the contract's)
        self._guard()
        for delivery in deliveries:
            if self._leased(delivery):
                self._finish(delivery)

    async def failed(self, deliveries: Sequence[Delivery], retry_at: datetime, error: str) -> None:  # noqa: ARG002
        self._guard()
        for delivery in deliveries:
            if row := self._leased(delivery):
                row.leased, row.due = False, retry_at

    async def dead(self, deliveries: Sequence[Delivery], now: datetime, error: str) -> None:
        self._guard()
        for delivery in deliveries:
            if self._leased(delivery):
                self._finish(delivery)
                self._shelf.dead.append(DeadLetter(delivery, error, now))

    async def hasten(self, sink: str, now: datetime) -> None:
        self._guard()
        for row in _heads(self._shelf.queues.get(sink, {})):
            if not row.leased:
                row.due = min(row.due, now)

    async def owed(self, sink: str, before: datetime, streams: Sequence[str], limit: int) -> list[Owed]:
        self._guard()
        rows = [row for queue in self._shelf.queues.get(sink, {}).values() for row in queue]
        due = [row for row in rows if row.event.at <= before or row.event.stream in streams]
        due.sort(key=lambda row: row.id)
        return [Owed(row.event.id, row.event.type.value, row.event.stream) for row in due[:limit]]

    async def also(self, event_id: str, sink: str) -> None:
        self._guard()
        shelf = self._shelf
        known = self._known(event_id)
        told = shelf.incidents.get(shelf.streams.get(event_id, ""))
        if known is None or (told is not None and sink in told.told):
            return
        queue = shelf.queues.setdefault(sink, {}).setdefault(known.stream, [])
        if all(row.event.id != event_id for row in queue):
            shelf.rows += 1
            queue.append(QueuedRow(shelf.rows, known, sink))

    async def send_again(self, event_id: str, sink: str, *, present: bool) -> bool:
        self._guard()
        shelf = self._shelf
        letter = next((item for item in shelf.dead if _names(item, event_id, sink)), None)
        if letter is None:
            return False
        shelf.dead.remove(letter)
        delivery = letter.delivery
        event = Event(event_id, EventType(delivery.event_type), delivery.at, delivery.stream, {})
        queue = shelf.queues.setdefault(sink, {}).setdefault(event.stream, [])
        busy = sum(row.leased for row in queue)
        queue.insert(busy, QueuedRow(delivery.id, event, sink))
        newest = [name for name, stream in shelf.streams.items() if stream == event.stream][-1:]
        known = self._known(newest[0]) if present and newest else None
        if known is not None and all(row.event.id != known.id for row in queue):
            shelf.rows += 1
            queue.append(QueuedRow(shelf.rows, known, sink))
        return True

    def _known(self, event_id: str) -> Event | None:
        """An event by its id, without its body."""
        body = self._shelf.bodies.get(event_id)
        if body is None:
            return None
        facts = decode_body(body)
        at = datetime.fromisoformat(str(facts.get("at") or AT_ONCE.isoformat()))
        return Event(event_id, EventType(facts["type"]), at, self._shelf.streams[event_id], {})

    async def next_due(self, sink: str) -> datetime | None:
        return min((row.due for row in _heads(self._shelf.queues.get(sink, {}))), default=None)

    async def backlog(self) -> Mapping[str, Backlog]:
        found: dict[str, Backlog] = {}
        for sink, queues in self._shelf.queues.items():
            rows = [row for queue in queues.values() for row in queue]
            if rows:
                found[sink] = Backlog(len(rows), 0, min(rows, key=lambda row: row.id).event.at)
        for letter in self._shelf.dead:
            was = found.get(letter.delivery.sink, Backlog(0, 0, None))
            found[letter.delivery.sink] = replace(was, dead=was.dead + 1)
        return found

    async def dead_letters(self, limit: int) -> list[DeadLetter]:
        newest = sorted(self._shelf.dead, key=lambda letter: (letter.died, letter.delivery.id), reverse=True)
        return newest[:limit]

    def _enqueue(self, event: Event, supersedes: frozenset[str]) -> None:
        for sink in dict.fromkeys(event.sinks):
            queue = self._shelf.queues.setdefault(sink, {}).setdefault(event.stream, [])
            if sink in supersedes:
                queue[:] = [row for row in queue if row.attempts]
            self._shelf.rows += 1
            queue.append(QueuedRow(self._shelf.rows, event, sink))

    def _leased(self, delivery: Delivery) -> QueuedRow | None:
        queue = self._shelf.queues.get(delivery.sink, {}).get(delivery.stream, [])
        for row in queue:
            if row.event.id == delivery.event_id and row.attempts == delivery.attempt and row.leased:
                return row
        return None

    def _finish(self, delivery: Delivery) -> None:
        queues = self._shelf.queues[delivery.sink]
        queue = queues[delivery.stream]
        queue[:] = [row for row in queue if row.event.id != delivery.event_id]
        if not queue:
            del queues[delivery.stream]


def _names(letter: DeadLetter, event_id: str, sink: str) -> bool:
    return letter.delivery.event_id == event_id and letter.delivery.sink == sink


def _heads(queues: Mapping[str, list[QueuedRow]]) -> Iterator[QueuedRow]:
    return (queue[0] for queue in queues.values())
