"""RabbitMQ and Celery on it: a real node, messages put and taken by real clients, workers that come and go."""

from __future__ import annotations

import dataclasses
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import amqp
import pytest
from celery import Celery

from probes.contract import Context, Observation, Reason, Secret
from probes.queue._waiting import waited
from probes.queue.probe import Queue
from tests.probes.conftest import Serve
from tests.probes.judged import look
from tests.probes.queued import until
from tests.servers import end
from tests.servers.rabbitmq import RabbitMQ, rabbitmq

pytestmark = pytest.mark.timeout(150)  # the node takes half a minute to start while other tests run beside it


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    with rabbitmq(tmp_path_factory.mktemp("rabbitmq")) as server:
        yield server


@pytest.fixture
def vhost(node: RabbitMQ) -> Iterator[str]:
    """A virtual host of the test's own, with a name that must be quoted."""
    name = f"shop/{uuid.uuid4().hex[:8]}"
    path = f"vhosts/{quote(name, safe='')}"
    node.api("PUT", path)
    yield name
    node.api("DELETE", path)


class Client:
    """Puts and takes messages, as an application does."""

    def __init__(self, node: RabbitMQ, vhost: str) -> None:
        self._connection = amqp.Connection(
            f"127.0.0.1:{node.amqp}", userid="guest", password="guest", virtual_host=vhost
        )
        self._connection.connect()
        self.channel = self._connection.channel()

    def declare(self, queue: str = "jobs", **arguments: object) -> None:
        given = {name.replace("_", "-"): value for name, value in arguments.items()}
        self.channel.queue_declare(queue, durable=True, auto_delete=False, arguments=given)

    def put(self, count: int, queue: str = "jobs", **properties: object) -> None:
        for _ in range(count):
            self.channel.basic_publish(amqp.Message("{}", **properties), routing_key=queue)

    def take(self, count: int, queue: str = "jobs", *, ack: bool = True) -> None:
        for _ in range(count):
            message = self.channel.basic_get(queue)
            if ack:
                self.channel.basic_ack(message.delivery_tag)

    def consume(self, queue: str = "jobs") -> None:
        self.channel.basic_consume(queue, callback=lambda message: None)

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def client(node: RabbitMQ, vhost: str) -> Iterator[Client]:
    client = Client(node, vhost)
    yield client
    client.close()


class Hands:
    """A check with its context, and a clock that the test moves."""

    def __init__(self, node: RabbitMQ, vhost: str, context: Context) -> None:
        self._node, self._vhost, self.context = node, vhost, context
        self.ahead = 0.0

    def check(self, **fields: Any) -> Queue:
        given = {"backend": "rabbitmq", "url": Secret(self._node.url), "vhost": self._vhost, **fields}
        return Queue(**given, _clock=lambda: time.time() + self.ahead)

    async def until(self, seen: Callable[[Observation], object], **fields: Any) -> Observation:
        """Looks, each with the memory as it was, until the node's figures have followed: they are a second old."""
        probe, before = self.check(**fields), dict(self.context.memory)
        deadline = time.monotonic() + 20
        while True:
            memory = dict(before)
            found = await look(probe, dataclasses.replace(self.context, memory=memory))
            if seen(found):
                self.context.memory.clear()
                self.context.memory.update(memory)
                return found
            assert time.monotonic() < deadline, found


@pytest.fixture
def hands(node: RabbitMQ, vhost: str, context: Context) -> Hands:
    return Hands(node, vhost, context)


def has(**figures: float) -> Callable[[Observation], bool]:
    return lambda found: all(found.measurements.get(name) == value for name, value in figures.items())


async def test_jobs_wait_are_taken_and_done(client: Client, hands: Hands) -> None:
    client.declare()
    client.put(5, timestamp=int(time.time()) - 120)
    seen = await hands.until(has(depth=5), queues=("jobs",))
    assert seen.ok, seen
    assert 119 <= seen.measurements["lag"] <= 140, "by the publisher's timestamp"
    assert (seen.measurements["workers"], seen.measurements["in_flight"]) == (0, 0)
    assert seen.evidence["without_consumer"] == "jobs"
    client.consume()  # takes all that there is, and finishes none
    seen = await hands.until(has(depth=0, workers=1))
    assert (seen.measurements["in_flight"], seen.measurements["lag"]) == (5, 0)


