"""Kafka: what a consumer group has yet to read."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

from probes._look import Look
from probes._wire.dial import dial
from probes._wire.reach import resolved
from probes.contract import BadField, Context, LookFailed, Reason, TlsWanted
from probes.queue.backend import Backend, Backlog
from probes.registry import optional

if TYPE_CHECKING:
    from probes.queue.probe import Queue

_MOST_PARTITIONS = 500
_MOST_FETCHED = 20
"""Partitions whose oldest unread record is fetched for its time: those that are furthest behind."""
_FETCH_BYTES = 4096
"""Asked for of each partition; a broker sends one whole batch all the same."""
_GOODBYE = 0.02
"""Seconds that closing may take when the look has none left: it ends in time, whatever the server does."""
_GONE = ("Dead", "Empty")


class Kafka(Backend):
    """Kafka, and what speaks its protocol: the backlog of the consumer group `group`. `brokers` are some addresses
    to begin with, `host:port`, or `tls://host:port`. `topics` are those that count; without them, all that the group
    has ever committed for. `user` and `password` log in by SASL PLAIN; the user needs Describe on the group, Describe
    and Read on the topics.

    | Figure | From |
    | --- | --- |
    | `depth` | end offsets less committed offsets, over all partitions |
    | `lag` | age of the oldest record that was not committed, which is fetched for its time and thrown away |
    | `workers` | members of the group, where the broker tells them |
    | `arrival_rate`, `drain_rate` | end offsets and committed offsets |

    The time of a record is its producer's (CreateTime) unless the topic says LogAppendTime: a producer whose clock is
    wrong, or that sends old records on purpose, makes the lag wrong; it is never negative. The records of the 20
    partitions that are furthest behind are looked at. Offsets count transaction markers and what compaction has
    removed too, so a depth of 1 or 2 may be nothing. A partition without a commit counts from its beginning, as
    with `auto.offset.reset=earliest`, and is named in the evidence: with `latest` the group will never read what is
    there. `lost` (evidence) are records that were deleted by retention before the group came to them.

    Kafka knows no pause, no failures, and nothing of what a consumer has in its hands. Addresses that the brokers
    advertise are resolved by the driver, not by the agent's resolver.
    """

    name = "kafka"
    needs = frozenset({"brokers", "group"})
    takes = frozenset({"topics", "user", "password", "verify", "ca_file"})
    extra = "kafka"

    def __init__(self, queue: Queue) -> None:
        self._kafka = optional("aiokafka", "kafka")
        self._admin = optional("aiokafka.admin", "kafka")
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # whatever it logs is told as a reason
        self._group, self._topics = queue.group or "", queue.topics
        self._verify, self._ca_file, self._now = queue.verify, queue.ca_file, queue.now
        self._user, self._password = queue.user, queue.password
        self._tls = any(each.startswith("tls://") for each in queue.brokers)
        self._brokers = [_parsed(each) for each in queue.brokers]

    @property
    def target(self) -> str:
        host, port = self._brokers[0]
        return f"{host}:{port} {self._group} {', '.join(self._topics)}".rstrip()

    @property
    def host(self) -> str | None:
        return self._brokers[0][0]

    async def read(self, look: Look, context: Context) -> Backlog:
        broker = await self._reached(look, context)
        async with self._opened(look, context, broker) as (admin, consumer):
            try:
                workers = await self._members(look, admin)
                async with look.phase("query", Reason.QUERY_TIMEOUT):
                    lines = await self._lines(look, admin, consumer)
                behind = sorted((line for line in lines if line.behind), key=lambda line: -line.behind)
                async with look.phase("fetch", Reason.QUERY_TIMEOUT):
                    oldest = await _oldest(consumer, self._places(behind[:_MOST_FETCHED]), look) if behind else None
            except (LookFailed, asyncio.CancelledError):
                raise
            except Exception as error:  # a lying broker makes the driver raise whatever it likes
                raise _refused(look, error) from error
        look.check_late(perf_counter())
        return self._told(lines, behind, oldest, workers)

    def _told(self, lines: list[_Line], behind: list[_Line], oldest: float | None, workers: int | None) -> Backlog:
        evidence = {}
        if behind:
            evidence["deepest"] = f"{behind[0].topic}/{behind[0].partition}: {behind[0].behind} records"
        if fresh := [line for line in lines if line.committed is None and line.behind]:
            evidence["without_commit"] = ", ".join(f"{line.topic}/{line.partition}" for line in fresh[:10])
        if lost := sum(line.lost for line in lines):
            evidence["lost"] = str(lost)
        lag = max(0.0, self._now() - oldest / 1000) if oldest is not None else None
        return Backlog(
            depth=sum(line.behind for line in lines),
            lag=lag if behind else 0.0,
            workers=workers,
            # What was read follows from this and the depth; commits go back when somebody resets them, ends do not.
            arrived=float(sum(line.end for line in lines)),
            evidence=evidence,
        )

    async def _reached(self, look: Look, context: Context) -> str:
        """The first broker that takes a connection: the driver would only say that it found none."""
        failure: LookFailed | None = None
        for host, port in self._brokers:
            try:
                with await dial(look, await resolved(look, context, host, port)) as tried:
                    # By its name where TLS is to be verified against it.
                    return f"{host}:{port}" if self._tls else tried.where
            except LookFailed as error:
                failure = error
        raise failure or LookFailed(Reason.MISSING, "no broker is named")

    @asynccontextmanager
    async def _opened(self, look: Look, context: Context, broker: str) -> AsyncIterator[tuple[Any, Any]]:
        given: dict[str, Any] = {"bootstrap_servers": broker, "client_id": "brownout"}
        given["request_timeout_ms"] = max(100, int(look.timeout * 1000))
        given["retry_backoff_ms"] = 20  # it waits so long for metadata that it has just asked for
        login = self._user is not None
        protocol = {(False, False): "PLAINTEXT", (True, False): "SSL", (False, True): "SASL_PLAINTEXT"}
        given["security_protocol"] = protocol.get((self._tls, login), "SASL_SSL")
        if self._tls:
            given["ssl_context"] = await context.tls.get(TlsWanted(self._verify, self._ca_file))
        if login:
            given["sasl_plain_username"] = self._user
            given["sasl_plain_password"] = self._password.reveal() if self._password is not None else ""
        admin = self._admin.AIOKafkaAdminClient(**given)
        consumer = self._kafka.AIOKafkaConsumer(
            **given, enable_auto_commit=False, max_partition_fetch_bytes=_FETCH_BYTES, fetch_max_wait_ms=100
        )
        try:
            async with look.phase("login", Reason.FIRST_BYTE_TIMEOUT):
                try:
                    await admin.start()
                    await consumer.start()
                except asyncio.CancelledError:
                    raise
                except Exception as error:  # as above
                    raise _refused(look, error) from error
            yield admin, consumer
        finally:
            for each in (consumer.stop, admin.close):
                with suppress(Exception):
                    async with asyncio.timeout(max(_GOODBYE, min(look.left(), 0.5))):
                        await each()

    async def _members(self, look: Look, admin: Any) -> int | None:
        try:
            async with look.phase("query", Reason.QUERY_TIMEOUT):
                answers = await admin.describe_consumer_groups([self._group])
        except self._kafka.errors.IncompatibleBrokerVersion:
            return None  # the broker does not offer it
        code, _, state, _, _, members = answers[0].groups[0][:6]
        if code:
            raise _refused(look, self._kafka.errors.for_code(code)())
        look.evidence["group"] = look.show(str(state), 40)
        return 0 if state in _GONE else len(members)

    async def _lines(self, look: Look, admin: Any, consumer: Any) -> list[_Line]:
        wanted = await self._partitions(admin, consumer) if self._topics else None
        if wanted is not None and len(wanted) > _MOST_PARTITIONS:
            raise LookFailed(
                Reason.UNSUPPORTED, f"more than {_MOST_PARTITIONS} partitions: a check for some topics each"
            )
        committed = await admin.list_consumer_group_offsets(self._group, partitions=wanted)
        found = {place: told.offset for place, told in committed.items()}
        if not found:
            shown = look.show(self._group, 80)
            raise LookFailed(Reason.MISSING, f"the group {shown} has committed nothing: is that its name?")
        places = sorted(found)[:_MOST_PARTITIONS]
        ends, begins = await asyncio.gather(consumer.end_offsets(places), consumer.beginning_offsets(places))
        return [
            _Line(
                place.topic, place.partition, begins[place], ends[place], found[place] if found[place] >= 0 else None
            )
            for place in places
        ]

    def _places(self, lines: list[_Line]) -> dict[Any, _Line]:
        return {self._kafka.TopicPartition(line.topic, line.partition): line for line in lines}

    async def _partitions(self, admin: Any, consumer: Any) -> list[Any]:
        known = await consumer.topics()
        missing = [topic for topic in self._topics if topic not in known]
        if missing:  # asked for by name it might be made by that very question
            raise LookFailed(Reason.MISSING, f"no topic {', '.join(missing)[:120]}")
        return [
            self._kafka.TopicPartition(topic["topic"], partition["partition"])
            for topic in await admin.describe_topics(list(self._topics))
            for partition in topic["partitions"]
        ]


@dataclass(frozen=True, slots=True)
class _Line:
    """One partition, as offsets: `committed` is the next one that the group will read, None without a commit."""

    topic: str
    partition: int
    begin: int
    end: int
    committed: int | None

    @property
    def at(self) -> int:
        """Where the group goes on reading: what retention has deleted it cannot."""
        return self.begin if self.committed is None else max(self.begin, min(self.committed, self.end))

    @property
    def behind(self) -> int:
        return max(0, self.end - self.at)

    @property
    def lost(self) -> int:
        return 0 if self.committed is None else max(0, self.begin - self.committed)


async def _oldest(consumer: Any, places: dict[Any, _Line], look: Look) -> float | None:
    """When the oldest unread record was made, in ms; None when no partition answers with one."""
    consumer.assign(list(places))
    for place, line in places.items():
        consumer.seek(place, line.at)
    found: dict[Any, float] = {}
    patience = min(2.0, look.left() / 2)
    began = perf_counter()
    while len(found) < len(places) and perf_counter() - began < patience:
        for place, records in (await consumer.getmany(timeout_ms=100, max_records=len(places))).items():
            if place not in found and records:
                found[place] = float(records[0].timestamp)
                consumer.pause(place)
    return min(found.values(), default=None)


def _refused(look: Look, error: Exception) -> LookFailed:
    """What the driver raised, in the words of `Reason`."""
    where = look.evidence.get("address", "the broker")
    name = type(error).__name__
    text = look.show(str(error), 200)
    if "Authorization" in name or "Authentication" in name or "Sasl" in name:
        return LookFailed(Reason.DENIED, f"{where}: {text or name}")
    if name in ("GroupCoordinatorNotAvailableError", "CoordinatorNotAvailableError", "LeaderNotAvailableError"):
        return LookFailed(Reason.NOT_READY, f"{where}: {text or name}")
    if "Timeout" in name or "TimedOut" in name:
        return LookFailed(Reason.QUERY_TIMEOUT, f"{where}: {text or name}")
    if name in ("KafkaConnectionError", "NodeNotReadyError"):
        return LookFailed(
            Reason.EMPTY_REPLY, f"{where}: no answer that is Kafka's, or a broker it names is not there: {text}"
        )
    return LookFailed(Reason.PROTOCOL, f"{where}: {name}: {text}")


def _parsed(broker: str) -> tuple[str, int]:
    host, colon, port = broker.removeprefix("tls://").rpartition(":")
    if not colon or not host or not port.isdigit() or not 0 < int(port) < 65_536 or "/" in host:
        raise BadField("brokers", f"{broker!r} is not host:port, such as kafka.example.com:9092")
    return host.strip("[]"), int(port)
