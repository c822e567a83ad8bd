"""A Redis stream that a group of consumers reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from probes._redis.session import Reply
from probes.contract import BadField, LookFailed, Reason
from probes.queue.backend import Backlog
from probes.queue.keys import Keys, OnRedis
from probes.queue.payload import age

if TYPE_CHECKING:
    from probes.queue.probe import Queue

_COUNTED = 50
"""Entries read to count what has not been delivered, where the server does not know (before Redis 7)."""
_ENDS = (b"first-entry", b"last-entry")
_SILENT = 300.0
"""Seconds without a sign after which a consumer is not counted while entries wait."""


class RedisStreams(OnRedis):
    """A stream of Redis 5 or later, or Valkey, and a group of consumers that reads it.

    ```yaml
    checks:
      - name: orders
        probe: queue
        backend: redis_streams
        url: redis://127.0.0.1/0
        stream: orders
        group: billing
    ```

    | Figure | From |
    | --- | --- |
    | `lag` | the id of the oldest entry that the group was not given: the time it was added, by the server's clock |
    | `depth` | the group's `lag` in XINFO GROUPS (Redis 7 and later); before, see below |
    | `in_flight` | entries that were delivered and not acknowledged |
    | `taken_for` | how long ago the oldest of those was delivered last |
    | `workers` | the group's consumers; while entries wait, those that were heard of in the last 5 minutes |
    | `arrival_rate` | `entries-added` (Redis 7 and later) |
    | `drain_rate` | `entries-read` less what is not acknowledged (Redis 7 and later) |

    Before Redis 7 the server does not know how many entries a group has not been given. Up to 50 are counted; more
    are estimated from the times of the first, the last and the last delivered entry, as if they had come evenly. The
    same holds on Redis 7 after entries were deleted from the middle.

    An entry that was delivered to a consumer which died stays pending until somebody claims it: nothing waits, yet
    nothing is done. `taken_for` tells; there is no default threshold, as only you know how long a job may take.

    A stream or group that is not there fails the look as `missing`: Redis keeps an empty stream, so somebody has
    removed or renamed it, or never made it.

    Limits: with ids of your own making that are no times, `lag` is left out. 50 entries and their content may have
    4 MiB in all; beyond, the look ends as `unsupported`. Consumers that are gone and were never deleted are counted
    while nothing waits.
    """

    name = "redis_streams"
    needs = frozenset({"url", "stream", "group"})
    takes = frozenset({"verify", "ca_file"})

    def __init__(self, queue: Queue) -> None:
        super().__init__(queue)
        self._stream, self._group = queue.stream or "", queue.group or ""
        for key, value in (("stream", self._stream), ("group", self._group)):
            if not value:
                raise BadField(key, "is empty: write its name")

    @property
    def target(self) -> str:
        return f"{self.server.target} {self._stream}, group {self._group}"

    async def survey(self, keys: Keys) -> Backlog:
        group = await self._standing(keys)
        pending = _whole(group.get(b"pending"))
        waiting = await self._waiting(keys, group)
        consumers = await self._consumers(keys)
        alive = sum(idle <= _SILENT for idle in consumers) if waiting.depth else len(consumers)
        read, added = group.get(b"entries-read"), waiting.added
        evidence = {"waiting": "estimated: more than could be counted"} if waiting.estimated else {}
        taken_for = 0.0
        if pending:
            taken_for, told = await self._oldest_pending(keys)
            evidence["oldest_pending"] = keys.look.show(told)
        return Backlog(
            depth=waiting.depth,
            lag=waiting.lag,
            in_flight=pending,
            taken_for=taken_for,
            workers=alive,
            arrived=added,
            completed=max(0, read - pending) if isinstance(read, int) else None,
            evidence=evidence,
        )

    async def _standing(self, keys: Keys) -> Mapping[bytes, Reply]:
        """The group's line of XINFO GROUPS. Raises `LookFailed` (missing)."""
        reply = (await keys.session.pipeline([("XINFO", "GROUPS", self._stream)]))[0]
        shown = keys.look.show(self._stream, 80)
        if isinstance(reply, LookFailed):
            if "no such key" in reply.detail.lower():
                raise LookFailed(Reason.MISSING, f"there is no stream {shown} in this database")
            raise LookFailed(reply.reason, f"{shown}: {reply.detail}")
        groups = [_fields(each) for each in reply] if isinstance(reply, list) else []
        for group in groups:
            if group.get(b"name") == self._group.encode():
                return group
        names = (name.decode("utf-8", "replace") for group in groups if isinstance(name := group.get(b"name"), bytes))
        there = ", ".join(sorted(names)) or "none"
        raise LookFailed(
            Reason.MISSING, keys.look.show(f"the stream {shown} has no group {self._group}; there are: {there}")
        )

    async def _waiting(self, keys: Keys, group: Mapping[bytes, Reply]) -> _Waiting:
        given = _id(group.get(b"last-delivered-id"))
        known = group.get(b"lag")
        count = 1 if isinstance(known, int) else _COUNTED
        entries = await keys.one("XRANGE", self._stream, f"{given[0]}-{given[1] + 1}", "+", "COUNT", count)
        found = entries if isinstance(entries, list) else []
        ids = [_id(entry[0]) for entry in found if isinstance(entry, list) and entry]
        info = _fields(await keys.one("XINFO", "STREAM", self._stream))
        total = info.get(b"entries-added")
        added = total if isinstance(total, int) else None
        if not ids:
            return _Waiting(0, 0.0, added)
        lag = age(ids[0][0], keys.now)
        if isinstance(known, int):
            return _Waiting(max(known, 1), lag, added)
        if len(ids) < _COUNTED:
            return _Waiting(len(ids), lag, added)
        return _Waiting(max(len(ids), _evenly(given[0], info)), lag, added, estimated=True)

    async def _oldest_pending(self, keys: Keys) -> tuple[float, str]:
        """(seconds since it was delivered last, what is known of it)"""
        reply = await keys.one("XPENDING", self._stream, self._group, "-", "+", 1)
        first = reply[0] if isinstance(reply, list) and reply else None
        if not isinstance(first, list) or len(first) != 4:
            return 0.0, ""  # acknowledged meanwhile
        seconds = _whole(first[2]) / 1000
        who = first[1].decode("utf-8", "replace") if isinstance(first[1], bytes) else ""
        return seconds, f"given to {who} {seconds:.1f} s ago, {_whole(first[3])} times in all"

    async def _consumers(self, keys: Keys) -> list[float]:
        """Seconds since each consumer was heard of."""
        reply = await keys.one("XINFO", "CONSUMERS", self._stream, self._group)
        lines = [_fields(each) for each in reply] if isinstance(reply, list) else []
        return [_whole(line.get(b"idle")) / 1000 for line in lines]


