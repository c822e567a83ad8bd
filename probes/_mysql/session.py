"""Sessions with MySQL and MariaDB: for the probe `mysql`, and for whatever is kept in one.

aiomysql speaks the protocol; connecting, TLS, deadlines, reasons and what is kept between looks are ours.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from time import perf_counter
from types import ModuleType
from typing import Any

from probes._kept import Kept, Server
from probes._look import Look
from probes._mysql.dsn import Dsn, parse
from probes._wire.streams import open_tcp, open_unix
from probes.contract import Context, Reason, Secret, TlsWanted
from probes.registry import optional

_PATIENCE = 0.9
"""The part of a look's time limit after which the server itself is to give up a statement."""


class Session:
    """A connection that is ready for questions, during one look."""

    __slots__ = ("_link", "_look")

    def __init__(self, look: Look, link: Any) -> None:
        self._look = look
        self._link = link

    @property
    def version(self) -> str:
        """As the server says it: ``10.11.6-MariaDB``, ``8.0.36``."""
        return str(self._link.server_version).removeprefix("5.5.5-")  # MariaDB, for the sake of old replicas

    @property
    def is_mariadb(self) -> bool:
        return "mariadb" in self.version.lower()

    async def ping(self) -> float:
        """Seconds that the most trivial statement takes, the way there and back included. Raises `LookFailed`."""
        began = perf_counter()
        await self.rows("SELECT 1")
        ended = perf_counter()
        self._look.check_late(ended)
        return ended - began

    async def select(self, sql: str, *, limit: int = 1000) -> list[dict[str, Any]]:
        """What a SELECT gives, at most `limit` rows: as a derived table, which can do nothing but read."""
        text = sql.strip().rstrip(";")
        return await self.rows(f"SELECT * FROM (\n{text}\n) AS q LIMIT {int(limit)}")  # noqa: S608  (SQL is what is asked)

    async def rows(self, sql: str) -> list[dict[str, Any]]:
        """What a statement gives, each row by column. Raises `LookFailed`: query_timeout, reset, query (as it is
        written), denied, too_large, and for what the server says of itself. After query and denied it goes on."""
        link = self._link
        link.stream.reader.turn()
        async with self._look.phase("query", Reason.QUERY_TIMEOUT):
            await _links().asked(self._look, link.query(sql))
        result = link._result  # noqa: SLF001  (its cursors do as much, and more)
        names = [str(column[0]) for column in result.description or ()]
        return [dict(zip(names, row, strict=False)) for row in result.rows or ()]


class MysqlServer(Server[Dsn, Any]):
    """A MySQL or MariaDB by its DSN. Raises `BadField`; connects to nothing by itself."""

    __slots__ = ()

    def __init__(self, dsn: Secret, *, field: str = "dsn") -> None:
        """`field` is the key of the check that holds the DSN, for its faults."""
        optional("aiomysql", "mysql")
        super().__init__(dsn, field, parse, Kept(lambda link: bool(link.stream.idle), lambda link: link.drop()))

    @asynccontextmanager
    async def session(self, look: Look, context: Context) -> AsyncIterator[Session]:
        """A session on the kept connection, or on a new one. Raises `LookFailed`."""
        async with self._kept.take(look, partial(self._connect, look, context)) as link:
            session = Session(look, link)
            await _bound(look, session, link)
            yield session
            link.stream.reader.turn()

    async def _connect(self, look: Look, context: Context) -> Any:
        dsn = self.place
        if dsn.path is not None:
            stream = await open_unix(look, dsn.path)
        else:
            stream = await open_tcp(look, context, dsn.host or "", dsn.port)
        tls = None
        link = None
        try:
            if dsn.path is None and dsn.tls != "disabled":
                tls = await context.tls.get(TlsWanted(dsn.tls == "verify_identity", dsn.ca_file))
            link = _links().Link(stream, dsn)
            await link.log_in(look, tls)
        except BaseException:
            if link is not None:
                link.drop()
            stream.drop()
            raise
        return link


async def _bound(look: Look, session: Session, link: Any) -> None:
    """See that the server ends by itself what this look will not wait for, and that the session cannot write."""
    limit = max(0.1, look.timeout * _PATIENCE)
    if link.limit == limit:
        return
    if link.limit is None:
        await session.rows("SET SESSION TRANSACTION READ ONLY")
    # Seconds in MariaDB, for all statements; milliseconds in MySQL, for SELECT.
    most = f"max_statement_time = {limit:.3f}" if session.is_mariadb else f"max_execution_time = {int(limit * 1000)}"
    waits = max(1, int(limit / 2))
    await session.rows(f"SET SESSION {most}, lock_wait_timeout = {waits}, innodb_lock_wait_timeout = {waits}")
    link.limit = limit


def _links() -> ModuleType:
    from probes._mysql import link as _link

    return _link
