"""The connections of sinks, on real sockets: kept, closed, broken, cut off, and by TLS."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from monitor.sinks import _http, _lines
from monitor.sinks.contract import SendFailed
from tests.end_to_end.rig import PATIENCE, until
from tests.servers.authority import authority

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
NOW = datetime(2026, 1, 2, tzinfo=UTC)

Handle = Callable[["Other"], Awaitable[None]]


class Other:
    """The other side of one connection, and what it was sent."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def request(self) -> bytes:
        """The next one; nothing when there is none."""
        try:
            head = await self._reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, OSError):
            return b""
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        return head + await self._reader.readexactly(length)

    async def some(self) -> bytes:
        return await self._reader.read(65536)

    async def say(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def gone(self) -> None:
        """Until we have closed it."""
        while await self.some():
            pass

    def reset(self) -> None:
        """End it at once, with an RST."""
        found: socket.socket = self._writer.get_extra_info("socket")
        found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self._writer.transport.abort()


class Server:
    """Handles each connection so, one after another in the order of `handles`; the last of them goes on."""

    def __init__(self, *handles: Handle) -> None:
        self._handles = list(handles)
        self.connections = 0
        self.url = ""

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handle = self._handles[min(self.connections, len(self._handles) - 1)]
        self.connections += 1
        try:
            await handle(Other(reader, writer))
        finally:
            writer.close()

    @asynccontextmanager
    async def open(self, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> AsyncIterator[Server]:
        server = await asyncio.start_server(self._handle, "127.0.0.1", 0, ssl=tls)
        port = server.sockets[0].getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://{host}:{port}/hook?key=1"
        async with server:
            yield self


def saying(*answers: bytes) -> Handle:
    """Each request gets the next of them; then the connection is closed."""

    async def handle(other: Other) -> None:
        for answer in answers:
            if not await other.request():
                return
            await other.say(answer)

    return handle


async def always(other: Other) -> None:
    while await other.request():
        await other.say(OK)


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with _http.new_client() as ours:
        yield ours


async def told(client: httpx.AsyncClient, server: Server, seconds: float = PATIENCE) -> _http.Answer:
    return await _http.ask(client, "POST", server.url, b'{"a": 1}', {"x-key": "K3Y"}, seconds=seconds)


async def test_what_is_sent(client: httpx.AsyncClient) -> None:
    seen: list[bytes] = []

    async def handle(other: Other) -> None:
        seen.append(await other.request())
        await other.say(OK)

    async with Server(handle).open() as server:
        assert await told(client, server) == _http.Answer(200, httpx.Headers({"content-length": "2"}), b"ok")
    head, _, body = seen[0].partition(b"\r\n\r\n")
    lines = head.decode().lower().split("\r\n")
    assert lines[0] == "post /hook?key=1 http/1.1"
    assert body == b'{"a": 1}'
    sent = dict(line.split(": ") for line in lines[1:])
    assert sent["host"] == server.url.split("/")[2]
    assert (sent["content-length"], sent["x-key"], sent["accept-encoding"]) == ("8", "k3y", "identity")


async def test_a_connection_is_kept(client: httpx.AsyncClient) -> None:
    async with Server(always).open() as server:
        for _ in range(3):
            assert (await told(client, server)).status == 200
        assert server.connections == 1
        await asyncio.gather(*(told(client, server) for _ in range(3)))
        assert server.connections == 3


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 500 No\r\n\r\nok",
    ],
    ids=["close", "1.0", "until the end"],
)
async def test_a_connection_that_ends_with_its_answer_is_not_used_again(
    client: httpx.AsyncClient, answer: bytes
) -> None:
    async with Server(saying(answer), saying(answer)).open() as server:
        for _ in range(2):
            assert (await told(client, server)).body == b"ok"
        assert server.connections == 2


