"""Who holds up whom, and what the sessions wait for: asked only when figures look bad, and told in shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from probes._look import Look
from probes._sql_shape import shape
from probes.postgres.figures import WAITS

_ROOTS = 3
_SHOWN = 5
"""Sessions told of one blocking tree."""
_DEEP = 5
_WIDE = 20
"""Sessions that wait longest, of which the server is asked by whom: it locks its table of locks for each."""

_LOOKS_BAD = {
    "connections_used": 0.7,
    "waiting_locks": 0.5,
    "longest_transaction": 2.0,
    "longest_query": 2.0,
    "longest_idle_in_transaction": 2.0,
    "query_time": 0.25,
}
"""Above what a figure is worth a question: below what any threshold of good sense says."""

_QUERY = f"""\
WITH waiting AS MATERIALIZED (
  SELECT pid, pg_blocking_pids(pid) AS blockers{{since}}
  FROM (SELECT pid FROM pg_stat_activity WHERE {WAITS} AND backend_type = 'client backend'
    ORDER BY query_start LIMIT {_WIDE}) AS a),
shown AS MATERIALIZED (
  SELECT a.pid, usename AS "user", datname AS database, application_name AS application, state, wait_event_type,
    wait_event, blockers, {{waited}} AS waited, left(query, 1024) AS query,
    extract(epoch FROM clock_timestamp() - xact_start) AS transaction_age,
    extract(epoch FROM clock_timestamp() - query_start) AS query_age,
    extract(epoch FROM clock_timestamp() - state_change) AS state_age
  FROM pg_stat_activity AS a LEFT JOIN waiting USING (pid)
  WHERE backend_type = 'client backend' AND a.pid <> pg_backend_pid()
    OR a.pid IN (SELECT unnest(blockers) FROM waiting))
SELECT
  (SELECT json_agg(t) FROM (SELECT * FROM shown WHERE blockers IS NOT NULL
    OR pid IN (SELECT unnest(blockers) FROM waiting) LIMIT {2 * _WIDE}) AS t) AS locks,
  (SELECT json_agg(t) FROM (SELECT * FROM shown WHERE transaction_age IS NOT NULL
    ORDER BY transaction_age DESC LIMIT 1) AS t) AS oldest,
  (SELECT json_agg(t) FROM (SELECT * FROM shown WHERE state = 'active'
    ORDER BY query_age DESC LIMIT 1) AS t) AS slowest,
  (SELECT json_agg(t) FROM (SELECT coalesce(wait_event_type || ':' || wait_event, 'CPU') AS what, count(*) AS n
    FROM shown WHERE state = 'active' GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 6) AS t) AS waits,
  (SELECT json_agg(t) FROM (SELECT application, "user", state, count(*) AS n FROM shown
    GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2, 3 LIMIT 6) AS t) AS holders
"""  # noqa: S608  (made of constants)

_SINCE = """, (SELECT extract(epoch FROM clock_timestamp() - min(waitstart)) FROM pg_locks AS l
    WHERE l.pid = a.pid AND NOT granted) AS since"""


def wanted(figures: Mapping[str, float]) -> bool:
    return any(figures.get(name, 0.0) > limit for name, limit in _LOOKS_BAD.items())


def query(version: int) -> str:
    """What to ask a server of this version; before 14 it does not know how long a lock has been waited for."""
    new = version >= 140_000
    return _QUERY.format(since=_SINCE if new else "", waited="since" if new else "NULL::float")


def tell(look: Look, row: Mapping[str, Any], figures: dict[str, float]) -> None:
    """Put what the answer says into the look's evidence, and `longest_lock_wait` into `figures`."""
    locks = {session["pid"]: session for session in row["locks"] or ()}
    waits = [session["waited"] for session in locks.values() if session["waited"] is not None]
    if waits:
        figures["longest_lock_wait"] = max(0.0, float(max(waits)))
    for number, (root, members) in enumerate(_trees(locks), 1):
        if number > _ROOTS:
            break
        look.evidence["blocking" if number == 1 else f"blocking_{number}"] = _tree(look, root, members, locks)
    if figures.get("longest_transaction", 0.0) > _LOOKS_BAD["longest_transaction"]:
        look.evidence["oldest_transaction"] = _first(look, row["oldest"])
    if figures.get("longest_query", 0.0) > _LOOKS_BAD["longest_query"]:
        look.evidence["longest_query"] = _first(look, row["slowest"])
    if row["waits"]:
        look.evidence["waits"] = look.show(", ".join(f"{each['what']} {each['n']}" for each in row["waits"]))
    if figures.get("connections_used", 0.0) > _LOOKS_BAD["connections_used"]:
        held = (f"{each['n']} {_who(each)} {each['state']}" for each in row["holders"] or ())
        look.evidence["connections"] = look.show("; ".join(held))


