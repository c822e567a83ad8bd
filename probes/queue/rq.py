"""RQ (Python): lists of job ids, registries, and a hash of every job and worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from probes.contract import BadField
from probes.queue.backend import Backlog
from probes.queue.keys import MOST_QUEUES, MOST_WORKERS, Keys, Line, OnRedis, never_used, told, worst_lag
from probes.queue.payload import age, moment

if TYPE_CHECKING:
    from probes.queue.probe import Queue

_HEADS = 5
"""Ids read at the head of a list: a job that was deleted leaves its id behind until a worker comes by."""


class Rq(OnRedis):
    """RQ 1.12 to 3, tested with its own library and real workers (3.0).

    `url` is the Redis that RQ uses. Without `queues`, all those in the set `rq:queues` count. `prefix` is what the
    keys begin with if the environment of your workers sets `RQ_KEY_PREFIX`; else it is `rq`.

    | Figure | From |
    | --- | --- |
    | `lag` | `enqueued_at` of the first job of each list `rq:queue:NAME` |
    | `depth` | the lengths of those lists |
    | `scheduled` | `rq:scheduled:NAME` and `rq:deferred:NAME` (jobs that wait for others) |
    | `in_flight` | `rq:wip:NAME` and the list `rq:queue:NAME:intermediate` |
    | `failed` | `rq:failed:NAME` |
    | `workers` | members of `rq:workers:NAME` whose key is there |
    | `paused`, `held` | `rq:suspended`, which `rq suspend` sets: it stops the workers of all queues |

    Jobs whose time has come and that no scheduler has put into their queue (no worker runs with `--with-scheduler`)
    count in `lag` and `depth`. RQ counts no completed jobs, so rates come from the depth alone.

    Limits: a job put in front (`at_front`) hides the age of those behind it. A worker that was killed is counted
    until its key expires: up to 8 minutes if it was idle, 2 if it was busy; `lag` and `stalled_for` speak before.
    Retries wait among the scheduled jobs. A rate-limited job (RQ 3) that waits for its turn is counted nowhere.
    """

    name = "rq"
    needs = frozenset({"url"})
    takes = OnRedis.common | {"prefix"}

    def __init__(self, queue: Queue) -> None:
        super().__init__(queue)
        self._prefix = queue.prefix if queue.prefix is not None else "rq"
        if not self._prefix or self._prefix.endswith(":"):
            raise BadField("prefix", "write it as RQ_KEY_PREFIX is: without the colon behind it")

    async def survey(self, keys: Keys) -> Backlog:
        existing = await self._existing(keys)
        names = self.written or existing
        suspended = bool((await keys.counts(("EXISTS", f"{self._prefix}:suspended")))[0])
        depths = await keys.counts(*(("LLEN", self._key("queue", name)) for name in names)) if names else []
        waiting = [(name, depth) for name, depth in zip(names, depths, strict=True) if not suspended]
        lines = [await self._line(keys, name, depth) for name, depth in waiting]
        later = 0
        for name in names:
            timed = await keys.timed(self._key("scheduled", name))
            later += timed.later
            if timed.overdue and not suspended:
                lines.append(Line(f"scheduled for {name}", timed.overdue, timed.lag))
        deferred, in_flight, failed = await self._registries(keys, names)
        return Backlog(
            depth=sum(line.depth for line in lines),
            lag=worst_lag(lines),
            scheduled=later + deferred,
            in_flight=in_flight,
            failed=failed,
            workers=await self._workers(keys, names),
            paused=tuple(names) if suspended else (),
            held=sum(depths) if suspended else 0,
            evidence=told(keys.look, lines, unused=never_used(names, existing)),
        )

    async def _existing(self, keys: Keys) -> tuple[str, ...]:
        before = self._key("queue", "")
        found = await keys.names("SMEMBERS", f"{self._prefix}:queues", MOST_QUEUES)
        return tuple(each.removeprefix(before) for each in found if each.startswith(before))

    async def _line(self, keys: Keys, name: str, depth: int) -> Line:
        heads = await keys.one("LRANGE", self._key("queue", name), 0, _HEADS - 1) if depth else None
        ids = [each for each in heads if isinstance(each, bytes)] if isinstance(heads, list) else []
        if not ids:
            return Line(name, 0, 0.0)  # taken meanwhile
        jobs = await keys.ask(
            *(("HMGET", f"{self._prefix}:job:".encode() + each, "enqueued_at", "description") for each in ids)
        )
        for job in jobs:
            stamp, description = job if isinstance(job, list) and len(job) == 2 else (None, None)
            lag = age(moment(stamp), keys.now)
            if lag is not None:
                return Line(name, depth, lag, _function(description))
        return Line(name, depth, None)

    async def _registries(self, keys: Keys, names: tuple[str, ...]) -> tuple[int, int, int]:
        """(deferred, at work, failed)"""
        if not names:
            return 0, 0, 0
        commands = [("ZCARD", self._key(kind, name)) for kind in ("deferred", "failed", "wip") for name in names]
        # What a worker has taken and not begun: it stays there when the worker dies just then.
        commands += [("LLEN", f"{self._key('queue', name)}:intermediate") for name in names]
        counts = await keys.counts(*commands)
        size = len(names)
        return sum(counts[:size]), sum(counts[2 * size :]), sum(counts[size : 2 * size])

    async def _workers(self, keys: Keys, names: tuple[str, ...]) -> int:
        found: set[str] = set()
        for name in names:
            found.update(await keys.names("SMEMBERS", self._key("workers", name), MOST_WORKERS))
        if not found:
            return 0
        return sum(await keys.counts(*(("HEXISTS", worker, "birth") for worker in sorted(found)[:MOST_WORKERS])))

    def _key(self, kind: str, name: str) -> str:
        return f"{self._prefix}:{kind}:{name}"


def _function(description: object) -> str:
    """The function's name of ``shop.mail.send('customer@example.com')``: what it was called with is not shown."""
    if not isinstance(description, bytes):
        return ""
    name = description[:200].decode("utf-8", "replace").partition("(")[0]
    return name if all(part.isidentifier() for part in name.split(".")) else ""
