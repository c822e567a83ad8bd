"""When a sink that people read was told, within the span of its `most`: a note in the journal, so that a restart does
not give them as many messages again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from monitor.clock import Clock
from monitor.core.model import Change, Note
from monitor.sinks.contract import Most
from monitor.store.contract import Store

PREFIX = "most:"
"""Of the names of the notes: ``most:NAME``, a list of seconds since 1970."""


class Cap:
    """Of one sink. `notes` are those of the journal."""

    def __init__(self, name: str, store: Store, clock: Clock, notes: Mapping[str, Any]) -> None:
        self._name = name
        self._store = store
        self._clock = clock
        kept = notes.get(PREFIX + name)
        self._kept = isinstance(kept, list) and bool(kept)
        now, ahead = clock.now(), self._ahead()
        times = sorted(float(at) - ahead for at in kept) if isinstance(kept, list) else []
        self.told = [at for at in times if at <= now.tick]
        """When messages were sent before this start, in ticks. What a clock that was wrong puts into the future would
        hold back what is new, and counts for nothing."""

    def _ahead(self) -> float:
        now = self._clock.now()
        return now.at.timestamp() - now.tick

    async def keep(self, most: Most | None, told: Iterable[float]) -> None:
        """Note when messages were sent, in ticks. Raises `StoreError`."""
        if most is None and not self._kept:
            return
        ahead = self._ahead()
        times = [round(at + ahead, 3) for at in told] if most is not None else None
        await self._store.commit([Change(notes=(Note(PREFIX + self._name, times),))], frozenset())
        self._kept = times is not None
