"""RabbitMQ, and Celery on RabbitMQ: read from the management API."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

from probes._http import web
from probes._http.exchange import Ask
from probes._http.web import page, read
from probes._look import Look, visible
from probes.contract import BadField, Context, LookFailed, Reason
from probes.queue._waiting import waited
from probes.queue.backend import Backend, Backlog

if TYPE_CHECKING:
    from probes.queue.probe import Queue

_MAX_BYTES = 524_288
"""A page of 500 queues has some 300 KB. Reading JSON holds the loop: hostile 2 MB of it did for 170 ms."""
_MOST = 500
"""Queues of one answer: the API's own limit of a page."""

_ALL_MARKS, _FEWEST_MARKS = 320, 2
"""Marks kept of all queues together, as far as that is possible with so many of each: the check's memory is small."""
_BEYOND = 2**63
"""What no server counts to."""
_KEY = "waiting "
"""What the names of the marks begin with in the check's memory."""

_COLUMNS = (
    "name,state,node,messages_ready,messages_unacknowledged,consumers,head_message_timestamp,arguments,"
    "message_stats.publish,message_stats.ack,message_stats.deliver_get,message_stats.deliver_no_ack,"
    "message_stats.get_no_ack"
)
_DEAD = frozenset({"down", "crashed", "stopped", "terminated", "minority"})
"""States in which a queue takes and gives nothing. `flow` only slows its publishers down, `syncing` is a pause."""


class RabbitMQ(Backend):
    """RabbitMQ through its management API: `url` is the management plug-in's (port 15672 as a rule), `vhost` and
    `queues` say where to look; without `queues`, all of the virtual host, of which the first 500 by name are read.

    A user with the tag `monitoring` sees everything; with `management` alone it works on its own virtual hosts, but
    the nodes' alarms stay unseen.

    `depth` is `messages_ready`, `in_flight` is `messages_unacknowledged`, `workers` are consumers (one that consumes
    two of the queues counts twice), arrivals are `publish`, and completed are acknowledged messages and those that
    were delivered without need of it. These figures are as old as the node's `collect_statistics_interval`, five
    seconds by default.

    Lag: RabbitMQ does not say how long a message has waited. Where publishers set the property `timestamp` (in
    seconds) and the queue is a classic one, `head_message_timestamp` does: the publisher's clock against the agent's,
    and a message that was dead-lettered into the queue counts from when it was first published. Everywhere else the
    lag is what the agent has seen itself: since which look at the latest the oldest message has been there, from the
    counters of arrivals and departures. That is a lower bound, short by up to one interval, and it begins anew when
    the node restarts. With `management.rates_mode = none` there are no counters, so there is no such lag either.

    A queue that has a time to live, an exchange for dead letters and no consumer is taken for a waiting room of later
    attempts (Celery's native delayed delivery makes such): its messages are `scheduled`, not `depth`.

    A queue that is down, crashed or in a minority, and a memory or disk alarm on any node, fail the look as
    `not_serving`: an alarm blocks every publisher of the cluster, however well consumers do. Consumers cannot be
    paused here. A queue that is not there fails it as `missing`. With `disable_metrics_collector` there is nothing
    to read: `unsupported`.
    """

    name = "rabbitmq"
    needs = frozenset({"url"})
    takes = frozenset({"vhost", "queues", "verify", "ca_file"})
    default: ClassVar[tuple[str, ...]] = ()
    ours: ClassVar[re.Pattern[str]] = re.compile(r"(?!amq\.gen-)")
    """Which queues count where none is named: not those that the server has named, which are private to a client."""

    def __init__(self, queue: Queue) -> None:
        self._queues = queue.queues or self.default
        if len(self._queues) > _MOST:
            raise BadField("queues", f"at most {_MOST} queues in one check")
        self._now = queue.now
        self._vhost = queue.vhost or "/"
        base = queue.url.reveal().rstrip("/") if queue.url is not None else ""
        self._queues_ask = _ask(queue, f"{base}/api/queues/{quote(self._vhost, safe='')}?{self._filter()}")
        self._nodes_ask = _ask(queue, f"{base}/api/nodes?columns=name,mem_alarm,disk_free_alarm")

    def _filter(self) -> str:
        asked = f"page=1&page_size={_MOST}&sort=name&columns={_COLUMNS}"
        if self._queues:
            pattern = "|".join(re.escape(each) for each in self._queues)
            asked += f"&use_regex=true&name={quote(f'^({pattern})$', safe='')}"
        return asked

    @property
    def target(self) -> str:
        url = self._queues_ask.url
        return f"{url.host}:{url.port}{'' if self._vhost == '/' else ' ' + self._vhost}" + (
            f" {', '.join(self._queues)}" if self._queues else ""
        )

    @property
    def host(self) -> str | None:
        return self._queues_ask.url.host

    @property
    def secrets(self) -> Iterable[str]:
        return web.secrets(self._queues_ask)

    async def read(self, look: Look, context: Context) -> Backlog:
        found, left_out = _listed(await self._get(look, context, self._queues_ask, "the virtual host"))
        missing = [name for name in self._queues if name not in {each.name for each in found}]
        if missing:
            shown = look.show(", ".join(missing), 120)
            raise LookFailed(Reason.MISSING, f"no queue {shown} in the virtual host {look.show(self._vhost, 60)}")
        if not self._queues:
            found = [each for each in found if self.ours.match(each.name)]
        _refuse_dead(look, found)
        if found and not any(each.told for each in found):
            raise LookFailed(
                Reason.UNSUPPORTED,
                "the API tells no messages: disable_metrics_collector is set, or the node has only just started",
            )
        await self._refuse_alarm(look, context)
        backlog = _summed(found, context, self._now())
        if left_out:
            look.evidence["left_out"] = f"{left_out} more queues: name those that count with `queues`"
        return backlog

    async def _get(self, look: Look, context: Context, ask: Ask, what: str) -> Any:
        try:
            return json.loads(await read(look, context, ask))
        except ValueError as error:
            raise LookFailed(Reason.PROTOCOL, "the answer is not JSON: is this the management API?") from error
        except RecursionError as error:
            raise LookFailed(Reason.PROTOCOL, "the answer is nested too deeply") from error
        except LookFailed as failure:
            raise _explained(failure, look, what) from failure

    async def _refuse_alarm(self, look: Look, context: Context) -> None:
        try:
            nodes = await self._get(look, context, self._nodes_ask, "the list of nodes")
        except LookFailed as failure:
            if failure.reason is not Reason.DENIED:
                raise
            look.evidence["alarms"] = "unseen: the user lacks the tag monitoring"
            return
        for node in nodes if isinstance(nodes, list) else ():
            kinds = [
                word for word in ("mem", "disk_free") if isinstance(node, dict) and node.get(f"{word}_alarm") is True
            ]
            if kinds:
                words = " and ".join({"mem": "memory", "disk_free": "disk"}[kind] for kind in kinds)
                name = look.show(str(node.get("name")), 80)
                raise LookFailed(Reason.NOT_SERVING, f"{words} alarm on {name}: all publishers are blocked")


