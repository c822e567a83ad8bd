"""Events as they happen: `/api/v1/events` with ``Accept: text/event-stream``.

A reader that was away says which event it saw last, and is told what came since from the journal. Readers are few and
each has a bounded buffer: one that does not read is let go, and comes back where it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from aiohttp import web

from monitor.core.model import Event
from monitor.store.contract import StoreError
from monitor.web.guard import MAY_READ, TIME_LIMIT
from monitor.web.problem import Problem, unreadable
from monitor.web.stream import dumps

EVENT_STREAM = "text/event-stream"
RETRY = 2000
"""Milliseconds after which a browser comes back."""
ID_LIMIT = 100
"""Characters of an event's id, at most."""

GAP = b"event: gap\ndata: {}\n\n"
"""Events are missing here; the list has what the journal still has of them."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What following events may take."""

    readers: int = 64
    """At a time; there must be connections left for everything else."""
    buffer: int = 256
    """Events that wait for one reader."""
    page: int = 500
    """Events read from the journal at a time."""
    missed: int = 10_000
    """Events that one reader is told again."""
    silence: float = 15.0
    """Seconds after which a comment says that the stream is alive."""
    write: float = 20.0
    """Seconds that a reader may take for what it is sent."""


class Backfill(Protocol):
    """Where those who were away find what they missed: a store."""

    async def events_after(self, event: str, limit: int) -> list[Mapping[str, Any]] | None: ...


class Reader:
    """One connection's buffer, for so many events. `full` once it could not take an event any more; `may_read` as
    long as it is to be told of any."""

    def __init__(self, buffer: int, may_read: Callable[[], bool] = lambda: True) -> None:
        self.may_read = may_read
        self.queue: asyncio.Queue[tuple[str, bytes] | None] = asyncio.Queue(buffer)
        self.full = False

    def offer(self, item: tuple[str, bytes] | None) -> None:
        """Once one is left out so is all behind it: who comes back asks for what follows the last it was told."""
        if self.full:
            return
        try:
            self.queue.put_nowait(item)
        except asyncio.QueueFull:
            self.full = True

    def end(self) -> None:
        """What waits is told, and nothing after it."""
        self.offer(None)
        self.full = True


class Feed:
    """Hands what was committed to everybody who listens; `publish` neither waits nor fails."""

    def __init__(
        self,
        journal: Backfill,
        redact: Callable[[Any], Any],
        bounds: Bounds = Bounds(),
    ) -> None:
        self._journal = journal
        self._redact = redact
        self._bounds = bounds
        self.readers: set[Reader] = set()
        self._closed = False

    def publish(self, events: Iterable[Event]) -> None:
        """In the order of the journal."""
        if not self.readers:
            return
        for event in events:
            item = (event.id, self._frame(event.body))
            for reader in self.readers:
                reader.offer(item)

    def close(self) -> None:
        """The agent stops: streams end, and their readers come back to the next one."""
        self._closed = True
        for reader in self.readers:
            reader.end()

    def review(self) -> None:
        """Who may read has changed: the streams of those who may not any more end."""
        for reader in self.readers:
            if not reader.may_read():
                reader.end()

    async def stream(self, request: web.Request) -> web.StreamResponse:
        if self._closed or len(self.readers) >= self._bounds.readers:
            raise Problem(503, "Too many follow the events already. Ask for the list.", {"Retry-After": "10"})
        reader = Reader(self._bounds.buffer, request.get(MAY_READ, lambda: True))
        self.readers.add(reader)  # before the journal is read: nothing may come between
        try:
            response = await self._begin(request)
            if request.method != "HEAD":
                await self._serve(request, response, reader)
        finally:
            self.readers.discard(reader)
        return response

    async def _begin(self, request: web.Request) -> web.StreamResponse:
        last = request.headers.get("Last-Event-ID", "")
        try:
            missed = await self._behind(last, 1) if last else []
        except StoreError:
            raise unreadable() from None
        response = web.StreamResponse(headers={"Content-Type": EVENT_STREAM, "X-Accel-Buffering": "no"})
        await response.prepare(request)
        request[TIME_LIMIT].reschedule(None)
        if request.method != "HEAD":
            await response.write(b"retry: %d\n\n%b" % (RETRY, GAP if missed is None else b""))
        return response

    async def _serve(self, request: web.Request, response: web.StreamResponse, reader: Reader) -> None:
        told: set[str] = set()
        try:
            async for identity, frame in self._missed(request.headers.get("Last-Event-ID", "")):
                if not reader.may_read():
                    return
                told.add(identity)
                await self._write(response, frame)
            while not (reader.full and reader.queue.empty()):
                news = await _next(reader, told, self._bounds.silence)
                if news is None or not reader.may_read():
                    return
                await self._write(response, news)
        except (TimeoutError, ConnectionError, StoreError):
            if request.transport is not None:
                request.transport.abort()

    async def _missed(self, last: str) -> AsyncIterator[tuple[str, bytes]]:
        """What the journal has behind that event; a gap, where that is too much."""
        for _ in range(self._bounds.missed // self._bounds.page):
            bodies = await self._behind(last, self._bounds.page) if last else None
            if not bodies:
                return
            for body in bodies:
                last = str(body["id"])
                yield last, self._frame(body)
                await asyncio.sleep(0)
        yield "", GAP

    async def _behind(self, last: str, limit: int) -> list[Mapping[str, Any]] | None:
        """None: that event is not known. What cannot be an id of ours is not asked for: it may be no text at all."""
        if len(last) > ID_LIMIT or not (last.isascii() and last.isprintable()):
            return None
        return await self._journal.events_after(last, limit)

    async def _write(self, response: web.StreamResponse, frame: bytes) -> None:
        async with asyncio.timeout(self._bounds.write):
            await response.write(frame)

    def _frame(self, body: Mapping[str, Any]) -> bytes:
        """JSON has no line breaks of its own, so that it is one `data` line whatever a target said."""
        clean = self._redact(dict(body))
        return b"id: %b\nevent: %b\ndata: %b\n\n" % (
            str(body["id"]).encode(),
            str(body["type"]).encode(),
            dumps(clean),
        )


async def _next(reader: Reader, told: set[str], silence: float) -> bytes | None:
    """The next frame that was not told from the journal already, or a comment after `silence` in seconds; None at the
    end.

    Events come in the journal's order: behind the first that is new, all are, and `told` has served.
    """
    while True:
        try:
            item = await asyncio.wait_for(reader.queue.get(), silence)
        except TimeoutError:
            told.clear()
            return b": still here\n\n"
        if item is None:
            return None
        if item[0] not in told:
            told.clear()
            return item[1]


def wants_stream(request: web.Request) -> bool:
    return EVENT_STREAM in request.headers.get("Accept", "").lower()