async def test_lag_is_what_the_agent_has_seen_where_nobody_tells(client: Client, hands: Hands) -> None:
    client.declare()
    client.put(3)
    assert (await hands.until(has(depth=3))).measurements["lag"] < 1, "at the first look nobody knows"
    hands.ahead = 300
    client.put(3)
    assert (await hands.until(has(depth=6))).measurements["lag"] == pytest.approx(300, abs=15)
    client.take(3)
    hands.ahead = 400
    seen = await hands.until(has(depth=3))
    assert seen.measurements["lag"] == pytest.approx(100, abs=15), "the second three have been here for less"
    assert seen.measurements["drain_rate"] > 0
    client.take(3)
    assert (await hands.until(has(depth=0))).measurements["lag"] == 0
    assert not [name for name in hands.context.memory if name.startswith("waiting")]


async def test_a_stopped_worker_is_seen_and_so_is_its_return(client: Client, hands: Hands) -> None:
    client.declare()
    client.put(2)
    await hands.until(has(depth=2, workers=0))
    hands.ahead = 600
    seen = await hands.until(has(depth=2))
    assert seen.measurements["no_workers_for"] == pytest.approx(600, abs=30)
    assert seen.measurements["stalled_for"] == pytest.approx(600, abs=30)
    client.take(2)
    seen = await hands.until(has(depth=0))
    assert (seen.measurements["stalled_for"], seen.measurements["no_workers_for"]) == (0, 0)


async def test_a_waiting_room_is_scheduled_and_no_backlog(client: Client, hands: Hands) -> None:
    client.declare("jobs")
    client.declare("later", x_message_ttl=600_000, x_dead_letter_exchange="amq.direct")
    client.put(4, "later")
    seen = await hands.until(has(scheduled=4))
    assert (seen.measurements["depth"], seen.measurements["lag"]) == (0, 0)


async def test_what_is_not_there_or_not_allowed(node: RabbitMQ, client: Client, hands: Hands, vhost: str) -> None:
    client.declare()
    assert (await look(hands.check(queues=("jobs", "mail")), hands.context)).reason is Reason.MISSING
    seen = await look(hands.check(vhost="no"), hands.context)
    assert (seen.reason, seen.detail.split(" is")[0]) == (Reason.MISSING, "the virtual host")
    seen = await look(hands.check(url=Secret(f"http://127.0.0.1:{node.amqp}")), hands.context)
    assert (seen.reason, "the port of AMQP" in seen.detail) == (Reason.PROTOCOL, True)
    wrong = Secret(node.url.replace(":guest@", ":wr0ng@"))
    seen = await look(hands.check(url=wrong), hands.context)
    assert seen.reason is Reason.DENIED
    assert "wr0ng" not in repr(seen)
    node.api("PUT", "users/low", {"password": "low", "tags": "management"})
    rights = {"configure": "", "write": "", "read": ".*"}
    node.api("PUT", f"permissions/{quote(vhost, safe='')}/low", rights)
    seen = await hands.until(
        lambda found: found.ok, url=Secret(node.url.replace("guest:guest", "low:low")), queues=("jobs",)
    )
    assert seen.evidence["alarms"] == "unseen: the user lacks the tag monitoring"
    node.api("DELETE", "users/low")


async def test_an_alarm_blocks_all_publishers(node: RabbitMQ, client: Client, hands: Hands) -> None:
    client.declare()
    await hands.until(lambda found: found.ok)
    node.ctl("set_vm_memory_high_watermark", "absolute", "1000")
    try:
        seen = await hands.until(lambda found: found.reason is Reason.NOT_SERVING)
        assert "memory alarm" in seen.detail
    finally:
        node.ctl("set_vm_memory_high_watermark", "0.4")  # it takes a second, in which the loop stands still
    assert (await hands.until(lambda found: found.ok)).ok