class CeleryRabbitMQ(RabbitMQ):
    """Celery with RabbitMQ as its broker: `rabbitmq` with Celery's names. Without `queues`, the queue `celery`.

    Celery's workers take messages ahead: those, and tasks with `eta` or `countdown`, which wait inside a worker until
    their time comes, are `in_flight`, as RabbitMQ knows them as unacknowledged. They are not lag. So a worker that
    hangs keeps its messages in flight, and `stalled` tells. Priorities are kept within the queue and need no care.
    Celery sets no timestamp, so the lag is what the agent has seen itself.
    """

    name = "celery_rabbitmq"
    default = ("celery",)


@dataclass(frozen=True, slots=True)
class _Queue:
    """One queue as the API tells of it; counters are None where it tells of none."""

    name: str
    state: str
    node: str
    told: bool
    """Whether it tells how many messages there are."""
    ready: int
    unacknowledged: int
    consumers: int
    head: float | None
    """When the oldest ready message was published, by its publisher's clock."""
    published: int | None
    completed: int | None
    delivered: int
    waiting_room: bool


def _ask(queue: Queue, url: str) -> Ask:
    return page(url, max_bytes=_MAX_BYTES, verify=queue.verify, ca_file=queue.ca_file)


def _explained(failure: LookFailed, look: Look, what: str) -> LookFailed:
    if failure.reason is Reason.DENIED:
        return LookFailed(Reason.DENIED, f"{failure.detail} ({what}: wrong password, or no right to it)")
    if failure.reason is Reason.TOO_LARGE:
        return LookFailed(Reason.UNSUPPORTED, f"{what} tells more than {_MAX_BYTES // 1024} KiB")
    if failure.reason is Reason.PROTOCOL and look.evidence.get("answer", "").startswith("AMQP"):
        return LookFailed(
            Reason.PROTOCOL, "this is the port of AMQP: the management API has another one, mostly 15672"
        )
    if failure.reason is Reason.STATUS and look.evidence.get("status") == "404":
        return LookFailed(Reason.MISSING, f"{what} is not there, or this is not the management API")
    return failure


