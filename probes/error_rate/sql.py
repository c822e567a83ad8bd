"""Counts from a query of a SQL database."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from probes import _sql
from probes._http.web import source
from probes._look import Look
from probes._sql import Database
from probes.contract import Context, LookFailed, Reason, Secret, check_fields
from probes.error_rate._meter import Meter
from probes.error_rate.source import PERCENTILES, Source, Tally

if TYPE_CHECKING:
    from probes.error_rate.probe import ErrorRate


class SqlQuery(Source):
    """Asks PostgreSQL or MySQL for the counts, where requests, payments or jobs are written to a table.

    ```yaml
    checks:
      - name: payments
        probe: error_rate
        dsn: "postgresql://brownout:${DATABASE_PASSWORD}@db.example.com/shop"
        sql: |
          SELECT count(*) AS total, count(*) FILTER (WHERE status = 'failed') AS bad,
                 percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds) AS p95
          FROM payments WHERE created_at > now() - interval '1 minute'
        counts: interval
        interval: 1m
        every: 1m
    ```

    The query gives one row with the columns `total` and `bad`, and if it can `p50`, `p95`, `p99` in seconds. Say what
    they count: `counts: total`, the default, is all there has ever been (a figure that falls began again at 0);
    `counts: interval` what came in the last `interval`, as above; `counts: rate` a second. Of an interval that is not
    `every`, its part is taken. NULL, as SUM gives for no rows, is 0; but it is refused with `counts: total`.

    The DSN, the session and its limits are those of the probe `sql`: read-only, one connection that is kept. A
    database that cannot be asked is `source`: nobody can tell then how the service does. Let a check of `postgres` or
    `mysql` look after the database itself.

    Limits: one row. The query runs at every look: an index on the time keeps it cheap.
    """

    name: ClassVar[str] = "sql"
    title: ClassVar[str] = "Counting in a database: sql"
    needs: ClassVar[frozenset[str]] = frozenset({"dsn"})
    takes: ClassVar[frozenset[str]] = frozenset({"counts", "interval"})

    def __init__(self, check: ErrorRate) -> None:
        dsn, self._query = check.dsn or Secret(""), check.sql or ""
        check_fields(lambda: self._connect(dsn), lambda: _sql.check_query(self._query, "sql"))
        self._meter = Meter(check, self.name, "total")
        self._ever = (check.counts or "total") == "total"

    def _connect(self, dsn: Secret) -> None:
        self._database = Database(dsn)

    @property
    def target(self) -> str:
        return self._database.target

    @property
    def host(self) -> str | None:
        return self._database.host

    @property
    def secrets(self) -> Iterable[str]:
        return self._database.secrets

    async def read(self, look: Look, context: Context) -> Tally | None:
        asked = self._meter.now()
        try:
            rows, _ = await self._database.rows(look, context, self._query, limit=2)
        except LookFailed as failure:
            raise source(failure, "the database") from failure
        if len(rows) != 1:
            said = "no row" if not rows else "several rows"
            raise LookFailed(Reason.QUERY, f"the query gives {said}: it is to give one, with total and bad")
        (row,) = rows
        counted = _sql.figures(row, ["total", "bad"])
        if self._ever and len(counted) < 2:
            raise LookFailed(Reason.QUERY, "total or bad is NULL: it is to be all there has ever been")
        total, bad = counted.get("total", 0.0), counted.get("bad", 0.0)
        if total < 0 or bad < 0:
            raise LookFailed(Reason.QUERY, "total or bad is below 0")
        latency = _sql.figures(row, [name for name in PERCENTILES if name in row])
        look.evidence["counted"] = f"total {total:g}, bad {bad:g}"
        named = {f"latency_{name}": seconds for name, seconds in latency.items()}
        return self._meter.take(context.memory, asked, total, bad, named)

    async def close(self) -> None:
        self._database.close()
