"""What sinks keep of their streams across restarts: notes in the journal, one a sink and stream."""

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
LARGEST = 200
"""Values of a memory: a sink keeps ids, not messages."""

Memory = dict[str, Any]


class Keepsakes:
    """The memories of all sinks. `notes` are those of the journal, by name."""

    def __init__(self, store: Store, notes: Mapping[str, Any]) -> None:
        self._store = store
        self._kept: dict[str, dict[str, Memory]] = {}
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
        notes = tuple(Note(f"{PREFIX}{sink}:{stream}", memory or None) for stream, memory in changed.items())
        await self._store.commit([Change(notes=notes)], frozenset())
        for stream, memory in changed.items():
            if memory:
                known[stream] = memory
            else:
                known.pop(stream, None)

    async def note(self, sink: str, memories: Mapping[str, Memory]) -> None:
        """As `keep`, if the store takes it: in the midst of a send, which is not to fail for that."""
        with suppress(StoreError):
            await self.keep(sink, memories)