async def test_one_that_was_closed_meanwhile_is_not_used(client: httpx.AsyncClient) -> None:
    closed = asyncio.Event()

    async def once(other: Other) -> None:
        await saying(OK)(other)
        closed.set()

    async with Server(once, always).open() as server:
        await told(client, server)
        await closed.wait()
        await until(lambda: not _open_lines(client), "it is closed")
        assert (await told(client, server)).status == 200


async def test_what_nobody_asked_for_is_not_taken_for_an_answer(client: httpx.AsyncClient) -> None:
    """Whoever could put a second answer on a kept connection would answer for what is sent next."""
    said = asyncio.Event()

    async def handle(other: Other) -> None:
        await other.request()
        await other.say(OK)
        await said.wait()
        await other.say(b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n")
        await other.gone()

    async with Server(handle, always).open() as server:
        assert (await told(client, server)).status == 200
        said.set()
        await until(lambda: not all(line.is_quiet for line in _open_lines(client)), "it has come")
        assert (await told(client, server)).status == 200


async def test_a_second_answer_at_once_is_none(client: httpx.AsyncClient) -> None:
    async with Server(saying(OK + OK), always).open() as server:
        assert (await told(client, server)).status == 200
        assert (await told(client, server)).status == 200
        assert server.connections == 2


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, 200, b"ok"),
        (b"HTTP/1.1 202 A\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n", 202, b"ok"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.1 204 Gr\xfc\xdfe\r\nServer: \xe9\xff\r\n\r\n", 204, b""),
        (b"HTTP/1.1 503 No\r\nContent-Length: 9\r\n\r\nok", 503, b"ok"),
        (b"HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nzz\r\n", 503, b""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n" + b"x" * 99999, 200, b"x" * _http.BODY_LIMIT),
    ],
    ids=["interim", "chunks", "no content", "not ASCII", "cut short", "broken chunks", "long"],
)
async def test_the_status_says_it(client: httpx.AsyncClient, answer: bytes, status: int, body: bytes) -> None:
    """A body that is broken changes nothing."""
    async with Server(saying(answer)).open() as server:
        got = await told(client, server)
    assert (got.status, got.body) == (status, body)