def _trees(locks: Mapping[int, Mapping[str, Any]]) -> list[tuple[int, list[tuple[int, int]]]]:
    """Whoever blocks and waits for nobody, with those that wait because of it as (depth, pid); the worst first.

    A pid of 0 is a prepared transaction, and one that is not in `locks` has gone meanwhile.
    """
    blocked: dict[int, list[int]] = {}
    for pid, session in locks.items():
        for blocker in dict.fromkeys(session["blockers"] or ()):
            blocked.setdefault(blocker, []).append(pid)
    trees = []
    reached: set[int] = set()
    roots = [pid for pid in blocked if not locks.get(pid, {}).get("blockers")]
    for root in [*roots, *blocked]:  # without a root they wait in a circle: a deadlock, for a second
        if root not in reached:
            members = _below(root, blocked)
            reached.update((root, *(pid for _, pid in members)))
            trees.append((root, members))
    return sorted(trees, key=lambda tree: -len(tree[1]))


def _below(root: int, blocked: Mapping[int, Sequence[int]]) -> list[tuple[int, int]]:
    members: list[tuple[int, int]] = []
    seen = {root}
    level = [root]
    for depth in range(1, _DEEP + 1):
        level = [pid for above in level for pid in blocked.get(above, ()) if pid not in seen and not seen.add(pid)]  # type: ignore[func-returns-value]  # add, and go on
        members += [(depth, pid) for pid in level]
    return members


def _tree(look: Look, root: int, members: Sequence[tuple[int, int]], locks: Mapping[int, Mapping[str, Any]]) -> str:
    lines = [_session(locks[root], 90) if root in locks else _absent(root)]
    for depth, pid in members[:_SHOWN]:
        session = locks[pid]
        waited = f" {_age(session['waited'])}" if session["waited"] is not None else ""
        lines.append(f"{'>' * depth} {pid} {_who(session)} waits{waited}: {shape(session['query'] or '', 40)}")
    if len(members) > _SHOWN:
        lines.insert(1, f"holds up {len(members)}")
    return look.show(" | ".join(lines))


def _absent(pid: int) -> str:
    return "a prepared transaction" if pid == 0 else f"{pid} (gone)"


def _first(look: Look, sessions: Sequence[Mapping[str, Any]] | None) -> str:
    return look.show(_session(sessions[0], 160)) if sessions else "gone meanwhile"


def _session(session: Mapping[str, Any], limit: int) -> str:
    """``4711 shop/web, idle in transaction 4m10s, transaction 5m: UPDATE accounts SET x = ?``"""
    state = f"{session['state'] or 'unknown'} {_age(session['state_age'])}".rstrip()
    transaction = (
        f", transaction {_age(session['transaction_age'])}" if session["transaction_age"] is not None else ""
    )
    return f"{session['pid']} {_who(session)}, {state}{transaction}: {shape(session['query'] or '', limit)}"


def _who(session: Mapping[str, Any]) -> str:
    return "/".join(part[:30] for part in (session["user"], session["application"]) if part)


def _age(seconds: float | None) -> str:
    if seconds is None:
        return ""
    whole = int(max(0.0, seconds))
    if whole < 60:
        return f"{whole}s"
    return f"{whole // 60}m{whole % 60:02}s" if whole < 3600 else f"{whole // 3600}h{whole % 3600 // 60:02}m"
