"""What is asked of a MySQL or MariaDB, and what the answers mean as figures. What may not be seen is left out."""

from __future__ import annotations

import math
from collections.abc import Mapping, MutableMapping
from decimal import Decimal
from typing import Any

from probes._counters import gain
from probes._look import Look
from probes._mysql.session import Session
from probes._mysql.shape import mysql_shape
from probes._promoted import promoted
from probes.contract import LookFailed, Reason

_STATUS = (
    "Aborted_clients",
    "Aborted_connects",
    "Connection_errors_max_connections",
    "Created_tmp_disk_tables",
    "Innodb_buffer_pool_read_requests",
    "Innodb_buffer_pool_reads",
    "Innodb_deadlocks",
    "Max_used_connections",
    "Questions",
    "Slow_queries",
    "Threads_connected",
    "Threads_running",
    "Uptime",
    "wsrep_local_state_comment",
    "wsrep_provider_name",
    "wsrep_ready",
)
_NAMES = ", ".join(f"'{name}'" for name in _STATUS)
STATUS = f"SHOW GLOBAL STATUS WHERE Variable_name IN ({_NAMES})"

LIMITS = "SELECT @@global.max_connections AS max_connections, @@global.read_only AS read_only"

# One statement, so that one moment is told. A waiting row lock shows in innodb_trx, one of a table only as a state.
_WORK = """
SELECT
  (SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT') AS row_waits,
  (SELECT MAX(TIMESTAMPDIFF(MICROSECOND, trx_wait_started, NOW(6))) FROM information_schema.innodb_trx
    WHERE trx_state = 'LOCK WAIT') AS row_wait,
  (SELECT MAX(TIMESTAMPDIFF(MICROSECOND, trx_started, NOW(6))) FROM information_schema.innodb_trx
    WHERE trx_mysql_thread_id <> CONNECTION_ID()) AS transaction,
  COALESCE(SUM(state LIKE 'Waiting for%lock'), 0) AS table_waits,
  MAX(CASE WHEN state LIKE 'Waiting for%lock' THEN time END) AS table_wait,
  MAX(CASE WHEN command IN ('Query', 'Execute') THEN time END) AS query
FROM information_schema.processlist
WHERE id <> CONNECTION_ID() AND user NOT IN ('system user', 'event_scheduler')
"""
_WORK_COLUMNS = {"row_waits", "row_wait", "transaction", "table_waits", "table_wait", "query"}

_BLOCKERS_MARIADB = "SELECT requesting_trx_id AS w, blocking_trx_id AS b FROM information_schema.innodb_lock_waits"
_BLOCKERS_MYSQL = (
    "SELECT requesting_engine_transaction_id AS w, blocking_engine_transaction_id AS b"
    " FROM performance_schema.data_lock_waits"
)
_BLOCKING = """
SELECT waiting.trx_mysql_thread_id AS waiting_id, waiting.trx_query AS waiting_query,
  blocking.trx_mysql_thread_id AS blocking_id, blocking.trx_query AS blocking_query,
  TIMESTAMPDIFF(SECOND, waiting.trx_wait_started, NOW()) AS waited,
  TIMESTAMPDIFF(SECOND, blocking.trx_started, NOW()) AS age, process.user AS user, process.command AS command
FROM (%s LIMIT 100) AS locks
JOIN information_schema.innodb_trx AS waiting ON waiting.trx_id = locks.w
JOIN information_schema.innodb_trx AS blocking ON blocking.trx_id = locks.b
LEFT JOIN information_schema.processlist AS process ON process.id = blocking.trx_mysql_thread_id
ORDER BY waited DESC LIMIT 5
"""
_STATES = """
SELECT COALESCE(NULLIF(state, ''), command) AS state, COUNT(*) AS sessions
FROM information_schema.processlist WHERE command NOT IN ('Sleep', 'Daemon') AND id <> CONNECTION_ID()
GROUP BY 1 ORDER BY 2 DESC LIMIT 4
"""
_LONGEST = """
SELECT id, user, time, info FROM information_schema.processlist
WHERE command IN ('Query', 'Execute') AND id <> CONNECTION_ID() AND user NOT IN ('system user', 'event_scheduler')
ORDER BY time DESC LIMIT 1
"""
_DEADLOCKS = "SELECT count AS deadlocks FROM information_schema.innodb_metrics WHERE name = 'lock_deadlocks'"

