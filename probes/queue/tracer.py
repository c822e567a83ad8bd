"""How long jobs wait in a list whose elements do not say since when they are there: a few are watched.

Two elements of each list are remembered: the one at its head, and one further back, the tracer. The head has waited
since it was first seen; the tracer since it was chosen, and all that is before it for longer. When the tracer has
gone by, the time that it took is what jobs have waited of late, until the next one has gone by. Mostly it is less
than the truth: by up to one interval between looks, and by the time before the agent began to look; after a jam that
was cleared between two looks it is more, for one look. It is kept in the agent alone, never written down: elements
are jobs. A restart begins anew.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from probes.queue.keys import Keys

REACH = 2000
"""Elements from the head among which the tracer is chosen and searched: what a look may cost the server."""
LARGEST = 16_384
"""Bytes of an element that is remembered; larger ones are not watched."""


@dataclass(slots=True)
class _Watched:
    """An element, since when it has been there, and when it was seen last (seconds of the server's clock)."""

    element: bytes
    since: float
    seen: float
    place: int
    """Elements before it, when it was seen last."""


@dataclass(slots=True)
class Tracer:
    """The watch over one list. Its head is at the right end: jobs are put in by LPUSH and taken by RPOP, or the other
    way round with `right` False."""

    key: str
    right: bool = True
    _head: _Watched | None = None
    _traced: _Watched | None = None
    _took: float = field(default=0.0)
    """Seconds that the last tracer was seen waiting."""

    async def waited(self, keys: Keys, head: bytes, depth: int) -> float:
        """Seconds that the oldest element of the list has waited, as far as has been seen."""
        now = keys.now
        if not depth:
            self._head = self._traced = None
            self._took = 0.0
            return 0.0
        if self._head is None or self._head.element != head[:LARGEST]:
            self._head = _Watched(head[:LARGEST], now, now, 0)
        await self._follow(keys, depth)
        traced = now - self._traced.since if self._traced is not None else 0.0
        return max(0.0, now - self._head.since, traced, self._took)

    async def _follow(self, keys: Keys, depth: int) -> None:
        traced = self._traced
        if traced is not None:
            place = await self._place(keys, traced.element)
            # An element that is further back than it was is another one that looks the same.
            if place is not None and place <= traced.place:
                traced.place, traced.seen = place, keys.now
                return
            self._took = traced.seen - traced.since
        self._traced = await self._choose(keys, depth)

    async def _choose(self, keys: Keys, depth: int) -> _Watched | None:
        """The newest element, or the last one within reach."""
        place = min(depth, REACH) - 1
        element = await keys.one("LINDEX", self.key, -1 - place if self.right else place)
        if not isinstance(element, bytes) or len(element) > LARGEST:
            return None
        return _Watched(element, keys.now, keys.now, place)

    async def _place(self, keys: Keys, element: bytes) -> int | None:
        rank = -1 if self.right else 1
        # Searched from the head; the answer counts from the left (LPOS, Redis 6.0.6).
        size, index = await keys.ask(("LLEN", self.key), ("LPOS", self.key, element, "RANK", rank, "MAXLEN", REACH))
        if not isinstance(index, int) or not isinstance(size, int):
            return None
        return size - 1 - index if self.right else index
