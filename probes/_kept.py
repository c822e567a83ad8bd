"""A server to log in to, the connection that a check keeps to it from look to look, and what its loss says.

Looks of a check may overlap (confirmation looks do), and a connection serves one at a time: whoever finds the kept
one in use opens another, which is closed again. A look that fails lets go of its connection: the next starts fresh.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Generic, Protocol, TypeVar

from probes._clean import Cleaner
from probes._look import Look
from probes.contract import BadField, Secret


class Place(Protocol):
    """Where a server is, taken from the URL that the check has."""

    @property
    def shown(self) -> str:
        """For people: without user and password."""

    @property
    def host(self) -> str | None:
        """Who bears the load; None for a socket of this machine."""

    @property
    def password(self) -> Secret | None: ...


C = TypeVar("C")
P = TypeVar("P", bound=Place)

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


class Server(Generic[P, C]):
    """Where a check looks, and the connection that it keeps. It connects to nothing by itself."""

    __slots__ = ("_kept", "cleaner", "place", "secrets")

    def __init__(self, url: Secret, field: str, parse: Callable[[str], P], kept: Kept[C]) -> None:
        """`field` is the key of the check that holds the URL. Raises `BadField` for what `parse` refuses."""
        try:
            self.place = parse(url.reveal())
        except ValueError as error:
            raise BadField(field, str(error)) from None
        password = self.place.password
        self.secrets = [password.reveal()] if password is not None else []
        """What must not come back in what is shown."""
        self.cleaner = Cleaner(self.secrets)
        """Knows the password; for the `Look`."""
        self._kept = kept

    @property
    def target(self) -> str:
        """For people: without user and password."""
        return self.place.shown

    @property
    def host(self) -> str | None:
        """Who bears the load; None for a socket of this machine."""
        return self.place.host

    @property
    def lost(self) -> int:
        """How often the kept connection was found closed."""
        return self._kept.lost

    def close(self) -> None:
        """Let go of what is kept, for good."""
        self._kept.close()
