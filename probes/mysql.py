"""Looks at MySQL and MariaDB: connections, locks, transactions, replication, and the time of a trivial query."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from probes._look import Look, taken
from probes._mysql import figures as _mysql_figures
from probes._mysql.session import MysqlServer, Session
from probes.contract import Context, LookFailed, Measurement, Observation, Probe, Reason, Secret, Unit


@dataclass(frozen=True, slots=True)
class Mysql(Probe):
    """Looks at a MySQL or MariaDB server: how near it is to its limits, who waits for whom, how far a replica is.

    ```yaml
    checks:
      - name: database
        probe: mysql
        dsn: "mysql://brownout:${MYSQL_PASSWORD}@db.example.com:3306/"
        degraded: active > 32 for 2m
    ```

    A look is a handful of short statements on a connection that is kept; that it was lost since the look before is in
    the evidence (`reconnected`). The session is read-only, in autocommit, and the server is told to end by itself
    what takes longer than the look (`max_statement_time`; in MySQL `max_execution_time`). The role needs no right on
    any table, and so no database in the `dsn`: one that it has no right in is refused (1044).

    ```sql
    CREATE USER brownout IDENTIFIED BY '...' WITH MAX_USER_CONNECTIONS 5;
    GRANT PROCESS, REPLICA MONITOR ON *.* TO brownout;    -- in MySQL: PROCESS, REPLICATION CLIENT
    ```

    With less it tells less: without `PROCESS` nothing of other users' transactions, statements and locks, without the
    other nothing of replication. What is missing is named in the evidence (`not_permitted`). When somebody waits for
    a lock, `blocking` says who holds it; of statements only the shape is shown, never a value.

    TLS is spoken when the server offers it, as MySQL's own clients do; `?ssl-mode=REQUIRED` insists,
    `?ssl-mode=VERIFY_IDENTITY` (or `?ssl-ca=FILE`) also holds the certificate against the name. A socket of this
    machine: `mysql://brownout@localhost/?socket=/run/mysqld/mysqld.sock`. Log-in works with native passwords and with
    caching_sha2_password; a password is never sent in clear text, nor for a public key of nobody knows whom, so a
    server that asks for it (MySQL 8 at a role's first log-in) must offer TLS.

    Default thresholds, degraded:

    - `connections_used > 80%`: pools grow in bursts when queries are slow, and the rest is soon gone.
    - `rejected_connection_rate > 0/s`: somebody has been turned away, now. MariaDB 10.11 never counts them there, but
      among `aborted_connect_rate`.
    - `longest_lock_wait > 10s`: users wait as long; `innodb_lock_wait_timeout` will throw errors at 50 s.
    - `longest_transaction > 5m`: it keeps its locks, and undo grows for all. Mostly it was forgotten.
    - `replication_lag > 30s, clear < 15s`: readers see what was half a minute ago.
    - `replication_stopped > 0`: a replica that no longer follows grows older until somebody mends it.
    - `query_time > 500ms, clear < 300ms`: `SELECT 1` waits for nothing but the server itself.

    Default thresholds, down:

    - `connections_used > 99% for 1m`: nobody else gets in. This look does, on the connection it has.
    - `query_time > 5s for 3 of 5`: whatever the application asks takes longer.

    There is none on `active` and `slow_query_rate`, as what is much depends on the machine and on
    `long_query_time`; nor on `cache_hit_ratio`, which says nothing by itself: a scan ruins it, and nobody waits.

    Limits: tested with MariaDB 10.11; what MySQL 8 does otherwise (`performance_schema.data_lock_waits`, `SHOW
    REPLICA STATUS`, `max_execution_time`) follows its documentation. One server: of a group or a Galera cluster name
    every node; a node that is not ready (`wsrep_ready` OFF) fails the look (`not_ready`). A wrong password is
    `denied`, which never counts as an outage. `max_connections` leaves one more connection to administrators, so
    `connections_used` can be above 100 %. `longest_query` counts whole seconds. Client certificates and log-in
    plug-ins of other kinds (ed25519, PAM, Kerberos) are not supported.
    """

    kind: ClassVar[str] = "mysql"
    extra: ClassVar[str | None] = "mysql"
    measurements: ClassVar[tuple[Measurement, ...]] = (
        Measurement(
            "query_time",
            Unit.SECONDS,
            "`SELECT 1` on the open connection, there and back.",
            cut_by=Reason.QUERY_TIMEOUT,
        ),
        Measurement("connections_used", Unit.RATIO, "Connections of `max_connections`."),
        Measurement("connections", Unit.COUNT, "Connections of clients, with the check's own."),
        Measurement(
            "connections_used_peak", Unit.RATIO, "The most there have been since the start, of `max_connections`."
        ),
        Measurement("rejected_connection_rate", Unit.PER_SECOND, "Connections refused because of `max_connections`."),
        Measurement("aborted_connect_rate", Unit.PER_SECOND, "Log-ins that failed: password, TLS, time, garbage."),
        Measurement("aborted_client_rate", Unit.PER_SECOND, "Clients that went away without saying so."),
        Measurement("active", Unit.COUNT, "Sessions that run a statement, with the check's own."),
        Measurement("waiting_locks", Unit.COUNT, "Sessions that wait for a row, a table or its definition."),
        Measurement("longest_lock_wait", Unit.SECONDS, "Of those, how long the first has waited; 0 without any."),
        Measurement("longest_transaction", Unit.SECONDS, "Age of the oldest open InnoDB transaction."),
        Measurement("longest_query", Unit.SECONDS, "Age of the oldest statement that runs."),
        Measurement("replication_lag", Unit.SECONDS, "How far this replica is behind; left out while it is stopped."),
        Measurement("replication_stopped", Unit.COUNT, "Channels of this replica with a thread that does not run."),
        Measurement(
            "cache_hit_ratio",
            Unit.RATIO,
            "Pages found in the buffer pool, of all that were asked for.",
            ratio_of=("cache_hits", "cache_lookups"),
        ),
        Measurement("cache_hits", Unit.COUNT, "Pages found in the buffer pool since the last look."),
        Measurement("cache_lookups", Unit.COUNT, "Pages asked for since the last look."),
        Measurement("query_rate", Unit.PER_SECOND, "Statements of clients."),
        Measurement("slow_query_rate", Unit.PER_SECOND, "Statements that took longer than `long_query_time`."),
        Measurement("deadlock_rate", Unit.PER_SECOND, "Deadlocks that InnoDB has broken up."),
        Measurement("temp_disk_table_rate", Unit.PER_SECOND, "Temporary tables that had to go to disk."),
        Measurement("uptime", Unit.SECONDS, "Since the server was started."),
    )
    thresholds: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "degraded": (
            "connections_used > 80%, clear < 75%",
            "rejected_connection_rate > 0/s",
            "longest_lock_wait > 10s",
            "longest_transaction > 5m",
            "replication_lag > 30s, clear < 15s",
            "replication_stopped > 0",
            "query_time > 500ms, clear < 300ms",
        ),
        "down": (
            "connections_used > 99% for 1m",
            "query_time > 5s for 3 of 5",
        ),
    }

    dsn: Annotated[Secret, "`mysql://user:password@host[:3306][/database]`; `?ssl-mode=`, `?ssl-ca=`, `?socket=`."]
    _server: MysqlServer = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_server", MysqlServer(self.dsn))

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
        figures: dict[str, float] = {}
        return await taken(look, self._ask(look, context, figures), figures, elapsed="query_time")

    async def _ask(self, look: Look, context: Context, figures: dict[str, float]) -> None:
        async with self._server.session(look, context) as session:
            await _figures(look, context, session, figures)


async def _figures(look: Look, context: Context, session: Session, figures: dict[str, float]) -> None:
    figures["query_time"] = await session.ping()
    facts = _mysql_figures.status(await session.rows(_mysql_figures.STATUS))
    # Every MariaDB has wsrep_ready; only one with Galera loaded has a provider.
    if facts.get("wsrep_provider_name") and facts.get("wsrep_ready") == "OFF":
        state = look.show(facts.get("wsrep_local_state_comment", "?"), 80)
        raise LookFailed(Reason.NOT_READY, f"this node of the Galera cluster is not ready: {state}")
    if not session.is_mariadb:
        deadlocks = await _mysql_figures.deadlocks(look, session)
        if deadlocks is not None:
            facts["Innodb_deadlocks"] = deadlocks
    limits = await session.rows(_mysql_figures.LIMITS)
    figures.update(_mysql_figures.standing(facts, limits[0] if limits else {}))
    figures.update(_mysql_figures.gained(facts, context.memory, time.time(), scheduled=context.scheduled))
    figures.update(await _mysql_figures.work(look, session))
    figures.update(await _mysql_figures.replication(look, session, context.memory))
    await _mysql_figures.explain(look, session, figures)
