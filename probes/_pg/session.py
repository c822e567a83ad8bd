"""Sessions with PostgreSQL, directly or through PgBouncer: for the probe `postgres`, and for whatever is kept in one.

asyncpg speaks the protocol; connecting, TLS, deadlines, reasons and what is kept between looks are ours.

Everything is asked as ``SELECT row_to_json(q) FROM (...) AS q``: one statement in autocommit, bounded in rows, which
can change nothing, as a sub-select may not. It goes as COPY ... TO STDOUT: one message, bounded in bytes, without a
prepared statement, which would be lost between the connections of a pooler. Only what is asked at every look is
prepared, where there is no pooler, as planning costs the server ten times what answering does.

PgBouncer refuses or ignores the settings of a session (statement_timeout and so on). Where that is seen, each
question is a short read-only transaction of its own instead, with the same limits set for it alone.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from time import perf_counter
from typing import Any

from probes._kept import Kept, Server
from probes._look import Look
from probes._pg.dial import Dialler
from probes._pg.dsn import Dsn, parse
from probes._pg.errors import failure, refuses_parameters
from probes._pg.link import Door, Guard
from probes.contract import Context, LookFailed, Reason, Secret
from probes.registry import optional

NAME = "brownout"
"""How the agent's sessions are called in pg_stat_activity."""

_MOST_BYTES = 262_144
_PATIENCE = 0.9
"""The part of a look's time limit after which the server itself is to give up a statement: so it is not left with
work that nobody waits for, and says what happened."""

_NOT_PREPARED = ("26000", "42P05")
"""SQLSTATEs: there is no such prepared statement, or there is already one of that name."""

_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_ESCAPES = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"b": b"\b", b"f": b"\f", b"v": b"\v"}


@dataclass(slots=True)
class _Link:
    """A connection that is logged in."""

    connection: Any
    guard: Guard
    pooled: bool
    limit: int
    """The session's statement_timeout, in milliseconds."""
    address: str
    statements: dict[str, Any] = field(default_factory=dict)
    """What is prepared, by its text."""

    @property
    def alive(self) -> bool:
        return not self.connection.is_closed()

    def drop(self) -> None:
        """Close it without waiting."""
        self.connection.terminate()
        self.guard.abort()


