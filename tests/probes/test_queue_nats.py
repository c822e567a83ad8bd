"""NATS JetStream: a real server, messages put and taken by the official client."""

from __future__ import annotations

import asyncio
import os
import signal
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

from probes.contract import BadField, Context, Observation, Reason, Secret
from probes.queue import Queue
from tests.probes.conftest import Serve
from tests.probes.judged import look
from tests.probes.queued import until
from tests.servers.nats import Nats, nats_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nats]:
    with nats_server(tmp_path_factory.mktemp("nats")) as running:
        yield running


@pytest.fixture
async def client(server: Nats) -> AsyncIterator[Client]:
    client = await nats.connect(server.url())
    yield client
    await client.close()


@pytest.fixture
async def stream(client: Client) -> str:
    """The name of an empty stream, whose subjects begin with it."""
    name = f"S{uuid.uuid4().hex[:8]}"
    await client.jetstream().add_stream(name=name, subjects=[f"{name}.>"])
    return name


def check(
    server: Nats, stream: str, consumer: str = "work", *, login: str = "shop:word", ahead: float = 0.0
) -> Queue:
    def clock() -> float:
        return time.time() + ahead

    return Queue(backend="nats", url=Secret(server.url(login)), stream=stream, consumer=consumer, _clock=clock)


async def put(jetstream: JetStreamContext, stream: str, count: int, subject: str = "mail") -> None:
    for _ in range(count):
        await jetstream.publish(f"{stream}.{subject}", b"{}")


def figures(seen: Observation, *names: str) -> tuple[float | None, ...]:
    assert seen.ok, seen
    return tuple(seen.measurements.get(name) for name in names)


async def test_pull_consumer(server: Nats, client: Client, stream: str, context: Context) -> None:
    jetstream = client.jetstream()
    # What other consumers are for does not count: the lag is of the first message that matches.
    await put(jetstream, stream, 3, "other")
    work = await jetstream.pull_subscribe(f"{stream}.mail", "work", stream=stream)
    assert figures(await look(check(server, stream), context), "depth", "lag", "workers") == (0, 0, 0)
    await put(jetstream, stream, 5)
    await put(jetstream, stream, 1, "other")
    seen = await look(check(server, stream, ahead=120), context)
    assert figures(seen, "depth", "in_flight", "workers") == (5, 0, 0)
    assert seen.measurements["lag"] == pytest.approx(120, abs=3)
    assert seen.evidence["oldest"].startswith("sequence 4,")
    taken = await work.fetch(2)
    seen = await look(check(server, stream), context)
    assert figures(seen, "depth", "in_flight", "workers") == (3, 2, 1), "a worker that is busy asks for nothing"
    for message in taken:
        await message.ack()
    for message in await work.fetch(3):
        await message.ack()
    seen = await until(check(server, stream), context, lambda seen: seen.measurements["in_flight"] == 0)
    assert figures(seen, "depth", "lag", "workers") == (0, 0, 0)


async def test_workers_that_wait_stop_and_come_back(
    server: Nats, client: Client, stream: str, context: Context
) -> None:
    jetstream = client.jetstream()
    worker = await nats.connect(server.url())
    work = await worker.jetstream().pull_subscribe(f"{stream}.mail", "work", stream=stream)
    waiting = asyncio.ensure_future(work.fetch(1, timeout=30))
    seen = await until(check(server, stream), context, lambda seen: seen.measurements["workers"] == 1)
    waiting.cancel()
    await worker.close()
    # Before anything is put: a request whose sender has only just gone would still be given a message.
    await until(check(server, stream), context, lambda seen: seen.measurements["workers"] == 0)
    await put(jetstream, stream, 2)
    await until(check(server, stream), context, lambda seen: seen.measurements["depth"] == 2)
    seen = await look(check(server, stream, ahead=55), context)
    assert seen.measurements["no_workers_for"] == pytest.approx(55, abs=5)
    assert seen.measurements["lag"] == pytest.approx(55, abs=5)
    work = await jetstream.pull_subscribe(f"{stream}.mail", "work", stream=stream)
    done = 0
    while done < 2:  # a fetch may give fewer than it was asked for
        for message in await work.fetch(2 - done):
            await message.ack_sync()
            done += 1
    seen = await until(check(server, stream, ahead=56), context, lambda seen: seen.measurements["depth"] == 0)
    assert figures(seen, "lag", "no_workers_for", "stalled_for") == (0, 0, 0)


