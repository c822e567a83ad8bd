"""Kafka: a broker of the real protocol, records put and taken by a real group."""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator

import aiokafka
import pytest
from aiokafka.admin import AIOKafkaAdminClient

from probes.contract import BadField, Context, Observation, Reason
from probes.queue import Queue
from tests.probes.conftest import Serve
from tests.probes.judged import look
from tests.probes.kafka_groups import describing
from tests.probes.queued import until
from tests.servers.kafka import Kafka, kafka


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    with kafka(tmp_path_factory.mktemp("kafka")) as server:
        yield server


@pytest.fixture
async def producer(cluster: Kafka) -> AsyncIterator[aiokafka.AIOKafkaProducer]:
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers=cluster.broker)
    await producer.start()
    yield producer
    await producer.stop()


@pytest.fixture
def topic() -> str:
    return f"jobs-{uuid.uuid4().hex[:8]}"


def check(server: Kafka, topic: str, **keys: object) -> Queue:
    given = {"backend": "kafka", "brokers": (server.broker,), "group": f"group-{topic}", "topics": (topic,), **keys}
    return Queue(**given)  # type: ignore[arg-type]


async def put(producer: aiokafka.AIOKafkaProducer, topic: str, count: int, *, age: float = 0.0) -> None:
    made = int((time.time() - age) * 1000)
    for number in range(count):
        await producer.send_and_wait(topic, b"{}", partition=number % 4, timestamp_ms=made)


async def read(server: Kafka, topic: str, count: int) -> None:
    """A member of the group reads and commits, and leaves."""
    consumer = aiokafka.AIOKafkaConsumer(
        topic,
        bootstrap_servers=server.broker,
        group_id=f"group-{topic}",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    await consumer.start()
    for _ in range(count):
        record = await consumer.getone()
        await consumer.commit({aiokafka.TopicPartition(topic, record.partition): record.offset + 1})
    await consumer.stop()


def figures(seen: Observation, *names: str) -> tuple[float | None, ...]:
    assert seen.ok, seen
    return tuple(seen.measurements.get(name) for name in names)


async def test_records_wait_and_are_read(
    cluster: Kafka, producer: aiokafka.AIOKafkaProducer, topic: str, context: Context
) -> None:
    probe = check(cluster, topic)
    await put(producer, topic, 4, age=300)
    await put(producer, topic, 4, age=120)
    seen = await look(probe, context)
    assert figures(seen, "depth") == (8,)
    assert seen.measurements["lag"] == pytest.approx(300, abs=3)
    assert seen.evidence["without_commit"].startswith(f"{topic}/0")
    await read(cluster, topic, 8)
    assert figures(await look(probe, context), "depth", "lag") == (0, 0)
    await put(producer, topic, 2, age=60)
    seen = await look(probe, context)
    assert figures(seen, "depth") == (2,)
    assert seen.measurements["lag"] == pytest.approx(60, abs=3), "not that of what was read"
    assert "without_commit" not in seen.evidence
    await put(producer, topic, 1, age=-600)
    assert (await look(probe, context)).measurements["lag"] == pytest.approx(60, abs=3)


async def test_rates(cluster: Kafka, producer: aiokafka.AIOKafkaProducer, topic: str, context: Context) -> None:
    ahead = 0.0
    probe = check(cluster, topic, _clock=lambda: time.time() + ahead)
    await put(producer, topic, 10)
    await look(probe, context)
    await put(producer, topic, 20)
    await read(cluster, topic, 12)
    ahead = 60
    seen = await look(probe, context)
    assert seen.measurements["arrival_rate"] == pytest.approx(20 / 60, rel=0.2)
    assert seen.measurements["drain_rate"] == pytest.approx(12 / 60, rel=0.2)
    assert seen.measurements["growth_rate"] == pytest.approx(8 / 60, rel=0.2)


async def test_members_of_the_group_are_its_workers(
    cluster: Kafka, producer: aiokafka.AIOKafkaProducer, topic: str, context: Context
) -> None:
    await put(producer, topic, 4)
    async with describing(cluster.port) as relay:
        probe = check(cluster, topic, brokers=(f"127.0.0.1:{relay.port}",))
        relay.members = 2
        seen = await look(probe, context)
        assert figures(seen, "depth", "workers") == (4, 2)
        assert seen.evidence["group"] == "Stable"
        relay.state, relay.members = "Empty", 0
        assert figures(await look(probe, context), "depth", "workers") == (4, 0)
        relay.code = 30  # GROUP_AUTHORIZATION_FAILED
        assert (await look(probe, context)).reason is Reason.DENIED
        relay.code = 15  # COORDINATOR_NOT_AVAILABLE
        assert (await look(probe, context)).reason is Reason.NOT_READY
    assert "workers" not in (await look(check(cluster, topic), context)).measurements, "that broker cannot tell"


async def test_a_producers_clock_that_is_ahead_makes_no_negative_lag(
    cluster: Kafka, producer: aiokafka.AIOKafkaProducer, topic: str, context: Context
) -> None:
    await put(producer, topic, 1, age=-600)
    assert figures(await look(check(cluster, topic), context), "depth", "lag") == (1, 0)


async def test_topics_that_are_not_there_are_not_made(
    cluster: Kafka, producer: aiokafka.AIOKafkaProducer, topic: str, context: Context
) -> None:
    await put(producer, topic, 1)
    for _ in range(2):
        seen = await look(check(cluster, topic, topics=(topic, "nobody-made-it")), context)
        assert (seen.reason, "nobody-made-it" in seen.detail) == (Reason.MISSING, True)


async def test_an_empty_topic(cluster: Kafka, topic: str, context: Context) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=cluster.broker)
    await admin.start()
    try:
        await admin.describe_topics([topic])  # this broker makes a topic that is asked for by name
    finally:
        await admin.close()
    assert figures(await look(check(cluster, topic), context), "depth", "lag") == (0, 0)