class Session:
    """A connection that is ready for questions, during one look."""

    __slots__ = ("_link", "_look", "connect_time")

    def __init__(self, look: Look, link: _Link, connect_time: float | None) -> None:
        self._look = look
        self._link = link
        self.connect_time = connect_time
        """Seconds from the resolved name to being logged in; None on a connection that was kept."""

    @property
    def version(self) -> int:
        """Of the server, as in `server_version_num`: 160004 is 16.4."""
        version = self._link.connection.get_server_version()
        return int(version.major) * 10_000 + int(version.micro)

    @property
    def pooled(self) -> bool:
        """Whether a pooler stands in between, as far as is known."""
        return self._link.pooled

    async def ping(self) -> float:
        """Seconds that the most trivial statement takes, the way there and back included. Raises `LookFailed`."""
        began = perf_counter()
        await self._ask(self._link.connection.execute("SELECT 1"))
        arrived = self._link.guard.arrived
        self._look.check_late(perf_counter())
        return max(0.0, arrived - began)

    async def rows(
        self, sql: str, *, limit: int = 1000, most_bytes: int = _MOST_BYTES, keep: bool = False
    ) -> list[dict[str, Any]]:
        """What a SELECT gives, each row by column as JSON has it: numbers as int or float, all else text, true, null.

        At most `limit` rows. Raises `LookFailed`: query_timeout, reset, query (as it is written), denied, too_large
        beyond `most_bytes`, and for what the server says of itself. After query and denied the session goes on.
        `keep` what is asked at every look: it stays prepared, where that can be.
        """
        text = sql.strip().rstrip(";")
        query = f"SELECT row_to_json(q) FROM (\n{text}\n) AS q LIMIT {int(limit)}"  # noqa: S608  (SQL is what is asked)
        await self._bound()
        if keep and not self._link.pooled:
            try:
                return _parsed(await self._prepared(query))
            except _Pooler:
                self._link.pooled = True
                await self._bound()
        try:
            answer = await self._copied(query, most_bytes)
            if self._link.pooled:
                await self._execute("COMMIT")
        except LookFailed:
            if self._link.pooled and self._link.alive and self._look.left() > 0.0:
                # Otherwise the session is dropped, and with it the transaction.
                with suppress(LookFailed):
                    await self._execute("ROLLBACK")
            raise
        return _parsed(_unescaped(line) for line in answer.split(b"\n") if line)

    async def _bound(self) -> None:
        """See that the server ends by itself what this look will not wait for."""
        limit = _milliseconds(self._look)
        if self._link.pooled:
            settings = "; ".join(f"SET LOCAL {name} = {value}" for name, value in _limits(limit).items())
            await self._execute(f"BEGIN READ ONLY; {settings}")
        elif limit != self._link.limit:
            # An extra look has less time than a scheduled one, and may be on the same connection.
            await self._execute("; ".join(f"SET {name} = {value}" for name, value in _limits(limit).items()))
            self._link.limit = limit

    async def _prepared(self, query: str) -> list[str]:
        """Raises `_Pooler` when what was prepared is not there: it was at another connection."""
        connection, statements = self._link.connection, self._link.statements
        try:
            if query not in statements:
                statements[query] = await self._ask(connection.prepare(query, name=f"brownout_{len(statements)}"))
            return [str(row[0]) for row in await self._ask(statements[query].fetch())]
        except LookFailed as failure:
            if getattr(failure.__cause__, "sqlstate", None) in _NOT_PREPARED:
                raise _Pooler from failure
            raise

    async def _copied(self, query: str, most_bytes: int) -> bytes:
        answer = bytearray()

        async def take(data: bytes) -> None:
            answer.extend(data)
            if len(answer) > most_bytes:
                raise LookFailed(Reason.TOO_LARGE, f"the answer is larger than {most_bytes:,} bytes")

        await self._ask(self._link.connection.copy_from_query(query, output=take))
        return bytes(answer)

    async def _execute(self, sql: str) -> None:
        await self._ask(self._link.connection.execute(sql))

    async def _ask(self, answer: Awaitable[Any]) -> Any:
        self._link.guard.turn()
        async with self._look.phase("query", Reason.QUERY_TIMEOUT):
            try:
                return await answer
            except (LookFailed, asyncio.CancelledError):
                raise
            except Exception as error:  # a lying server makes the driver raise whatever it likes
                guard = self._link.guard
                raise guard.failure(self._look) or failure(self._look, error, said=guard.said) from error


