"""The one query that most figures come from, and the figures that its answer makes."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

from probes._pg.session import literal
from probes._promoted import promoted

WRAPAROUND = 2**31
"""Transactions after which ids begin anew: PostgreSQL refuses to write some 3 million before (its manual, "Routine
Vacuuming")."""

SLACK = 0.5
"""Seconds between two looks below which a rate says nothing."""

COUNTERS = (
    "transactions",
    "cache_hits",
    "cache_lookups",
    "deadlocks",
    "temp_bytes",
    "wal_bytes",
    "checkpoints",
    "checkpoints_requested",
)

# Read from the functions below the views (pg_stat_activity and so on): the joins of the views with names of databases
# and roles would more than double what it costs the server to plan this, which through a pooler is done at each look.
_SESSIONS = """\
sessions AS (
  SELECT count(*) AS connections,
    count(*) FILTER (WHERE state = 'active' AND NOT mine) AS active,
    count(*) FILTER (WHERE idle_in_transaction) AS idle_in_transaction,
    count(*) FILTER (WHERE {waits}) AS waiting_locks,
    max(extract(epoch FROM clock_timestamp() - xact_start)) FILTER (WHERE NOT mine AND NOT ignored)
      AS longest_transaction,
    max(extract(epoch FROM clock_timestamp() - query_start)) FILTER (WHERE state = 'active' AND NOT mine
      AND NOT ignored) AS longest_query,
    max(extract(epoch FROM clock_timestamp() - state_change)) FILTER (WHERE idle_in_transaction AND NOT ignored)
      AS longest_idle_in_transaction
  FROM (SELECT state, xact_start, query_start, state_change, wait_event_type, wait_event,
    pid = pg_backend_pid() AS mine, state LIKE 'idle in transaction%' AS idle_in_transaction, {ignored} AS ignored
    FROM pg_stat_get_activity(NULL) WHERE backend_type = 'client backend') AS a)"""

_COUNTS = """\
counts AS (
  SELECT sum(pg_stat_get_db_numbackends(oid)) AS backends,
    sum(pg_stat_get_db_xact_commit(oid) + pg_stat_get_db_xact_rollback(oid)) AS transactions,
    sum(pg_stat_get_db_blocks_hit(oid)) AS cache_hits, sum(pg_stat_get_db_blocks_fetched(oid)) AS cache_lookups,
    sum(pg_stat_get_db_deadlocks(oid)) AS deadlocks, sum(pg_stat_get_db_temp_bytes(oid)) AS temp_bytes,
    max(greatest(age(datfrozenxid), mxid_age(datminmxid))) AS xid_age
  FROM pg_database)"""

_HERE = """\
here AS (
  SELECT standby, CASE WHEN standby THEN coalesce(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
    ELSE pg_current_wal_flush_lsn() END AS lsn
  FROM (SELECT pg_is_in_recovery() AS standby) AS s)"""

# The primary hears of a replica's lag by its replies: one that has fallen silent keeps the lag it had. It replies at
# least every 10 s (wal_receiver_status_interval), so a silence of more is lag, unless it has replayed all there is.
_REPLICAS = """\
replicas AS (
  SELECT count(*) AS replicas,
    max(CASE WHEN replay_lsn >= lsn THEN 0 ELSE greatest(extract(epoch FROM replay_lag),
      CASE WHEN clock_timestamp() - reply_time > interval '15 s'
      THEN extract(epoch FROM clock_timestamp() - reply_time) END, 0) END) AS lag,
    max(greatest(pg_wal_lsn_diff(lsn, replay_lsn), 0)) AS lag_bytes
  FROM pg_stat_get_wal_senders(), here WHERE state <> 'backup')"""

# A standby that has replayed all it received is not behind, as long as it hears from its primary (every 30 s at
# least, at half of wal_sender_timeout); without a receiver, what it replayed last is how old it is.
_RECEIVER = """\
receiver AS (
  SELECT count(*) FILTER (WHERE status = 'streaming') AS streaming,
    max(extract(epoch FROM clock_timestamp() - last_msg_receipt_time)) AS silent
  FROM pg_stat_get_wal_receiver() WHERE pid IS NOT NULL)"""

_SLOTS = """\
slots AS (
  SELECT count(*) FILTER (WHERE NOT active) AS inactive_slots,
    coalesce(max(greatest(pg_wal_lsn_diff(lsn, restart_lsn), 0)), 0) AS slot_retained
  FROM pg_get_replication_slots(), here WHERE NOT temporary{not_synced})"""

_REST = """\
SELECT sees, sessions.*, counts.*, slots.*, replicas, standby,
  current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
    - coalesce(current_setting('reserved_connections', true)::int, 0) AS most,
  CASE WHEN NOT standby THEN lag
    WHEN streaming = 0 OR pg_last_wal_receive_lsn() IS NULL THEN replayed
    WHEN pg_last_wal_receive_lsn() > pg_last_wal_replay_lsn() THEN greatest(replayed, 0)
    WHEN silent > 60 THEN silent ELSE 0 END AS replication_lag,
  CASE WHEN standby THEN greatest(pg_wal_lsn_diff(lsn, pg_last_wal_replay_lsn()), 0) ELSE lag_bytes END
    AS replication_lag_bytes,
  CASE WHEN standby AND follows THEN streaming END AS streaming,
  pg_wal_lsn_diff(lsn, '0/0') AS wal_bytes, {checkpoints},
  extract(epoch FROM pg_postmaster_start_time()) AS started, extract(epoch FROM clock_timestamp()) AS clock
FROM sessions, counts, here, replicas, receiver, slots,
  (SELECT pg_has_role('pg_read_all_stats', 'USAGE') AS sees,
    CASE WHEN pg_has_role('pg_read_all_settings', 'USAGE') THEN current_setting('primary_conninfo', true) <> '' END
      AS follows,
    extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) AS replayed) AS own"""

WAITS = "wait_event_type = 'Lock' AND wait_event NOT IN ('advisory', 'virtualxid')"
"""Waiting for what another transaction holds. Not counted: advisory locks, which applications wait for by design, and
CREATE INDEX CONCURRENTLY, which waits for older transactions to end."""


def query(version: int, ignore: Sequence[str]) -> str:
    """The query for a server of this version (`server_version_num`); `ignore` are names of applications."""
    names = ", ".join(map(literal, ignore))
    parts = (
        _SESSIONS.format(waits=WAITS, ignored=f"application_name IN ({names})" if ignore else "false"),
        _COUNTS,
        _HERE,
        _REPLICAS,
        _RECEIVER,
        _SLOTS.format(not_synced=" AND NOT synced" if version >= 170_000 else ""),
    )
    kind = "checkpointer_num_{}" if version >= 170_000 else "bgwriter_{}_checkpoints"
    timed, requested = (f"pg_stat_get_{kind.format(which)}()" for which in ("timed", "requested"))
    checkpoints = f"{timed} + {requested} AS checkpoints, {requested} AS checkpoints_requested"
    return "WITH " + ",\n".join(parts) + "\n" + _REST.format(checkpoints=checkpoints)


def present(row: Mapping[str, Any], figures: dict[str, float]) -> None:
    """The figures of this moment."""
    used = row["connections"] if row["sees"] else row["backends"]
    if row["most"] > 0:
        figures["connections_used"] = used / row["most"]
    figures["connections"] = float(used)
    figures["xid_age"] = row["xid_age"] / WRAPAROUND
    figures["uptime"] = max(0.0, row["clock"] - row["started"])
    names = ["inactive_slots", "slot_retained"]
    if row["sees"]:
        names += ["active", "idle_in_transaction", "waiting_locks", "replicas"]
        names += ["replication_lag", "replication_lag_bytes", "streaming"]
        # Nobody at it is an age of 0: an age that is not told would leave a threshold as it was.
        for name in ("longest_transaction", "longest_query", "longest_idle_in_transaction"):
            figures[name] = max(0.0, float(row[name] or 0.0))
    figures.update({name: float(row[name]) for name in names if row[name] is not None})


def after_promotion(
    row: Mapping[str, Any], figures: dict[str, float], memory: MutableMapping[str, float | str]
) -> None:
    """What was bad of a standby does not stay bad once it is a primary."""
    if row["sees"] and promoted(memory, follows=row["standby"]):
        figures["streaming"] = 1.0
        for name in ("replication_lag", "replication_lag_bytes"):  # there, if it has replicas of its own
            figures.setdefault(name, 0.0)


def since(
    row: Mapping[str, Any], figures: dict[str, float], memory: MutableMapping[str, float | str], *, scheduled: bool
) -> None:
    """The figures of the time since the last scheduled look, by the server's own clock.

    After a restart or a fail-over to another server there are none. A counter that fell was reset, or a database was
    dropped with its part of the sum: nobody can tell how much it has grown, so it has no figure this time.
    """
    server, clock = f"{row['started']:.3f}", float(row["clock"])
    before = memory.get("clock")
    if memory.get("server") != server or not isinstance(before, float):
        before = None
    elapsed = clock - before if before is not None else 0.0
    grown = _grown(row, memory) if elapsed >= SLACK else {}
    # Too soon, it goes on counting from where it was; a clock that was set back begins anew.
    if scheduled and (before is None or elapsed >= SLACK or elapsed < 0.0):
        memory.update({"server": server, "clock": clock})
        memory.update({name: float(row[name]) for name in COUNTERS if row[name] is not None})
    for name, rate in _RATES.items():
        if name in grown:
            figures[rate] = grown[name] / elapsed
    for part, whole, ratio in _RATIOS:
        if row["standby"] and whole == "checkpoints":
            continue  # those of a standby follow its primary's
        if part in grown and whole in grown:
            figures[part], figures[whole] = grown[part], grown[whole]
            if grown[whole] > 0:
                figures[ratio] = min(1.0, grown[part] / grown[whole])


_RATES = {
    "transactions": "transaction_rate",
    "deadlocks": "deadlock_rate",
    "temp_bytes": "temp_bytes_rate",
    "wal_bytes": "wal_rate",
}
_RATIOS = (
    ("cache_hits", "cache_lookups", "cache_hit_ratio"),
    ("checkpoints_requested", "checkpoints", "forced_checkpoint_ratio"),
)


def _grown(row: Mapping[str, Any], memory: Mapping[str, float | str]) -> dict[str, float]:
    grown = {}
    for name in COUNTERS:
        before, now = memory.get(name), row[name]
        if isinstance(before, float) and now is not None and now >= before:
            grown[name] = now - before
    return grown
