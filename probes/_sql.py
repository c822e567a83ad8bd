"""Any SQL database as one that is asked for rows of named figures: the same over PostgreSQL and MySQL."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from time import perf_counter
from typing import Any

from probes._clean import Cleaner
from probes._look import Look
from probes._mysql.session import MysqlServer
from probes._pg.session import PgServer
from probes.contract import BadField, Context, LookFailed, Reason, Secret

_COLUMNS_SHOWN = 8
_MYSQL = ("mysql", "mariadb")


class Database:
    """Where a check asks, and the connection that it keeps. Raises `BadField`; connects to nothing by itself."""

    __slots__ = ("_server",)

    def __init__(self, dsn: Secret, *, field: str = "dsn") -> None:
        """`field` is the key of the check that holds the DSN, for its faults."""
        scheme = dsn.reveal().partition("://")[0]
        self._server: PgServer | MysqlServer
        if scheme.startswith(_MYSQL):
            self._server = MysqlServer(dsn, field=field)
        elif scheme.startswith("postgres"):
            self._server = PgServer(dsn, field=field)
        else:
            raise BadField(
                field,
                "it begins with neither postgresql:// nor mysql://, as in postgresql://user:password@host/database",
            )

    @property
    def target(self) -> str:
        """For people: without user and password."""
        return self._server.target

    @property
    def host(self) -> str | None:
        """Who bears the load; None for a socket of this machine."""
        return self._server.host

    @property
    def cleaner(self) -> Cleaner:
        """Knows the password; for the `Look`."""
        return self._server.cleaner

    @property
    def secrets(self) -> list[str]:
        """What must not come back in what is shown."""
        return self._server.secrets

    async def rows(
        self, look: Look, context: Context, query: str, *, limit: int
    ) -> tuple[list[dict[str, Any]], float]:
        """At most `limit` rows, and the seconds that the query took. Raises `LookFailed`.

        The query is asked as a derived table, in a session that may only read, and the server is told to give it up
        before the look's time is over.
        """
        server = self._server
        if isinstance(server, PgServer):
            async with server.session(look, context) as session:
                began = perf_counter()
                rows = await session.rows(query, limit=limit)
                took = perf_counter() - began
        else:
            async with server.session(look, context) as mysql:
                began = perf_counter()
                rows = await mysql.select(query, limit=limit)
                took = perf_counter() - began
        look.check_late(perf_counter())
        return rows, took

    def close(self) -> None:
        self._server.close()


def check_query(query: str, field: str) -> None:
    """Raises `BadField` for what cannot be a query that only reads."""
    if not query.strip(" \t\r\n;"):
        raise BadField(field, "is empty: write a SELECT")
    word = query.lstrip("( \t\r\n").split(None, 1)[0].upper() if query.strip("( \t\r\n") else ""
    if word.isalpha() and word not in ("SELECT", "WITH", "VALUES", "TABLE"):
        raise BadField(field, "is not a SELECT (or WITH ... SELECT): a look only reads")


def figures(row: Mapping[str, Any], columns: Sequence[str]) -> dict[str, float]:
    """The figures of one row by column; NULL is left out. Raises `LookFailed` (query): missing, or no number."""
    missing = [name for name in columns if name not in row]
    if missing:
        given = ", ".join(str(name)[:30] for name in list(row)[:_COLUMNS_SHOWN])
        raise LookFailed(Reason.QUERY, f"the query gives no column {missing[0]}, but {given}: write AS {missing[0]}")
    return {name: _figure(name, row[name]) for name in columns if row[name] is not None}


def _figure(name: str, value: object) -> float:
    if isinstance(value, int | float | Decimal):
        try:
            figure = float(value)
        except OverflowError:
            figure = math.inf
        if math.isfinite(figure):
            return figure
        raise LookFailed(Reason.QUERY, f"the column {name} is too large, or not a number")
    # Not the value itself: it is the users' data.
    if isinstance(value, dt.timedelta):
        advice = f"a span: write TIME_TO_SEC(...) AS {name}"
    elif isinstance(value, dt.datetime | dt.date):
        advice = f"a date: write TIMESTAMPDIFF(SECOND, ..., NOW()) AS {name}"
    elif isinstance(value, str):
        advice = f"a text: of a span or a time write extract(epoch FROM ...) AS {name}, else CAST(... AS ...)"
    else:
        advice = "neither a number nor NULL"
    raise LookFailed(Reason.QUERY, f"the column {name} is {advice}")
