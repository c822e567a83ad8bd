"""What is fuzzed, each a function of some bytes that raises AssertionError when something is not as it must be.

The rules are the same everywhere: nothing but the failures that are declared may be raised, what comes out is
bounded, and it is the same however the bytes are cut. Where somebody else reads the same format, both must say the
same.
"""

from __future__ import annotations

import gzip
import ipaddress
import json
import re
import socket
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random

import brotli

from probes._dns.asked import Asked, rcode_of, truncated
from probes._dns.message import HEADER, Message
from probes._http import proxy
from probes._http import url as _url
from probes._http.chunks import Chunks
from probes._http.codings import ACCEPTED, asked, zstd_module
from probes._http.cookies import Cookies
from probes._http.http1 import ResponseReader, request
from probes._http.jsonpath import find, parse_path
from probes._http.jsonscan import Extract, Intricate, Path, found
from probes._names import address_question
from probes._tls import starttls as _starttls
from probes._tls.certificate import decoded
from probes._wire import echo
from probes.contract import LookFailed, Reason
from tests.fuzz.oracles import h11_says, httptools_says

LIMIT = 100_000
"""Bytes of body that may come out."""
LARGE = 90_000
zstd = zstd_module()
_ASKED = asked(ACCEPTED)
_PATHS: tuple[Path, ...] = tuple(map(parse_path, ("$", "$.a", "$[-1]", "$.a[0].b", "$[1].a[-2]", "$['']")))
_HOME = _url.parse("https://example.org/a/b?c")
_METHODS = ("GET", "GET", "GET", "HEAD")
_STRICTER = re.compile(
    r"it answers in HTTP/|not an HTTP answer|more than \d+ (headers|interim answers)|"
    r"compressed by Transfer-Encoding"
)
"""What we refuse and others do not: other versions, what stands before a status line, more than we want."""
_HEADS = (b"gzip", b"deflate", b"br", b"zstd", b"gzip, br", b"deflate, gzip, zstd")


def _draw(data: bytes) -> Random:
    """Chance that is the same for the same input, and another for another."""
    return Random(zlib.crc32(data))


