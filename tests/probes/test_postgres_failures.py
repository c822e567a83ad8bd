"""The postgres probe with servers that are gone, full, silent, or none at all: each ends in time, with its reason."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from probes._look import Look
from probes.contract import Context, LookFailed, Observation, Reason, Secret
from probes.postgres import Postgres as Probe
from tests.probes.conftest import Authority, Serve
from tests.probes.judged import look
from tests.servers import wait_until
from tests.servers.postgres import Postgres, postgres

Contexts = Callable[..., Context]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with postgres(tmp_path_factory.mktemp("postgres"), settings={"max_connections": "12"}) as server:
        server.role("monitor", granted="pg_monitor")
        server.role("worded", password="right-word-9", granted="pg_monitor")
        yield server


async def once(dsn: str, context: Context) -> Observation:
    probe = Probe(dsn=Secret(dsn))
    began = time.monotonic()
    seen = await look(probe, context)
    assert time.monotonic() - began < context.timeout + 0.6, "in time"
    await probe.close()
    await asyncio.sleep(0.01)
    assert len(asyncio.all_tasks()) == 1, "no task is left behind"
    return seen


@contextmanager
def stopped(*pids: int) -> Iterator[None]:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


async def test_nobody_listens(closed_port: int, context: Context) -> None:
    seen = await once(f"postgresql://u@127.0.0.1:{closed_port}/d", context)
    assert seen.reason is Reason.REFUSED


async def test_a_name_that_is_none(context: Context) -> None:
    seen = await once("postgresql://u@nowhere.invalid/d", context)
    assert seen.reason in (Reason.DNS_NXDOMAIN, Reason.DNS_SERVFAIL)


async def test_a_socket_file(tmp_path: Path, context: Context) -> None:
    assert (await once(f"postgresql://u@/d?host={tmp_path}", context)).reason is Reason.REFUSED
    short = Path("/tmp") / f"pg{os.getpid()}"  # a socket's path has some hundred characters at most
    short.mkdir()
    try:
        with postgres(tmp_path, settings={"unix_socket_directories": str(short)}) as server:
            seen = await once(f"postgresql://postgres@/postgres?host={short}&port={server.port}", context)
            assert seen.ok, seen
    finally:
        shutil.rmtree(short)


@pytest.mark.parametrize("mode", ["disable", "prefer"])
async def test_another_protocol(serve: Serve, context: Context, mode: str) -> None:
    server = await serve([b"HTTP/1.1 400 Bad Request\r\nServer: nginx\r\n\r\n"], end="hang", ask=False)
    seen = await once(f"postgresql://u@127.0.0.1:{server.port}/d?sslmode={mode}", context)
    assert seen.reason is Reason.PROTOCOL, seen
    assert seen.detail.endswith("what answers is not PostgreSQL")
    assert "nginx" in seen.evidence["answer"]


@pytest.mark.parametrize("mode", ["disable", "prefer"])
async def test_a_server_that_hangs_up(serve: Serve, context: Context, mode: str) -> None:
    server = await serve([], ask=False)
    seen = await once(f"postgresql://u@127.0.0.1:{server.port}/d?sslmode={mode}", context)
    assert seen.reason in (Reason.EMPTY_REPLY, Reason.RESET), seen


@pytest.mark.parametrize("mode", ["disable", "prefer"])
async def test_a_server_that_accepts_and_is_silent(serve: Serve, make_context: Contexts, mode: str) -> None:
    server = await serve([], end="hang", ask=False)
    seen = await once(f"postgresql://u@127.0.0.1:{server.port}/d?sslmode={mode}", make_context(0.5))
    assert seen.reason is Reason.FIRST_BYTE_TIMEOUT
    assert seen.measurements["query_time"] >= 0.5, "a look that timed out took at least its timeout"


LOGIN = struct.pack("!cII", b"R", 8, 0) + b"K" + struct.pack("!III", 12, 1, 1)
READY = struct.pack("!cI", b"Z", 5) + b"I"
LOGIN += b"S" + struct.pack("!I", 24) + b"server_version\x0016.0\0"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (READY, Reason.FIRST_BYTE_TIMEOUT),
        (LOGIN[:5], Reason.FIRST_BYTE_TIMEOUT),
        (LOGIN + READY + b"\xff" * 50, Reason.PROTOCOL),
        (LOGIN + READY + b"D" + struct.pack("!I", 2**31 - 1) + b"x" * 6_000_000, Reason.TOO_LARGE),
        (b"E" + struct.pack("!I", 2**30), Reason.FIRST_BYTE_TIMEOUT),
        (b"R" + os.urandom(4096), None),
    ],
)
async def test_a_server_that_lies(serve: Serve, make_context: Contexts, answer: bytes, reason: Reason | None) -> None:
    server = await serve([answer], end="hang", ask=False)
    seen = await once(f"postgresql://u@127.0.0.1:{server.port}/d?sslmode=disable", make_context(0.7))
    assert not seen.ok
    if reason is not None:
        assert seen.reason in (reason, Reason.PROTOCOL, Reason.QUERY_TIMEOUT), seen


class Liar:
    """A session whose rows have other columns than were asked for."""

    connect_time = None
    version = 160_004

    def __init__(self, row: object) -> None:
        self._row = row

    async def ping(self) -> float:
        return 0.001

    async def rows(self, _sql: str, *, keep: bool) -> list[Any]:
        assert keep
        return [self._row]


@pytest.mark.parametrize("row", [{}, {"sees": True, "connections": "many"}, [1], None])
async def test_rows_of_something_else(row: object, context: Context) -> None:
    probe, watch = Probe(dsn=Secret("postgresql://u@h/d")), Look(1.0)
    liar: Any = Liar(row)
    with pytest.raises(LookFailed, match="other columns"):
        await probe._figures(watch, liar, context, {})
    watch.close()


async def test_wrong_password(server: Postgres, context: Context) -> None:
    seen = await once(server.dsn(user="worded", password="hunter2-wrong"), context)
    assert seen.reason is Reason.DENIED, "cannot tell: it says nothing about the server"
    assert "hunter2" not in repr(seen)
    assert (await once(server.dsn(user="worded"), context)).reason is Reason.DENIED
    assert (await once(server.dsn(user="worded", password="right-word-9"), context)).ok


async def test_no_such_role_and_no_such_database(server: Postgres, context: Context) -> None:
    assert (await once(server.dsn(user="nobody_knows"), context)).reason is Reason.DENIED
    seen = await once(server.dsn(database="gone", user="monitor"), context)
    assert seen.reason is Reason.MISSING
    assert "gone" in seen.detail


async def test_no_connection_left(server: Postgres, context: Context) -> None:
    with ExitStack() as stack:
        with suppress(psycopg.OperationalError):
            while True:
                stack.enter_context(server.connect(user="monitor"))
        seen = await once(server.dsn(user="monitor"), context)
        assert seen.reason is Reason.TOO_MANY_CONNECTIONS, seen
    ours = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'monitor'"
    wait_until(lambda: server.execute(ours) == [(0,)], "the connections are still there")
    assert (await once(server.dsn(user="monitor"), context)).ok


async def test_a_postmaster_that_stands_still(server: Postgres, make_context: Contexts) -> None:
    with stopped(server.process.pid):
        seen = await once(server.dsn(user="monitor"), make_context(0.6))
    assert seen.reason is Reason.FIRST_BYTE_TIMEOUT, seen
    assert "login" in seen.phases or "send" in seen.phases


async def test_a_backend_that_stands_still(server: Postgres, make_context: Contexts) -> None:
    probe = Probe(dsn=Secret(server.dsn(user="monitor")))
    context = make_context(0.8)
    assert (await look(probe, context)).ok
    ours = server.execute("SELECT pid FROM pg_stat_activity WHERE application_name = 'brownout'")
    with stopped(*(row[0] for row in ours)):
        began = time.monotonic()
        seen = await look(probe, context)
        assert time.monotonic() - began < 1.3
        assert seen.reason is Reason.QUERY_TIMEOUT, seen
        again = await look(probe, context)
        assert again.ok, "the hung connection was dropped, a new one opened"
    await probe.close()


async def test_a_catalogue_that_is_locked(server: Postgres, make_context: Contexts) -> None:
    probe = Probe(dsn=Secret(server.dsn(user="monitor")))
    context = make_context(1.0)
    assert (await look(probe, context)).ok
    with server.connect() as other:
        other.execute("BEGIN")
        other.execute("LOCK TABLE pg_catalog.pg_database IN ACCESS EXCLUSIVE MODE")
        seen = await look(probe, context)
        other.execute("ROLLBACK")
    assert seen.reason is Reason.QUERY_TIMEOUT, seen
    assert "55P03" in seen.detail, "the server itself ended it"
    assert (await look(probe, context)).ok
    await probe.close()


async def test_killed_in_the_middle(server: Postgres, make_context: Contexts) -> None:
    probe = Probe(dsn=Secret(server.dsn(user="monitor")))
    context = make_context(4.0)
    assert (await look(probe, context)).ok

    ours = "FROM pg_stat_get_activity(NULL) WHERE application_name = 'brownout'"
    with server.connect() as other:
        other.execute("BEGIN")
        other.execute("LOCK TABLE pg_catalog.pg_database IN ACCESS EXCLUSIVE MODE")

        def kill() -> None:
            waiting = f"SELECT pg_terminate_backend(pid) {ours} AND wait_event_type = 'Lock'"
            wait_until(lambda: other.execute(waiting).fetchall(), "it does not wait", 3)

        seen, _ = await asyncio.gather(look(probe, context), asyncio.to_thread(kill))
        other.execute("ROLLBACK")
    assert seen.reason is Reason.RESET, seen
    assert (await look(probe, context)).ok
    await probe.close()


async def test_a_server_that_starts_stops_and_is_back(tmp_path: Path, context: Context) -> None:
    with postgres(tmp_path) as server:
        probe = Probe(dsn=Secret(server.dsn()))
        assert (await look(probe, context)).ok
        with server.connect():  # a smart shutdown waits for it, and takes nobody new
            server.process.send_signal(signal.SIGTERM)
            fresh = Probe(dsn=Secret(server.dsn()))
            reasons = set()
            end = time.monotonic() + 5
            while Reason.NOT_READY not in reasons and time.monotonic() < end:
                reasons.add((await look(fresh, context)).reason)
                await fresh.close()
                fresh = Probe(dsn=Secret(server.dsn()))
            assert Reason.NOT_READY in reasons, reasons
        await probe.close()
        server.process.wait(10)
        assert (await look(probe, context)).reason in (Reason.REFUSED, Reason.RESET)
        data, port = server.data, server.port
    with postgres(tmp_path, data=data, port=port):
        assert (await look(probe, context)).ok
    await probe.close()


async def test_tls(authority: Authority, tmp_path: Path, context: Context) -> None:
    for name in ("good.pem", "good.key"):
        shutil.copy(authority.folder / name, tmp_path / name)
        (tmp_path / name).chmod(0o600)
    with postgres(tmp_path, version="15", settings={
        "ssl": "on", "ssl_cert_file": str(tmp_path / "good.pem"), "ssl_key_file": str(tmp_path / "good.key")
    }) as server:  # fmt: skip
        there = f"127.0.0.1:{server.port}/postgres"
        ca = f"&sslrootcert={authority.file}"
        for ask in ("", "?sslmode=require", f"?sslmode=verify-full{ca}", f"?sslmode=verify-ca{ca}"):
            seen = await once(f"postgresql://postgres@{there}{ask}", context)
            assert seen.ok, (ask, seen)
            assert seen.evidence["tls"].startswith("TLSv1."), ask
            assert seen.phases["tls"] > 0
        plain = await once(f"postgresql://postgres@{there}?sslmode=disable", context)
        assert "tls" not in plain.evidence
        seen = await once(f"postgresql://postgres@{there}?sslmode=verify-full", context)
        assert seen.reason is Reason.TLS_UNTRUSTED, seen
        server.let_in("hostnossl all all 127.0.0.1/32 reject")
        seen = await once(f"postgresql://postgres@{there}?sslmode=disable", context)
        assert seen.reason is Reason.DENIED, seen


async def test_tls_that_the_server_does_not_speak(server: Postgres, context: Context) -> None:
    seen = await once(f"{server.dsn(user='monitor')}?sslmode=require", context)
    assert seen.reason is Reason.TLS_PROTOCOL
    assert "sslmode=require" in seen.detail


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ([b"S"], Reason.TLS_TIMEOUT),
        ([b"S", b"HTTP/1.1 400 Bad Request\r\n\r\n"], Reason.TLS_PROTOCOL),
        ([b"SR\0\0\0\x08\0\0\0\0"], Reason.PROTOCOL),  # more than was asked for: CVE-2021-23222
        ([b"E\0\0\0\x10SFATAL\0C53300\0\0"], Reason.NOT_SERVING),
        ([b"N"], Reason.FIRST_BYTE_TIMEOUT),
    ],
)
async def test_what_is_answered_when_asked_for_tls(
    serve: Serve, make_context: Contexts, answer: list[bytes], reason: Reason
) -> None:
    server = await serve(answer, end="hang", ask=False)
    seen = await once(f"postgresql://u@127.0.0.1:{server.port}/d", make_context(0.6))
    assert seen.reason in {reason, Reason.TLS_PROTOCOL if answer[1:] else reason, Reason.PROTOCOL}, seen
    if not answer[1:]:
        assert seen.reason is reason, seen


async def test_looks_that_fail_leave_no_descriptor(server: Postgres, serve: Serve, make_context: Contexts) -> None:
    silent = await serve([], end="hang", ask=False)
    shaking = await serve([b"S"], end="hang", ask=False)
    context = make_context(0.3)
    dsns = [
        f"postgresql://u@127.0.0.1:{silent.port}/d?sslmode=disable",
        f"postgresql://u@127.0.0.1:{silent.port}/d",
        f"postgresql://u@127.0.0.1:{shaking.port}/d",
        server.dsn(user="worded", password="wrong"),
        server.dsn(database="gone"),
        server.dsn(user="monitor"),
    ]
    probes = [Probe(dsn=Secret(dsn)) for dsn in dsns]
    await asyncio.gather(*(probe.look(context) for probe in probes))  # whatever is made once is made now
    for probe in probes:
        await probe.close()
    await asyncio.sleep(0.1)
    before = _ours()
    for _ in range(3):
        probes = [Probe(dsn=Secret(dsn)) for dsn in dsns]
        await asyncio.gather(*(probe.look(context) for probe in probes))
        for probe in probes:
            await probe.close()
    await asyncio.sleep(0.1)
    assert _ours() <= before


def _ours() -> int:
    """Sockets of this process that are connected to somebody, but for those of the test's own servers."""
    return sum(1 for each in psutil.Process().net_connections("tcp") if each.raddr and each.status != "CLOSE_WAIT")
