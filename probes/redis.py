"""Looks at Redis and Valkey: latency, memory, connections, replication, persistence, in one round trip."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import Annotated, ClassVar

from probes._look import Look, taken
from probes._promoted import promoted
from probes._redis import info as _info
from probes._redis.session import RedisServer, Session, info, settled
from probes.contract import Context, FilePath, LookFailed, Measurement, Observation, Probe, Reason, Secret, Unit

_SLOW = 0.1
"""Seconds that an answer may take before the look asks for the commands that were slow."""


@dataclass(frozen=True, slots=True)
class Redis(Probe):
    """Looks at a Redis or Valkey server: whether it answers, and what runs full or breaks before it does not.

    ```yaml
    checks:
      - name: cache
        probe: redis
        url: "redis://:${REDIS_PASSWORD}@cache.example.com:6379/0"
        degraded: eviction_rate(5m) > 100/s
    ```

    A look is one round trip, `PING` and `INFO`, on a connection that is kept; that it was lost since the look before
    is in the evidence (`reconnected`). `rediss://` speaks TLS, `unix:///run/redis/redis.sock?db=0` a socket of this
    machine. The user needs `+ping +info`, and `+slowlog|get` to name slow commands; without `+info` only
    `response_time` is told. With that: `ACL SETUSER brownout on >PASSWORD resetkeys +ping +info +slowlog|get`.

    Rates and `cpu` are taken since the check's last look, so the first look has none; a restart of the server counts
    from zero.

    Default thresholds, degraded:

    - `p50(response_time, 5m) > 100ms`: half of the commands wait for a tenth of a second, where one millisecond is
      usual. The median, as a single fork or a single big command may be slow and nobody minds.
    - `cpu > 90% for 5m`: one thread serves all commands; when it has no time left, every client waits for the others.
    - `connections_used > 80%`: clients connect in bursts when they have trouble, and the rest is soon gone.
    - `rejected_connection_rate > 0/s`: somebody has been turned away, now.
    - `refusable_memory_used > 85%`: this is memory without eviction, where full means that writes are refused.
    - `refused_write_rate > 0/s`: writes are refused: no memory, too few replicas, or a snapshot that failed.
    - `persistence_failed > 0`: a snapshot or the append-only file could not be written. What is in memory would be
      lost with the process, and by default Redis soon refuses writes.
    - `replication_lag > 30s, clear < 15s`: a replica has not heard from its master for three of its pings, or the
      link is down: what it serves grows old. On a master: the replica that is worst.

    Default thresholds, down:

    - `refused_write_rate > 1/s for 3 of 5` and `refusable_memory_used > 99% for 1m`: it answers, yet takes no writes.
    - `connections_used > 99% for 1m`: nobody else gets in. This look does, on the connection it has.

    There is none on `eviction_rate` and `cache_hit_ratio`, which are a cache's daily work; where Redis holds jobs or
    sessions, write `degraded: eviction_rate > 0/s`. There is none on `replicas`, as only you know how many there
    should be: `degraded: replicas < 2`. Nor on `blocked_clients`: workers that wait for jobs are blocked.

    Limits: one node. Of a cluster, name every node (`for_each`); a node that says that the cluster is down fails the
    look (`not_serving`). Of Sentinel, name the server itself, not the sentinel: failover is not followed. Client
    certificates are not supported. On a master, a replica that lags and is then removed for good leaves the check
    degraded until another one is connected: silence is no good news. `connections_used` and `refused_write_rate` need
    Redis 6.2. A server that is loading its data is `not_ready`; a wrong password is `denied`, which never counts as
    an outage. Tested with Redis 6.2; the names of the figures in Redis 7, 8 and Valkey are the same by their
    documentation.
    """

    kind: ClassVar[str] = "redis"
    extra: ClassVar[str | None] = "redis"
    measurements: ClassVar[tuple[Measurement, ...]] = (
        Measurement(
            "response_time",
            Unit.SECONDS,
            "PING and INFO in one round trip, without connecting.",
            cut_by=Reason.QUERY_TIMEOUT,
        ),
        Measurement("cpu", Unit.RATIO, "Of one core, used by the thread that serves commands."),
        Measurement("command_rate", Unit.PER_SECOND, "Commands served."),
        Measurement("connections_used", Unit.RATIO, "Connections of what `maxclients` allows."),
        Measurement("connections", Unit.COUNT, "Connections of clients."),
        Measurement("blocked_clients", Unit.COUNT, "Clients that wait in a blocking command."),
        Measurement("rejected_connection_rate", Unit.PER_SECOND, "Connections refused because of `maxclients`."),
        Measurement("memory", Unit.BYTES, "Memory in use for data and connections."),
        Measurement("rss", Unit.BYTES, "Memory that the system has given it; much more: fragmented."),
        Measurement("memory_used", Unit.RATIO, "Memory of `maxmemory`; left out without one."),
        Measurement(
            "refusable_memory_used", Unit.RATIO, "`memory_used` where the policy is noeviction, else left out."
        ),
        Measurement("refused_write_rate", Unit.PER_SECOND, "Commands refused: OOM, MISCONF, NOREPLICAS."),
        Measurement("eviction_rate", Unit.PER_SECOND, "Keys thrown out for want of memory."),
        Measurement("keys", Unit.COUNT, "Keys of all databases."),
        Measurement(
            "cache_hit_ratio", Unit.RATIO, "Lookups that found their key.", ratio_of=("cache_hits", "cache_lookups")
        ),
        Measurement("cache_hits", Unit.COUNT, "Lookups since the last look that found their key."),
        Measurement("cache_lookups", Unit.COUNT, "Lookups of keys since the last look."),
        Measurement("replicas", Unit.COUNT, "Replicas that are connected and in step; left out on a replica."),
        Measurement("replication_lag", Unit.SECONDS, "Since a replica was last heard of, or heard of its master."),
        Measurement("replication_lag_bytes", Unit.BYTES, "What the replica that is worst has not got yet."),
        Measurement(
            "persistence_failed", Unit.COUNT, "Of snapshot, AOF write and AOF rewrite: failed the last time."
        ),
        Measurement("last_save_age", Unit.SECONDS, "Since the last good snapshot, or the start."),
        Measurement("unsaved_changes", Unit.COUNT, "Changes since the last good snapshot."),
        Measurement("fork_time", Unit.SECONDS, "How long everybody stood still at the last fork."),
        Measurement("uptime", Unit.SECONDS, "Since the server started."),
    )
    thresholds: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "degraded": (
            "p50(response_time, 5m) > 100ms, clear < 50ms",
            "cpu > 90% for 5m",
            "connections_used > 80%, clear < 75%",
            "rejected_connection_rate > 0/s",
            "refusable_memory_used > 85%, clear < 80%",
            "refused_write_rate > 0/s",
            "persistence_failed > 0",
            "replication_lag > 30s, clear < 15s",
        ),
        "down": (
            "refused_write_rate > 1/s for 3 of 5",
            "refusable_memory_used > 99% for 1m",
            "connections_used > 99% for 1m",
        ),
    }

    url: Annotated[Secret, "`redis://[user:password@]host[:6379][/db]`; `rediss://` for TLS; `unix:///path?db=0`."]
    verify: Annotated[bool, "Whether the certificate must be valid."] = True
    ca_file: Annotated[FilePath | None, "The authorities to trust instead of the system's, in PEM."] = None
    _server: RedisServer = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_server", RedisServer(self.url, verify=self.verify, ca_file=self.ca_file))

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
        return await taken(look, self._ask(look, context, figures), figures)

    async def _ask(self, look: Look, context: Context, figures: dict[str, float]) -> None:
        async with self._server.session(look, context) as session:
            await _figures(look, context, session, figures)


async def _figures(look: Look, context: Context, session: Session, figures: dict[str, float]) -> None:
    asked = perf_counter()
    pong, told = await session.pipeline([["PING"], ["INFO"]])
    answered = perf_counter()
    look.check_late(answered)
    settled(pong)
    figures["response_time"] = answered - asked
    if isinstance(told, LookFailed):
        if told.reason not in (Reason.DENIED, Reason.QUERY):
            raise told
        look.evidence["info"] = f"left out: {told.detail}"
        return
    facts = info(told)
    figures.update(_info.standing(facts))
    if promoted(context.memory, follows=facts.get("role") == "slave"):
        figures.setdefault("replication_lag", 0.0)
    figures.update(_info.gained(facts, context.memory, time.time(), scheduled=context.scheduled))
    look.evidence.update({name: look.show(text) for name, text in _info.evidence(facts, figures).items()})
    if figures["response_time"] > _SLOW:
        await _slow(look, session)
    if facts.get("cluster_enabled") == "1":
        await _cluster(session)


async def _slow(look: Look, session: Session) -> None:
    """Which commands were slow of late: their names only, as what follows is the users' data."""
    (entries,) = await session.pipeline([["SLOWLOG", "GET", "5"]])
    if not isinstance(entries, list):
        return
    shown = [text for entry in entries if (text := _info.slow_command(entry))]
    if shown:
        look.evidence["slow_commands"] = look.show("; ".join(shown))


async def _cluster(session: Session) -> None:
    (told,) = await session.pipeline([["CLUSTER", "INFO"]])
    if isinstance(told, bytes):
        facts = info(told)
        if facts.get("cluster_state", "ok") != "ok":
            known = f"{facts.get('cluster_slots_ok', '?')} of 16384 slots are served"
            raise LookFailed(Reason.NOT_SERVING, f"this node says that the cluster is down: {known}")
