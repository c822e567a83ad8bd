"""Home-made queues: a table of one's own, and the query that tells how things stand in it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from probes._look import Look
from probes._sql import Database, check_query, figures
from probes.contract import Context, LookFailed, Reason, Secret
from probes.queue.backend import Backend, Backlog

if TYPE_CHECKING:
    from probes.queue.probe import Queue

_COUNTS = ("scheduled", "in_flight", "failed", "retry", "workers", "held")
_COUNTERS = ("arrived", "completed")
_MOST_ROWS = 100


class Sql(Backend):
    """A table of your own, in PostgreSQL or MySQL: `query` tells how things stand. `dsn` begins with `postgresql://`
    or `mysql://`; the extra is `postgres` or `mysql` accordingly.

    ```yaml
    checks:
      - name: exports
        probe: queue
        backend: sql
        dsn: postgresql://brownout@db.example.com/shop
        query: |
          SELECT count(*) AS depth, extract(epoch FROM now() - min(run_at)) AS lag
          FROM exports WHERE state = 'new' AND run_at <= now()
        down: lag > 5m
    ```

    The query gives the columns `depth` and `lag`, by the database's own clock, and any of `scheduled`, `in_flight`,
    `retry`, `failed`, `workers`, `held`, and the counters `arrived` and `completed`. They mean what the measurements
    of those names mean, so jobs of the future and of a paused queue are not part of `depth` and `lag`: leave them
    out of the query. `age` is another word for `lag`. NULL is a lag of 0 while `depth` is 0, as `min` gives it of no
    rows; with jobs waiting it means that their age is not known. Other columns are left alone.

    Several rows are several queues (GROUP BY): depths and counts are added up and the greatest lag counts; a text
    column `queue` then names the worst in the evidence. At most 100 rows.

    Limits: the query runs at every look: give it an index. It may only read.
    """

    name = "sql"
    needs = frozenset({"dsn", "query"})

    def __init__(self, queue: Queue) -> None:
        self._database = Database(queue.dsn if queue.dsn is not None else Secret(""))
        self._query = queue.query or ""
        check_query(self._query, "query")

    @property
    def target(self) -> str:
        return self._database.target

    @property
    def host(self) -> str | None:
        return self._database.host

    @property
    def secrets(self) -> Iterable[str]:
        return self._database.secrets

    async def read(self, look: Look, context: Context) -> Backlog:
        rows, _ = await self._database.rows(look, context, self._query, limit=_MOST_ROWS + 1)
        if len(rows) > _MOST_ROWS:
            raise LookFailed(Reason.QUERY, f"more than {_MOST_ROWS} rows: one a queue, or one in all")
        if not rows:
            return Backlog(depth=0, lag=0.0)  # GROUP BY of an empty table
        columns = {name.lower() for name in rows[0]}
        age = "age" if "age" in columns and "lag" not in columns else "lag"
        extra = [name for name in (*_COUNTS, *_COUNTERS) if name in columns]
        found = []
        for row in rows:
            lower = {name.lower(): value for name, value in row.items()}
            told = figures(lower, ["depth", age, *extra])
            found.append((str(lower.get("queue") or ""), {**told, "lag": told[age]} if age in told else told))
        return _summed(look, found, extra)

    def close(self) -> None:
        self._database.close()


def _summed(look: Look, found: list[tuple[str, dict[str, float]]], extra: list[str]) -> Backlog:
    lags = []
    for _, told in found:
        if told.get("depth", 0.0) < 0:
            raise LookFailed(Reason.QUERY, "the column depth is negative")
        if told.get("depth"):
            lags.append(max(0.0, told["lag"]) if "lag" in told else None)
    known = [lag for lag in lags if lag is not None]
    evidence = {}
    if known and len(found) > 1:
        worst = max(found, key=lambda each: each[1].get("lag", 0.0) if each[1].get("depth") else -1.0)
        evidence["oldest"] = f"{look.show(worst[0] or '(no name)', 120)}: {worst[1]['lag']:.0f} s"
    sums = {name: sum(told.get(name, 0.0) for _, told in found) for name in ("depth", *extra)}
    counts: dict[str, Any] = {name: int(sums[name]) for name in _COUNTS if name in sums}
    counters: dict[str, Any] = {name: sums[name] for name in _COUNTERS if name in sums}
    # A queue whose age is unknown says nothing beside one whose age is known, and alone nothing at all.
    lag = max(known) if known else (None if lags else 0.0)
    return Backlog(depth=int(sums["depth"]), lag=lag, evidence=evidence, **counts, **counters)