@dataclass(frozen=True, slots=True)
class _Waiting:
    depth: int
    lag: float | None
    added: int | None
    """How many entries the stream has ever been given, where the server knows."""
    estimated: bool = False


def _fields(reply: Reply) -> Mapping[bytes, Reply]:
    """Names and values that come as one flat list."""
    if not isinstance(reply, list):
        return {}
    return {name: value for name, value in zip(reply[::2], reply[1::2], strict=False) if isinstance(name, bytes)}


def _whole(value: Reply) -> int:
    return value if isinstance(value, int) else 0


def _id(value: Reply) -> tuple[int, int]:
    """``1700000000000-3`` as milliseconds and number."""
    first, _, second = (value if isinstance(value, bytes) else b"").partition(b"-")
    return (int(first), int(second)) if first.isdigit() and second.isdigit() else (0, 0)


def _evenly(given: int, info: Mapping[bytes, Reply]) -> int:
    """How many entries came after the millisecond `given`, if those of the stream came evenly."""
    length = _whole(info.get(b"length"))
    ends = [entry[0] for name in _ENDS if isinstance(entry := info.get(name), list) and entry]
    if len(ends) != 2:
        return length
    first, last = (_id(end)[0] for end in ends)
    return length if last <= first or given <= first else round(length * (last - given) / (last - first))
