"""The probe `mysql` against wrong passwords, TLS, servers that lie and that ask for what nobody should give."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest

from probes._mysql.shape import mysql_shape
from probes.contract import BadField, Context, Observation, Reason, Secret
from probes.mysql import Mysql
from tests.probes.conftest import Authority, Serve
from tests.probes.judged import look
from tests.servers.mariadb import MariaDb, mariadb

Make = Callable[..., Context]


def packet(number: int, body: bytes) -> bytes:
    return struct.pack("<I", len(body))[:3] + bytes([number]) + body


def greeting(plugin: bytes = b"mysql_native_password", *, capabilities: int = 0x000FF7FF) -> bytes:
    """Of protocol 10, as MySQL 8 sends it; without TLS unless bit 11 is set."""
    low, high = capabilities & 0xFFFF, capabilities >> 16
    body = b"\x0a8.0.36\0" + struct.pack("<I", 7) + b"12345678\0" + struct.pack("<H", low)
    body += b"\xff" + struct.pack("<H", 2) + struct.pack("<H", high) + bytes([21]) + b"\0" * 10 + b"123456789012\0"
    return packet(0, body + plugin + b"\0")


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[MariaDb]:
    folder = authority.folder
    settings = {"ssl-cert": str(folder / "good.pem"), "ssl-key": str(folder / "good.key"), "ssl-ca": authority.file}
    with mariadb(tmp_path_factory.mktemp("mariadb"), settings) as server:
        server.execute("CREATE USER brownout IDENTIFIED BY 'gehäimł#1'", "CREATE USER tls REQUIRE SSL")
        yield server


async def seen_at(dsn: str, context: Context) -> Observation:
    probe = Mysql(Secret(dsn))
    try:
        return await look(probe, context)
    finally:
        await probe.close()


async def test_passwords_and_databases(secured: MariaDb, make_context: Make) -> None:
    where = f"127.0.0.1:{secured.port}"
    probe = Mysql(Secret(f"mysql://brownout:gehäimł#1@{where}"))
    assert (await look(probe, make_context())).ok
    assert "geh" not in repr(probe) + probe.target
    assert probe.target == where
    await probe.close()
    seen = await seen_at(f"mysql://brownout:wrong-word@{where}", make_context())
    assert seen.reason is Reason.DENIED
    assert "wrong-word" not in str(seen)
    assert (await seen_at(f"mysql://root@{where}/nowhere", make_context())).reason is Reason.MISSING
    seen = await seen_at(f"mysql://root@localhost/?socket={secured.socket}", make_context())
    assert seen.ok, seen
    assert seen.phases.keys() == {"connect", "greeting", "login", "query"}


async def test_tls_as_it_is_asked_for(secured: MariaDb, make_context: Make, authority: Authority) -> None:
    here, name = f"mysql://root@127.0.0.1:{secured.port}/", f"mysql://root@localhost:{secured.port}/"
    for dsn in (here, here + "?ssl-mode=REQUIRED", f"{name}?ssl-ca={authority.file}"):
        seen = await seen_at(dsn, make_context())
        assert seen.ok, (dsn, seen)
        assert seen.evidence["tls"].startswith("TLSv1")
    seen = await seen_at(here + "?ssl-mode=DISABLED", make_context())
    assert (seen.ok, "tls" in seen.evidence) == (True, False)
    assert (await seen_at(name + "?ssl-mode=VERIFY_IDENTITY", make_context())).reason is Reason.TLS_UNTRUSTED
    seen = await seen_at(f"mysql://tls@127.0.0.1:{secured.port}/?ssl-mode=DISABLED", make_context())
    assert seen.reason is Reason.DENIED


@pytest.mark.parametrize(
    ("answer", "end", "reason", "says"),
    [
        ([b"HTTP/1.1 400 Bad Request\r\n\r\n"], "hang", Reason.PROTOCOL, "not MySQL"),
        ([b"SSH-2.0-OpenSSH_9.2\r\n"], "hang", Reason.PROTOCOL, "not MySQL"),
        ([packet(0, b"\xff\x10\x04Too many connections")], "close", Reason.TOO_MANY_CONNECTIONS, "1040"),
        ([packet(0, b"\xff\x69\x04Host is blocked")], "close", Reason.DENIED, "flush-hosts"),
        ([packet(0, b"\xff\x1d\x04Server shutdown in progress")], "close", Reason.NOT_READY, "1053"),
        ([packet(0, b"\x0a8.0\0")], "hang", Reason.PROTOCOL, "not MySQL"),
        ([greeting()[:30]], "hang", Reason.FIRST_BYTE_TIMEOUT, "no answer"),
        ([greeting()[:30]], "close", Reason.EMPTY_REPLY, "during the login"),
        ([greeting(), packet(2, b"\xff\x15\x04Access denied")], "hang", Reason.DENIED, "1045"),
        ([greeting(), packet(9, b"\0\0\0\2\0\0\0")], "hang", Reason.PROTOCOL, "2014|sequence"),
        ([b"\xff\xff\xff\x00" + b"x" * 5_000_000], "hang", Reason.TOO_LARGE, "larger than"),
        ([], "hang", Reason.FIRST_BYTE_TIMEOUT, "no answer"),
    ],
)
async def test_servers_that_lie(
    serve: Serve, make_context: Make, answer: list[bytes], end: str, reason: Reason, says: str
) -> None:
    server = await serve(answer, end=end, ask=False)
    seen = await seen_at(f"mysql://u:tell-no-one@127.0.0.1:{server.port}/d", make_context(0.5))
    assert (seen.reason, any(part in seen.detail for part in says.split("|"))) == (reason, True), seen
    assert "tell-no-one" not in str(seen)
    if reason.timed_out:
        assert seen.measurements["query_time"] >= 0.5


@asynccontextmanager
async def thief(*talk: bytes) -> AsyncIterator[tuple[int, bytearray]]:
    """A server without TLS that says its piece, and keeps all that it is told."""
    heard = bytearray()
    gone = asyncio.Event()

    async def steal(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for words in talk:
            writer.write(words)
            heard.extend(await reader.read(4096))
        while chunk := await reader.read(4096):
            heard.extend(chunk)
        writer.close()
        gone.set()

    server = await asyncio.start_server(steal, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1], heard
    await asyncio.wait_for(gone.wait(), 5)
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize(
    "talk",
    [
        (greeting(b"mysql_clear_password"), packet(2, b"\xfemysql_clear_password\0")),
        (greeting(), packet(2, b"\xfemysql_clear_password\0")),
        (greeting(), packet(2, b"\xfemysql_old_password\x0012345678\0")),
        (greeting(b"caching_sha2_password"), packet(2, b"\x01\x04")),
        (greeting(b"sha256_password"), packet(2, b"\xfesha256_password\x0012345678901234567890\0")),
    ],
)
async def test_a_password_is_never_given_away(make_context: Make, talk: tuple[bytes, ...]) -> None:
    async with thief(*talk) as (port, heard):
        seen = await seen_at(f"mysql://u:tell-no-one@127.0.0.1:{port}/d", make_context(2.0))
    assert seen.reason is Reason.DENIED, seen
    assert "over TLS only" in seen.detail
    assert b"tell-no-one" not in heard
    assert not heard.endswith((b"\x01\x00\x00\x03\x02", b"\x01")), "nor is a key asked for to send it with"


async def test_tls_that_is_taken_away_is_noticed(make_context: Make) -> None:
    async with thief(greeting()) as (port, heard):
        seen = await seen_at(f"mysql://u:tell-no-one@127.0.0.1:{port}/d?ssl-mode=REQUIRED", make_context(2.0))
    assert (seen.reason, seen.detail) == (Reason.TLS_PROTOCOL, "the server does not offer TLS")
    assert heard == b""


async def test_a_file_of_ours_is_never_sent(make_context: Make) -> None:
    """LOAD DATA LOCAL: a server may answer any question by asking for a file."""
    ok = packet(2, b"\0\0\0\2\0\0\0")
    async with thief(greeting(), ok, packet(1, b"\xfb/etc/hostname")) as (port, heard):
        seen = await seen_at(f"mysql://u:tell-no-one@127.0.0.1:{port}/d", make_context(2.0))
    assert seen.reason is Reason.PROTOCOL, seen
    assert b"SET SESSION TRANSACTION READ ONLY" in heard
    assert heard.endswith(b"READ ONLY")


@pytest.mark.parametrize(
    ("sql", "shown"),
    [
        ("UPDATE t SET a = \"Ada\" WHERE b = 'it\\'s' # geheim", "UPDATE t SET a = ? WHERE b = ?"),
        ("SELECT `order`.`id` FROM `order` WHERE id IN (1, 2, 3)", "SELECT order.id FROM order WHERE id IN (?, …)"),
        ("SELECT 'cut off in the mid", "SELECT ?"),
        ('SELECT "cut off in the mid', "SELECT ?"),
        ("SELECT 1 /* geheim", "SELECT ?"),
        ("SELECT 'a' '--' \"x'y\" , 2 -- geheim", "SELECT ? ? ? , ?"),
    ],
)
def test_shapes_hold_no_values(sql: str, shown: str) -> None:
    assert mysql_shape(sql) == shown


@pytest.mark.parametrize(
    ("dsn", "says"),
    [
        ("db.example.com/shop", "mysql://"),
        ("mysql://u:tell-no-one@/d", "host cannot be read"),
        ("mysql://u:tell-no-one@h:0/d", "1 to 65535"),
        ("mysql://u:tell-no-one@a,b/d", "host cannot be read"),
        ("mysql://u@h/d?ssl-mode=VERIFY_CA", "ssl-mode is one of"),
        ("mysql://u@h/d?socket=m.sock", "no absolute path"),
    ],
)
def test_dsns_that_cannot_be_used(dsn: str, says: str) -> None:
    with pytest.raises(BadField) as caught:
        Mysql(Secret(dsn))
    assert caught.value.field == "dsn"
    assert says in str(caught.value)
    assert "tell-no-one" not in str(caught.value)
