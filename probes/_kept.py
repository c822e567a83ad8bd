"""A connection that a check keeps from look to look, and what its loss says.

Looks of a check may overlap (confirmation looks do), and a connection serves one at a time: whoever finds the kept
one in use opens another, which is closed again. A look that fails lets go of its connection: the next starts fresh.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

from probes._look import Look

C = TypeVar("C")

RECONNECTED = "reconnected"
"""The name of the evidence that the connection was lost since the look before."""


class Kept(Generic[C]):
    """Holds at most one idle connection. `alive` and `drop` must neither wait nor raise."""

    __slots__ = ("_alive", "_closed", "_drop", "_idle", "lost")

    def __init__(self, alive: Callable[[C], bool], drop: Callable[[C], None]) -> None:
        self._alive = alive
        self._drop = drop
        self._idle: C | None = None
        self._closed = False
        self.lost = 0
        """How often the kept connection was found closed by the other side."""

    @asynccontextmanager
    async def take(self, look: Look, connect: Callable[[], Awaitable[C]]) -> AsyncIterator[C]:
        """The kept connection, or a new one from `connect`; kept again if all went well."""
        connection, self._idle = self._idle, None
        if connection is not None and not self._alive(connection):
            self._drop(connection)
            connection = None
            self.lost += 1
            look.evidence[RECONNECTED] = "the server closed the connection since the last look"
        if connection is None:
            connection = await connect()
        try:
            yield connection
        except BaseException:
            self._drop(connection)
            raise
        self._keep(connection)

    def _keep(self, connection: C) -> None:
        if self._idle is None and not self._closed and self._alive(connection):
            self._idle = connection
        else:
            self._drop(connection)

    def close(self) -> None:
        """Let go of what is kept, for good."""
        self._closed = True
        connection, self._idle = self._idle, None
        if connection is not None:
            self._drop(connection)
