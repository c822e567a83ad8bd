"""The sans-IO reader: the same answer however the network cuts it, and the right word on what is wrong with it."""

from __future__ import annotations

import pytest

from probes._http.http1 import HEADER_BYTES, ResponseReader, request
from probes.contract import LookFailed, Reason

_HEAD = b"HTTP/1.1 200 OK\r\nX: a\r\nX: b\r\n"
_CHUNKED = _HEAD + b"Transfer-Encoding: chunked\r\n"
GOOD = {
    "length": (_HEAD + b"Content-Length: 5\r\n\r\nhello", True, b"hello"),
    "chunked": (_CHUNKED + b"\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nT: t\r\n\r\n", True, b"hello"),
    "chunked, bare LF": (_CHUNKED + b"\r\n05\nhello\n0\n\n", True, b"hello"),
    "until close": (b"HTTP/1.0 200 OK\r\nX: a\r\nX: b\r\n\r\nhello", False, b"hello"),
    "identity": (_HEAD + b"Transfer-Encoding: identity\r\nContent-Length: 2\r\n\r\nhello", False, b"hello"),
    "a coding of its own": (_HEAD + b"Transfer-Encoding: x-own\r\n\r\nhello", False, b"hello"),
    "interim": (
        b"HTTP/1.1 100 C\r\n\r\nHTTP/1.1 102 P\r\n\r\nHTTP/1.1 103 E\r\nX: z\r\n\r\n"
        + _HEAD + b"Content-Length: 5\r\n\r\nhello", True, b"hello",
    ),
    "no content": (b"HTTP/1.1 204 No Content\r\nX: a\r\nX: b\r\n\r\n", True, b""),
    "not modified": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\nX: a\r\nX: b\r\n\r\n", True, b""),
    "no phrase": (b"HTTP/1.1 200\r\nX:a\r\nx: \t b \r\nContent-Length: 0\r\n\r\n", True, b""),
    "status 999": (b"HTTP/1.1 999 Odd\r\nX: a\r\nX: b\r\nContent-Length: 1\r\n\r\n!", True, b"!"),
    "bare LF": (b"HTTP/1.1 200 OK\nX: a\nX: b\nContent-Length: 7\n\n\r\n\r\nhey", True, b"\r\n\r\nhey"),
    "mixed ends": (b"HTTP/1.1 200 OK\r\nX: a\nX: b\r\nContent-Length: 5\n\r\nhello", True, b"hello"),
    "folded": (b"HTTP/1.1 200 OK\r\nX:\r\n\ta\r\nX: b\r\nContent-Length: 1\r\n\r\n.", True, b"."),
    "two equal lengths": (_HEAD + b"Content-Length: 3\r\nContent-Length: 03, 3\r\n\r\nhey", True, b"hey"),
    "length and chunks": (_CHUNKED + b"Content-Length: 3\r\n\r\n1\r\n.\r\n0\r\n\r\n", True, b"."),
}  # fmt: skip
NOTED = {
    "bare LF": "lines end in LF alone",
    "mixed ends": "lines end in LF alone",
    "a coding of its own": "a Transfer-Encoding other than chunked is passed over",
    "folded": "a header is folded",
    "two equal lengths": "Content-Length was sent more than once",
    "identity": "both Transfer-Encoding and Content-Length: the latter is ignored",
    "length and chunks": "both Transfer-Encoding and Content-Length: the latter is ignored",
}


def reader(method: str = "GET", **limits: int) -> ResponseReader:
    return ResponseReader(method, **{"max_bytes": 1000, "keep": 1000, **limits})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", GOOD)
def test_cut_at_every_byte(name: str) -> None:
    data, complete, body = GOOD[name]
    notes = [NOTED[name]] if name in NOTED else []
    for cut in range(1, len(data)):
        seen = reader()
        assert not seen.feed(data[:cut])
        assert seen.feed(data[cut:]) is complete
        seen.eof()
        assert (seen.body, seen.header("x"), seen.done, seen.notes) == (body, "a, b", True, notes), cut
    single = reader()
    for position in range(len(data)):
        single.feed(data[position : position + 1])
    single.eof()
    assert (single.body, single.transfer_size, single.notes) == (body, len(body), notes)


