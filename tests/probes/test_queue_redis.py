"""Whatever can be wrong with the Redis of a queue, by every back end that is kept there."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis as library

from probes._look import Look
from probes.contract import Context, Reason, Secret
from probes.queue import Queue
from probes.queue.backend import backends
from probes.queue.keys import Keys, OnRedis
from probes.queue.tracer import REACH, Tracer
from tests.probes.conftest import Serve
from tests.probes.judged import Judged, look
from tests.probes.queued import until_state
from tests.servers import daemon, listens
from tests.servers.redis import Redis, binary, redis_server

NEEDED = {"queues": ("mails",), "stream": "orders", "group": "billing"}
KINDS = [name for name, kind in backends().items() if issubclass(kind, OnRedis)]
Make = Callable[..., Context]


def made(kind: str, url: str) -> Queue:
    keys: dict[str, Any] = {key: NEEDED[key] for key in backends()[kind].needs if key in NEEDED}
    return Queue(backend=kind, url=Secret(url), **keys)


@pytest.mark.parametrize("kind", KINDS)
async def test_nobody_listens(kind: str, context: Context, closed_port: int) -> None:
    assert (await look(made(kind, f"redis://127.0.0.1:{closed_port}"), context)).reason is Reason.REFUSED


@pytest.mark.parametrize("kind", KINDS)
async def test_an_empty_database(kind: str, redis: Redis, context: Context) -> None:
    probe = made(kind, redis.url())
    seen = await look(probe, context)
    if kind == "redis_streams":
        assert (seen.reason, seen.detail) == (Reason.MISSING, "there is no stream orders in this database")
    else:
        assert seen.ok, seen
        assert (seen.measurements["lag"], seen.measurements["depth"], seen.measurements["drain_time"]) == (0, 0, 0)
        assert seen.measurements["stalled_for"] == 0
    with redis.client() as client:
        assert client.dbsize() == 0, "nothing is written"
    await probe.close()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_server_that_hangs_on_a_connection_that_is_kept(
    kind: str, tmp_path: Path, make_context: Make
) -> None:
    with redis_server(tmp_path) as server:
        with server.client() as client:
            client.xgroup_create("orders", "billing", mkstream=True)
        probe = made(kind, server.url())
        assert (await look(probe, make_context())).ok
        os.kill(server.process.pid, signal.SIGSTOP)
        seen = await look(probe, make_context(0.3))
        assert seen.reason is Reason.QUERY_TIMEOUT
        assert seen.measurements["read_time"] >= 0.3
        os.kill(server.process.pid, signal.SIGCONT)
        assert (await look(probe, make_context())).ok
        await probe.close()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", Reason.PROTOCOL),
        (b"-LOADING Redis is loading the dataset in memory\r\n", Reason.NOT_READY),
        (b"-NOAUTH Authentication required.\r\n" * 3, Reason.DENIED),
        (b"+OK\r\n+yesterday\r\n", Reason.PROTOCOL),
        (b"+OK\r\n*2\r\n$1\r\nx\r\n$1\r\ny\r\n", Reason.PROTOCOL),
        (b"+OK\r\n*2\r\n:1\r\n:2\r\n", Reason.PROTOCOL),
        (b"+OK\r\n$99999999999\r\n" + b"x" * 5_000_000, Reason.TOO_LARGE),
        (b"+OK\r\n", Reason.EMPTY_REPLY),
    ],
)
async def test_a_server_that_is_no_redis_or_not_ready(
    serve: Serve, context: Context, answer: bytes, reason: Reason
) -> None:
    server = await serve([answer], ask=False, end="close" if reason is Reason.EMPTY_REPLY else "hang")
    probe = made("sidekiq", f"redis://127.0.0.1:{server.port}")
    assert (await look(probe, context)).reason is reason
    await probe.close()


TIME = b"*2\r\n$10\r\n1800000000\r\n$1\r\n0\r\n"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "lie",
    [
        b":" + b"9" * 400 + b"\r\n",
        b":1\r\n",
        b"$3\r\nabc\r\n",
        b"*0\r\n",
        b"*1\r\n*1\r\n:5\r\n",
        b"$-1\r\n",
        b"*2\r\n$3\r\nnan\r\n$3\r\ninf\r\n",
    ],
)
async def test_a_server_that_lies(serve: Serve, make_context: Make, kind: str, lie: bytes) -> None:
    """Whatever is asked, it answers the same: never a bug of ours, and never without end."""
    server = await serve([b"+OK\r\n" + TIME + lie * 500], ask=False, end="hang")
    probe = made(kind, f"redis://127.0.0.1:{server.port}")
    seen = await look(probe, make_context(2.0))
    await probe.close()
    assert seen.reason in (None, Reason.QUERY, Reason.PROTOCOL, Reason.MISSING, Reason.TOO_LARGE), seen


async def test_a_wrong_password_is_no_outage_and_shown_nowhere(tmp_path: Path, context: Context) -> None:
    with redis_server(tmp_path, {"requirepass": "right-word"}) as server:
        probe = made("sidekiq", f"redis://:hunter22@127.0.0.1:{server.port}/0")
        judged = Judged(probe)
        for at in range(5):
            seen = await judged.see(context, at)
            assert seen.reason is Reason.DENIED
            assert "hunter22" not in str(seen) + str(context.memory)
        assert judged.state == "unknown"
        await probe.close()


async def test_a_right_that_is_missing_is_named(tmp_path: Path, context: Context) -> None:
    with redis_server(tmp_path) as server:
        with server.client() as client:
            client.execute_command("ACL SETUSER watcher on >word allkeys -@all +time +smembers +select")
        probe = made("sidekiq", f"redis://watcher:word@127.0.0.1:{server.port}/0")
        seen = await look(probe, context)
        assert seen.reason is Reason.DENIED
        assert "zcount" in seen.detail
        await probe.close()


async def test_a_server_that_dies_and_comes_back(tmp_path: Path, context: Context) -> None:
    with redis_server(tmp_path) as server:
        probe = made("sidekiq", server.url())
        judged = Judged(probe)
        at = await until_state(judged, context, "up", 0)
        server.process.kill()
        await asyncio.to_thread(server.process.wait)
        at = await until_state(judged, context, "down", at)
        assert judged.because == "refused"
    again = [binary(), "--port", str(server.port), "--save", ""]
    with daemon(again, tmp_path, lambda: listens(server.port)):
        await until_state(judged, context, "up", at)
        await probe.close()


def _fill(client: library.Redis, count: int) -> None:
    """The same count of jobs for every back end."""
    job = '{"class": "A", "headers": {"task": "a"}, "body": "' + "x" * 500 + '"}'
    client.flushall()
    for name in ("queues", "resque:queues"):
        client.sadd(name, "mails")
    client.sadd("rq:queues", "rq:queue:mails")
    client.xgroup_create("orders", "billing", id="0", mkstream=True)
    numbers = range(count)
    for key in ("queue:mails", "resque:queue:mails", "celery"):
        client.rpush(key, *(job for _ in numbers))
    for key in ("rq:queue:mails", "bull:mails:wait"):
        client.rpush(key, *numbers)
    client.zadd("bull:mails:prioritized", {f"p{number}": number for number in numbers})
    client.zadd("schedule", {f"{number}{job}": number for number in numbers})
    with client.pipeline(transaction=False) as pipe:
        for _ in numbers:
            pipe.xadd("orders", {"job": job})
        pipe.execute()


async def test_a_look_is_as_cheap_when_the_queue_is_long(redis: Redis, context: Context) -> None:
    cost: dict[str, list[tuple[int, int, int]]] = {kind: [] for kind in KINDS}
    with redis.client() as client:
        for count in (100, 5_000):
            _fill(client, count)
            for kind, costs in cost.items():
                probe = made(kind, redis.url())
                assert (await look(probe, context)).ok
                client.config_resetstat()
                seen = await look(probe, context)
                stats, sent = client.info("commandstats"), client.info("stats")["total_net_output_bytes"]
                assert seen.measurements["depth"] >= count * 0.95
                calls = sum(each["calls"] for each in stats.values())
                server = sum(each["usec"] for name, each in stats.items() if name != "cmdstat_info")
                costs.append((calls, sent, server))
                await probe.close()
    for kind, ((few, less, _), (many, more, microseconds)) in cost.items():
        assert many == few, kind
        assert more < less + 2000, f"{kind}: bytes of answers"
        assert microseconds < 10_000, f"{kind}: time of the server"


# --- how long jobs wait that do not say so -----------------------------------------------------------------------


class Line:
    """A list that jobs go through, and the watch over it. The server's clock is the test's."""

    def __init__(self, server: Redis) -> None:
        self.redis = server.client()
        self.tracer = Tracer("line")
        self.now = 1_800_000_000.0
        self.put_in = self.taken = 0

    def put(self, count: int, text: str = "job {}") -> None:
        self.redis.lpush("line", *(text.format(self.put_in + number) for number in range(count)))
        self.put_in += count

    def take(self, count: int) -> None:
        self.redis.rpop("line", count)
        self.taken += count

    async def waited(self, server: OnRedis, context: Context) -> float:
        watch = Look(5.0)
        try:
            async with server.server.session(watch, context) as session:
                keys = Keys(session, watch, self.now)
                (depth,) = await keys.counts(("LLEN", "line"))
                head = await keys.one("LINDEX", "line", -1)
                return await self.tracer.waited(keys, head if isinstance(head, bytes) else b"", depth)
        finally:
            watch.close()


async def test_the_wait_of_a_line_that_moves_is_seen(redis: Redis, context: Context) -> None:
    line, server = Line(redis), made("celery", redis.url())._backend
    assert isinstance(server, OnRedis)
    line.put(300)
    for _ in range(120):  # 5 in and 5 out every 10 s: each job waits 600 s, and the head is another one at each look
        waited = await line.waited(server, context)
        line.now += 10
        line.put(5)
        line.take(5)
    assert 580 <= waited <= 600
    line.take(270)  # most of it is worked off at once
    for _ in range(8):
        line.now += 10
        line.put(5)
        line.take(5)
        waited = await line.waited(server, context)
    assert waited <= 60
    line.take(1000)
    assert await line.waited(server, context) == 0
    server.close()


async def test_a_line_that_stands_still_and_one_that_is_quick(redis: Redis, context: Context) -> None:
    line, server = Line(redis), made("celery", redis.url())._backend
    assert isinstance(server, OnRedis)
    line.put(3)
    for turn in range(10):
        assert await line.waited(server, context) == 10 * turn
        line.now += 10
        line.put(2)
    line.take(100)
    seen = []
    for _ in range(6):
        line.put(4)
        seen.append(await line.waited(server, context))
        line.take(4)
        line.now += 10
    server.close()
    assert seen == [90, 0, 0, 0, 0, 0], "one look tells what was; then nobody waits from one look to the next"


@pytest.mark.parametrize("text", ["always the same", "{}" + "x" * 20_000])
async def test_a_line_of_jobs_that_are_all_alike_or_huge(redis: Redis, context: Context, text: str) -> None:
    line, server = Line(redis), made("celery", redis.url())._backend
    assert isinstance(server, OnRedis)
    line.put(REACH + 10 if "{" not in text else 30, text)
    for turn in range(5):
        assert await line.waited(server, context) <= 10 * turn
        line.now += 10
        line.put(1, text)
        line.take(1)
    server.close()
