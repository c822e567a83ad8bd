"""Who is told instead: what a sink has not accepted for so long, or has refused for good, goes to another one.

Whoever was told that an incident is open is told how it goes on and that it is over, too, though the first sink is
back by then. What was handed over is a note in the journal, one a sink: nobody is told twice because of a restart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import structlog

from monitor.core.model import Change, Note
from monitor.sinks.contract import Fallback
from monitor.store.contract import Delivery, Owed, Store

PREFIX = "fallback:"
"""Of the names of the notes: ``fallback:NAME``."""
_ROWS = 5_000
"""That are looked at at a time."""
ENDS = ("incident.resolved", "agent.recovered")

log: structlog.typing.FilteringBoundLogger = structlog.get_logger("brownout.outbox")


class HandOver:
    """Of one sink. `note` is what the journal has of it."""

    def __init__(self, name: str, store: Store, note: Any) -> None:
        self._name = name
        self._store = store
        self._handed: dict[str, set[str]] = {}
        """Ids of events that were handed over and are not settled here, by stream. While a stream is among them, the
        other sink is told of it."""
        self._ended: set[str] = set()
        """The streams of which the other one was told the end."""
        self.count = 0
        if isinstance(note, Mapping):
            self._handed = {str(stream): set(map(str, kept["events"])) for stream, kept in note.items()}
            self._ended = {str(stream) for stream, kept in note.items() if kept["ended"]}

    async def look(self, fallback: Fallback, now: datetime) -> bool:
        """Hand over what is due. Whether something was. Raises `StoreError`."""
        rows = await self._store.owed(self._name, now - fallback.after, tuple(self._handed), _ROWS)
        return await self._hand(fallback, rows, "not accepted in time")

    async def refused(self, fallback: Fallback, rows: Iterable[Delivery]) -> bool:
        """These are given up here."""
        return await self._hand(fallback, map(_owed, rows), "refused for good")

    async def accepted(self, fallback: Fallback, rows: Iterable[Delivery]) -> bool:
        """These are accepted here; the other one may know what came before them."""
        known = [_owed(row) for row in rows if row.stream in self._handed]
        return await self._hand(fallback, known, "the other one knows of it") if known else False

    def settled(self, rows: Iterable[Delivery]) -> None:
        """Nothing is owed here for these any more."""
        for row in rows:
            handed = self._handed.get(row.stream)
            if handed is not None:
                handed.discard(row.event_id)
                if not handed and row.stream in self._ended:
                    del self._handed[row.stream]
                    self._ended.discard(row.stream)

    async def _hand(self, fallback: Fallback, rows: Iterable[Owed], why: str) -> bool:
        new = [row for row in rows if row.event_id not in self._handed.get(row.stream, ())]
        for row in new:
            await self._store.also(row.event_id, fallback.to)
        for row in new:
            self._handed.setdefault(row.stream, set()).add(row.event_id)
            if row.event_type in ENDS or not row.event_type.startswith(("incident.", "agent.")):
                self._ended.add(row.stream)
        if new:
            self.count += len(new)
            value = {
                stream: {"events": sorted(events), "ended": stream in self._ended}
                for stream, events in self._handed.items()
            }
            await self._store.commit([Change(notes=(Note(PREFIX + self._name, value),))], frozenset())
            log.warning("outbox.handed_over", sink=self._name, to=fallback.to, events=len(new), why=why)
        return bool(new)


def _owed(row: Delivery) -> Owed:
    return Owed(row.event_id, row.event_type, row.stream)
