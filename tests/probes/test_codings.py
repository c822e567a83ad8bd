"""Compressed bodies: whole however they are cut, broken ones told as such, and never more than may come out."""

from __future__ import annotations

import gzip
import random
import time
import tracemalloc
import zlib
from collections.abc import Callable

import brotli
import pytest

from probes._http.codings import ACCEPTED, asked, named, zstd_module
from probes._http.http1 import ResponseReader
from probes.contract import LookFailed, Reason

zstd = zstd_module()
_ASKED = asked(ACCEPTED)
PLAIN = b"".join(b"line %d of a page that is like any other\n" % number for number in range(40))


def _raw(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def _window(data: bytes, log: int) -> bytes:
    options = {zstd.CompressionParameter.window_log: log}
    packer = zstd.ZstdCompressor(options=options)
    return packer.compress(data) + packer.flush()


PACKED: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "x-gzip": ("X-GZip", gzip.compress),
    "deflate": ("deflate", zlib.compress),
    "raw deflate": ("deflate", _raw),
    "br": ("br", brotli.compress),
    "zstd": ("zstd", zstd.compress),
    "two members": ("gzip", lambda data: gzip.compress(data[:100]) + gzip.compress(b"") + gzip.compress(data[100:])),
    "two frames": ("zstd", lambda data: zstd.compress(data[:100]) + zstd.compress(data[100:])),
    "a skippable frame": ("zstd", lambda data: b"\x50\x2a\x4d\x18\x03\0\0\0abc" + zstd.compress(data)),
    "gzip, then br": ("gzip, br", lambda data: brotli.compress(gzip.compress(data))),
    "all": ("deflate, zstd, gzip", lambda data: gzip.compress(zstd.compress(zlib.compress(data)))),
    "with what is no coding": ("identity, gzip", gzip.compress),
}


def reader(limit: int = 1_000_000, *, keep: int | None = None, codings: frozenset[str] = _ASKED) -> ResponseReader:
    return ResponseReader("GET", max_bytes=limit, keep=limit if keep is None else keep, asked=codings)


def head(coding: str, *more: str) -> bytes:
    return "\r\n".join(["HTTP/1.1 200 OK", f"Content-Encoding: {coding}", *more, "", ""]).encode()


def fault(data: bytes) -> Reason | None:
    """What is wrong with an answer that ends there."""
    try:
        _whole(reader(), data)
    except LookFailed as failure:
        return failure.reason
    return None


@pytest.mark.parametrize("name", PACKED)
def test_cut_at_every_byte(name: str) -> None:
    coding, pack = PACKED[name]
    packed = pack(PLAIN)
    data = head(coding, f"Content-Length: {len(packed)}") + packed
    for cut in range(1, len(data)):
        seen = reader()
        seen.feed(data[:cut])
        assert seen.feed(data[cut:])
        assert (seen.body, seen.body_size, seen.transfer_size) == (PLAIN, len(PLAIN), len(packed))
        assert seen.packed
        assert not seen.notes
    single = reader()
    for position in range(len(data)):
        single.feed(data[position : position + 1])
    assert (single.done, single.body) == (True, PLAIN)


@pytest.mark.parametrize("name", PACKED)
def test_chunked_and_an_end_within_the_compression(name: str) -> None:
    """A body that ends with the connection, or properly with its last chunk, but too soon for its compression."""
    coding, pack = PACKED[name]
    packed = pack(PLAIN)
    whole = 0
    for end in range(1, len(packed)):
        chunk = b"%x\r\n" % end + packed[:end] + b"\r\n0\r\n\r\n"
        faults = {fault(head(coding, "Transfer-Encoding: chunked") + chunk), fault(head(coding) + packed[:end])}
        assert len(faults) == 1
        assert faults <= {None, Reason.ENCODING}
        whole += None in faults
    # Only between two members or frames may it end, where nobody can see that something is missing: there, and where
    # it is too soon to tell that what follows is another one.
    assert whole == {"two members": 4, "two frames": 4, "a skippable frame": 4}.get(name, 0)


@pytest.mark.parametrize("name", PACKED)
def test_a_flipped_bit_is_broken_or_at_least_bounded(name: str) -> None:
    coding, pack = PACKED[name]
    packed = pack(PLAIN)
    draw = random.Random(name)
    faults = []
    for _ in range(200):
        flipped = bytearray(packed)
        flipped[draw.randrange(len(packed))] ^= 1 << draw.randrange(8)
        faults.append(fault(head(coding) + flipped))
    assert set(faults) <= {None, Reason.ENCODING, Reason.TOO_LARGE}
    noticed = len(faults) - faults.count(None)
    # Those with a checksum notice nearly all of it; raw deflate and br have none.
    assert noticed >= (150 if "gzip" in coding.lower() or name == "deflate" else 1)


@pytest.mark.parametrize(
    ("coding", "data"), [("gzip", b"<html>"), ("deflate", b"\x07"), ("br", b"\xff\xff\xff"), ("zstd", b"hello")]
)
def test_what_is_not_compressed_at_all(coding: str, data: bytes) -> None:
    seen = reader()
    with pytest.raises(LookFailed) as raised:
        _whole(seen, head(coding) + data)
    assert raised.value.reason is Reason.ENCODING
    assert coding in raised.value.detail


def _whole(seen: ResponseReader, data: bytes) -> None:
    seen.feed(data)
    seen.eof()


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_an_empty_body_needs_no_unpacking(coding: str) -> None:
    for framing in ("Content-Length: 0", "Transfer-Encoding: chunked"):
        seen = reader()
        assert seen.feed(head(coding, framing) + (b"0\r\n\r\n" if "chunked" in framing else b""))
    _whole(reader(), head(coding))


