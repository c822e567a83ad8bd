"""The probe `redis` against wrong passwords, missing rights, TLS, servers that lie or are not ready."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from probes._counters import Gain, gain
from probes._look import Look
from probes._redis.session import RedisServer
from probes._redis.url import parse
from probes.contract import BadField, Context, LookFailed, Observation, Reason, Secret
from probes.redis import Redis
from tests.probes.conftest import Authority, Serve
from tests.probes.judged import look
from tests.servers import wait_until
from tests.servers.redis import redis_server

Make = Callable[..., Context]
NAMED = b"+OK\r\n"  # the answer to CLIENT SETNAME


async def seen_at(url: str, context: Context, *, verify: bool = True, ca_file: str | None = None) -> Observation:
    probe = Redis(Secret(url), verify=verify, ca_file=ca_file)
    try:
        return await look(probe, context)
    finally:
        await probe.close()


async def test_passwords_and_rights(tmp_path: Path, context: Context) -> None:
    with redis_server(tmp_path, {"requirepass": "tell-no-one"}) as server:
        where = f"127.0.0.1:{server.port}"
        seen = await seen_at(f"redis://{where}", context)
        assert (seen.reason, "NOAUTH" in seen.detail or "Authentication required" in seen.detail) == (
            Reason.DENIED,
            True,
        )
        for url in (f"redis://:wrong-word@{where}", f"redis://nobody:wrong-word@{where}"):
            seen = await seen_at(url, context)
            assert seen.reason is Reason.DENIED
            assert "wrong-word" not in str(seen)
        probe = Redis(Secret(f"redis://:tell-no-one@{where}/2"))
        assert (await look(probe, context)).ok
        assert "tell-no-one" not in repr(probe) + probe.target
        assert probe.target == f"redis://{where}/2"
        await probe.close()
        admin = server.client(password="tell-no-one")
        admin.execute_command("ACL", "SETUSER", "ping", "on", ">word", "+ping")
        admin.execute_command(
            "ACL", "SETUSER", "brownout", "on", ">word", "resetkeys", "+ping", "+info", "+slowlog|get"
        )
        seen = await seen_at(f"redis://ping:word@{where}", context)
        assert seen.ok, "that it answers can be told without INFO"
        assert seen.measurements.keys() == {"response_time"}
        assert "info" in seen.evidence
        seen = await seen_at(f"redis://brownout:word@{where}", context)
        assert seen.ok
        assert "memory" in seen.measurements
        admin.close()


async def test_a_socket_file(tmp_path: Path, context: Context) -> None:
    with redis_server(tmp_path, {"unixsocket": str(tmp_path / "r.sock")}):
        seen = await seen_at(f"unix://{tmp_path}/r.sock?db=3", context)
        assert seen.ok, seen
    seen = await seen_at(f"unix://{tmp_path}/gone.sock", context)
    assert (seen.reason, "no such socket" in seen.detail) == (Reason.REFUSED, True)


async def test_tls(tmp_path: Path, make_context: Make, authority: Authority) -> None:
    with redis_server(tmp_path) as server:

        async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while chunk := await reader.read(65536):
                writer.write(chunk)
            writer.close()

        async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            inner, outer = await asyncio.open_connection("127.0.0.1", server.port)
            await asyncio.gather(pipe(reader, outer), pipe(inner, writer), return_exceptions=True)

        front = await asyncio.start_server(relay, "127.0.0.1", 0, ssl=authority.server())
        port = front.sockets[0].getsockname()[1]
        seen = await seen_at(f"rediss://localhost:{port}", make_context(), ca_file=authority.file)
        assert seen.ok, seen
        assert seen.evidence["tls"].startswith("TLSv1")
        assert list(seen.phases) == ["resolve", "connect", "tls", "login", "query"]
        seen = await seen_at(f"rediss://localhost:{port}", make_context())
        assert seen.reason is Reason.TLS_UNTRUSTED
        assert (await seen_at(f"rediss://localhost:{port}", make_context(), verify=False)).ok
        seen = await seen_at(f"rediss://127.0.0.1:{server.port}", make_context(0.4), verify=False)
        assert seen.reason is Reason.TLS_TIMEOUT, "without TLS, Redis waits for the end of a line"
        front.close()
        await front.wait_closed()


@pytest.mark.parametrize(
    ("answer", "end", "reason", "says"),
    [
        ([b"HTTP/1.1 400 Bad Request\r\n\r\n"], "hang", Reason.PROTOCOL, "not Redis's"),
        ([b"SSH-2.0-OpenSSH_9.2\r\n"], "hang", Reason.PROTOCOL, "not Redis's"),
        ([b"*1\r\n" * 3000], "hang", Reason.PROTOCOL, "not Redis's"),
        ([b"$99999999999999\r\nabc"], "hang", Reason.FIRST_BYTE_TIMEOUT, "no answer"),
        ([NAMED, b"+PONG\r\n$nonsense\r\n"], "hang", Reason.PROTOCOL, "not Redis's"),
        ([NAMED, b"+PONG\r\n:1\r\n"], "hang", Reason.PROTOCOL, "INFO"),
        ([NAMED, b"+PONG\r\n$500\r\nhalf"], "hang", Reason.QUERY_TIMEOUT, "not answered"),
        ([NAMED, b"+PONG\r\n$500\r\nhalf"], "close", Reason.EMPTY_REPLY, "closed"),
        ([NAMED, b"+PONG\r\n$90000000\r\n", b"x" * (5 * 2**20)], "hang", Reason.TOO_LARGE, "larger than"),
        ([b"-ERR max number of clients reached\r\n"], "close", Reason.TOO_MANY_CONNECTIONS, "max number of clients"),
        ([b"-LOADING Redis is loading the dataset in memory\r\n"], "hang", Reason.NOT_READY, "loading"),
        ([b"-DENIED Redis is running in protected mode\r\n"], "close", Reason.DENIED, "protected mode"),
        ([NAMED, b"-MASTERDOWN Link with MASTER is down\r\n$0\r\n\r\n"], "hang", Reason.NOT_READY, "MASTER"),
        ([NAMED, b"-BUSY Redis is busy running a script.\r\n$0\r\n\r\n"], "hang", Reason.NOT_SERVING, "script"),
        ([], "hang", Reason.FIRST_BYTE_TIMEOUT, "no answer"),
    ],
)
async def test_servers_that_lie(
    serve: Serve, make_context: Make, answer: list[bytes], end: str, reason: Reason, says: str
) -> None:
    server = await serve(answer, end=end, ask=False)
    seen = await seen_at(f"redis://127.0.0.1:{server.port}", make_context(0.5))
    assert (seen.reason, says in seen.detail) == (reason, True), seen
    if reason.timed_out:
        assert seen.measurements["response_time"] >= 0.5


async def test_a_server_that_hangs_up_at_once(serve: Serve, context: Context) -> None:
    server = await serve([], ask=False)
    seen = await seen_at(f"redis://127.0.0.1:{server.port}", context)
    assert seen.reason in (Reason.EMPTY_REPLY, Reason.RESET), "whichever comes first, our question or its end"


async def test_a_hostile_info_costs_no_more_than_its_figures(serve: Serve, context: Context) -> None:
    lines = ["role:slave", "connected_clients:nan", "maxclients:0", "used_memory:1e999", "db0:keys=x", "maxmemory:-1"]
    lines += ["rdb_last_save_time:inf", "master_host:\x1b[31m", "slave0:=,=,=", "uptime_in_seconds:" + "9" * 400]
    info = "\r\n".join(lines).encode()
    server = await serve([NAMED + b"+PONG\r\n$%d\r\n%s\r\n" % (len(info), info)], end="hang", ask=False)
    seen = await seen_at(f"redis://127.0.0.1:{server.port}", context)
    assert seen.ok, seen
    assert seen.measurements.keys() <= {"response_time", "keys", "persistence_failed"}
    assert "\x1b" not in str(seen.evidence)


async def test_what_a_cluster_says(tmp_path: Path, serve: Serve, context: Context) -> None:
    with redis_server(tmp_path, {"cluster-enabled": "yes"}) as server:
        seen = await seen_at(f"redis://127.0.0.1:{server.port}", context)
        assert seen.reason is Reason.NOT_SERVING
        assert "0 of 16384 slots" in seen.detail
        assert "memory" in seen.measurements, "the figures are told none the less"
    lying = await serve([NAMED, b"-MOVED 3999 10.0.0.7:6381\r\n"], end="hang", ask=False)
    node = RedisServer(Secret(f"redis://127.0.0.1:{lying.port}"))
    watch = Look(2.0)
    with pytest.raises(LookFailed, match=r"another node of the cluster, 10\.0\.0\.7:6381"):
        async with node.session(watch, context) as session:
            await session.ask("GET", "x")
    watch.close()
    node.close()


async def test_a_server_that_loads_its_data(tmp_path: Path, context: Context) -> None:
    with redis_server(tmp_path, {"dbfilename": "d.rdb"}) as server:
        client = server.client()
        for number in range(40):
            client.set(f"k{number}", os.urandom(200_000))
        client.save()
    # It looks at its clients after every 2 MiB that it has loaded.
    slow = {"dbfilename": "d.rdb", "key-load-delay": "40000"}
    with redis_server(tmp_path, slow) as server:
        probe = Redis(Secret(server.url()))
        seen = await look(probe, context)
        assert seen.reason is Reason.NOT_READY, seen
        await asyncio.to_thread(wait_until, lambda: server.client().info()["loading"] == 0, "it has loaded")
        assert (await look(probe, context)).ok
        await probe.close()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("localhost:6379", "redis://, rediss:// (TLS) and unix://"),
        ("redis://", "host cannot be read"),
        ("redis://a,b/0", "host cannot be read"),
        ("redis://h:0", "1 to 65535"),
        ("redis://h:tell-no-one", "host cannot be read"),
        ("redis://h/tell-no-one", "is a number"),
        ("redis://h/0?ssl_cert_reqs=none", "verify: false"),
        ("redis://h\n/0", "the end of a line"),
        ("unix://r.sock", "unix:///run"),
    ],
)
def test_urls_that_cannot_be_used(url: str, says: str) -> None:
    with pytest.raises(BadField) as caught:
        Redis(Secret(url))
    assert caught.value.field == "url"
    assert says in str(caught.value)
    assert "tell-no-one" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown", "username", "password"),
    [
        ("redis://cache", "redis://cache:6379", None, None),
        ("redis://:a/b#c?d%40@cache:6380/2", "redis://cache:6380/2", None, "a/b#c?d@"),
        ("rediss://me:word@[::1]/0?db=4", "rediss://[::1]:6379/4", "me", "word"),
        ("valkey://h?username=me&password=word", "redis://h:6379", "me", "word"),
        ("unix://me:word@/run/r.sock?db=1", "/run/r.sock db 1", "me", "word"),
    ],
)
def test_urls_as_they_are_written(url: str, shown: str, username: str | None, password: str | None) -> None:
    parsed = parse(url)
    assert (parsed.shown, parsed.username) == (shown, username)
    assert (parsed.password.reveal() if parsed.password else None) == password


def test_counters_across_extra_looks_restarts_and_pauses() -> None:
    memory: dict[str, float | str] = {}

    def at(now: float, count: float, *, run: str = "a", scheduled: bool = True) -> Gain | None:
        return gain(memory, {"n": count}, run=run, now=now, scheduled=scheduled)

    assert at(100, 1000) is None, "the first look has nothing to compare with"
    assert at(130, 1030) == Gain(30, {"n": 30})
    assert at(131, 1040, scheduled=False) == Gain(1, {"n": 10})
    assert at(160, 1060) == Gain(30, {"n": 30}), "an extra look takes nothing away"
    assert at(160.1, 1070) is None, "too short to tell: it counts at the next"
    assert at(190, 1090) == Gain(30, {"n": 30})
    assert at(220, 5) == Gain(30, {"n": 5}), "it fell: counting began anew"
    assert at(250, 500, run="b") == Gain(30, {"n": 500}), "another run that has overtaken the old one"
    assert at(9000, 9999, run="b") is None, "hours later that is history"
    assert at(8000, 9999, run="b") is None, "the clock was set back"
    told = at(8030, 9999, run="b")
    assert told is not None
    assert (told.rate("n"), told.rate("other")) == (0, None)
