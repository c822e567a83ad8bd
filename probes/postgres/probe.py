"""The probe, its manual, and the order in which it asks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from probes._look import Look, taken
from probes._pg.session import PgServer, Session
from probes.contract import Blame, Context, LookFailed, Measurement, Observation, Probe, Reason, Secret, Unit
from probes.postgres import evidence, figures

_SIZE_EVERY = 300.0
"""Seconds between two questions for the size, which costs the server a look at each file of the database."""
_SIZE_PATIENCE = 1.0


@dataclass(frozen=True, slots=True)
class Postgres(Probe):
    """Looks at a PostgreSQL server: how near it is to its limits, and who holds up whom.

    ```yaml
    checks:
      - name: database
        probe: postgres
        dsn: "postgresql://brownout:${DB_PASSWORD}@db.example.com/shop"
        degraded: longest_transaction > 60s
    ```

    The `dsn` is a URL as applications have it: `postgresql://user:password@host:5432/database?sslmode=verify-full`.
    One that has it all, such as `"${DATABASE_URL}"`, will do.
    `sslmode` is one of disable, prefer (the default, which believes any certificate), require, verify-ca and
    verify-full, with `sslrootcert`, `sslcert` and `sslkey` as libpq has them; `?host=/run/postgresql` is a socket.
    Other parameters are the application's own and left alone.

    **The role** needs `pg_monitor` and nothing else: `CREATE ROLE brownout LOGIN PASSWORD '...'; GRANT pg_monitor TO
    brownout;`. Without it the sessions of others, replication and lock waits are hidden: the check then has
    `connections_used`, the rates, `xid_age`, slots and sizes, and its evidence says what is missing.

    **What a look does**: `SELECT 1`, whose time is `query_time`, and one query over the statistics views. One more is
    asked when sessions wait or figures look bad, and one for the size every five minutes. All are single statements
    in autocommit, on one connection that is kept. The session is called `brownout`, is read-only, and has a
    `statement_timeout` below the check's timeout, a `lock_timeout`, and an `idle_in_transaction_session_timeout`.
    That the connection was lost since the last look is told in the evidence (`reconnected`).

    **Through PgBouncer** it works as it is configured by default, in session and in transaction mode. A pooler has no
    settings of a session, so each question is then a read-only transaction of its own, some milliseconds long, with
    the same limits. The figures are those of the server behind it; `query_time` includes the wait for a connection
    of the pool.

    Figures of the whole server: connections, sessions, locks, transactions, `cache_hit_ratio`, rates, replication,
    checkpoints, and `xid_age`, which is that of the worst database. Only `database_size` is of the database in the
    DSN. Rates and ratios count what happened since the check's last look; after a restart the first look has none.

    On a primary `replication_lag` is that of its worst replica; a replica that has fallen silent lags for as long as
    it is silent. On a replica it is its own: 0 when it has replayed all that it received, else the age of what it
    replayed last; also while it receives nothing.

    When figures look bad, the evidence has who blocks whom (the root first, `>` before who waits for it), the oldest
    transaction, what the active sessions wait for, and who holds the connections. Of queries only the shape is
    told: literals and comments, where customers' data may be, are left out before anything leaves the probe.

    Default thresholds, at degraded:

    - `connections_used > 80%`: a deployment or a retry storm takes the rest within minutes.
    - `longest_transaction > 5m`: it keeps vacuum from cleaning up all that was deleted since it began, in every
      table, and holds its locks. `pg_dump` is left out of the ages (`ignore`): a backup takes as long as it takes.
    - `longest_idle_in_transaction > 2m`: nobody works, yet the locks are held; nearly always a client that waits for
      something else, or forgot.
    - `longest_lock_wait > 10s`: ten times the time after which the server itself looks for a deadlock
      (`deadlock_timeout`). Whoever waits is a request that hangs, and a pile-up grows from here. Advisory locks and
      `CREATE INDEX CONCURRENTLY` are not counted: those wait by design.
    - `replication_lag > 30s`: readers of the replica see the past, and a fail-over would wait or lose.
    - `streaming < 1 for 2m`: a replica that is cut off; a restart of the primary takes less.
    - `inactive_slots > 0 for 1h`: nobody reads from it, and it keeps all WAL until the disk is full.
    - `xid_age > 50%`: vacuum should have acted at a tenth of it (`autovacuum_freeze_max_age`), so it is held up;
      there is time to find out by what.
    - `query_time > 500ms`: no `SELECT 1` takes that long, not even from another continent; processes, memory or disk
      have run out, or PgBouncer's pool.

    And at down:

    - `connections_used > 99% for 1m`: all are taken, and it is no spike. The check's own connection is kept, so it
      would not notice that others are refused.
    - `query_time > 5s for 3 of 5`: whoever gets through gives up before.
    - `xid_age > 98%`: with some 40 million transactions left the server has begun to warn, and will refuse to write.
      Vacuum needs hours for it, so this cannot wait until it is an outage.

    No defaults for `cache_hit_ratio`, `deadlock_rate`, `temp_bytes_rate`, `wal_rate`, `forced_checkpoint_ratio` and
    sizes: what is normal depends on the work, and a change of them by itself hurts nobody.

    Limits: tested with PostgreSQL 15, 16 and 18, and PgBouncer 1.18. Before 14 there is no `longest_lock_wait`. A
    replica that lags on purpose (`recovery_min_apply_delay`) or replays from an archive needs thresholds of its own
    (`defaults: off`). On a primary, a replica that lags and is then removed for good leaves the check degraded until
    another one is connected: silence is no good news. Several hosts in one DSN are refused: a check for each tells
    more. Passwords in files (`.pgpass`), services, Kerberos and channel binding are not supported.
    """

    kind: ClassVar[str] = "postgres"
    extra: ClassVar[str | None] = "postgres"
    measurements: ClassVar[tuple[Measurement, ...]] = (
        Measurement(
            "query_time",
            Unit.SECONDS,
            "`SELECT 1` on the open connection, there and back.",
            cut_by=Reason.QUERY_TIMEOUT,
        ),
        Measurement(
            "connect_time",
            Unit.SECONDS,
            "Connecting, TLS and login, in a look that had to.",
            cut_by=Reason.FIRST_BYTE_TIMEOUT,
        ),
        Measurement("connections_used", Unit.RATIO, "Connections of the number that ordinary roles may have."),
        Measurement("connections", Unit.COUNT, "Connections of clients, with the check's own."),
        Measurement("active", Unit.COUNT, "Sessions that run a statement."),
        Measurement("idle_in_transaction", Unit.COUNT, "Sessions whose transaction is open while they do nothing."),
        Measurement("waiting_locks", Unit.COUNT, "Sessions that wait for a lock, advisory ones left out."),
        Measurement("longest_lock_wait", Unit.SECONDS, "Of those, how long the first has waited; 0 without any."),
        Measurement("longest_transaction", Unit.SECONDS, "Age of the oldest open transaction."),
        Measurement("longest_query", Unit.SECONDS, "Age of the oldest statement that runs."),
        Measurement("longest_idle_in_transaction", Unit.SECONDS, "How long a session has idled in its transaction."),
        Measurement("replication_lag", Unit.SECONDS, "How far replay is behind: the worst replica's, or its own."),
        Measurement("replication_lag_bytes", Unit.BYTES, "WAL that is still to be replayed there."),
        Measurement("replicas", Unit.COUNT, "Replicas and subscribers that are connected to this server."),
        Measurement("streaming", Unit.COUNT, "On a replica: 1 while it receives, or once it is promoted; else 0."),
        Measurement("inactive_slots", Unit.COUNT, "Replication slots that nobody reads from."),
        Measurement("slot_retained", Unit.BYTES, "WAL that is kept for the slot furthest behind."),
        Measurement(
            "cache_hit_ratio",
            Unit.RATIO,
            "Blocks found in shared buffers, of all that were asked for.",
            ratio_of=("cache_hits", "cache_lookups"),
        ),
        Measurement("cache_hits", Unit.COUNT, "Blocks found in shared buffers since the last look."),
        Measurement("cache_lookups", Unit.COUNT, "Blocks asked for since the last look."),
        Measurement("transaction_rate", Unit.PER_SECOND, "Transactions that ended, well or not."),
        Measurement("deadlock_rate", Unit.PER_SECOND, "Deadlocks that the server has broken up."),
        Measurement("temp_bytes_rate", Unit.BYTES_PER_SECOND, "Written to temporary files: sorts beyond work_mem."),
        Measurement("wal_rate", Unit.BYTES_PER_SECOND, "WAL written, or on a replica received."),
        Measurement(
            "forced_checkpoint_ratio",
            Unit.RATIO,
            "Checkpoints that came before their time, mostly as max_wal_size was reached.",
            ratio_of=("checkpoints_requested", "checkpoints"),
        ),
        Measurement("checkpoints_requested", Unit.COUNT, "Checkpoints before their time since the last look."),
        Measurement("checkpoints", Unit.COUNT, "All checkpoints since the last look."),
        Measurement("xid_age", Unit.RATIO, "Transaction ids (or multixacts) used up, of those until wraparound."),
        Measurement("database_size", Unit.BYTES, "The database of the DSN on disk, asked for every 5 minutes."),
        Measurement("uptime", Unit.SECONDS, "Since the server was started."),
    )
    thresholds: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "degraded": (
            "connections_used > 80%, clear < 75%",
            "longest_transaction > 5m",
            "longest_idle_in_transaction > 2m",
            "longest_lock_wait > 10s",
            "replication_lag > 30s, clear < 15s",
            "streaming < 1 for 2m",
            "inactive_slots > 0 for 1h",
            "xid_age > 50%",
            "query_time > 500ms, clear < 300ms",
        ),
        "down": ("connections_used > 99% for 1m", "query_time > 5s for 3 of 5", "xid_age > 98%"),
    }

    dsn: Annotated[Secret, "Where to connect: `postgresql://user:password@host:5432/database`."]
    ignore: Annotated[
        tuple[str, ...], "Names of applications whose transactions and statements may take as long as they take."
    ] = ("pg_dump",)
    _server: PgServer = field(init=False, repr=False, compare=False)
    _queries: dict[int, str] = field(init=False, repr=False, compare=False, default_factory=dict)
    """By the server's version."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "_server", PgServer(self.dsn))

    @property
    def target(self) -> str:
        return self._server.target

    @property
    def host(self) -> str | None:
        return self._server.host

    async def close(self) -> None:
        self._server.close()

    async def look(self, context: Context) -> Observation:
        look = Look(context.timeout, self._server.cleaner, context.redact)
        seen: dict[str, float] = {}
        return await taken(look, self._ask(look, context, seen), seen, elapsed="query_time")

    async def _ask(self, look: Look, context: Context, seen: dict[str, float]) -> None:
        async with self._server.session(look, context) as session:
            await self._figures(look, session, context, seen)
        await self._size(look, context, seen)

    async def _figures(self, look: Look, session: Session, context: Context, seen: dict[str, float]) -> None:
        if session.connect_time is not None:
            seen["connect_time"] = session.connect_time
        seen["query_time"] = await session.ping()
        row = (await session.rows(self._query(session.version), keep=True))[0]
        try:
            figures.present(row, seen)
            figures.after_promotion(row, seen, context.memory)
            figures.since(row, seen, context.memory, scheduled=context.scheduled)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise LookFailed(Reason.PROTOCOL, "the answer has other columns than were asked for") from error
        if not row["sees"]:
            look.evidence["missing"] = look.show(
                "sessions of others, lock waits and replication are hidden from this role: "
                f"GRANT pg_monitor TO {self._server.place.user}"
            )
        elif evidence.wanted(seen):
            await self._tell(look, session, seen)
        if seen.get("waiting_locks") == 0.0:
            seen["longest_lock_wait"] = 0.0

    async def _tell(self, look: Look, session: Session, seen: dict[str, float]) -> None:
        try:
            rows = await session.rows(evidence.query(session.version), keep=True)
        except LookFailed as failure:
            if failure.reason.blame is Blame.TARGET:
                raise
            look.evidence["evidence"] = look.show(f"not to be had: {failure.detail}")  # the figures stand
        else:
            evidence.tell(look, rows[0], seen)

    async def _size(self, look: Look, context: Context, seen: dict[str, float]) -> None:
        """The size as it was asked for last; asked for anew when that was long ago. It never fails a look."""
        memory, now = context.memory, time.time()
        asked = memory.get("size_at")
        if context.scheduled and not (isinstance(asked, float) and 0.0 <= now - asked < _SIZE_EVERY):
            memory["size_at"] = now
            try:
                async with (
                    asyncio.timeout(min(_SIZE_PATIENCE, look.left() / 2)),
                    self._server.session(look, context) as session,
                ):
                    row = (await session.rows("SELECT pg_database_size(current_database()) AS size"))[0]
                    memory["size"] = float(row["size"])
            except (LookFailed, TimeoutError):
                look.evidence["database_size"] = "not to be had in time"
        size = memory.get("size")
        if isinstance(size, float):
            seen["database_size"] = size

    def _query(self, version: int) -> str:
        query = self._queries.get(version)
        if query is None:
            query = self._queries[version] = figures.query(version, self.ignore)
        return query