async def test_a_hung_broker_and_one_that_comes_back(
    cluster: Kafka,
    producer: aiokafka.AIOKafkaProducer,
    topic: str,
    context: Context,
    make_context: Callable[..., Context],
) -> None:
    await put(producer, topic, 1)
    probe = check(cluster, topic)
    assert (await look(probe, context)).ok
    os.killpg(cluster.process.pid, signal.SIGSTOP)
    try:
        await until(probe, make_context(0.5), lambda seen: seen.reason is Reason.FIRST_BYTE_TIMEOUT)
    finally:
        os.killpg(cluster.process.pid, signal.SIGCONT)
    assert (await look(probe, context)).ok


async def test_a_dead_broker_beside_one_that_lives(
    cluster: Kafka, producer: aiokafka.AIOKafkaProducer, topic: str, context: Context, closed_port: int
) -> None:
    await put(producer, topic, 1)
    dead = f"127.0.0.1:{closed_port}"
    assert (await look(check(cluster, topic, brokers=(dead, cluster.broker)), context)).ok
    assert (await look(check(cluster, topic, brokers=(dead,)), context)).reason is Reason.REFUSED


@pytest.mark.parametrize(
    ("answer", "end"), [([b"HTTP/1.1 400 Bad Request\r\n\r\n"], "hang"), ([b""], "close"), ([b"\0" * 4096], "hang")]
)
async def test_what_others_answer(
    serve: Serve, make_context: Callable[..., Context], answer: list[bytes], end: str
) -> None:
    server = await serve(answer, end=end, ask=False)
    probe = Queue(backend="kafka", brokers=(f"127.0.0.1:{server.port}",), group="g", topics=("t",))
    seen = await look(probe, make_context(1.0))
    assert seen.reason in (Reason.EMPTY_REPLY, Reason.PROTOCOL, Reason.FIRST_BYTE_TIMEOUT), seen


@pytest.mark.parametrize("broker", ["kafka", "http://kafka:9092", "kafka:99999", ":9092"])
def test_faults_of_the_config(broker: str) -> None:
    with pytest.raises(BadField):
        Queue(backend="kafka", brokers=(broker,), group="g")