_LONG = 30.0
"""Seconds: a statement that has run for longer is shown."""
_MANY = 20
"""Sessions that run a statement: with more of them, what they do is shown."""

_SECONDS_BEHIND = ("Seconds_Behind_Source", "Seconds_Behind_Master")
_THREADS = ("Replica_IO_Running", "Slave_IO_Running", "Replica_SQL_Running", "Slave_SQL_Running")
_ERRORS = ("Last_IO_Error", "Last_SQL_Error")


async def permitted(look: Look, session: Session, sql: str, right: str) -> list[dict[str, Any]] | None:
    """The rows; None when the role may not see them or this version has none: then `right` is in the evidence."""
    try:
        return await session.rows(sql)
    except LookFailed as failure:
        if failure.reason not in (Reason.DENIED, Reason.QUERY):
            raise
        told = look.evidence.get("not_permitted", "")
        look.evidence["not_permitted"] = f"{told}, {right}".strip(", ")
        return None


def status(rows: list[dict[str, Any]]) -> dict[str, str]:
    """SHOW STATUS as names and values."""
    return {str(row.get("Variable_name", "")): str(row.get("Value", "")) for row in rows}


def standing(facts: Mapping[str, str], limits: Mapping[str, Any]) -> dict[str, float]:
    """The figures that need no look before."""
    connected, most = number(facts.get("Threads_connected")), number(limits.get("max_connections"))
    peak = number(facts.get("Max_used_connections"))
    given = {
        "connections": connected,
        "connections_used": connected / most if connected is not None and most else None,
        "connections_used_peak": peak / most if peak is not None and most else None,
        "active": number(facts.get("Threads_running")),
        "uptime": number(facts.get("Uptime")),
    }
    return {name: value for name, value in given.items() if value is not None}


def gained(
    facts: Mapping[str, str], memory: MutableMapping[str, float | str], now: float, *, scheduled: bool
) -> dict[str, float]:
    """The figures that are counted from look to look. FLUSH STATUS begins counting anew, as a restart does."""
    names = {
        "query_rate": "Questions",
        "slow_query_rate": "Slow_queries",
        "aborted_connect_rate": "Aborted_connects",
        "aborted_client_rate": "Aborted_clients",
        "rejected_connection_rate": "Connection_errors_max_connections",
        "temp_disk_table_rate": "Created_tmp_disk_tables",
        "deadlock_rate": "Innodb_deadlocks",
        "requests": "Innodb_buffer_pool_read_requests",
        "reads": "Innodb_buffer_pool_reads",
    }
    counters = {name: value for name, key in names.items() if (value := number(facts.get(key))) is not None}
    run = _run(memory, number(facts.get("Uptime")) or 0.0, now, scheduled=scheduled)
    told = gain(memory, counters, run=run, now=now, scheduled=scheduled)
    if told is None:
        return {}
    figures = {name: rate for name in counters if (rate := told.rate(name)) is not None}
    requests, reads = figures.pop("requests", None), figures.pop("reads", None)
    if requests is not None and reads is not None:
        asked, missed = told.by["requests"], min(told.by["reads"], told.by["requests"])
        figures["cache_hits"], figures["cache_lookups"] = asked - missed, asked
        if asked:
            figures["cache_hit_ratio"] = (asked - missed) / asked
    return figures


async def work(look: Look, session: Session) -> dict[str, float]:
    """What runs and what waits: needs the privilege PROCESS, without which a session sees only its own user's."""
    rows = await permitted(look, session, _WORK, "transactions and statements of others (PROCESS)")
    if not rows:
        return {}
    row = rows[0]
    if not row.keys() >= _WORK_COLUMNS:
        raise LookFailed(Reason.PROTOCOL, "the answer has other columns than were asked for")
    waits = [(number(row["row_wait"]) or 0.0) / 1e6, number(row["table_wait"]) or 0.0]
    return {
        "waiting_locks": (number(row["row_waits"]) or 0.0) + (number(row["table_waits"]) or 0.0),
        "longest_lock_wait": max(0.0, *waits),
        "longest_transaction": max(0.0, (number(row["transaction"]) or 0.0) / 1e6),
        "longest_query": max(0.0, number(row["query"]) or 0.0),
    }