@pytest.mark.parametrize("name", [name for name, (_, complete, _) in GOOD.items() if complete])
def test_an_end_at_every_byte_is_never_complete(name: str) -> None:
    data, _, _ = GOOD[name]
    for cut in range(len(data)):
        seen = reader()
        seen.feed(data[:cut])
        with pytest.raises(LookFailed) as raised:
            seen.eof()
        assert raised.value.reason is (Reason.TRUNCATED if cut else Reason.EMPTY_REPLY)


@pytest.mark.parametrize("name", [name for name, (_, complete, _) in GOOD.items() if complete])
@pytest.mark.parametrize("surplus", [b"more", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"\r\n\0"])
def test_what_follows_a_complete_answer_is_a_fault_wherever_it_is_cut(name: str, surplus: bytes) -> None:
    data, _, _ = GOOD[name]
    for cut in range(len(data), len(data) + len(surplus)):
        seen, whole = reader(), data + surplus
        with pytest.raises(LookFailed, match="follow") as raised:
            seen.feed(whole[:cut]), seen.feed(whole[cut:])
        assert raised.value.reason is Reason.PROTOCOL


def test_empty_lines_behind_an_answer_are_let_pass() -> None:
    seen = reader()
    assert seen.feed(GOOD["length"][0] + b"\r\n")
    assert seen.feed(b"\r\n")
    assert seen.notes == ["empty lines follow the answer"]


def test_head_is_complete_without_its_body() -> None:
    seen = reader("HEAD")
    assert seen.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n")
    assert (seen.status, seen.version, seen.body_size) == (200, "1.1", 0)


def test_keeps_only_what_is_asked_for() -> None:
    seen = reader(keep=3)
    seen.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789")
    assert (seen.body, seen.start(2), seen.body_size) == (b"012", b"01", 10)


_BROKEN = {
    "nonsense": b"nonsense\r\n\r\n",
    "a banner": b"SSH-2.0-OpenSSH_9.2\r\n",
    "a mail server": b"220 mx ESMTP\r\n",
    "TLS": b"\x15\x03\x03\x00\x02\x02\x46",
    "HTTP/2": b"\x00\x00\x12\x04\x00\x00\x00\x00\x00",
    "HTTP/2 in words": b"HTTP/2 200\r\n\r\n",
    "HTTP/0.9": b"<html>hello",
    "another version": b"HTTP/3.0 200 OK\r\n\r\n",
    "a lower case scheme": b"http/1.1 200 OK\r\n\r\n",
    "an empty line before": b"\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "status of two digits": b"HTTP/1.1 20 OK\r\n\r\n",
    "status below 100": b"HTTP/1.1 099 OK\r\n\r\n",
    "status of four digits": b"HTTP/1.1 2000 OK\r\n\r\n",
    "no status": b"HTTP/1.1 OK\r\n\r\n",
    "upgrade": b"HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    "upgrade without a word": b"HTTP/1.1 101 Go\r\n\r\n",
    "endless interim": b"HTTP/1.1 100 Continue\r\n\r\n" * 51,
    "a name with a space": b"HTTP/1.1 200 OK\r\nA b: c\r\n\r\n",
    "a space before the colon": b"HTTP/1.1 200 OK\r\nA : c\r\n\r\n",
    "an empty name": b"HTTP/1.1 200 OK\r\n: c\r\n\r\n",
    "no colon": b"HTTP/1.1 200 OK\r\nabc\r\n\r\n",
    "a control in a name": b"HTTP/1.1 200 OK\r\nA\x01: c\r\n\r\n",
    "NUL in a value": b"HTTP/1.1 200 OK\r\nA: b\0c\r\n\r\n",
    "CR in a value": b"HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n",
    "a fold without a header": b"HTTP/1.1 200 OK\r\n a: b\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "two lengths in a line": b"HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\n",
    "a length in words": b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
    "a negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "a length with a sign": b"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n",
    "an empty length": b"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
    "a huge length": b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999999999999\r\n\r\n",
    "a length in other digits": "HTTP/1.1 200 OK\r\nContent-Length: ²\r\n\r\n".encode("latin-1"),
    "chunked twice": _HEAD + b"Transfer-Encoding: chunked, chunked\r\n\r\n",
    "chunked not last": _HEAD + b"Transfer-Encoding: chunked, identity\r\n\r\n",
    "a size in words": _CHUNKED + b"\r\nzz\r\n",
    "an empty size": _CHUNKED + b"\r\n\r\n",
    "a negative size": _CHUNKED + b"\r\n-1\r\n",
    "a size with 0x": _CHUNKED + b"\r\n0x1\r\n",
    "a size of 16 digits": _CHUNKED + b"\r\n" + b"f" * 16 + b"\r\n",
    "no line break behind a chunk": _CHUNKED + b"\r\n1\r\nxx",
    "an endless extension": _CHUNKED + b"\r\n1;" + b"x" * 5000,
}


