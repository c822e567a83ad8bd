"""Resque (Ruby): lists of JSON without a time, and a set of workers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from probes.contract import BadField
from probes.queue.backend import Backlog
from probes.queue.keys import MOST_QUEUES, MOST_WORKERS, Keys, Line, OnRedis, never_used, told, worst_lag
from probes.queue.payload import age, moment, peek
from probes.queue.tracer import Tracer

if TYPE_CHECKING:
    from probes.queue.probe import Queue

_SILENT = 300.0
"""Seconds without a heartbeat after which Resque itself takes a worker for dead (`prune_interval`)."""


class Resque(OnRedis):
    """Resque 1.26 to 3, by schema: read from the keys that its source documents, tested against such keys.

    `url` is the Redis that Resque uses. `namespace` is `resque` unless you set another one
    (`Resque.redis.namespace`). Without `queues`, all those in the set `resque:queues` count.

    | Figure | From |
    | --- | --- |
    | `depth` | the lengths of the lists `resque:queue:NAME` |
    | `lag` | see below |
    | `in_flight` | workers in `resque:workers` that have a key `resque:worker:ID` |
    | `workers` | those with a heartbeat of the last 5 minutes that serve one of the queues |
    | `failed` | `resque:failed`, of all queues together |
    | `paused`, `held` | `resque:pause-all-workers` |
    | `drain_rate` | `resque:stat:processed`; only when all queues are looked at, as the counter is for all of them |

    Lag: Resque's jobs do not say when they were put in. Those of ActiveJob (Rails 6 and later) do, by `enqueued_at`,
    and are believed. Of all others the agent sees itself how long they stay: it remembers the job that is next, and
    one further back until it is gone. That is a lower bound. It begins at 0 when the agent starts, is short by up to
    one interval, and reaches 2,000 jobs deep; `drain_time` and `stalled_for` complete it.

    With resque-scheduler, jobs whose time has come and that nobody puts into their queues count in `lag`, when all
    queues are looked at. How many are scheduled is not told: they lie in one list for each second.

    Limits: jobs that are equal to the letter (same class, same arguments) can be taken for one another, so that many
    of them look as if nothing moved; `drain_rate` shows that it does. A worker that was killed is counted for 5
    minutes.
    """

    name = "resque"
    needs = frozenset({"url"})
    takes = OnRedis.common | {"namespace"}

    def __init__(self, queue: Queue) -> None:
        super().__init__(queue)
        namespace = queue.namespace if queue.namespace is not None else "resque"
        if not namespace or namespace.endswith(":"):
            raise BadField("namespace", "write the name alone: the colon behind it is put there by the agent")
        self._before = f"{namespace}:"
        self._tracers: dict[str, Tracer] = {}

    async def survey(self, keys: Keys) -> Backlog:
        before = self._before
        existing = await keys.names("SMEMBERS", f"{before}queues", MOST_QUEUES)
        names = self.written or tuple(existing)
        every = len(existing) < MOST_QUEUES and set(existing) <= set(names)
        (paused,) = await keys.ask(("GET", f"{before}pause-all-workers"))
        stopped = paused == b"true"
        depths = await keys.counts(*(("LLEN", f"{before}queue:{name}") for name in names)) if names else []
        lines = [
            await self._line(keys, name, depth) for name, depth in zip(names, depths, strict=True) if not stopped
        ]
        if every and not stopped:
            due = await keys.timed(f"{before}delayed_queue_schedule")
            lines += [Line("delayed", due.overdue, due.lag)] if due.overdue else []
        failed, processed = await keys.counts(("LLEN", f"{before}failed"), ("GET", f"{before}stat:processed"))
        workers, busy = await self._workers(keys, frozenset(names))
        return Backlog(
            depth=sum(line.depth for line in lines),
            lag=worst_lag(lines),
            in_flight=busy,
            failed=failed,
            workers=workers,
            completed=processed if every else None,
            paused=tuple(names) if stopped else (),
            held=sum(depths) if stopped else 0,
            evidence=told(keys.look, lines, unused=never_used(names, existing)),
        )

    async def _line(self, keys: Keys, name: str, depth: int) -> Line:
        key = f"{self._before}queue:{name}"
        tracer = self._tracers.setdefault(name, Tracer(key, right=False))
        head = await keys.one("LINDEX", key, 0) if depth else None
        if not isinstance(head, bytes):
            await tracer.waited(keys, b"", 0)
            return Line(name, 0, 0.0)
        title, stamp = _described(peek(head, "class", "args"))
        seen = await tracer.waited(keys, head, depth)
        lag = age(stamp, keys.now)
        return Line(name, depth, seen if lag is None else lag, title)

    async def _workers(self, keys: Keys, names: frozenset[str]) -> tuple[int, int]:
        """(workers that would take a job of `names`, those of them that have one)"""
        before = self._before
        found = await keys.names("SMEMBERS", f"{before}workers", MOST_WORKERS)
        ours = [worker for worker in found if _serves(worker, names)]
        if not ours:
            return 0, 0
        (beats,) = await keys.ask(("HMGET", f"{before}workers:heartbeat", *ours))
        busy = await keys.counts(*(("EXISTS", f"{before}worker:{worker}") for worker in ours))
        stamps = beats if isinstance(beats, list) else []
        alive = [beat is None or (age(moment(beat), keys.now) or 0.0) < _SILENT for beat in stamps]
        return sum(alive), sum(at_work for at_work, lives in zip(busy, alive, strict=False) if lives)


def _serves(worker: str, names: frozenset[str]) -> bool:
    """Whether ``host:pid:mail,default`` takes jobs from one of the queues; a pattern with a star might."""
    queues = worker.rpartition(":")[2].split(",")
    return any("*" in queue or queue in names for queue in queues)


def _described(job: Mapping[str, Any]) -> tuple[str, float | None]:
    """(class, when it was put in): of the job inside for ActiveJob, which wraps all of them in one class."""
    title, stamp = job.get("class"), None
    arguments = job.get("args")
    wrapped = arguments[0] if isinstance(arguments, list) and arguments else None
    if isinstance(wrapped, dict) and isinstance(title, str) and title.startswith("ActiveJob::"):
        title, stamp = wrapped.get("job_class"), moment(wrapped.get("enqueued_at"))
    return title[:100] if isinstance(title, str) else "", stamp
