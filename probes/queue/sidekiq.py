"""Sidekiq (Ruby): lists of JSON, three sorted sets, and a heartbeat of every process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from probes.contract import BadField
from probes.queue.backend import Backlog
from probes.queue.keys import MOST_QUEUES, MOST_WORKERS, Keys, Line, OnRedis, Timed, never_used, told, worst_lag
from probes.queue.payload import age, peek

if TYPE_CHECKING:
    from probes.queue.probe import Queue

_WRAPPERS = ("ActiveJob::QueueAdapters::SidekiqAdapter::JobWrapper", "Sidekiq::ActiveJob::Wrapper")


class Sidekiq(OnRedis):
    """Sidekiq 5 to 8, by schema: read from the keys that its source documents, tested against such keys.

    `url` is the Redis that Sidekiq uses, with its database: `redis://127.0.0.1:6379/0`. `namespace` is for those who
    still use redis-namespace. Without `queues`, all those in the set `queues` count.

    | Figure | From |
    | --- | --- |
    | `lag` | `enqueued_at` of the last element of each list `queue:NAME`: in ms since Sidekiq 8, else in seconds |
    | `depth` | the lengths of those lists |
    | `scheduled`, `retry`, `failed` | the sizes of `schedule`, `retry`, `dead`: of all queues together |
    | `workers` | processes in `processes` whose heartbeat is there, that are not quiet and serve one of the queues |
    | `in_flight` | the sum of their `busy` |
    | `paused`, `held` | the set `paused` (Sidekiq Pro) |
    | `drain_rate` | `stat:processed`; only when all queues are looked at, as the counter is for all of them |

    A retry begins to wait anew when its time comes, so `lag` is right for it too. Jobs in `schedule` and `retry`
    whose time has come wait for a process to put them into their queues: they count in `lag` and `depth`, or nobody
    would notice that all processes are gone. With `queues` written only the first of each does, if it is for one of
    them. A process's heartbeat is kept for a minute: workers that were killed are counted for so long.

    Limits: jobs that Sidekiq Pro's super_fetch has taken and lost count as `in_flight` nowhere. A job of more than
    4 MiB at the end of a list makes the look end as `unsupported`. 100 queues and 500 processes are read; the
    evidence says when there are more.
    """

    name = "sidekiq"
    needs = frozenset({"url"})
    takes = OnRedis.common | {"namespace"}

    def __init__(self, queue: Queue) -> None:
        super().__init__(queue)
        self._before = prefix_of(queue)

    async def survey(self, keys: Keys) -> Backlog:
        before = self._before
        existing = await keys.names("SMEMBERS", f"{before}queues", MOST_QUEUES)
        stopped = frozenset(await keys.names("SMEMBERS", f"{before}paused", MOST_QUEUES))
        names = self.written or tuple(existing)
        depths = await keys.counts(*(("LLEN", f"{before}queue:{name}") for name in names)) if names else []
        lines = [
            await self._line(keys, name, depth)
            for name, depth in zip(names, depths, strict=True)
            if name not in stopped
        ]
        served = frozenset(names) - stopped
        every = self._all(existing)
        later = []
        for key in ("schedule", "retry"):
            timed = await keys.timed(f"{before}{key}")
            later.append(timed.later)
            lines += _overdue(key, timed, served, every=not self.written)
        dead, processed = await keys.counts(("ZCARD", f"{before}dead"), ("GET", f"{before}stat:processed"))
        workers, busy = await self._workers(keys, served)
        return Backlog(
            depth=sum(line.depth for line in lines),
            lag=worst_lag(lines),
            scheduled=later[0],
            retry=later[1],
            failed=dead,
            in_flight=busy,
            workers=workers,
            completed=processed if every else None,
            paused=tuple(name for name in names if name in stopped),
            held=sum(depth for name, depth in zip(names, depths, strict=True) if name in stopped),
            evidence=told(keys.look, lines, unused=never_used(names, existing)),
        )

    def _all(self, existing: list[str]) -> bool:
        return len(existing) < MOST_QUEUES and (not self.written or set(existing) <= set(self.written))

    async def _line(self, keys: Keys, name: str, depth: int) -> Line:
        oldest = await keys.one("LINDEX", f"{self._before}queue:{name}", -1) if depth else None
        if not isinstance(oldest, bytes):
            return Line(name, 0, 0.0)  # taken meanwhile
        job = peek(oldest, "enqueued_at", "class", "wrapped")
        return Line(name, depth, age(job.get("enqueued_at"), keys.now), _class_of(job))

    async def _workers(self, keys: Keys, names: frozenset[str]) -> tuple[int, int]:
        """(processes that would take a job of `names`, jobs that they work on)."""
        processes = await keys.names("SMEMBERS", f"{self._before}processes", MOST_WORKERS)
        if not processes:
            return 0, 0
        beats = await keys.ask(
            *(("HMGET", f"{self._before}{process}", "info", "busy", "quiet") for process in processes)
        )
        workers = busy = 0
        for process, beat in zip(processes, beats, strict=True):
            info, at_work, quiet = beat if isinstance(beat, list) and len(beat) == 3 else (None, None, None)
            if not isinstance(info, bytes) or not serves(info, names):
                continue  # its heartbeat has run out, or it works elsewhere
            busy += keys.whole(("HMGET", process), at_work)
            workers += quiet != b"true"
        return workers, busy


def _overdue(key: str, timed: Timed, served: frozenset[str], *, every: bool) -> list[Line]:
    """Jobs whose time has come and that no process has put into their queue, as far as they are for these queues."""
    job = peek(timed.first, "queue", "class", "wrapped")
    if not timed.overdue or not (every or job.get("queue") in served):
        return []
    # Only the first one is looked at: of the others nobody knows for which queue they are.
    return [Line(key, timed.overdue if every else 1, timed.lag, _class_of(job))]


def prefix_of(queue: Queue) -> str:
    """What the keys begin with. Raises `BadField`."""
    if queue.namespace is None:
        return ""
    if not queue.namespace or queue.namespace.endswith(":"):
        raise BadField("namespace", "write the name alone: the colon behind it is put there by the agent")
    return f"{queue.namespace}:"


def serves(info: bytes, names: frozenset[str]) -> bool:
    """Whether a process that describes itself so takes jobs from one of the queues; when in doubt, yes."""
    queues: Any = peek_list(info, "queues")
    return queues is None or bool(names.intersection(each for each in queues if isinstance(each, str)))


def peek_list(info: bytes, name: str) -> list[Any] | None:
    """The list `name` of a JSON object; None when there is none."""
    found = peek(info, name).get(name)
    return found if isinstance(found, list) else None


def _class_of(job: Any) -> str:
    """The job's class; that of the job inside for ActiveJob, which wraps all of them in one class."""
    wrapped = job.get("wrapped") if job.get("class") in _WRAPPERS else None
    found = wrapped or job.get("class")
    return found[:100] if isinstance(found, str) else ""
