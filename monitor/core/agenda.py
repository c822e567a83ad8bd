"""What time alone brings about: a wait that is over, a window that begins or ends, a digest that is due."""

from __future__ import annotations

import heapq
from math import inf

AT_ONCE = 16
"""Items that are taken at a time: when a host with 10,000 checks is well again, looks go on in between."""


class Agenda:
    """Items, each with the tick (monotonic seconds) at which it is due; an item is a kind and a subject."""

    __slots__ = ("_due", "_heap")

    def __init__(self) -> None:
        self._due: dict[tuple[str, str], float] = {}
        self._heap: list[tuple[float, str, str]] = []
        """With items that were put off or dropped since; `_due` tells."""

    @property
    def next(self) -> float | None:
        """The tick of the earliest item."""
        heap = self._heap
        while heap and self._due.get(heap[0][1:]) != heap[0][0]:
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def enter(self, kind: str, subject: str, tick: float) -> None:
        """Have it due then, and no more when it was due before."""
        if self._due.get((kind, subject)) != tick:
            self._due[kind, subject] = tick
            heapq.heappush(self._heap, (tick, kind, subject))

    def hasten(self, kind: str, subject: str, tick: float) -> None:
        """Have it due then, unless it is due sooner."""
        if self._due.get((kind, subject), inf) > tick:
            self.enter(kind, subject, tick)

    def holds(self, kind: str, subject: str) -> bool:
        return (kind, subject) in self._due

    def drop(self, kind: str, subject: str) -> None:
        self._due.pop((kind, subject), None)

    def take(self, tick: float, most: int = AT_ONCE) -> list[tuple[str, str]]:
        """The first items that are due at `tick`, in order of time; they are on it no more."""
        taken: list[tuple[str, str]] = []
        while len(taken) < most and (due := self.next) is not None and due <= tick:
            _, kind, subject = heapq.heappop(self._heap)
            del self._due[kind, subject]
            taken.append((kind, subject))
        return taken
