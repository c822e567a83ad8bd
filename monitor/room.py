"""Room for looks: so many at once in all, so many at one host; whoever finds none waits for it in order."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Room(Generic[T]):
    """Counts who is in and keeps who waits. A host of None is limited only by the whole.

    What waits for its host and what waits for the whole are kept apart, so that neither a busy host nor a full house
    makes anybody search through the others.
    """

    __slots__ = ("_at_host", "_limit", "_limit_per_host", "_order", "_per_host", "_wanted", "_whole", "taken")

    def __init__(self, limit: int, limit_per_host: int, wanted: Callable[[T], bool] = lambda _: True) -> None:
        """`wanted` is asked of what has waited, before it is let in: it may have been called off meanwhile."""
        self._limit, self._limit_per_host = limit, limit_per_host
        self._wanted = wanted
        self._order = itertools.count()
        self._per_host: dict[str, int] = {}
        self._at_host: dict[str, list[tuple[float, int, T]]] = {}
        self._whole: list[tuple[float, int, str | None, T]] = []
        self.taken = 0
        """How many are in."""

    def enter(self, host: str | None, priority: float, item: T) -> bool:
        """True: go ahead. False: `item` waits, the lowest `priority` first, until `leave` hands it out."""
        if self.taken >= self._limit:
            heapq.heappush(self._whole, (priority, next(self._order), host, item))
            return False
        if self._full(host):
            self._wait_at(host, priority, item)
            return False
        self._count_in(host)
        return True

    def resize(self, limit: int, limit_per_host: int) -> list[T]:
        """Other limits from now on. Who goes ahead because of that, of those who wait."""
        self._limit, self._limit_per_host = limit, limit_per_host
        ahead: list[T] = []
        for host in list(self._at_host):
            while self.taken < limit and not self._full(host) and (item := self._next_at(host)) is not None:
                ahead.append(item)
        while self.taken < limit and (item := self._next_anywhere()) is not None:
            ahead.append(item)
        return ahead

    def leave(self, host: str | None) -> T | None:
        """One has left `host`. Who goes ahead in its place, if anybody waits, may and is still wanted."""
        self.taken -= 1
        if host is not None:
            left = self._per_host[host] - 1
            if left:
                self._per_host[host] = left
            else:
                del self._per_host[host]
        if self.taken >= self._limit:
            return None  # the limit was lowered
        return (None if self._full(host) else self._next_at(host)) or self._next_anywhere()

    def _next_at(self, host: str | None) -> T | None:
        queue = self._at_host.get(host) if host is not None else None
        while queue:
            _, _, item = heapq.heappop(queue)
            if self._wanted(item):
                self._count_in(host)
                return item
        self._at_host.pop(host or "", None)
        return None

    def _next_anywhere(self) -> T | None:
        while self._whole:
            priority, _, host, item = heapq.heappop(self._whole)
            if not self._wanted(item):
                continue
            if self._full(host):
                self._wait_at(host, priority, item)
                continue
            self._count_in(host)
            return item
        return None

    def _full(self, host: str | None) -> bool:
        return host is not None and self._per_host.get(host, 0) >= self._limit_per_host

    def _wait_at(self, host: str | None, priority: float, item: T) -> None:
        heapq.heappush(self._at_host.setdefault(host or "", []), (priority, next(self._order), item))

    def _count_in(self, host: str | None) -> None:
        self.taken += 1
        if host is not None:
            self._per_host[host] = self._per_host.get(host, 0) + 1