def _reader(method: str = "GET") -> ResponseReader:
    return ResponseReader(method, max_bytes=LIMIT, keep=LIMIT // 2, asked=_ASKED)


def _pieces(data: bytes, draw: Random) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        size = draw.choice((1, 2, 3, 7, 50, 1000))
        yield data[at : at + size]
        at += size


@dataclass(frozen=True)
class Refused:
    """What is wrong may be told in other words where the bytes are cut otherwise."""

    reason: Reason
    detail: str = field(compare=False)


def _outcome(reader: ResponseReader, pieces: Iterator[bytes]) -> tuple[object, ...]:
    """What a reader says of an answer that comes in these pieces and ends with the connection."""
    try:
        for piece in pieces:
            reader.feed(piece)
            turns = 0
            while reader.held:
                reader.feed(b"")
                turns += 1
                assert turns < 10_000, "it never has enough"
        reader.eof()
    except LookFailed as failure:
        assert failure.reason in (
            Reason.PROTOCOL, Reason.TRUNCATED, Reason.EMPTY_REPLY, Reason.TOO_LARGE, Reason.ENCODING,
        ), failure  # fmt: skip
        assert reader.body_size <= LIMIT + 65_536
        return (Refused(failure.reason, failure.detail),)
    assert reader.done
    assert reader.body_size <= LIMIT
    assert len(reader.kept) == min(reader.body_size, LIMIT // 2)
    return reader.status, reader.version, reader.headers, reader.body_size, reader.body, sorted(reader.notes)


def answer(data: bytes) -> None:
    """An answer, whole and cut."""
    draw = _draw(data)
    method = _METHODS[data[0] % 4] if data else "GET"
    whole = _outcome(_reader(method), iter([data] if data else []))
    cut = _outcome(_reader(method), _pieces(data, draw))
    if whole != cut:
        # What is wrong with an answer in more than one way may be told in another order.
        assert len(whole) == len(cut) == 1, (whole, cut)


def alike(data: bytes) -> None:
    """An answer, as h11 and llhttp read it: what they and we take for whole is the same."""
    if b"content-encoding" in data.lower():
        return
    ours = _outcome(_reader(), iter([data] if data else []))
    for theirs in (h11_says(data), httptools_says(data)):
        if theirs is not None and isinstance(ours[0], Refused):
            excused = b"\0" in data or len(theirs.body) > LIMIT or _STRICTER.search(ours[0].detail)
            assert excused, (ours, theirs)
        elif theirs is not None:
            assert ours[0] == theirs.status, theirs
            assert ours[3] == len(theirs.body), theirs
            assert theirs.body.startswith(ours[4])  # type: ignore[arg-type]
            if theirs.headers is not None and "a header is folded" not in ours[5]:  # type: ignore[operator]
                assert _others(ours[2]) == _others(theirs.headers)


def _others(headers: object) -> list[tuple[str, str]]:
    """But for those of the framing, which h11 writes anew."""
    assert isinstance(headers, list)
    return [(name, value) for name, value in headers if name not in ("content-length", "transfer-encoding")]


def chunks(data: bytes) -> None:
    """A body that is cut into chunks comes out as it was."""
    draw = _draw(data)
    wire = bytearray()
    for piece in _pieces(data, draw):
        extension = draw.choice((b"", b"", b";a=b", b' ; x="y"'))
        wire += draw.choice((b"%x", b"%X", b"0%x")) % len(piece) + extension + b"\r\n" + piece + b"\r\n"
    wire += b"0\r\n" + draw.choice((b"", b"T: r\r\n", b"a: b\r\nc: d\r\n")) + b"\r\n"
    out = bytearray()
    reader = Chunks()
    for piece in _pieces(bytes(wire), draw):
        at = 0
        while at < len(piece):
            at = reader.feed(piece, at, out.extend, draw.choice((1, 5, 1000)))
    assert reader.done
    assert out == data


def codings(data: bytes) -> None:
    """A body that says it is compressed, and is or is not."""
    coding = _HEADS[data[0] % len(_HEADS)] if data else b"gzip"
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: " + coding + b"\r\n\r\n"
    draw = _draw(data)
    whole = _outcome(_reader(), iter([head + data[1:]]))
    cut = _outcome(_reader(), _pieces(head + data[1:], draw))
    assert whole == cut or len(whole) == len(cut) == 1, (whole, cut)
    if zlib.crc32(data) % 8 == 0:
        data = (data * (1 + LARGE // max(1, len(data))))[:LARGE]  # more than comes out at once
    packed = data
    for name in coding.decode().split(", "):
        pack = {"gzip": gzip.compress, "deflate": zlib.compress, "br": brotli.compress, "zstd": zstd.compress}[name]
        packed = pack(packed)  # type: ignore[operator]
    seen = _outcome(_reader(), _pieces(head + packed, draw))
    assert seen[3:5] == (len(data), data[: LIMIT // 2]), seen


def documents(data: bytes) -> None:
    """JSON, as `json.loads` reads it, but for what is refused on purpose."""
    if b"\0" in data[:4]:
        return  # UTF-16 or UTF-32
    scan = found(data, _PATHS)
    values: list[object] | None = None
    try:
        while True:
            next(scan)
    except StopIteration as ended:
        values = ended.value
    except Intricate:
        return
    except ValueError:
        pass
    try:
        loaded = json.loads(data)
    except (ValueError, RecursionError):
        assert values is None
        return
    if values is None:
        assert any(len(run) > 1000 for run in data.split()), "valid, and refused"
        return
    for path, value in zip(_PATHS, values, strict=True):
        theirs = find(loaded, path)
        same = repr(value) == repr(theirs) or value is theirs
        assert same or (isinstance(value, Extract) and isinstance(theirs, dict | list | str)), path


def redirects(data: bytes) -> None:
    """A Location header leads to a URL whose request is one request, or nowhere."""
    try:
        url = _url.join(_HOME, data.decode("latin-1"))
    except ValueError:
        return
    line = request("GET", url.target, [("Host", url.authority)]).split(b"\r\n")
    assert len(line) == 4
    assert line[0].count(b" ") == 2
    assert url.scheme in ("http", "https")
    assert url.authorization is None


def cookies(data: bytes) -> None:
    """Whatever a target sets, what is sent back is one header of bounded size."""
    jar = Cookies()
    jar.take(_HOME, [("set-cookie", line) for line in data.decode("latin-1").split("\n")])
    for url in (_HOME, _url.parse("http://example.org/"), _url.parse("https://sub.example.org/a/b/")):
        value = jar.header(url)
        request("GET", "/", [("Cookie", value)])
        assert len(value) < 300_000


def proxies(data: bytes) -> None:
    """Whatever a proxy answers: a way, or a word on why not."""
    for text in ("http://user:word@proxy:3128", "socks5h://user:word@proxy:1080"):
        talk = proxy.dialogue(proxy.parse(text), "example.org", 443)
        talk.begin()
        open_way = False
        try:
            for piece in _pieces(data, _draw(data)):
                open_way = open_way or talk.feed(piece) is None
                if open_way:
                    break
        except LookFailed as failure:
            assert not open_way
            assert len(failure.detail) < 1000


def names(data: bytes) -> None:
    """A DNS message after the question: records with names of bounded length, or a word on what is wrong."""
    asked_for = Asked(data[:2], b"\1\0\0\1\0\0\0\0\0\0\1a\0\0\1\0\1", b"\1a\0\0\1\0\1")
    if asked_for.stranger(data) is None:
        assert len(data) >= HEADER
        rcode_of(data), truncated(data)
    if len(data) < HEADER:
        return
    message = Message(data, HEADER)
    try:
        for record in message.records():
            assert len(record.owner) <= 255
            assert 0 <= record.start <= record.end <= len(data)
            assert 0 <= record.ttl < 2**32
    except ValueError as error:
        assert str(error)


def lookups(data: bytes) -> None:
    """An answer to one of the agent's own questions for addresses."""
    for rdtype in (address_question.A, address_question.AAAA):
        question = address_question.NameQuestion(address_question.wire_name("a"), rdtype)
        asked_for = question.ask()
        answer = asked_for.wire[:2] + data[2:]
        if asked_for.stranger(answer) is not None or rcode_of(answer) not in (0, 3):
            continue
        try:
            told = question.read(answer)
        except ValueError as error:
            assert str(error)
            continue
        assert told.exists or not told.addresses
        assert 0 <= told.ttl < 2**31
        for address in told.addresses:
            ipaddress.ip_address(address)


def pings(data: bytes) -> None:
    """What comes out of a ping socket, and out of its error queue."""
    for family in (socket.AF_INET, socket.AF_INET6):
        bare = echo.without_ip_header(data)
        replied = echo.reply(family, bare)
        assert replied is None or len(replied[2]) == len(bare) - echo.HEADER
        told = echo.said(family, None, data[:20], data[20:])
        assert told is None or told.by


def starttls(data: bytes) -> None:
    """Whatever a server says before TLS."""
    for protocol in _starttls.PROTOCOLS:
        talk = _starttls.talk(protocol)
        pieces = _pieces(data, _draw(data))
        try:
            next(talk)
            for piece in pieces:
                talk.send(piece)
            talk.send(b"")
        except StopIteration:
            continue
        except LookFailed as failure:
            assert failure.detail
        else:
            raise AssertionError("it waits for more when nothing can come")


def certificates(data: bytes) -> None:
    """What should be a certificate."""
    try:
        decoded(data)
    except ValueError as error:
        assert str(error)


TARGETS: dict[str, Callable[[bytes], None]] = {
    run.__name__: run
    for run in (
        answer, alike, chunks, codings, documents, redirects, cookies, proxies, names, lookups, pings, starttls,
        certificates,
    )
}  # fmt: skip
