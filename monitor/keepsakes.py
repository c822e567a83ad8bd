"""What sinks keep of their streams across restarts: notes in the journal, one a sink and stream.

It is read by the type of sink that has written it alone: what is open under PagerDuty's keys, no other could close.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from copy import deepcopy
from types import MappingProxyType
from typing import Any

from monitor.core.model import Change, Note
from monitor.store.contract import Store, StoreError

PREFIX = "sink:"
"""Of the names of the notes: ``sink:NAME:STREAM``."""
KINDS = "kept_by:"
"""Of the names of the notes: ``kept_by:NAME``, the type of the sink."""
LARGEST = 200
"""Values of a memory: a sink keeps ids, not messages."""

Memory = dict[str, Any]


class Keepsakes:
    """The memories of all sinks. `notes` are those of the journal, by name."""

    def __init__(self, store: Store, notes: Mapping[str, Any]) -> None:
        self._store = store
        self._kept: dict[str, dict[str, Memory]] = {}
        self._kinds = {name.removeprefix(KINDS): kind for name, kind in notes.items() if name.startswith(KINDS)}
        """By sink."""
        self._noted: dict[str, str | None] = dict(self._kinds)
        """The same, as the journal has it: of those that have kept something."""
        for name, value in notes.items():
            sink, found, stream = name.removeprefix(PREFIX).partition(":")
            if name.startswith(PREFIX) and found and isinstance(value, dict):
                self._kept.setdefault(sink, {})[stream] = value

    def of(self, sink: str) -> dict[str, Memory]:
        """Its own copy of all that the sink keeps, by stream."""
        return deepcopy(self._kept.get(sink, {}))

    def at(self, sink: str, stream: str) -> Memory:
        """Its own copy of what the sink keeps of a stream."""
        return deepcopy(self._kept.get(sink, {}).get(stream, {}))

    def view(self, sink: str) -> Mapping[str, Mapping[str, Any]]:
        """What the sink keeps, by stream: to be read, as it is from now on."""
        return MappingProxyType(self._kept.setdefault(sink, {}))

    async def hand_to(self, sink: str, kind: str) -> list[str]:
        """The sink is of this type from now on. The streams of which another type had kept something, which is
        forgotten. Raises `StoreError`."""
        lost = list(self._kept.get(sink, {})) if self._kinds.get(sink, kind) != kind else []
        if lost:
            await self._write(sink, {stream: {} for stream in lost}, kind)
        self._kinds[sink] = kind
        return lost

    async def keep(self, sink: str, memories: Mapping[str, Memory]) -> None:
        """Make durable what a sink keeps of these streams now. Raises `StoreError`."""
        known = self._kept.setdefault(sink, {})
        changed = {
            stream: deepcopy(dict(list(memory.items())[:LARGEST]))
            for stream, memory in memories.items()
            if memory != known.get(stream, {})
        }
        if not changed:
            return
        await self._write(sink, changed, self._kinds.get(sink))

    async def _write(self, sink: str, changed: Mapping[str, Memory], kind: str | None) -> None:
        known = self._kept.setdefault(sink, {})
        notes = [Note(f"{PREFIX}{sink}:{stream}", memory or None) for stream, memory in changed.items()]
        if kind != self._noted.get(sink):
            notes.append(Note(KINDS + sink, kind))
        await self._store.commit([Change(notes=tuple(notes))], frozenset())
        self._noted[sink] = kind
        for stream, memory in changed.items():
            if memory:
                known[stream] = memory
            else:
                known.pop(stream, None)

    async def note(self, sink: str, memories: Mapping[str, Memory]) -> None:
        """As `keep`, if the store takes it: in the midst of a send, which is not to fail for that."""
        with suppress(StoreError):
            await self.keep(sink, memories)
