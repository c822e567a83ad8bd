"""The http probe against real sockets: what it reports for every kind of answer and every way of having none."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import select
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest

from probes._http.expect import Expect
from probes._look import Look
from probes._wire.dial import dial
from probes.contract import Address, ByteSize, Context, Reason, Secret
from probes.http import Http
from tests.probes.answers import answer
from tests.probes.judged import PATIENCE, look

pytestmark = pytest.mark.both_loops


async def test_a_good_answer(serve: Any, context: Context) -> None:
    server = await serve([answer(200, b"hello", "Server: tiny")])
    seen = await look(Http(url=server.url("/a?b=c")), context)
    assert seen.ok, seen
    assert list(seen.phases) == ["resolve", "connect", "send", "first_byte", "transfer"]
    figures = seen.measurements
    assert figures["body_size"] == 5
    assert figures["response_time"] == pytest.approx(sum(seen.phases.values()) - seen.phases["resolve"])
    assert seen.evidence["status"] == "200"
    assert seen.evidence["server"] == "tiny"
    assert seen.evidence["address"] == f"127.0.0.1:{server.port}"
    assert "excerpt" not in seen.evidence
    head = server.requests[0].decode()
    assert head.startswith("GET /a?b=c HTTP/1.1\r\n")
    assert f"Host: 127.0.0.1:{server.port}\r\n" in head
    assert "User-Agent: brownout/0.1" in head


@pytest.mark.parametrize(
    ("script", "end", "reason"),
    [
        ([], "close", Reason.EMPTY_REPLY),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"], "close", Reason.TRUNCATED),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"], "close", Reason.TRUNCATED),
        ([b"HTTP/1.1 200 OK\r\nContent-Le"], "close", Reason.TRUNCATED),
        ([b"SSH-2.0-OpenSSH_9.2\r\n"], "close", Reason.PROTOCOL),
        ([b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"], "hang", Reason.PROTOCOL),
        ([b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 300 + b"\r\n"], "hang", Reason.TOO_LARGE),
        ([b"HTTP/1.1 200 OK\r\nX: " + b"y" * 1_000_000], "hang", Reason.TOO_LARGE),
        ([answer(200) + b"more"], "close", Reason.PROTOCOL),
        ([answer(200) + answer(200)], "close", Reason.PROTOCOL),
        ([answer(200, b"x", "Content-Encoding: gzip")], "close", Reason.ENCODING),
        ([answer(999)], "close", Reason.STATUS),
        ([b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 5000], "hang", Reason.TOO_LARGE),
        ([], "reset", Reason.RESET),
        ([], "hang", Reason.FIRST_BYTE_TIMEOUT),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"], "hang", Reason.TRANSFER_TIMEOUT),
        ([answer(503)], "close", Reason.STATUS),
        ([answer(429)], "close", Reason.BLOCKED),
        ([answer(403, b"", "cf-mitigated: challenge")], "close", Reason.BLOCKED),
    ],
)
async def test_reasons(
    serve: Any, make_context: Callable[..., Context], script: list[bytes], end: str, reason: Reason
) -> None:
    server = await serve(script, end=end)
    timeout = 0.3 if "timeout" in reason.value else 5.0
    seen = await look(Http(url=server.url(), max_bytes=4096), make_context(timeout))
    assert seen.reason is reason, seen
    if "timeout" in reason.value:
        assert seen.measurements["response_time"] >= timeout


async def test_a_body_that_ends_with_the_connection(serve: Any, context: Context) -> None:
    server = await serve([b"HTTP/1.1 200 OK\r\n\r\n", b"all of it"])
    seen = await look(Http(url=server.url(), expect=Expect(body="all of it$")), context)
    assert seen.ok, seen


async def test_head_has_no_body(serve: Any, context: Context) -> None:
    server = await serve([b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"], end="hang")
    seen = await look(Http(url=server.url(), method="HEAD"), context)
    assert seen.ok, seen


async def test_refused(closed_port: int, context: Context) -> None:
    seen = await look(Http(url=f"http://127.0.0.1:{closed_port}/"), context)
    assert seen.reason is Reason.REFUSED
    assert "response_time" not in seen.measurements


async def test_expected_status_is_never_blocked_or_followed(serve: Any, context: Context) -> None:
    server = await serve([answer(429)], [answer(302, b"", "Location: /x")])
    assert (await look(Http(url=server.url(), expect=Expect(status=("429",))), context)).ok
    assert (await look(Http(url=server.url(), expect=Expect(status=("3xx",))), context)).ok
    assert len(server.requests) == 2


JSON = json.dumps({"queue": 5, "status": "pass", "items": [{"name": "x"}], "ok": True}).encode()


@pytest.mark.parametrize(
    ("expect", "reason"),
    [
        (Expect(body="h.llo"), None),
        (Expect(body="missing"), Reason.BODY),
        (Expect(body_absent="h.llo"), Reason.BODY),
        (Expect(body_absent="error"), None),
        (Expect(headers={"x-one": "^a$"}), None),
        (Expect(headers={"X-One": "^b$"}), Reason.HEADER),
        (Expect(headers={"X-Two": "."}), Reason.HEADER),
        (Expect(json=("$.queue < 1",)), Reason.BODY),
    ],
)
async def test_expectations(serve: Any, context: Context, expect: Expect, reason: Reason | None) -> None:
    server = await serve([answer(200, b"oh hello \xff", "X-One: a")])
    seen = await look(Http(url=server.url(), expect=expect), context)
    assert seen.reason is reason, seen
    if reason is not None:
        assert seen.evidence["excerpt"].startswith("oh hello")
    if expect.headers.get("X-One"):
        assert seen.detail == "'^b$' was not found in header x-one: it is a"


async def test_json(serve: Any, context: Context) -> None:
    server = await serve([answer(200, JSON)])
    good = Expect(json=("$.queue < 100", "$.status = pass", '$.items[0].name != "y"', "$.ok"))
    assert (await look(Http(url=server.url(), expect=good), context)).ok
    seen = await look(Http(url=server.url(), expect=Expect(json=("$.queue > 100",))), context)
    assert (seen.reason, seen.detail) == (Reason.BODY, "$.queue > 100: found 5")


async def test_large_json(serve: Any, context: Context) -> None:
    page = b'{"list": [' + b'{"a": [1, 2]}, ' * 100_000 + b'7], "status": "pass"}'
    server = await serve(*[[answer(200, page)]] * PATIENCE)
    good = Expect(json=("$.list[-1] = 7", "$.status = pass", "$.list"))
    assert (await look(Http(url=server.url(), expect=good), context)).ok
    seen = await look(Http(url=server.url(), expect=Expect(json=("$.list > 1",))), context)
    assert seen.detail.startswith('$.list > 1: found [{"a": [1, 2]}, {"a"')
    seen = await look(Http(url=server.url(), expect=Expect(json=("$.list[7].b",))), context)
    assert (seen.reason, seen.detail) == (Reason.BODY, "$.list[7].b: nothing is there")


async def test_large_json_that_is_none_or_too_intricate(serve: Any, context: Context) -> None:
    server = await serve([answer(200, b"[" + b"1," * 20_000 + b"]")], [answer(200, b"[" * 20_000)])
    for reason in (Reason.BODY, Reason.TOO_LARGE):
        seen = await look(Http(url=server.url(), expect=Expect(json=("$[0] = 1",))), context)
        assert seen.reason is reason, seen


async def test_reading_json_ends_with_the_time_limit_and_is_not_held_against_the_target(
    serve: Any, make_context: Callable[..., Context]
) -> None:
    page = b"[" + (b"[" * 400 + b"]" * 400 + b",") * 1200 + b"1]"
    server = await serve([answer(200, page)])
    began = perf_counter()
    seen = await Http(url=server.url(), expect=Expect(json=("$[-1] = 1",))).look(make_context(0.15))
    assert seen.reason is Reason.LATE, seen
    assert perf_counter() - began < 1.0  # a turn after the limit; it would take seconds


async def test_size_and_version(serve: Any, context: Context) -> None:
    old = b"HTTP/1.0 200 OK\r\n\r\nhello"
    server = await serve([answer(200, b"x" * 2000)], [answer(200, b"x" * 2000)], [answer()], [old], [old])
    seen = await look(Http(url=server.url(), expect=Expect(size=("> 1kB", "<= 2kB"), version="1.1")), context)
    assert seen.ok, seen
    seen = await look(Http(url=server.url(), expect=Expect(size=("< 1KiB",))), context)
    assert (seen.reason, seen.detail) == (Reason.BODY, "size < 1KiB: the body has 2000 bytes")
    seen = await look(Http(url=server.url(), expect=Expect(version="1.0")), context)
    assert (seen.reason, seen.detail) == (Reason.VERSION, "it answers in HTTP/1.1, not in HTTP/1.0")
    assert (await look(Http(url=server.url(), expect=Expect(version="1.0")), context)).ok
    assert (await look(Http(url=server.url(), expect=Expect(version="1.1")), context)).reason is Reason.VERSION


async def test_what_has_come_behind_an_answer(context: Context) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        look = Look(5)
        connection = await dial(look, (Address("127.0.0.1", listener.getsockname()[1], socket.AF_INET),))
        peer, _ = listener.accept()
        try:
            peer.sendall(b"answer")
            assert await connection.receive() == b"answer"
            assert connection.beyond() == b""
            peer.sendall(b"more")
            select.select([connection._fd], [], [], 5)
            assert connection.beyond() == b"more"
            peer.close()
            select.select([connection._fd], [], [], 5)
            assert connection.beyond() == b""
        finally:
            connection.close()
            look.close()


async def test_status_999_can_be_expected(serve: Any, context: Context) -> None:
    server = await serve([answer(999)])
    assert (await look(Http(url=server.url(), expect=Expect(status=("200", "900-999"))), context)).ok


@pytest.mark.parametrize(
    ("charset", "text"), [("iso-8859-1", "déjà vu"), ("windows-1251", "привет"), ("utf-8", "déjà")]
)
async def test_a_page_in_another_charset(serve: Any, context: Context, charset: str, text: str) -> None:
    page = (text + " " * 70_000 + text).encode(charset)
    server = await serve(*[[answer(200, page, f"Content-Type: text/html; charset={charset}")]] * 3)
    assert (await look(Http(url=server.url(), expect=Expect(body=f"^{text} +{text}$")), context)).ok
    seen = await look(Http(url=server.url(), expect=Expect(body_absent=text)), context)
    assert seen.reason is Reason.BODY
    assert seen.evidence["excerpt"].startswith(text)
    tight = Http(url=server.url(), expect=Expect(body="x"), max_bytes=ByteSize(len(page)))
    assert (await look(tight, context)).reason is (Reason.BODY if charset == "utf-8" else Reason.TOO_LARGE)


async def test_compression_is_asked_for_and_undone(serve: Any, context: Context) -> None:
    page = b"hello " * 50_000
    packed = answer(200, gzip.compress(page), "Content-Encoding: gzip")
    server = await serve([packed], [packed], [packed], [answer()])
    expect = Expect(body="^(hello )+$", size=("= 300kB",))
    seen = await look(Http(url=server.url(), expect=expect), context)
    assert seen.ok, seen
    assert seen.measurements["body_size"] == len(page)
    assert seen.measurements["transfer_size"] == len(gzip.compress(page))
    seen = await look(Http(url=server.url(), compression="off"), context)
    assert (seen.reason, seen.detail) == (Reason.ENCODING, "the body came as gzip, which was not asked for")
    own = {"accept-encoding": Secret("gzip;q=0.5")}
    assert (await look(Http(url=server.url(), headers=own), context)).ok
    assert "transfer_size" not in (await look(Http(url=server.url()), context)).measurements
    asked = [
        request.decode().lower().partition("accept-encoding: ")[2].split("\r\n")[0] for request in server.requests
    ]
    assert asked == ["gzip, deflate, br, zstd", "", "gzip;q=0.5", "gzip, deflate, br, zstd"]


async def test_what_was_let_pass_is_noted(serve: Any, context: Context) -> None:
    server = await serve([b"HTTP/1.1 200 OK\nContent-Length: 5\nContent-Length: 5\n\nhello"])
    seen = await look(Http(url=server.url()), context)
    assert seen.ok
    assert seen.evidence["note"] == "lines end in LF alone; Content-Length was sent more than once"


async def test_secrets_that_a_target_echoes_are_not_shown(serve: Any, context: Context) -> None:
    server = await serve([answer(500, b"you sent Bearer s3cr3t, that is s3cr3t\x1b[31m")])
    seen = await look(Http(url=server.url(), headers={"Authorization": Secret("Bearer s3cr3t")}), context)
    assert seen.evidence["excerpt"] == "you sent ***, that is ***\\x1b[31m"


async def test_a_server_that_does_not_read(make_context: Callable[..., Context]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        probe = Http(url=url, method="POST", body="x" * 30_000_000)
        probe._make_ask()  # so much takes long enough to put together that the look would be late
        seen = await look(probe, make_context(0.5))
    assert seen.reason is Reason.SEND_TIMEOUT


async def test_sockets_are_closed_when_a_look_is_cancelled(serve: Any, context: Context) -> None:
    server = await serve([], end="hang")
    look = asyncio.create_task(Http(url=server.url()).look(context))
    await server.asked.wait()
    assert _connections_to(server.port) == 1
    look.cancel()
    with pytest.raises(asyncio.CancelledError):
        await look
    assert _connections_to(server.port) == 0


def _connections_to(port: int) -> int:
    """Sockets of this process that are connected to a port, counted by asking each descriptor for its peer."""
    count = 0
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError), socket.socket(fileno=os.dup(int(entry.name))) as copy:
            count += copy.getpeername()[1:2] == (port,)
    return count