async def test_a_hung_node_and_one_that_comes_back(
    node: RabbitMQ, client: Client, hands: Hands, make_context: Callable[..., Context]
) -> None:
    client.declare()
    await hands.until(lambda found: found.ok)
    node.signal_vm(signal.SIGSTOP)
    try:
        hung = make_context(0.5)
        seen = await until(hands.check(), hung, lambda seen: seen.reason is Reason.FIRST_BYTE_TIMEOUT)
        assert 0.5 <= seen.measurements["read_time"] < 1
    finally:
        node.signal_vm(signal.SIGCONT)
    assert (await hands.until(lambda found: found.ok)).ok


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"<html>hello</html>", Reason.PROTOCOL),
        (b"[]", Reason.PROTOCOL),
        (b'{"items": [1]}', Reason.PROTOCOL),
        (b"[" * 100_000, Reason.PROTOCOL),
        (b'{"items": [{"name": "jobs", "state": "running"}]}', Reason.UNSUPPORTED),
        (b'{"items": [{"name": "jobs", "state": "down", "node": "rabbit@b"}]}', Reason.NOT_SERVING),
        (
            b'{"items": [{"name": "jobs", "messages_ready": 1%s, "message_stats": {}}]}' % (b"0" * 400),
            Reason.PROTOCOL,
        ),
    ],
)
async def test_what_others_answer(serve: Serve, context: Context, body: bytes, reason: Reason) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    server = await serve([head + body])
    probe = Queue(backend="rabbitmq", url=Secret(f"http://127.0.0.1:{server.port}"), queues=("jobs",))
    seen = await look(probe, context)
    assert seen.reason is reason, seen


@contextmanager
def celery_worker(node: RabbitMQ, vhost: str, folder: Path) -> Iterator[None]:
    """A worker of its own process, as operators start it."""
    (folder / "shop.py").write_text(
        "from celery import Celery\n"
        f"app = Celery('shop', broker={_broker(node, vhost)!r})\n"
        "app.conf.update(broker_connection_retry_on_startup=False, worker_prefetch_multiplier=1)\n"
        "@app.task(name='send')\n"
        "def send(): pass\n"
    )
    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "shop",
        "worker",
        "--pool=solo",
        "--without-mingle",
        "-l",
        "error",
    ]
    process = subprocess.Popen(command, cwd=folder, start_new_session=True)
    try:
        yield
    finally:
        end(process)


def _broker(node: RabbitMQ, vhost: str) -> str:
    return f"amqp://guest:guest@127.0.0.1:{node.amqp}/{quote(vhost, safe='')}"


async def test_celery(node: RabbitMQ, vhost: str, hands: Hands, tmp_path: Path) -> None:
    fields = {"backend": "celery_rabbitmq"}
    assert (await look(hands.check(**fields), hands.context)).reason is Reason.MISSING, "nobody has sent anything"
    with Celery("shop", broker=_broker(node, vhost)) as app:
        for _ in range(3):
            app.send_task("send")
        app.send_task("send", countdown=3600)
        seen = await hands.until(has(depth=4, workers=0), **fields)
        with celery_worker(node, vhost, tmp_path):
            seen = await hands.until(has(depth=0, workers=1, in_flight=1), **fields)
            assert seen.measurements["lag"] == 0, "the task of the future waits inside the worker, and is no lag"
        assert (await hands.until(has(depth=1, workers=0), **fields)).ok, "it goes back to the queue with the worker"


def test_marks_are_bounded_and_never_say_too_much() -> None:
    """A queue fed at 10/s and drained at 8/s: the true age of its head against the bound, in a simulation."""
    memory: dict[str, float | str] = {}
    worst = 0.0
    for second in range(0, 20_000, 10):
        arrived, left = second * 10.0, second * 8.0
        truth = second - left / 10.0
        bound = waited(memory, "q", now=float(second), ready=arrived - left, arrived=arrived, left=left)
        assert bound <= truth + 0.1
        worst = max(worst, (truth - bound) / max(truth, 100))
        assert len(str(memory.get("q", ""))) < 500
    assert worst < 0.5, "and it is not far from it"
    assert waited(memory, "q", now=20_000.0, ready=5, arrived=3, left=1) == 0, "a node that has restarted"
    many = {f"q{number}": "" for number in range(500)}
    for second in range(100):
        for name in many:
            waited(memory, name, now=float(second), ready=second + 1, arrived=float(second), left=0, most=2)
    assert sum(len(str(memory[name])) for name in many) < 20_000
    assert waited(memory, "q1", now=100.0, ready=101, arrived=100.0, left=0, most=2) == 100, "the oldest is kept"
    assert waited({"q": "rubbish"}, "q", now=1.0, ready=1, arrived=1, left=0) == 0
