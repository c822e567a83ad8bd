"""BullMQ (Node, Python, Elixir): lists and sorted sets of job ids, a hash of every job."""

from __future__ import annotations

import base64
import json
import math
from typing import TYPE_CHECKING

from probes.contract import BadField
from probes.queue.backend import Backlog
from probes.queue.keys import Keys, Line, OnRedis, told, worst_lag
from probes.queue.payload import age, instant

if TYPE_CHECKING:
    from probes.queue.probe import Queue

_PRIORITY = 2**32
"""A job's score among the prioritized is its priority times this, and a counter."""
_DELAY = 1000.0 * 4096
"""A job's score among the delayed is the millisecond it is to run at times 4096, and a counter."""


class BullMq(OnRedis):
    """BullMQ 3 to 6, tested with its own libraries and real workers (npm 6.7, Python 3.4).

    `url` is the Redis that BullMQ uses. `queues` must be written: BullMQ keeps no list of its queues, and searching
    all keys of a server for them is no work for every look. `prefix` is the one given to its constructors, else
    `bull`.

    | Figure | From |
    | --- | --- |
    | `lag` | `timestamp` of the job that is next in `PREFIX:QUEUE:wait`, plus its delay |
    | `depth` | `wait` and `prioritized` |
    | `scheduled` | `delayed`, and `waiting-children` (parents of a flow) |
    | `in_flight`, `failed` | `active`, `failed` |
    | `workers` | names of connections in CLIENT LIST |
    | `paused`, `held` | `paused` in `meta` |
    | `drain_rate` | `metrics:completed` and `metrics:failed`: where workers have the option `metrics` |

    Among prioritized jobs two are looked at: the one that is next, and the oldest of the least urgent. Delayed jobs
    whose time has come, which only workers put among the waiting, count in `lag` and `depth`. Of a job that has been
    tried before or promoted by hand, nobody knows since when it waits: it counts from when the agent saw it there.

    The agent's user needs the right to CLIENT LIST for `workers` (with ACLs: `+client|list`); without it, or with
    more than 5,000 clients, they are left out.

    Limits: retries with a backoff wait among the delayed. A job put in front (`lifo`) hides the age of those behind
    it. Workers of an ioredis connection that was given a name of its own are not known as such.
    """

    name = "bullmq"
    needs = frozenset({"url", "queues"})
    takes = frozenset({"prefix", "verify", "ca_file"})

    def __init__(self, queue: Queue) -> None:
        super().__init__(queue)
        self._prefix = queue.prefix if queue.prefix is not None else "bull"
        if not self._prefix or self._prefix.endswith(":"):
            raise BadField("prefix", "write it as BullMQ is given it: without the colon behind it")
        self._first_seen: dict[str, tuple[bytes, float]] = {}
        """By place in a queue: the job that was there at the last look, and since when, by the server's clock."""

    async def survey(self, keys: Keys) -> Backlog:
        lines: list[Line] = []
        paused: list[str] = []
        unused: set[str] = set()
        scheduled = in_flight = failed = held = done = counted = 0
        for name in self.written:
            at = f"{self._prefix}:{name}:"
            stopped, exists, wait, before, urgent, active, failures, parents = await keys.counts(
                ("HEXISTS", f"{at}meta", "paused"), ("EXISTS", f"{at}meta", f"{at}id"), ("LLEN", f"{at}wait"),
                ("LLEN", f"{at}paused"), ("ZCARD", f"{at}prioritized"), ("LLEN", f"{at}active"),
                ("ZCARD", f"{at}failed"), ("ZCARD", f"{at}waiting-children"),
            )  # fmt: skip
            if not exists:
                unused.add(name)
            delayed = await keys.timed(f"{at}delayed", _DELAY)
            scheduled += delayed.later + parents
            in_flight += active
            failed += failures
            if stopped:
                paused.append(name)
                held += wait + before + urgent
            else:
                held += before  # left behind by a queue that older versions had paused
                lines += await self._waiting(keys, name, wait, urgent)
                if delayed.overdue:
                    lines.append(Line(f"delayed in {name}", delayed.overdue, delayed.lag))
            ended = await keys.ask(*(("HGET", f"{at}metrics:{how}", "count") for how in ("completed", "failed")))
            counted += any(each is not None for each in ended)
            done += sum(keys.whole(("HGET", f"{at}metrics"), each) for each in ended)
        return Backlog(
            depth=sum(line.depth for line in lines),
            lag=worst_lag(lines),
            scheduled=scheduled,
            in_flight=in_flight,
            failed=failed,
            workers=await self._workers(keys),
            completed=done if counted == len(self.written) else None,
            paused=tuple(paused),
            held=held,
            evidence=told(keys.look, lines, unused=frozenset(unused)),
        )

    async def _waiting(self, keys: Keys, name: str, wait: int, urgent: int) -> list[Line]:
        at = f"{self._prefix}:{name}:"
        lines = []
        if wait:
            tail = await keys.one("LRANGE", f"{at}wait", -2, -1)
            ids = [each for each in tail if isinstance(each, bytes)] if isinstance(tail, list) else []
            if ids and ids[-1].startswith(b"0:"):  # no job: how BullMQ 4 woke its workers
                ids, wait = ids[:-1], wait - 1
            if ids and wait:
                lines.append(await self._line(keys, name, "wait", ids[-1], wait))
        if urgent:
            for place, found in (
                ("next", await self._ids(keys, at, 0)),
                ("last", await self._least_urgent(keys, at)),
            ):
                if found is not None:
                    lines.append(await self._line(keys, name, place, found, urgent if place == "next" else 0))
        return _one_prioritized(lines, urgent)

    async def _ids(self, keys: Keys, at: str, index: int) -> bytes | None:
        found = await keys.one("ZRANGE", f"{at}prioritized", index, index)
        return found[0] if isinstance(found, list) and found and isinstance(found[0], bytes) else None

    async def _least_urgent(self, keys: Keys, at: str) -> bytes | None:
        """The oldest of the jobs with the largest priority number."""
        last = await keys.one("ZRANGE", f"{at}prioritized", -1, -1, "WITHSCORES")
        if not isinstance(last, list) or len(last) != 2 or not isinstance(last[1], bytes):
            return None
        score = float(last[1])
        least = int(score) // _PRIORITY * _PRIORITY if math.isfinite(score) else 0
        found = await keys.one("ZRANGEBYSCORE", f"{at}prioritized", least, "+inf", "LIMIT", 0, 1)
        return found[0] if isinstance(found, list) and found and isinstance(found[0], bytes) else None

    async def _line(self, keys: Keys, name: str, place: str, job: bytes, depth: int) -> Line:
        key = f"{self._prefix}:{name}:".encode() + job
        fields = ("timestamp", "opts", "name", "atm", "attemptsMade", "processedOn")
        values = await keys.one("HMGET", key, *fields)
        stamp, opts, title, *tried = values if isinstance(values, list) and len(values) == 6 else (None,) * 6
        since = _ready_since(stamp, opts) if all(each in (None, b"0") for each in tried) else None
        seen = self._seen(f"{name} {place}", job, keys.now)
        lag = seen if since is None or since > keys.now else age(since, keys.now)
        oldest = title[:100].decode("utf-8", "replace") if isinstance(title, bytes) else ""
        return Line(name, depth, lag, oldest)

    def _seen(self, place: str, job: bytes, now: float) -> float:
        """Seconds since the agent first saw this job at this place."""
        before = self._first_seen.get(place)
        if before is None or before[0] != job:
            before = self._first_seen[place] = (job, now)
        return max(0.0, now - before[1])

    async def _workers(self, keys: Keys) -> int | None:
        """Connections that are called as BullMQ calls those of its workers; None when they cannot be listed."""
        listed = await keys.clients()
        if listed is None:
            return None
        called = [_name_of(line) for line in listed]
        ours = {form for name in self.written for form in _forms(self._prefix, name)}
        return sum(name.partition(b":w:")[0] in ours for name in called if name)