class PgServer(Server[Dsn, _Link]):
    """A PostgreSQL by its DSN. Raises `BadField`; connects to nothing by itself."""

    __slots__ = ("_asyncpg", "_dialler", "_name", "_pooled")

    def __init__(self, dsn: Secret, *, field: str = "dsn", name: str = NAME) -> None:
        """`field` is the key of the check that holds the DSN, for its faults."""
        self._asyncpg = optional("asyncpg", "postgres")
        super().__init__(dsn, field, parse, Kept(lambda link: link.alive, lambda link: link.drop()))
        self._name = name
        self._pooled = False
        self._dialler = Dialler(self.place)

    @asynccontextmanager
    async def session(self, look: Look, context: Context) -> AsyncIterator[Session]:
        """A session on the kept connection, or on a new one. Raises `LookFailed`."""
        took: list[float] = []

        async def connect() -> _Link:
            link = await self._connect(look, context)
            took.append(sum(seconds for phase, seconds in look.phases.items() if phase != "resolve"))
            return link

        async with self._kept.take(look, connect) as link:
            look.evidence["address"] = link.address
            yield Session(look, link, took[0] if took else None)

    async def _connect(self, look: Look, context: Context) -> _Link:
        limit = _milliseconds(look)
        while True:
            settings = {} if self._pooled else {name: str(value) for name, value in _limits(limit).items()}
            try:
                link = await self._log_in(look, context, settings, limit)
            except _Pooler:
                self._pooled = True
                continue
            if not self._pooled:
                await self._find_out(look, link)
            return link

    async def _find_out(self, look: Look, link: _Link) -> None:
        """A pooler that ignores the session's settings says so by not having them."""
        try:
            # Not through `rows`: its limits are what is in question.
            answer = await Session(look, link, None)._copied("SELECT current_setting('statement_timeout')", 100)  # noqa: SLF001
        except BaseException:
            link.drop()
            raise
        if answer.strip() != f"{link.limit}ms".encode():
            self._pooled = link.pooled = True

    async def _log_in(self, look: Look, context: Context, settings: dict[str, str], limit: int) -> _Link:
        """Raises `_Pooler` when what is there takes no settings."""
        dsn = self.place
        door = Door(look, await self._dialler.open(look, context), dsn.host)
        try:
            async with look.phase("login", Reason.FIRST_BYTE_TIMEOUT):
                try:
                    connection = await self._asyncpg.connect(
                        host=dsn.host or "localhost",
                        port=dsn.port,
                        user=dsn.user,
                        password=dsn.password.reveal() if dsn.password is not None else "",
                        database=dsn.database,
                        ssl=False,  # it is secured already, where it is to be
                        timeout=None,
                        statement_cache_size=0,
                        target_session_attrs="any",
                        server_settings={"application_name": self._name, **settings},
                        loop=door,
                        connection_class=_connection_class(),
                    )
                except asyncio.CancelledError:
                    raise
                except Exception as error:  # as in Session._ask
                    if settings and refuses_parameters(error):
                        raise _Pooler from error
                    guard = door.guard
                    raise guard.failure(look) or failure(look, error, said=guard.said, login=True) from error
        except BaseException:
            door.close()
            raise
        look.check_late(perf_counter())
        return _Link(connection, door.guard, self._pooled, limit, look.evidence.get("address", ""))


@cache
def _connection_class() -> Any:
    """asyncpg's: made when first used, as the library is optional."""
    base: Any = optional("asyncpg", "postgres").Connection

    class Connection(base):  # type: ignore[misc]  # the library has no types
        """One that was only half made, since a server left out its version, goes quietly."""

        __slots__ = ()

        def __del__(self) -> None:
            with suppress(AttributeError):
                super().__del__()

    return Connection


class _Pooler(Exception):
    """What is there takes no settings of a session, or keeps none."""


def literal(text: str) -> str:
    """A text as SQL has it, whatever standard_conforming_strings says. Raises ValueError for what no text holds."""
    if "\0" in text:
        raise ValueError("a text has no NUL")
    quoted = text.replace("'", "''")
    return f"'{quoted}'" if "\\" not in text else " E'" + quoted.replace("\\", "\\\\") + "'"


def _milliseconds(look: Look) -> int:
    # Odd, so that the server shows it in milliseconds again (`_find_out`).
    return max(101, int(look.timeout * _PATIENCE * 1000) | 1)


def _limits(milliseconds: int) -> dict[str, int | str]:
    """The settings that bound a session, and keep it from writing."""
    return {
        "statement_timeout": milliseconds,
        "lock_timeout": milliseconds // 2,
        "idle_in_transaction_session_timeout": milliseconds,
        "default_transaction_read_only": "on",
    }


def _parsed(answer: Iterable[str]) -> list[dict[str, Any]]:
    try:
        return [json.loads(row) for row in answer]
    except ValueError as error:
        raise LookFailed(Reason.QUERY, f"the answer cannot be read: {error}") from error


def _unescaped(line: bytes) -> str:
    """A line of COPY's text format (its manual page, "Text Format")."""
    if b"\\" in line:
        line = _ESCAPED.sub(lambda found: _ESCAPES.get(found[1], found[1]), line)
    return line.decode("utf-8", "replace")