async def test_push_consumer(server: Nats, client: Client, stream: str, context: Context) -> None:
    jetstream = client.jetstream()
    config = nats.js.api.ConsumerConfig(max_ack_pending=1, ack_wait=timedelta(minutes=1).total_seconds())
    taken = await jetstream.subscribe(f"{stream}.mail", durable="work", stream=stream, config=config, manual_ack=True)
    await put(jetstream, stream, 3)
    probe = check(server, stream)
    seen = await until(probe, context, lambda seen: seen.measurements["in_flight"] == 1)
    assert figures(seen, "depth", "workers") == (2, 1)
    await taken.unsubscribe()
    seen = await until(probe, context, lambda seen: seen.measurements.get("workers") != 1)
    assert seen.reason is Reason.MISSING or seen.measurements["workers"] == 0


async def test_what_is_not_there_or_not_allowed(
    server: Nats, client: Client, stream: str, context: Context, make_context: Callable[..., Context]
) -> None:
    await client.jetstream().pull_subscribe(f"{stream}.mail", "work", stream=stream)
    for probe, reason, text in (
        (check(server, stream, "no"), Reason.MISSING, "the consumer"),
        (check(server, "no"), Reason.MISSING, "not there"),
        (check(server, stream, login="shop:wr0ng"), Reason.DENIED, "uthorization"),
        (check(server, stream, login="low:word"), Reason.DENIED, "permissions"),
        (check(server, stream, login="plain:word"), Reason.UNSUPPORTED, "not enabled for this account"),
    ):
        began = time.monotonic()
        seen = await look(probe, context)
        assert (seen.reason, text in seen.detail) == (reason, True), seen
        assert "wr0ng" not in repr(seen)
        assert time.monotonic() - began < 4.5, "it does not wait for an answer that will not come"


async def test_a_hung_server_a_dead_one_and_one_that_comes_back(
    tmp_path: Path, make_context: Callable[..., Context]
) -> None:
    with nats_server(tmp_path) as server:
        async with await nats.connect(server.url()) as client:
            await client.jetstream().add_stream(name="S", subjects=["S.>"])
            await client.jetstream().pull_subscribe("S.mail", "work", stream="S")
        probe = check(server, "S")
        assert (await look(probe, make_context())).ok
        os.killpg(server.process.pid, signal.SIGSTOP)
        await until(probe, make_context(0.5), lambda seen: seen.reason is Reason.FIRST_BYTE_TIMEOUT)
        os.killpg(server.process.pid, signal.SIGCONT)
        assert (await until(probe, make_context(), lambda seen: seen.ok)).ok
    assert (await look(probe, make_context())).reason is Reason.REFUSED


@pytest.mark.parametrize(
    ("answer", "end", "reasons"),
    [
        ([b"SSH-2.0-OpenSSH_9\r\n"], "hang", {Reason.PROTOCOL}),
        ([b"INFO {not json}\r\n"], "hang", {Reason.PROTOCOL}),
        ([b""], "close", {Reason.PROTOCOL}),
        ([b'INFO {"max_payload": 1}\r\n'], "close", {Reason.EMPTY_REPLY, Reason.RESET}),
        ([b"x" * 100_000], "hang", {Reason.PROTOCOL, Reason.FIRST_BYTE_TIMEOUT}),
    ],
)
async def test_what_others_answer(
    serve: Serve, make_context: Callable[..., Context], answer: list[bytes], end: str, reasons: set[Reason]
) -> None:
    server = await serve(answer, end=end, ask=False)
    probe = Queue(backend="nats", url=Secret(f"nats://127.0.0.1:{server.port}"), stream="S", consumer="work")
    seen = await look(probe, make_context(1.0))
    assert seen.reason in reasons, seen


@pytest.mark.parametrize(
    "keys",
    [{"url": Secret("http://x")}, {"url": Secret("nats://x:y")}, {"stream": "a.b"}, {"consumer": "*"}],
)
def test_faults_of_the_config(keys: dict[str, Any]) -> None:
    with pytest.raises(BadField):
        Queue(**{"backend": "nats", "url": Secret("nats://x"), "stream": "S", "consumer": "w", **keys})