def _one_prioritized(lines: list[Line], urgent: int) -> list[Line]:
    """The two looked at among the prioritized are of one line: the older of them speaks for it."""
    if not urgent or len(lines) < 2 or lines[-1].depth:
        return lines
    first, last = lines[-2:]
    older = max(first, last, key=lambda line: line.lag or 0.0)
    return [*lines[:-2], Line(first.name, urgent, older.lag, older.oldest)]


def _ready_since(stamp: object, opts: object) -> float | None:
    """Seconds of the clock since when a job that was never tried could run: when it was added, plus its delay."""
    added = instant(stamp)
    if added is None:
        return None
    try:
        found = json.loads(opts) if isinstance(opts, bytes) and len(opts) < 65_536 else {}
        delay = float(found.get("delay") or 0.0) / 1000
    except (ValueError, TypeError, AttributeError, RecursionError, OverflowError):
        return added
    return added + delay if 0 <= delay < 1e10 else added


def _name_of(line: bytes) -> bytes:
    return line.partition(b" name=")[2].split(b" ", 1)[0]


def _forms(prefix: str, name: str) -> tuple[bytes, bytes]:
    """Node writes the queue's name in base64, Python as it is."""
    return f"{prefix}:{name}".encode(), f"{prefix}:".encode() + base64.b64encode(name.encode())
