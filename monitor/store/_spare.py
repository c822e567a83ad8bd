"""What happens while the journal cannot be written: a bounded memory of what is owed, to sinks and to the journal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import dropwhile, islice
from typing import Any

from monitor.core.model import Change, Event, EventType, Note
from monitor.store._codec import decode_body
from monitor.store.contract import Account, Row, Standing
from monitor.store.memory import MemoryStore, QueuedRow, Shelf

_SMALL_NEWS = (EventType.CHECK_CHANGED, EventType.SERVICE_CHANGED)


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is kept while the journal cannot be written. `bytes` are those of the events' bodies."""

    events: int = 10_000
    bytes: int = 32 * 2**20
    transitions: int = 20_000
    incidents: int = 2_000


class Spare:
    """A `MemoryStore` that begins with the rows that the journal still owed, and its accounts for the journal."""

    def __init__(self, bounds: Bounds) -> None:
        self._shelf = Shelf()
        self._bounds = bounds
        self._rows: dict[str, dict[str, str]] = {}
        """Of each event id the sinks for which the journal has a row, or will have one, with the row's stream."""
        self._news: dict[str, Event] = {}
        """By id, oldest first, the events that the journal does not have."""
        self._notes: dict[str, Note] = {}
        """By name, the last of each: also of one that is to be forgotten."""
        self._bytes = 0
        self.unsent = 0
        """Events given up for want of room before each sink had them."""
        self.forgotten = 0
        """Events and transitions that the journal will not have, though each sink had the events."""
        self.store = MemoryStore(self._shelf)

    @classmethod
    async def begin(cls, rows: Iterable[Row], bounds: Bounds) -> Spare:
        spare = cls(bounds)
        await spare.store.open()
        for row in rows:
            spare._take_over(row)
        return spare

    @property
    def events(self) -> int:
        """How many the journal does not have yet."""
        return len(self._news)

    async def commit(self, changes: Sequence[Change], supersedes: frozenset[str]) -> Sequence[Event]:
        """As a store does, and bounded. Each event is marked: no journal has it yet. Raises `Unstorable`."""
        marked = [replace(change, events=tuple(map(_marked, change.events))) for change in changes]
        new = {event.id: event for change in marked for event in change.events if event.id not in self._rows}
        told = await self.store.commit(marked, supersedes)
        self._notes |= {note.name: note for change in changes for note in change.notes}
        for event in new.values():
            self._news[event.id] = event
            self._bytes += len(self._shelf.bodies[event.id])
            self._rows[event.id] = dict.fromkeys(event.sinks, event.stream)
        self._bound()
        return told

    def also(self, event_id: str, sink: str) -> None:
        """An event was queued for one more sink: the journal is to have that row."""
        for stream, queue in self._shelf.queues.get(sink, {}).items():
            if any(row.event.id == event_id for row in queue):
                self._rows.setdefault(event_id, {})[sink] = stream

    # What the journal owed is read from the journal: here are only the events that it does not have.

    def newest(self, limit: int) -> list[Mapping[str, Any]]:
        """The bodies of events, newest first."""
        return self._bodies(islice(reversed(self._news), limit))

    def after(self, event: str, limit: int) -> list[Mapping[str, Any]] | None:
        """The bodies of the events behind that one, oldest first; None: it is not known here."""
        if event not in self._news:
            return None
        return self._bodies(islice(dropwhile(lambda name: name != event, self._news), 1, limit + 1))

    def oldest(self, limit: int, stream: str | None = None) -> list[Mapping[str, Any]]:
        """The bodies of events, oldest first; `stream`: of this one only."""
        names = (name for name, event in self._news.items() if stream is None or event.stream == stream)
        return self._bodies(islice(names, limit))

    def _bodies(self, names: Iterable[str]) -> list[Mapping[str, Any]]:
        return [decode_body(self._shelf.bodies[name]) for name in names]

    def owed(self) -> tuple[Change, list[Account]]:
        """For the journal: everything that has changed, and what has become of each row."""
        shelf = self._shelf
        change = Change(
            checks=tuple(shelf.checks.values()),
            services=tuple(shelf.services.values()),
            transitions=tuple(shelf.transitions.values()),
            incidents=tuple(shelf.incidents.values()),
            events=tuple(replace(event, sinks=()) for event in self._news.values()),
            notes=tuple(self._notes.values()),
        )
        accounts = {
            (event, sink): Account(event, sink, stream, Standing.DONE)
            for event, sinks in self._rows.items()
            for sink, stream in sinks.items()
        }
        for row in self._queued():
            key = (row.event.id, row.sink)
            standing = Standing.LEASED if row.leased else Standing.WAITING
            accounts[key] = replace(accounts[key], standing=standing, attempts=row.attempts, due=row.due)
        for letter in shelf.dead:
            key, attempts = (letter.delivery.event_id, letter.delivery.sink), letter.delivery.attempt
            if key in accounts:
                accounts[key] = replace(
                    accounts[key], standing=Standing.DEAD, attempts=attempts, due=letter.died, error=letter.error
                )
        return change, list(accounts.values())

    def _take_over(self, row: Row) -> None:
        delivery, shelf = row.delivery, self._shelf
        event = Event(delivery.event_id, EventType(delivery.event_type), delivery.at, delivery.stream, {})
        shelf.bodies[event.id], shelf.streams[event.id] = delivery.body, event.stream
        shelf.rows += 1
        queued = QueuedRow(shelf.rows, event, delivery.sink, row.due, delivery.attempt, row.leased)
        shelf.queues.setdefault(delivery.sink, {}).setdefault(event.stream, []).append(queued)
        self._rows.setdefault(event.id, {})[delivery.sink] = event.stream

    def _queued(self) -> Iterator[QueuedRow]:
        return (row for queues in self._shelf.queues.values() for queue in queues.values() for row in queue)

    # --- bounds --------------------------------------------------------------------------------------------

    def _bound(self) -> None:
        shelf, bounds = self._shelf, self._bounds
        for key in list(shelf.transitions)[: max(0, len(shelf.transitions) - bounds.transitions)]:
            del shelf.transitions[key]
            self.forgotten += 1
        past = [incident.id for incident in shelf.incidents.values() if incident.resolved is not None]
        for identity in past[: max(0, len(past) - bounds.incidents)]:
            del shelf.incidents[identity]
        if self._over(1.0):
            self._make_room()

    def _over(self, part: float) -> bool:
        return len(self._news) > self._bounds.events * part or self._bytes > self._bounds.bytes * part

    def _make_room(self) -> None:
        """A tenth at a time. First what each sink has, then small news, then how incidents went on; the oldest first.
        Of what is being sent nothing is taken."""
        owing = {row.event.id for row in self._queued()}
        sending = {row.event.id for row in self._queued() if row.leased}
        ranks: tuple[Callable[[Event], bool], ...] = (
            lambda event: event.id not in owing,
            lambda event: event.type in _SMALL_NEWS,
            lambda event: event.type is EventType.INCIDENT_UPDATED,
            lambda event: bool(event.id),
        )
        for fits in ranks:
            for event in [event for event in self._news.values() if event.id not in sending and fits(event)]:
                if not self._over(0.9):
                    break
                self.unsent += event.id in owing
                self.forgotten += event.id not in owing
                self._bytes -= len(self._shelf.bodies.pop(event.id))
                del self._news[event.id], self._rows[event.id], self._shelf.streams[event.id]
        # A letter holds its body. The journal gets those alone whose event it has, or will have.
        self._shelf.dead[:] = [letter for letter in self._shelf.dead if letter.delivery.event_id in self._rows]
        for queues in self._shelf.queues.values():
            for stream, queue in list(queues.items()):
                queue[:] = [row for row in queue if row.event.id in self._rows]
                if not queue:
                    del queues[stream]


def _marked(event: Event) -> Event:
    return replace(event, body={**event.body, "durable": False})
