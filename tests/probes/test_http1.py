"""The sans-IO reader: the same answer however the network cuts it."""

from __future__ import annotations

import pytest

from probes._http1 import HEADER_BYTES, ResponseReader, request
from probes.contract import LookFailed, Reason

_HEAD = b"HTTP/1.1 200 OK\r\nX: a\r\nX: b\r\n"
ANSWERS = {
    "length": (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: a\r\nX: b\r\n\r\nhello", True, b"hello"),
    "chunked": (
        _HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nT: t\r\n\r\n",
        True,
        b"hello",
    ),
    "until close": (b"HTTP/1.0 200 OK\r\nX: a\r\nX: b\r\n\r\nhello", False, b"hello"),
    "interim": (
        b"HTTP/1.1 100 C\r\n\r\nHTTP/1.1 103 E\r\nX: z\r\n\r\n" + _HEAD + b"Content-Length: 5\r\n\r\nhello",
        True,
        b"hello",
    ),
    "no content": (b"HTTP/1.1 204 No Content\r\nX: a\r\nX: b\r\n\r\n", True, b""),
    "not modified": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\nX: a\r\nX: b\r\n\r\n", True, b""),
}


def reader(method: str = "GET", **limits: int) -> ResponseReader:
    return ResponseReader(method, **{"max_bytes": 1000, "keep": 1000, **limits})


@pytest.mark.parametrize("name", ANSWERS)
def test_cut_at_every_byte(name: str) -> None:
    data, complete, body = ANSWERS[name]
    for cut in range(1, len(data)):
        seen = reader()
        assert not seen.feed(data[:cut])
        assert seen.feed(data[cut:]) is complete
        seen.eof()
        assert (seen.body, seen.header("x"), seen.done) == (body, "a, b", True), cut
    single = reader()
    for position in range(len(data)):
        single.feed(data[position : position + 1])
    single.eof()
    assert single.body == body


@pytest.mark.parametrize("name", [name for name, (_, complete, _) in ANSWERS.items() if complete])
def test_an_end_at_every_byte_is_never_complete(name: str) -> None:
    data, _, _ = ANSWERS[name]
    for cut in range(len(data)):
        seen = reader()
        seen.feed(data[:cut])
        with pytest.raises(LookFailed) as raised:
            seen.eof()
        assert raised.value.reason is (Reason.TRUNCATED if cut else Reason.EMPTY_REPLY)


def test_head_is_complete_without_its_body() -> None:
    seen = reader("HEAD")
    assert seen.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n")
    assert seen.feed(b"junk after the end")


def test_what_follows_a_complete_answer_is_ignored() -> None:
    seen = reader()
    assert seen.feed(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nxJUNK")
    assert seen.body == b"x"


def test_keeps_only_what_is_asked_for() -> None:
    seen = reader(keep=3)
    seen.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789")
    assert (seen.body, seen.body_size) == (b"012", 10)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"nonsense\r\n\r\n", Reason.PROTOCOL),
        (b"HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", Reason.PROTOCOL),
        (b"HTTP/1.1 101 Go\r\n\r\n", Reason.PROTOCOL),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", Reason.PROTOCOL),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", Reason.PROTOCOL),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + b"x" * 2000, Reason.TOO_LARGE),
        (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 201 + b"\r\n", Reason.PROTOCOL),
    ],
)
def test_refusals(data: bytes, reason: Reason) -> None:
    with pytest.raises(LookFailed) as raised:
        reader().feed(data)
    assert raised.value.reason is reason


@pytest.mark.parametrize(
    ("start", "more"),
    [
        (b"HTTP/1.1 200 OK\r\nX: ", b"x"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"x"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ", b"x"),
    ],
)
def test_nothing_grows_without_end(start: bytes, more: bytes) -> None:
    seen = reader()
    if start:
        seen.feed(start)
    chunk = more * 100

    def flood() -> None:
        for _ in range(2 * HEADER_BYTES // len(chunk)):
            seen.feed(chunk)

    with pytest.raises(LookFailed) as raised:
        flood()
    assert raised.value.reason is Reason.PROTOCOL


def test_request_bytes() -> None:
    data = request("POST", "/a?b", [("Host", "h"), ("X", "y")], b"data")
    assert data == b"POST /a?b HTTP/1.1\r\nHost: h\r\nX: y\r\nContent-Length: 4\r\n\r\ndata"


@pytest.mark.parametrize(
    ("method", "target", "header"),
    [
        ("GET\r\n", "/", ("a", "b")),
        ("GET", "/ HTTP/1.1\r\nX: y", ("a", "b")),
        ("GET", "/", ("a:", "b")),
        ("GET", "/", ("a", "b\r\nc: d")),
        ("GET", "/", ("a", "b\nc")),
        ("GET", "/", ("a", "\x00")),
        ("GET", "/", ("a", "€")),
        ("GET", "", ("a", "b")),
    ],
)
def test_requests_cannot_be_split(method: str, target: str, header: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match=r"cannot be|character|target"):
        request(method, target, [header])