async def deadlocks(look: Look, session: Session) -> str | None:
    """The counter, where it is no status variable: in MySQL."""
    rows = await permitted(look, session, _DEADLOCKS, "deadlocks (PROCESS)")
    return str(rows[0]["deadlocks"]) if rows else None


async def replication(look: Look, session: Session, memory: MutableMapping[str, float | str]) -> dict[str, float]:
    """The channels that this server replicates over; nothing on a server that has never been a replica."""
    right = "replication (REPLICA MONITOR or REPLICATION CLIENT)"
    if session.is_mariadb:
        asked = "SHOW ALL SLAVES STATUS"
    else:
        asked = "SHOW REPLICA STATUS" if _version(session.version) >= (8, 0, 22) else "SHOW SLAVE STATUS"
    channels = await permitted(look, session, asked, right)
    if channels is None:
        return {}
    if promoted(memory, follows=bool(channels)):
        return {"replication_stopped": 0.0, "replication_lag": 0.0}
    if not channels:
        return {}
    stopped = [channel for channel in channels if any(channel.get(name, "Yes") != "Yes" for name in _THREADS)]
    figures = {"replication_stopped": float(len(stopped))}
    behind = [value for each in channels for name in _SECONDS_BEHIND if (value := number(each.get(name))) is not None]
    if behind:
        figures["replication_lag"] = max(behind)
    if stopped:
        said = next((str(stopped[0][name]) for name in _ERRORS if stopped[0].get(name)), "stopped by hand?")
        threads = ", ".join(f"{name} {stopped[0][name]}" for name in _THREADS if name in stopped[0])
        look.evidence["replication"] = look.show(f"{threads}: {said}")
    return figures


async def explain(look: Look, session: Session, figures: Mapping[str, float]) -> None:
    """Who holds up whom, and what the sessions do: in shapes, asked only when something looks bad."""
    if figures.get("waiting_locks"):
        blockers = _BLOCKERS_MARIADB if session.is_mariadb else _BLOCKERS_MYSQL
        rows = await permitted(look, session, _BLOCKING % blockers, "who blocks whom (PROCESS)")
        if rows:
            look.evidence["blocking"] = look.show("; ".join(map(_blocked, rows)))
    if figures.get("longest_query", 0.0) > _LONG:
        for row in await permitted(look, session, _LONGEST, "") or ():
            look.evidence["longest_query"] = look.show(
                f"{row['id']} {row['user']}, {row['time']} s: {mysql_shape(str(row['info'] or ''), 160)}"
            )
    if figures.get("active", 0.0) > _MANY:
        rows = await permitted(look, session, _STATES, "")
        look.evidence["states"] = look.show(", ".join(f"{row['sessions']} {row['state']}" for row in rows or ()))


def _blocked(row: Mapping[str, Any]) -> str:
    held = f"{row['blocking_id']} {row['user'] or '?'}, open for {row['age']} s"
    doing = (
        mysql_shape(str(row["blocking_query"]), 50) if row["blocking_query"] else f"idle ({row['command'] or '?'})"
    )
    waits = f"{row['waiting_id']} has waited {row['waited']} s: {mysql_shape(str(row['waiting_query'] or ''), 80)}"
    return f"{held}, {doing} > {waits}"


def _run(memory: MutableMapping[str, float | str], uptime: float, now: float, *, scheduled: bool) -> str:
    """The server's run: another one when its uptime fell. Not by when it started: clocks are set, and disagree."""
    run, before = memory.get("counted_run"), memory.get("uptime")
    same = isinstance(run, str) and isinstance(before, float) and uptime >= before
    if scheduled or before is None:
        memory["uptime"] = uptime
    return str(run) if same else f"{now:.0f}"


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("-")[0].split(".")[:3] if part.isdigit())


def number(value: object) -> float | None:
    """A finite number, however the driver gives it."""
    if not isinstance(value, int | float | str | Decimal):
        return None
    try:
        found = float(value)
    except ValueError:
        return None
    return found if math.isfinite(found) else None