@pytest.mark.parametrize(
    ("coding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress), ("zstd", zstd.compress)]
)
def test_junk_behind_the_end_is_let_pass(coding: str, pack: Callable[[bytes], bytes]) -> None:
    for junk in (b"\0" * 7, b"\0", b"junk"):
        seen = reader()
        _whole(seen, head(coding) + pack(PLAIN) + junk)
        assert seen.body == PLAIN
        if len(junk) > 1:
            assert seen.notes == [f"bytes follow the end of the body's {coding}"]


def test_junk_behind_br_cannot_be_told_from_damage_however_it_is_cut() -> None:
    packed = brotli.compress(PLAIN)
    for size in (len(packed) + 4, len(packed), 1):
        seen, whole = reader(), packed + b"junk"
        seen.feed(head("br"))
        with pytest.raises(LookFailed) as raised:
            _drip(seen, [whole[start : start + size] for start in range(0, len(whole), size)])
        assert raised.value.reason is Reason.ENCODING


def _drip(seen: ResponseReader, pieces: list[bytes]) -> None:
    for piece in pieces:
        seen.feed(piece)


_BOMBS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "gzip": ("gzip", lambda: gzip.compress(b"\0" * 50_000_000)),
    "raw deflate": ("deflate", lambda: _raw(b"\0" * 50_000_000)),
    "br": ("br", lambda: brotli.compress(b"\0" * 50_000_000, quality=5)),
    "zstd": ("zstd", lambda: zstd.compress(b"\0" * 50_000_000)),
    "gzip in gzip": ("gzip, gzip", lambda: gzip.compress(gzip.compress(b"\0" * 50_000_000))),
    "br in zstd": ("br, zstd", lambda: zstd.compress(brotli.compress(b"\0" * 50_000_000, quality=5))),
    "empty members": ("gzip", lambda: gzip.compress(b"") * 40_000),
    "empty members in zstd": ("gzip, zstd", lambda: zstd.compress(gzip.compress(b"") * 200_000)),
}


@pytest.mark.parametrize("name", _BOMBS)
def test_a_bomb_is_too_large_and_takes_neither_memory_nor_time(name: str) -> None:
    coding, pack = _BOMBS[name]
    packed = pack()
    limit = 500_000
    seen = reader(limit, keep=0)
    seen.feed(head(coding))
    turns: list[float] = []
    tracemalloc.start()
    try:
        with pytest.raises(LookFailed) as raised:
            _feed_all(seen, packed, turns)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert raised.value.reason is Reason.TOO_LARGE
    assert seen.body_size <= limit + 65_536
    assert peak < 600_000
    assert max(turns) < 0.1  # a turn takes about a millisecond, where nobody else is busy


def _feed_all(seen: ResponseReader, packed: bytes, turns: list[float]) -> None:
    """Note in `turns` the seconds of CPU that each turn took."""
    for start in range(0, len(packed), 65_536):
        data = packed[start : start + 65_536]
        while data or seen.held:
            began = time.thread_time()
            seen.feed(data)
            turns.append(time.thread_time() - began)
            data = b""


def test_a_window_beyond_what_browsers_take_is_refused() -> None:
    with pytest.raises(LookFailed) as raised:
        _whole(reader(), head("zstd") + _window(b"x" * 100, 27))
    assert raised.value.reason is Reason.ENCODING
    _whole(reader(), head("zstd") + _window(b"x" * 100, 23))


@pytest.mark.parametrize(
    ("coding", "codings"),
    [("gzip", ""), ("br", "gzip"), ("compress", ACCEPTED), ("gzip", "gzip;q=0, br"), ("gzip, foo", ACCEPTED)],
)
def test_a_coding_that_was_not_asked_for(coding: str, codings: str) -> None:
    seen = reader(codings=asked(codings))
    with pytest.raises(LookFailed) as raised:
        seen.feed(head(coding) + gzip.compress(PLAIN))
    assert raised.value.reason is Reason.ENCODING
    assert "not asked for" in raised.value.detail


@pytest.mark.parametrize("coding", ["identity", "none", "UTF-8", "", "identity, "])
def test_what_is_no_coding_is_passed_over(coding: str) -> None:
    seen = reader(codings=frozenset())
    _whole(seen, head(coding) + PLAIN)
    assert seen.body == PLAIN
    assert not seen.packed


def test_more_than_three_in_a_row_are_refused() -> None:
    with pytest.raises(LookFailed, match="4 times") as raised:
        named("gzip, gzip, gzip, gzip", _ASKED)
    assert raised.value.reason is Reason.ENCODING


@pytest.mark.parametrize(
    ("written", "codings"),
    [
        (None, set()), ("", {""}), ("gzip", {"gzip"}), ("GZIP;q=0.5, br;q=0, deflate; q = 0.000", {"gzip"}),
        ("x-gzip", {"gzip"}), ("*", {"gzip", "deflate", "br", "zstd"}), ("identity", {"identity"}),
    ],
)  # fmt: skip
def test_what_a_request_has_asked_for(written: str | None, codings: set[str]) -> None:
    assert asked(written) - {""} == codings - {""}


def test_head_has_nothing_to_unpack() -> None:
    seen = ResponseReader("HEAD", max_bytes=10, keep=10, asked=_ASKED)
    assert seen.feed(head("foo", "Content-Length: 5"))
