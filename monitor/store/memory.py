"""A store that keeps everything in memory: the twin of SQLite for tests and simulations."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice, pairwise
from typing import Any

from monitor.core.columns import Columns, distribute
from monitor.core.history import LONG, SAMPLES_LIMIT, SHORT, SPANS_LIMIT, Past, Point, Sample, Span
from monitor.core.lived import Definition
from monitor.core.model import (
    Change,
    CheckRecord,
    Event,
    Incident,
    Journal,
    Note,
)
from monitor.core.naming import known_as
from monitor.core.ribbon import spans
from monitor.core.rollup import join, roll_up, step_for
from monitor.core.rows import Rows, to_millis
from monitor.store._codec import decode_body, encode_body, to_json
from monitor.store._queues import MemoryOutbox
from monitor.store._shelf import AT_ONCE, QueuedRow, Shelf
from monitor.store.contract import Fenced, Keep, StoreError

__all__ = ["MemoryStore", "QueuedRow", "Shelf"]


class MemoryStore(MemoryOutbox):
    """A `Store` without a disk."""

    def __init__(self, shelf: Shelf | None = None, *, keep: Keep = Keep()) -> None:  # noqa: B008  (frozen)
        self._shelf = shelf or Shelf()
        self._keep = keep
        self._epoch = 0
        self._recorded = False
        self._seen: set[str] = set()
        """The checks that had looks since the start, by the names they have now."""

    async def open(self) -> Journal:
        if self._epoch:
            raise StoreError("this store is open already")
        shelf = self._shelf
        shelf.epoch += 1
        self._epoch = shelf.epoch
        for row in (row for queues in shelf.queues.values() for queue in queues.values() for row in queue):
            if row.leased:
                row.leased, row.due = False, AT_ONCE
        self._prune()
        still_open = (i for i in shelf.incidents.values() if i.resolved is None)
        return Journal(
            origin=shelf.origin,
            epoch=shelf.epoch,
            checks=dict(shelf.checks),
            services=dict(shelf.services),
            incidents=tuple(sorted(still_open, key=_age)),
            notes=dict(shelf.notes),
        )

    async def commit(self, changes: Sequence[Change], supersedes: frozenset[str]) -> Sequence[Event]:
        self._guard()
        # Everything that can fail comes first: half a commit must not be seen.
        records = [_kept(record) for change in changes for record in change.checks]
        bodies = {event.id: encode_body(event) for change in changes for event in change.events}
        notes = [_kept_note(note) for change in changes for note in change.notes]
        for change in changes:
            for transition in change.transitions:
                to_json(dict(transition.evidence), f"transition {transition.seq} of {transition.subject}")
        self._put(records)
        remember(notes, self._shelf.notes)
        for change in changes:
            self._apply(change, bodies, supersedes)
        return [event for change in changes for event in change.events]

    async def save(self, checks: Sequence[CheckRecord]) -> None:
        self._guard()
        self._put([_kept(record) for record in checks])

    async def incidents(self, limit: int) -> list[Incident]:
        return sorted(self._shelf.incidents.values(), key=_age, reverse=True)[:limit]

    async def events(self, limit: int) -> list[Mapping[str, Any]]:
        newest = list(reversed(self._shelf.bodies.values()))[:limit]
        return [decode_body(body) for body in newest]

    async def record(self, looks: Rows[str], now: datetime) -> None:
        self._guard()
        own = [self._columns(check, looks.formerly.get(check, ())) for check in looks.whose]
        for _, rows in looks.split([id(columns) for columns in own], lambda _: 0):
            distribute(rows, {id(columns): columns for columns in own})
        if not self._recorded:
            self._recorded = True
            self._shelf.watched.append([now, now])
        self._shelf.watched[-1][1] = now

    def _columns(self, check: str, former: Sequence[str]) -> Columns:
        """Where the next look at the check is kept."""
        looks = self._shelf.looks
        if (name := known_as(check, former, looks, self._seen)) is not None:
            if check in looks:
                looks[f"{check}#{len(looks)}"] = looks[check]
            looks[check] = looks.pop(name)
            self._seen.discard(name)
        self._seen.add(check)
        return looks.setdefault(check, Columns())

    async def define(self, definition: Definition) -> None:  # noqa: ARG002  (nobody judges again what is here)
        self._guard()

    async def tend(self, now: datetime) -> bool:  # noqa: ARG002  (nothing is pruned here)
        return False

    async def transitions(self, kind: str, subject: str, limit: int, before: int | None = None) -> list[Past]:
        found = (past for past in self._backwards(kind, subject) if before is None or past.number < before)
        return list(islice(found, limit))

    def _backwards(self, kind: str, subject: str) -> Iterator[Past]:
        """Newest first; what happened to a subject under a former name follows."""
        numbered = list(enumerate(self._shelf.transitions.values(), 1))
        for number, item in reversed(numbered):
            if (item.kind, item.subject) == (kind, subject):
                yield Past(number, item)
                subject = item.was or subject

    async def states(self, kind: str, subject: str, since: datetime, until: datetime) -> list[Span]:
        own = [past.transition for past in self._backwards(kind, subject)][::-1]
        earlier = [item for item in own if item.at <= since][-1:]
        within = [item for item in own if since < item.at < until]
        watched = self._shelf.watched
        absences = [(gone, back) for (_, gone), (back, _) in pairwise(watched)]
        return spans((earlier + within)[-SPANS_LIMIT:], since, until, absences)

    async def samples(self, check: str, since: datetime, until: datetime, limit: int = SAMPLES_LIMIT) -> list[Sample]:
        columns = self._shelf.looks.get(check, Columns())
        rows = [row for row, at in enumerate(columns.ats) if to_millis(since) <= at < to_millis(until)]
        return list(columns.samples(rows[:limit]))

    async def rollup(
        self, check: str, since: datetime, until: datetime, step: timedelta | None = None
    ) -> list[Point]:
        step = step_for(since, until, step)
        columns = self._shelf.looks.get(check, Columns())
        last = max(self._shelf.watched[-1][1] if self._shelf.watched else since, since)
        points, _ = roll_up(columns, LONG if step % LONG == timedelta(0) else SHORT, None, to_millis(last))
        return [point for point in join(points, step) if point.at + step > since and point.at < until]

    async def incident(self, identity: str) -> Incident | None:
        return self._shelf.incidents.get(identity)

    async def incident_events(self, identity: str, limit: int) -> list[Mapping[str, Any]]:
        bodies, streams = self._shelf.bodies, self._shelf.streams
        return [decode_body(body) for name, body in bodies.items() if streams[name] == identity][:limit]

    async def events_after(self, event: str, limit: int) -> list[Mapping[str, Any]] | None:
        names = list(self._shelf.bodies)
        if event not in names:
            return None
        return [decode_body(self._shelf.bodies[name]) for name in names[names.index(event) + 1 :][:limit]]

    async def close(self) -> None:
        self._epoch = 0

    def _guard(self) -> None:
        if not self._epoch:
            raise StoreError("this store is not open")
        if self._epoch != self._shelf.epoch:
            raise Fenced(f"another agent has taken over (epoch {self._shelf.epoch}, ours is {self._epoch}): stopping")

    def _put(self, records: Sequence[CheckRecord]) -> None:
        for record in records:
            known = self._shelf.checks.get(record.check)
            if known is None or record.seq >= known.seq:
                self._shelf.checks[record.check] = record

    def _apply(self, change: Change, bodies: Mapping[str, bytes], supersedes: frozenset[str]) -> None:
        shelf = self._shelf
        for service in change.services:
            kept = shelf.services.get(service.service)
            if kept is None or service.seq >= kept.seq:
                shelf.services[service.service] = service
        for transition in change.transitions:
            shelf.transitions.setdefault((transition.kind, transition.subject, transition.seq), transition)
        for incident in change.incidents:
            if _replaces(incident, shelf.incidents.get(incident.id)):
                shelf.incidents[incident.id] = incident
        for event in change.events:
            if event.id not in shelf.bodies:
                shelf.bodies[event.id] = bodies[event.id]
                shelf.streams[event.id] = event.stream
                self._enqueue(event, supersedes)

    def _prune(self) -> None:
        shelf, keep = self._shelf, self._keep
        shelf.dead.sort(key=lambda letter: (letter.died, letter.delivery.id))
        del shelf.dead[: max(0, len(shelf.dead) - keep.dead)]
        owed = {row.event.id for queues in shelf.queues.values() for queue in queues.values() for row in queue}
        owed |= {letter.delivery.event_id for letter in shelf.dead}
        for identity in list(shelf.bodies)[: max(0, len(shelf.bodies) - keep.events)]:
            if identity not in owed:
                del shelf.bodies[identity], shelf.streams[identity]
        for key in list(shelf.transitions)[: max(0, len(shelf.transitions) - keep.evidence)]:
            shelf.transitions[key] = replace(shelf.transitions[key], evidence={})
        past = sorted((i for i in shelf.incidents.values() if i.resolved is not None), key=_age)
        for incident in past[: max(0, len(past) - keep.incidents)]:
            del shelf.incidents[incident.id]


def _age(incident: Incident) -> tuple[datetime, str]:
    return incident.opened, incident.id


def _replaces(new: Incident, old: Incident | None) -> bool:
    if old is None or new.updates > old.updates:
        return True
    return new.updates == old.updates and (old.resolved is None or new.resolved is not None)


def remember(notes: Iterable[Note], known: dict[str, Any]) -> None:
    """Bring what is `known`, by name, up to date; a note without a value is forgotten."""
    for note in notes:
        if note.value is None:
            known.pop(note.name, None)
        else:
            known[note.name] = note.value


def _kept_note(note: Note) -> Note:
    return replace(note, value=json.loads(to_json(note.value, f"note {note.name}")))


def _kept(record: CheckRecord) -> CheckRecord:
    """The record as JSON would bring it back: its own copy, safe from later changes."""
    encoded = to_json(dict(record.snapshot), f"the memory of check {record.check}")
    return replace(record, snapshot=json.loads(encoded))
