"""Who is told instead: what a sink has not accepted for so long, or has refused for good, goes to another one.

Whoever was told that an incident is open is told how it goes on and that it is over, too, though the first sink is
back by then, has another fallback or none, or is gone. What was handed over is a note in the journal, one a sink:
nobody is told twice because of a restart.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import structlog

from monitor.core.model import Change, Note
from monitor.sinks.contract import Fallback
from monitor.store.contract import Delivery, Owed, Store

PREFIX = "fallback:"
"""Of the names of the notes: ``fallback:NAME``."""
_ROWS = 5_000
"""That are looked at at a time."""
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
ENDS = ("incident.resolved", "agent.recovered")

log: structlog.typing.FilteringBoundLogger = structlog.get_logger("brownout.outbox")


@dataclass(slots=True)
class _Handed:
    """What was handed over of a stream."""

    to: str
    """Who is told of it; empty in what an older version has noted: whoever is the fallback now."""
    events: set[str] = field(default_factory=set)
    """Ids of those that are not settled here."""
    ended: bool = False
    """Whether the other one was told the end."""


class HandOver:
    """Of one sink. `note` is what the journal has of it."""

    def __init__(self, name: str, store: Store, note: Any) -> None:
        self._name = name
        self._store = store
        self._handed: dict[str, _Handed] = {}
        """By stream. While a stream is among them, the other sink is told of it."""
        self.count = 0
        if isinstance(note, Mapping):
            for stream, kept in note.items():
                self._handed[stream] = _Handed(kept.get("to", ""), set(map(str, kept["events"])), kept["ended"])

    @property
    def open_at(self) -> Iterator[tuple[str, str]]:
        """The sinks that were told of something and not its end, each with what that is."""
        return ((handed.to, stream) for stream, handed in self._handed.items() if handed.to and not handed.ended)

    async def look(self, fallback: Fallback | None, now: datetime) -> set[str]:
        """Hand over what is due; to whom something went. Raises `StoreError`, as the others do."""
        before = now - fallback.after if fallback is not None else _NEVER
        rows = await self._store.owed(self._name, before, tuple(self._handed), _ROWS)
        return await self._hand(fallback, rows, "not accepted in time")

    async def refused(self, fallback: Fallback | None, rows: Iterable[Delivery]) -> set[str]:
        """These are given up here."""
        return await self._hand(fallback, map(_owed, rows), "refused for good")

    async def accepted(self, fallback: Fallback | None, rows: Iterable[Delivery]) -> set[str]:
        """These are accepted here; the other one may know what came before them."""
        known = [_owed(row) for row in rows if row.stream in self._handed]
        return await self._hand(fallback, known, "the other one knows of it") if known else set()

    async def gone(self, ends: Iterable[Owed]) -> set[str]:
        """These cannot be told here any more; the other one may know what they end."""
        return await self._hand(None, [row for row in ends if row.stream in self._handed], "the sink was removed")

    def settled(self, rows: Iterable[Delivery]) -> None:
        """Nothing is owed here for these any more."""
        for row in rows:
            handed = self._handed.get(row.stream)
            if handed is not None:
                handed.events.discard(row.event_id)
                if not handed.events and handed.ended:
                    del self._handed[row.stream]

    def _to(self, fallback: Fallback | None, row: Owed) -> str:
        """Who is told of it instead: whoever was told what came before it. Empty: nobody."""
        handed = self._handed.get(row.stream)
        return (handed.to if handed else "") or (fallback.to if fallback else "")

    async def _hand(self, fallback: Fallback | None, rows: Iterable[Owed], why: str) -> set[str]:
        handed = self._handed
        new = [row for row in rows if row.stream not in handed or row.event_id not in handed[row.stream].events]
        due = [(row, to) for row in new if (to := self._to(fallback, row))]
        for row, to in due:
            await self._store.also(row.event_id, to)
        for row, to in due:
            told = handed.setdefault(row.stream, _Handed(to))
            told.to = to
            told.events.add(row.event_id)
            told.ended = told.ended or _is_end(row.event_type)
        whom = {to for _, to in due}
        if due:
            self.count += len(due)
            await self._store.commit([Change(notes=(Note(PREFIX + self._name, self._note()),))], frozenset())
            log.warning("outbox.handed_over", sink=self._name, to=", ".join(sorted(whom)), events=len(due), why=why)
        return whom

    def _note(self) -> Mapping[str, Any]:
        return {
            stream: {"to": told.to, "events": sorted(told.events), "ended": told.ended}
            for stream, told in self._handed.items()
        }


class HandOvers:
    """Those of all sinks, also of the ones that are no more. `notes` are those of the journal."""

    def __init__(self, store: Store, notes: Mapping[str, Any]) -> None:
        self._store = store
        self._of = {
            name.removeprefix(PREFIX): HandOver(name.removeprefix(PREFIX), store, note)
            for name, note in notes.items()
            if name.startswith(PREFIX)
        }

    def of(self, sink: str) -> HandOver:
        return self._of.setdefault(sink, HandOver(sink, self._store, None))

    def open_at(self) -> dict[str, dict[str, None]]:
        """By the sinks that were told something instead of another one, and not its end: what that is."""
        found: dict[str, dict[str, None]] = {}
        for handover in self._of.values():
            for sink, stream in handover.open_at:
                found.setdefault(sink, {})[stream] = None
        return found


def _is_end(event_type: str) -> bool:
    """Of changes of checks and services, and marks, each stands for itself."""
    return event_type in ENDS or not event_type.startswith(("incident.", "agent."))


def _owed(row: Delivery) -> Owed:
    return Owed(row.event_id, row.event_type, row.stream)
