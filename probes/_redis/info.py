"""What the answer to INFO means, as figures. A field that is absent or no number leaves its figure out."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

from probes._counters import gain

_REFUSALS = ("errorstat_OOM", "errorstat_MISCONF", "errorstat_NOREPLICAS")
_NEVER_EVICTS = "noeviction"
_REPLICA = re.compile(r"slave[0-9]+")


def standing(facts: Mapping[str, str]) -> dict[str, float]:
    """The figures that need no look before."""
    given = {
        "connections": _number(facts, "connected_clients"),
        "connections_used": _connections_used(facts),
        "blocked_clients": _number(facts, "blocked_clients"),
        "memory": _number(facts, "used_memory"),
        "rss": _number(facts, "used_memory_rss"),
        "memory_used": _memory_used(facts),
        "keys": sum((_keys(value) for name, value in facts.items() if re.fullmatch(r"db[0-9]+", name)), 0.0),
        "persistence_failed": float(len(_failed_writes(facts))),
        "last_save_age": _last_save_age(facts),
        "unsaved_changes": _number(facts, "rdb_changes_since_last_save"),
        "fork_time": _scaled(_number(facts, "latest_fork_usec"), 1e-6),
        "uptime": _number(facts, "uptime_in_seconds"),
        **_replication(facts),
    }
    if facts.get("maxmemory_policy") == _NEVER_EVICTS:
        given["refusable_memory_used"] = given["memory_used"]
    return {name: value for name, value in given.items() if value is not None}


def gained(
    facts: Mapping[str, str], memory: MutableMapping[str, float | str], now: float, *, scheduled: bool
) -> dict[str, float]:
    """The figures that are counted from look to look."""
    counters = dict(_counters(facts))
    told = gain(memory, counters, run=facts.get("run_id", "")[:64], now=now, scheduled=scheduled)
    if told is None:
        return {}
    figures = {
        "cpu": told.rate("cpu"),
        "command_rate": told.rate("commands"),
        "rejected_connection_rate": told.rate("rejected"),
        "eviction_rate": told.rate("evicted"),
        "refused_write_rate": told.rate("refused"),
    }
    hits, misses = told.by.get("hits"), told.by.get("misses")
    if hits is not None and misses is not None:
        figures["cache_hits"], figures["cache_lookups"] = hits, hits + misses
        figures["cache_hit_ratio"] = hits / (hits + misses) if hits + misses else None
    return {name: value for name, value in figures.items() if value is not None}


def evidence(facts: Mapping[str, str], figures: Mapping[str, float]) -> dict[str, str]:
    """What a person would ask next, where a figure looks bad; the caller makes it visible."""
    told: dict[str, str] = {}
    failed = _failed_writes(facts)
    if failed:
        told["persistence"] = (
            f"{', '.join(failed)}; the last good snapshot is {figures.get('last_save_age', 0):.0f} s old"
        )
    if facts.get("role") == "slave":
        link = facts.get("master_link_status", "?")
        master = f"{facts.get('master_host', '?')}:{facts.get('master_port', '?')}"
        told["role"] = f"replica of {master}, link {link}"
        if facts.get("master_sync_in_progress") == "1":
            told["role"] += ", it is copying everything"
    if figures.get("memory_used", 0.0) > 0.8:
        told["memory_policy"] = facts.get("maxmemory_policy", "?")
    if figures.get("refused_write_rate", 0.0) > 0:
        told["refused"] = ", ".join(f"{name[10:]}: {facts[name]}" for name in _REFUSALS if name in facts)
    if figures.get("replication_lag", 0.0) > 5 and (worst := max(_replicas(facts), key=_lag, default=None)):
        told["worst_replica"] = (
            f"{worst.get('ip')}:{worst.get('port')} {worst.get('state')}, lag {worst.get('lag')} s"
        )
    return told


def slow_command(entry: Any) -> str | None:
    """``HGETALL with 2 arguments: 1.20 s, 35 s ago`` of an entry of SLOWLOG GET: number, when, how long, words."""
    match entry:
        case [int(), int(when), int(took), [bytes(name), *rest], *_]:
            ago = max(0.0, time.time() - when)
            shown = name.decode("ascii", "replace")[:40]
            return f"{shown} with {len(rest)} arguments: {took / 1e6:.2f} s, {ago:.0f} s ago"
    return None


def _counters(facts: Mapping[str, str]) -> Iterator[tuple[str, float]]:
    names = {
        "commands": "total_commands_processed",
        "rejected": "rejected_connections",
        "evicted": "evicted_keys",
        "hits": "keyspace_hits",
        "misses": "keyspace_misses",
    }
    for name, source in names.items():
        value = _number(facts, source)
        if value is not None:
            yield name, value
    # The main thread's own (since 6.2): the process has others, which free memory and serve nobody.
    for suffix in ("_main_thread", ""):
        system, user = _number(facts, f"used_cpu_sys{suffix}"), _number(facts, f"used_cpu_user{suffix}")
        if system is not None and user is not None:
            yield "cpu", system + user
            break
    if "total_error_replies" in facts:  # errors are counted (6.2); one that has not happened yet has no line
        yield "refused", sum(_labelled(facts.get(name, ""), "count") or 0.0 for name in _REFUSALS)


def _connections_used(facts: Mapping[str, str]) -> float | None:
    most, clients = _number(facts, "maxclients"), _number(facts, "connected_clients")
    if not most or clients is None:
        return None
    # All that count against the limit: networking.c, acceptCommonHandler.
    others = ("connected_slaves", "cluster_connections")
    return (clients + sum(_number(facts, name) or 0.0 for name in others)) / most


def _memory_used(facts: Mapping[str, str]) -> float | None:
    most, used = _number(facts, "maxmemory"), _number(facts, "used_memory")
    if not most or used is None:
        return None
    # What replicas and the AOF wait for is not held against the limit: evict.c, freeMemoryGetNotCountedMemory.
    return max(0.0, used - (_number(facts, "mem_not_counted_for_evict") or 0.0)) / most


def _failed_writes(facts: Mapping[str, str]) -> list[str]:
    what = {
        "rdb_last_bgsave_status": "snapshot failed",
        "aof_last_write_status": "append-only file cannot be written",
        "aof_last_bgrewrite_status": "append-only file cannot be rewritten",
    }
    return [text for name, text in what.items() if facts.get(name, "ok") != "ok"]


def _last_save_age(facts: Mapping[str, str]) -> float | None:
    saved = _number(facts, "rdb_last_save_time")
    if saved is None:
        return None
    now = _scaled(_number(facts, "server_time_usec"), 1e-6) or time.time()  # by its own clock, as the other is
    return max(0.0, now - saved)


def _replication(facts: Mapping[str, str]) -> dict[str, float | None]:
    if facts.get("role") == "slave":
        down = facts.get("master_link_status") != "up"
        since = _number(facts, "master_link_down_since_seconds" if down else "master_last_io_seconds_ago")
        read, applied = _number(facts, "slave_read_repl_offset"), _number(facts, "slave_repl_offset")
        behind = max(0.0, read - applied) if read is not None and applied is not None else None
        # -1: the link has never been up since the start.
        lag = _number(facts, "uptime_in_seconds") if since is not None and since < 0 else since
        return {"replication_lag": lag, "replication_lag_bytes": behind}
    replicas = list(_replicas(facts))
    figures: dict[str, float | None] = {"replicas": float(sum(each.get("state") == "online" for each in replicas))}
    if replicas:
        figures["replication_lag"] = max(map(_lag, replicas))
        offset = _number(facts, "master_repl_offset")
        if offset is not None:
            behind_all = [offset - (_finite(each.get("offset")) or 0.0) for each in replicas]
            figures["replication_lag_bytes"] = max(0.0, *behind_all)
    return figures


def _replicas(facts: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """``slave0:ip=10.0.0.2,port=6379,state=online,offset=14,lag=1``"""
    for name, value in facts.items():
        if _REPLICA.fullmatch(name):
            yield dict(part.split("=", 1) for part in value.split(",") if "=" in part)


def _lag(replica: Mapping[str, str]) -> float:
    return _finite(replica.get("lag")) or 0.0


def _keys(value: str) -> float:
    return _labelled(value, "keys") or 0.0


def _labelled(value: str, label: str) -> float | None:
    """A figure of ``keys=3,expires=0``."""
    return next((_finite(part[len(label) + 1 :]) for part in value.split(",") if part.startswith(f"{label}=")), None)


def _number(facts: Mapping[str, str], name: str) -> float | None:
    return _finite(facts.get(name))


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _finite(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None
