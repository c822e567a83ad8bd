"""The connections of sinks, on real sockets: kept, closed, broken and cut off."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator

import httpx
import pytest

from monitor.sinks import _http, _lines
from monitor.sinks.contract import SendFailed
from tests.end_to_end.rig import PATIENCE, until
from tests.sinks.other_side import OK, Other, Server, always, failure, open_lines, saying, told


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with _http.new_client() as ours:
        yield ours


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
        await until(lambda: not open_lines(client), "it is closed")
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
        await until(lambda: not all(line.is_quiet for line in open_lines(client)), "it has come")
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
        assert not open_lines(client)


# --- trouble ------------------------------------------------------------------------------------------------


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
    assert not open_lines(client)


async def test_a_header_that_would_be_two(client: httpx.AsyncClient) -> None:
    async with Server(always).open() as server:
        with pytest.raises(SendFailed, match="the URL or a header cannot be used") as raised:
            await _http.ask(client, "POST", server.url, b"", {"x": "1\r\ny: 2"}, seconds=PATIENCE)
    assert raised.value.permanent


# --- how long -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [_lines.IDLE_SECONDS, _lines.LONGEST_KEPT])
async def test_a_connection_is_not_kept_for_ever(client: httpx.AsyncClient, after: float) -> None:
    async with Server(always).open() as server:
        await told(client, server)
        (line,) = open_lines(client)
        if after == _lines.IDLE_SECONDS:
            line.idle_since -= after + 1
        else:
            line.made -= after + 1
        await told(client, server)
        assert server.connections == 2
        assert len(open_lines(client)) == 1


async def test_closing_the_client_closes_all() -> None:
    async with Server(always).open() as server:
        async with _http.new_client() as client:
            await asyncio.gather(*(told(client, server) for _ in range(_lines.MOST_IDLE + 5)))
            assert len(open_lines(client)) == _lines.MOST_IDLE
        await until(lambda: not open_lines(client), "it is closed")
    gc.collect()  # a socket that was forgotten is told of as a warning, which fails the test