def _listed(answer: Any) -> tuple[list[_Queue], int]:
    """The queues of a page, and how many are on later ones. Raises `LookFailed`."""
    items = answer.get("items") if isinstance(answer, dict) else None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise LookFailed(Reason.PROTOCOL, "the answer is no page of queues: is this the management API?")
    return [_queue(item) for item in items], max(0, _int(answer.get("filtered_count")) - len(items))


def _queue(item: dict[str, Any]) -> _Queue:
    stats = item.get("message_stats")
    counted = stats if isinstance(stats, dict) else None
    arguments = item.get("arguments")
    known = arguments.keys() if isinstance(arguments, dict) else set()
    consumers, head = _int(item.get("consumers")), item.get("head_message_timestamp")
    completed = None
    if counted is not None:
        completed = sum(_int(counted.get(name)) for name in ("ack", "deliver_no_ack", "get_no_ack"))
    return _Queue(
        name=str(item.get("name")),
        state=str(item.get("state", "running")),
        node=str(item.get("node", "")),
        told="messages_ready" in item,
        ready=_int(item.get("messages_ready")),
        unacknowledged=_int(item.get("messages_unacknowledged")),
        consumers=consumers,
        head=float(_int(head)) or None,
        published=_int(counted.get("publish")) if counted is not None else None,
        completed=completed,
        delivered=_int(counted.get("deliver_get")) if counted is not None else 0,
        waiting_room=not consumers and {"x-message-ttl", "x-dead-letter-exchange"} <= known,
    )


def _int(value: object) -> int:
    """A count; one that is beyond belief (the probe refuses it then) stays a figure that can be reckoned with."""
    return min(value, _BEYOND) if isinstance(value, int) and value > 0 else 0


def _refuse_dead(look: Look, found: list[_Queue]) -> None:
    for each in found:
        if each.state in _DEAD:
            where = f" (node {look.show(each.node, 80)})" if each.node else ""
            raise LookFailed(Reason.NOT_SERVING, f"the queue {look.show(each.name, 80)} is {each.state}{where}")


def _summed(found: list[_Queue], context: Context, now: float) -> Backlog:
    rooms = [each for each in found if each.waiting_room]
    work = [each for each in found if not each.waiting_room]
    most = max(_FEWEST_MARKS, _ALL_MARKS // max(1, len(work)))
    lags = {each.name: lag for each in work if (lag := _lag(each, context, now, most)) is not None}
    for key in [key for key in context.memory if key.startswith(_KEY) and key.removeprefix(_KEY) not in lags]:
        del context.memory[key]  # of a queue that is gone
    waiting = [each for each in work if each.ready]
    evidence: dict[str, str] = {}
    if waiting:
        deepest = max(waiting, key=lambda each: each.ready)
        evidence["deepest"] = visible(f"{deepest.name}: {deepest.ready} ready, {deepest.consumers} consumers")
        idle = [each.name for each in waiting if not each.consumers]
        if idle:
            evidence["without_consumer"] = visible(", ".join(idle))
    if any(each.ready and each.name in lags for each in work):
        oldest = max(lags, key=lambda name: lags[name])
        evidence["oldest"] = visible(f"{oldest}: {lags[oldest]:.0f} s")
    if slowed := [each.name for each in work if each.state == "flow"]:
        evidence["flow_control"] = visible(", ".join(slowed))
    counted = any(each.published is not None for each in work)
    return Backlog(
        depth=sum(each.ready for each in work),
        lag=max(lags.values(), default=0.0) if len(lags) == len(work) or any(lags.values()) else None,
        scheduled=sum(each.ready for each in rooms),
        in_flight=sum(each.unacknowledged for each in work),
        workers=sum(each.consumers for each in work),
        arrived=float(sum(each.published or 0 for each in work)) if counted else None,
        completed=float(sum(each.completed or 0 for each in work)) if counted else None,
        evidence=evidence,
    )


def _lag(queue: _Queue, context: Context, now: float, most: int) -> float | None:
    """Seconds that the head has waited at least; None where nothing tells."""
    told = max(0.0, now - queue.head) if queue.ready and queue.head is not None else None
    if queue.published is None and queue.ready:
        return told
    seen = waited(
        context.memory,
        _KEY + queue.name,
        now=now,
        ready=queue.ready,
        arrived=float(queue.published or 0),
        left=float(queue.delivered),
        most=most,
    )
    return seen if told is None else max(seen, told)