async def test_a_body_that_never_comes_is_not_waited_for(client: httpx.AsyncClient) -> None:
    async def handle(other: Other) -> None:
        await other.request()
        await other.say(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
        await other.gone()

    async with Server(handle).open() as server:
        assert (await told(client, server)).body == b""
        assert not _open_lines(client)


# --- trouble ------------------------------------------------------------------------------------------------


async def failure(client: httpx.AsyncClient, server: Server, seconds: float = PATIENCE) -> SendFailed:
    with pytest.raises(SendFailed) as raised:
        await told(client, server, seconds)
    assert not _open_lines(client)
    assert not raised.value.permanent
    return raised.value


@pytest.mark.parametrize(
    "answer",
    [b"", b"HTTP/1.1 200 OK\r\nContent-Le", b"220 mail.example.com ESMTP\r\n\r\n", b"HTTP/1.1 101 Switch\r\n\r\n"],
    ids=["nothing", "half a head", "not HTTP", "another protocol"],
)
async def test_no_answer(client: httpx.AsyncClient, answer: bytes) -> None:
    async with Server(saying(answer)).open() as server:
        error = await failure(client, server)
    assert "ended the connection without an answer, or its answer is no HTTP" in str(error)
    assert error.uncertain


async def test_reset_after_the_request(client: httpx.AsyncClient) -> None:
    async def handle(other: Other) -> None:
        await other.request()
        other.reset()

    async with Server(handle).open() as server:
        error = await failure(client, server)
    assert (str(error), error.uncertain) == ("cannot reach it: Connection reset by peer", True)


async def test_silence(client: httpx.AsyncClient) -> None:
    async with Server(Other.gone).open() as server:
        error = await failure(client, server, 0.05)
    assert (str(error), error.uncertain) == ("no answer within 0.05 s", True)


async def test_a_closed_port(client: httpx.AsyncClient) -> None:
    async with Server(always).open() as server:
        pass
    error = await failure(client, server)
    assert (str(error), error.uncertain) == ("cannot reach it: Connection refused", False)


async def test_a_name_without_an_address(client: httpx.AsyncClient) -> None:
    server = Server(always)
    server.url = "http://nowhere.invalid/"
    assert not (await failure(client, server)).uncertain


async def test_what_is_given_up_is_closed(client: httpx.AsyncClient) -> None:
    gone = asyncio.Event()

    async def handle(other: Other) -> None:
        await other.gone()
        gone.set()

    async with Server(handle).open() as server:
        sending = asyncio.create_task(told(client, server))
        await until(lambda: server.connections > 0, "it connects")
        sending.cancel()
        await asyncio.wait([sending])
        await asyncio.wait_for(gone.wait(), PATIENCE)
    assert not _open_lines(client)


async def test_a_header_that_would_be_two(client: httpx.AsyncClient) -> None:
    async with Server(always).open() as server:
        with pytest.raises(SendFailed, match="the URL or a header cannot be used") as raised:
            await _http.ask(client, "POST", server.url, b"", {"x": "1\r\ny: 2"}, seconds=PATIENCE)
    assert raised.value.permanent


# --- TLS ----------------------------------------------------------------------------------------------------


@pytest.fixture
def trusting(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """The system's authorities are those of a file."""
    _lines._trusted.cache_clear()
    yield lambda file: monkeypatch.setenv("SSL_CERT_FILE", file)
    _lines._trusted.cache_clear()


async def test_by_tls(client: httpx.AsyncClient, tmp_path: Path, trusting: Callable[[str], None]) -> None:
    made = authority(tmp_path)
    trusting(made.file)
    async with Server(always).open(made.server(), "localhost") as server:
        for _ in range(2):
            assert (await told(client, server)).status == 200
        assert server.connections == 1


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("expired", "certificate has expired"),
        ("other", "Hostname mismatch, certificate is not valid for 'localhost'."),
        ("self_signed", "self-signed certificate"),
    ],
)
async def test_a_certificate_that_is_none(
    client: httpx.AsyncClient, tmp_path: Path, trusting: Callable[[str], None], kind: str, says: str
) -> None:
    made = authority(tmp_path)
    trusting(made.file)
    async with Server(always).open(made.server(kind), "localhost") as server:
        error = await failure(client, server)
    assert (str(error), error.uncertain) == (f"cannot reach it: {says}", False)


async def test_it_hangs_up_on_tls(client: httpx.AsyncClient) -> None:
    async def handle(other: Other) -> None:
        await other.some()

    async with Server(handle).open() as server:
        server.url = server.url.replace("http:", "https:")
        error = await failure(client, server)
    assert "it ends them before TLS is set up" in str(error)
    assert not error.uncertain


# --- how long -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [_lines.IDLE_SECONDS, _lines.LONGEST_KEPT])
async def test_a_connection_is_not_kept_for_ever(client: httpx.AsyncClient, after: float) -> None:
    async with Server(always).open() as server:
        await told(client, server)
        (line,) = _open_lines(client)
        if after == _lines.IDLE_SECONDS:
            line.idle_since -= after + 1
        else:
            line.made -= after + 1
        await told(client, server)
        assert server.connections == 2
        assert len(_open_lines(client)) == 1


async def test_closing_the_client_closes_all() -> None:
    async with Server(always).open() as server:
        async with _http.new_client() as client:
            await asyncio.gather(*(told(client, server) for _ in range(_lines.MOST_IDLE + 5)))
            assert len(_open_lines(client)) == _lines.MOST_IDLE
        await until(lambda: not _open_lines(client), "it is closed")
    gc.collect()  # a socket that was forgotten is told of as a warning, which fails the test


def _open_lines(client: httpx.AsyncClient) -> set[_lines._Line]:
    """Those that are not closed or closing."""
    transport = client._transport
    assert isinstance(transport, _lines.Lines)
    return {line for line in transport._open if not line._transport.is_closing()}