@pytest.mark.parametrize("name", _BROKEN)
def test_what_breaks_the_protocol_is_refused_without_waiting_for_more(name: str) -> None:
    data = _BROKEN[name]
    with pytest.raises(LookFailed) as raised:
        reader().feed(data)
    assert raised.value.reason is Reason.PROTOCOL
    with pytest.raises(LookFailed) as again:
        _drip(data)
    assert again.value.reason is Reason.PROTOCOL


def _drip(data: bytes) -> None:
    seen = reader()
    for position in range(len(data)):
        seen.feed(data[position : position + 1])


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"SSH-2.0-x\r\n", "an SSH server"),
        (b"HTTP/2.0 200 OK\r\n\r\n", "HTTP/2.0"),
        (_BROKEN["two lengths"], "1 and 2"),
        (_BROKEN["a name with a space"], "header 1"),
        (_CHUNKED + b"\r\n1\r\n.\r\nzz\r\n", "byte 1 of the body"),
        (GOOD["length"][0] + b"!", "at least 1 byte follows it"),
        (GOOD["length"][0] * 2, "a second answer"),
    ],
)
def test_the_fault_is_named(data: bytes, said: str) -> None:
    with pytest.raises(LookFailed, match=said):
        reader().feed(data)


@pytest.mark.parametrize("codings", [b"gzip, chunked", b"GZIP", b"identity,x-compress"])
def test_a_transfer_coding_that_nobody_asked_for(codings: bytes) -> None:
    with pytest.raises(LookFailed) as raised:
        reader().feed(_HEAD + b"Transfer-Encoding: " + codings + b"\r\n\r\n")
    assert raised.value.reason is Reason.ENCODING


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + b"x" * 2000,
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 2000,
        _CHUNKED + b"\r\n7d0\r\n" + b"x" * 2000,
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 201 + b"\r\n",
        b"HTTP/1.1 200 OK\n" + b"a: b\n" * 201 + b"\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"x" * HEADER_BYTES + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"x" * HEADER_BYTES,
    ],
)
def test_too_large(data: bytes) -> None:
    with pytest.raises(LookFailed) as raised:
        reader().feed(data)
    assert raised.value.reason is Reason.TOO_LARGE


def test_as_many_headers_as_are_allowed() -> None:
    assert reader().feed(b"HTTP/1.1 204 OK\r\n" + b"a: b\r\n" * 200 + b"\r\n")


@pytest.mark.parametrize(
    ("start", "more", "reason"),
    [
        (b"HTTP/1.1 200 OK\r\nX: ", b"x", Reason.TOO_LARGE),
        (b"HTTP/1.1 200 OK\r\n", b"a: b\r\n", Reason.TOO_LARGE),
        (b"HTTP/1.1 ", b"2", Reason.TOO_LARGE),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n", Reason.PROTOCOL),
        (_CHUNKED + b"\r\n1;", b"x", Reason.PROTOCOL),
        (_CHUNKED + b"\r\n0\r\n", b"X: y\r\n", Reason.TOO_LARGE),
        (_CHUNKED + b"\r\n", b"1;abcdefghijk\r\n.\r\n", Reason.PROTOCOL),
    ],
)
def test_nothing_grows_without_end(start: bytes, more: bytes, reason: Reason) -> None:
    seen = reader(max_bytes=1_000_000)
    if start:
        seen.feed(start)
    chunk = more * 100

    def flood() -> None:
        for _ in range(4 * HEADER_BYTES // len(chunk)):
            seen.feed(chunk)

    with pytest.raises(LookFailed) as raised:
        flood()
    assert raised.value.reason is reason


def test_many_chunks_are_read_in_turns() -> None:
    seen, chunks = reader(max_bytes=100_000, keep=100_000), 10_000
    assert not seen.feed(_CHUNKED + b"\r\n" + b"1\r\n.\r\n" * chunks + b"0\r\n\r\n")
    turns = 0
    while seen.held:
        turns += 1
        seen.feed(b"")
    assert (seen.done, seen.body) == (True, b"." * chunks)
    assert turns >= 4


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
