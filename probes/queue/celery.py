"""Celery with Redis as its broker: lists of JSON messages, one for each queue and priority."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from probes.queue.backend import Backlog
from probes.queue.keys import Keys, Line, OnRedis, told, worst_lag
from probes.queue.payload import WHOLE, age, instant, moment, peek
from probes.queue.tracer import Tracer

if TYPE_CHECKING:
    from probes.queue.probe import Queue

_STEP = "\x06\x16"
"""Stands between a queue's name and the priority in the key of a list (kombu's `sep`)."""
_STAMPS = ("timestamp", "enqueued_at", "published_at", "sentry-task-enqueued-time")
"""Headers by which publishers say when they sent a task: Celery itself has none."""


class Celery(OnRedis):
    """Celery 4 to 5 with a Redis broker, tested with its own library and real workers (5.7). For RabbitMQ there is a
    back end of its own.

    `url` is Celery's `broker_url`. Without `queues` it is Celery's default queue, `celery`: there is no list of all.
    `prefix` is the transport option `global_keyprefix`, written as it is there.

    | Figure | From |
    | --- | --- |
    | `depth` | the lists `QUEUE` and, for each priority, `QUEUE\\x06\\x16N` |
    | `lag` | see below |
    | `in_flight`, `taken_for` | `unacked`, `unacked_index`: of all queues of this database |
    | `workers` | `_kombu.binding.celery.pidbox`, and connections with pattern subscriptions on this database |

    Lag: Celery's messages do not say when they were sent. A message with a header `timestamp`, `enqueued_at`,
    `published_at` or `sentry-task-enqueued-time` is believed; a handler of the signal `before_task_publish` that sets
    one of them makes the lag exact: `headers["timestamp"] = time.time()`. A task with an ETA that has passed counts
    from then, one of the future not at all. Of all others the agent sees itself how long they stay: it remembers the
    message that is next, and one further back until it is gone. That is a lower bound. It begins at 0 when the agent
    starts, is short by up to one interval, and reaches 2,000 messages deep; `drain_time` and `stalled_for` complete
    it.

    `in_flight` is what workers have taken and not acknowledged: what they work on, what they have prefetched, and all
    tasks with a countdown or ETA, which workers hold until the time comes. So there is no `scheduled`. A task of a
    worker that was killed stays there until the visibility timeout is over, an hour by default.

    `workers` is an upper bound: a worker that was killed stays registered while any other listens, and Flower or
    `celery events` listen too. With workers that do not listen (`--without-remote-control --without-gossip`) it is
    left out, as it is without the right to CLIENT LIST or with more than 5,000 clients.

    Limits: Celery keeps neither failed tasks nor a count of those that ended where a broker could tell. Nobody can
    pause a queue here. Priorities are those of kombu's steps from 0 to 9. A task published again by `acks_late` is
    put in front.
    """

    name = "celery"
    needs = frozenset({"url"})
    takes = OnRedis.common | {"prefix"}

    def __init__(self, queue: Queue) -> None:
        super().__init__(queue)
        self._before = queue.prefix or ""
        names = self.written or ("celery",)
        self._lists = {
            f"{self._before}{name}{suffix}": name
            for name in names
            for suffix in ("", *(f"{_STEP}{step}" for step in range(1, 10)))
        }
        self._tracers = {key: Tracer(key) for key in self._lists}

    async def survey(self, keys: Keys) -> Backlog:
        depths = await keys.counts(*(("LLEN", key) for key in self._lists))
        lines = [
            await self._line(keys, key, name, depth)
            for (key, name), depth in zip(self._lists.items(), depths, strict=True)
        ]
        (in_flight,) = await keys.counts(("HLEN", f"{self._before}unacked"))
        return Backlog(
            depth=sum(line.depth for line in lines),
            lag=worst_lag(lines),
            in_flight=in_flight,
            taken_for=await self._taken_for(keys) if in_flight else 0.0,
            workers=await self._workers(keys),
            evidence=told(keys.look, lines),
        )

    async def _line(self, keys: Keys, key: str, name: str, depth: int) -> Line:
        tracer = self._tracers[key]
        head = await keys.one("LINDEX", key, -1) if depth else None
        if not isinstance(head, bytes):
            await tracer.waited(keys, b"", 0)
            return Line(name, 0, 0.0)
        headers = _headers(head)
        seen = await tracer.waited(keys, head, depth)
        task = headers.get("task")
        return Line(name, depth, _waited(headers, seen, keys.now), task[:100] if isinstance(task, str) else "")

    async def _taken_for(self, keys: Keys) -> float | None:
        first = await keys.one("ZRANGE", f"{self._before}unacked_index", 0, 0, "WITHSCORES")
        return age(first[1], keys.now) if isinstance(first, list) and len(first) == 2 else None

    async def _workers(self, keys: Keys) -> int | None:
        clients = await keys.clients()
        if clients is None:
            return None
        database = b"db=%d" % self.server.place.db
        ours = [words for words in map(bytes.split, clients) if database in words]
        listening = sum(b"psub=0" not in words for words in ours)
        if not listening:
            return None if any(b"cmd=brpop" in words for words in ours) else 0
        # A worker listens on one or two connections, and the name of one that was killed stays: neither figure alone.
        (named,) = await keys.counts(("SCARD", f"{self._before}_kombu.binding.celery.pidbox"))
        return min(named, listening) or listening


def _headers(message: bytes) -> Mapping[str, Any]:
    """The message's headers, with the properties among them."""
    if len(message) > WHOLE:
        return peek(message, "task", "eta", *_STAMPS)
    found = peek(message, "headers", "properties")
    return {
        name: value
        for part in (found.get("properties"), found.get("headers"))
        if isinstance(part, dict)
        for name, value in part.items()
    }


def _waited(headers: Mapping[str, Any], seen: float, now: float) -> float:
    """Seconds that a message has waited: what it says of itself, else what was seen."""
    eta = moment(headers.get("eta"))
    if eta is not None:
        return max(0.0, now - eta)
    for name in _STAMPS:
        told = age(headers.get(name), now) if instant(headers.get(name)) is not None else None
        if told is not None:
            return told
    return seen
