"""Asks a database one query, and compares the figures of its row."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from probes import _sql
from probes._look import Look, taken
from probes._sql import Database
from probes.contract import (
    BadField,
    Context,
    LookFailed,
    Measurement,
    Observation,
    Probe,
    Reason,
    Secret,
    Unit,
    check_fields,
)

_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")


@dataclass(frozen=True, slots=True)
class Sql(Probe):
    """Asks a PostgreSQL or MySQL database one query, whatever it is, and compares the figures of its row.

    ```yaml
    checks:
      - name: orders
        probe: sql
        dsn: "postgresql://brownout:${DATABASE_PASSWORD}@db.example.com/shop"
        query: |
          SELECT extract(epoch FROM now() - max(created_at)) AS age, count(*) AS recent
          FROM orders WHERE created_at > now() - interval '1 day'
        columns: {age: seconds, recent: count}
        degraded: age > 30m
        down: age > 4h
    ```

    `columns` names the columns that are measurements, and what they count: `seconds`, `bytes`, `ratio` (0 to 1),
    `count`, `per_second`, `bytes_per_second`. A column that is NULL is left out of that look, and changes nothing.
    The query gives one row; `rows` says how many it gave, so that `rows < 1` tells of one that is missing. Without
    `columns` the rows are only counted (by the server): a query for what should not be there, with `rows > 0`.

    The DSN is written as for the probes `postgres` (`postgresql://`) and `mysql` (`mysql://`, `mariadb://`), and the
    same rules hold: one connection, which is kept; TLS; a time limit that the server is told. The query runs as a
    sub-select in a read-only session, so it can change nothing; still, give the role no more than SELECT on what it
    needs.

    A query that is wrong (no such column, several rows, a text where a number belongs) is `query`: the agent cannot
    tell, which never counts as an outage. A database that does not answer is down.

    Default thresholds: none, as only you know what the query means.

    Limits: one statement, without parameters; one row of figures. It runs at every look, so it should be cheap:
    `query_time` says what it costs, and `every: 5m` is often enough.
    """

    kind: ClassVar[str] = "sql"
    measurements: ClassVar[tuple[Measurement, ...]] = (
        Measurement(
            "query_time",
            Unit.SECONDS,
            "The query, there and back, on the open connection.",
            cut_by=Reason.QUERY_TIMEOUT,
        ),
        Measurement("rows", Unit.COUNT, "Rows that the query gave."),
    )

    dsn: Annotated[Secret, "`postgresql://user:password@host[:5432]/database`, or `mysql://`."]
    query: Annotated[str, "A SELECT that gives one row."]
    columns: Annotated[Mapping[str, Unit], "The columns that are measurements, and their units."] = field(
        default_factory=dict
    )
    _database: Database = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_fields(self._connect, lambda: _sql.check_query(self.query, "query"), self._check_columns)

    def _connect(self) -> None:
        object.__setattr__(self, "_database", Database(self.dsn))

    def _check_columns(self) -> None:
        own = {measurement.name for measurement in self.measurements}
        for name in self.columns:
            if name in own:
                raise BadField(f"columns.{name}", "is what the probe itself measures: name the column otherwise")
            if not _NAME.fullmatch(name):
                raise BadField(f"columns.{name}", "is no name of a measurement: letters a-z, digits and _ (use AS)")

    @property
    def target(self) -> str:
        return self._database.target

    @property
    def host(self) -> str | None:
        return self._database.host

    @property
    def measured(self) -> tuple[Measurement, ...]:
        columns = (Measurement(name, unit, f"The column `{name}`.") for name, unit in self.columns.items())
        return (*self.measurements, *columns)

    async def close(self) -> None:
        self._database.close()

    async def look(self, context: Context) -> Observation:
        look = Look(context.timeout, self._database.cleaner, context.redact)
        figures: dict[str, float] = {}
        return await taken(look, self._ask(look, context, figures), figures, elapsed="query_time")

    async def _ask(self, look: Look, context: Context, figures: dict[str, float]) -> None:
        if not self.columns:
            text = self.query.strip().rstrip(";")
            counting = f"SELECT count(*) AS n FROM (\n{text}\n) AS counted"  # noqa: S608  (SQL is what is asked)
            rows, figures["query_time"] = await self._database.rows(look, context, counting, limit=1)
            figures["rows"] = _sql.figures(rows[0], ["n"])["n"]
            return
        rows, took = await self._database.rows(look, context, self.query, limit=2)
        if len(rows) > 1:
            raise LookFailed(Reason.QUERY, "the query gives several rows: take max(...), sum(...), or one of them")
        figures["query_time"], figures["rows"] = took, float(len(rows))
        if rows:
            figures.update(_sql.figures(rows[0], list(self.columns)))
