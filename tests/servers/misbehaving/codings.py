"""Bodies that are compressed: well, badly, only in part, or so that they fill the client's memory.

Streams of br and zstd are written by hand, of blocks that are not compressed or that repeat one byte.
"""

from __future__ import annotations

import gzip
import zlib

from probes._http.expect import Expect
from tests.servers.misbehaving.case import UP, Case, answering, said
from tests.servers.misbehaving.steps import HANG, Again

_END = 30
TEXT = b"hello, this is the whole page\n" * 7 + b"!" * _END
_GZIP = gzip.compress(TEXT, mtime=0)
_READ = {"expect": Expect(body=f"the whole page\n!{{{_END}}}$")}
"""Fields by which the probe must have read the body, and not just let it pass."""


def br(data: bytes) -> bytes:
    """Brotli (RFC 7932): one block that is not compressed, then an empty last one."""
    return ((len(data) - 1) << 4 | 1 << 20).to_bytes(3, "little") + data + b"\x03"


_ZSTD = bytes.fromhex("28b52ffd")


def zstd(data: bytes) -> bytes:
    """Zstandard (RFC 8878): a frame of one segment (below 256 bytes); a block that is not compressed, and one that
    repeats the last byte."""
    text = data.rstrip(data[-1:])
    times = len(data) - len(text)
    head = _ZSTD + bytes((0x20, len(data)))
    return head + _block(0, len(text)) + text + _block(1, times, last=True) + data[-1:]


def _block(kind: int, size: int, *, last: bool = False) -> bytes:
    """Its head: 0 is not compressed, 1 repeats one byte."""
    return (size << 3 | kind << 1 | last).to_bytes(3, "little")


_ZSTD_BOMB = _ZSTD + b"\x00\x58"
"""The head of a frame without an announced size; its window is 2 MiB."""
_ZSTD_BLOCK = _block(1, 131_072) + b"\0"
"""A block of 128 KiB in four bytes: one byte, repeated."""

_BR_BOMB = bytes.fromhex(
    "cbffff3f002400e2b14072effff8ffff078004401c1680eefd1fffffff00900088c302d0bdffe3ffff1f001200715800baf77ffc"
    "ffff034002200e0b40f7fe8fffff7f004800c46101e8defff1ffff0f000980382c00ddfb3ffeffff012001108705a07bff37"
)
"""64 MiB of zeros, as the reference encoder packs them."""

_GZIP_HEAD = bytes.fromhex("1f8b08000000000000ff")


def _zeros() -> bytes:
    """1 MiB of zeros as a part of a deflate stream that may be followed by itself, in 1 KiB."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)


def _coded(coding: str, body: bytes) -> bytes:
    return said("200 OK", f"Content-Encoding: {coding}", f"Content-Length: {len(body)}", body=body)


def _raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def _flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes((data[at] ^ 0xFF,)) + data[at + 1 :]


GOOD: tuple[Case, ...] = tuple(
    answering(f"a body compressed by {name}", UP, _coded(coding, body), fields=_READ, why=why, others=others)
    for name, coding, body, why, others in (
        ("gzip", "gzip", _GZIP, "It is what most servers send.", ""),
        ("gzip in two parts", "gzip", gzip.compress(TEXT[:99]) + gzip.compress(TEXT[99:]),
         "It may have several parts (RFC 1952, 2.2): the text goes on in the second.",
         "curl gives up behind the first part."),
        ("deflate", "deflate", zlib.compress(TEXT), "This is what RFC 9110, 8.4 calls deflate.",
         "blackbox_exporter reads deflate only without the head that belongs to it."),
        ("deflate without a head", "deflate", _raw_deflate(TEXT),
         "It is not what RFC 9110, 8.4 calls deflate, but servers send it, and every browser reads it.", ""),
        ("br", "br", br(TEXT), "Browsers ask for it.", ""),
        ("zstd", "zstd", zstd(TEXT), "Chrome and Firefox ask for it.", "blackbox_exporter knows no zstd."),
        ("gzip twice", "gzip, gzip", gzip.compress(_GZIP), "Two codings, told as two (RFC 9110, 8.4).",
         "blackbox_exporter undoes one coding, if it is told which."),
    )
)  # fmt: skip

BAD: tuple[Case, ...] = (
    answering(
        "gzip with a wrong byte",
        "encoding",
        _coded("gzip", _flipped(_GZIP, 14)),
        why="The browser shows an error, or a part of the page.",
    ),
    answering(
        "gzip with a wrong checksum",
        "encoding",
        _coded("gzip", _flipped(_GZIP, len(_GZIP) - 8)),
        why="What was unpacked is not what was packed.",
    ),
    answering(
        "gzip that is cut off",
        "encoding",
        _coded("gzip", _GZIP[:-12]),
        why="The length is right and the page is not whole: who packed it was cut short.",
        others="curl does not look whether the stream has come to its end.",
    ),
    answering(
        "br that is cut off",
        "encoding",
        _coded("br", br(TEXT)[:-10]),
        why="The length is right and the page is not whole.",
        others="Neither looks whether the stream has come to its end.",
    ),
    answering(
        "zstd that is cut off",
        "encoding",
        _coded("zstd", zstd(TEXT)[:-3]),
        why="The length is right and the page is not whole.",
        others="curl does not look whether the stream has come to its end, and blackbox_exporter knows no zstd: it"
        " takes the bytes as they are.",
    ),
    answering(
        "br that is none",
        "encoding",
        _coded("br", b"\xff\xff\xff\xff hello"),
        why="The browser shows an error.",
    ),
    answering(
        "zstd that is none",
        "encoding",
        _coded("zstd", b"hello"),
        why="The browser shows an error.",
        others="blackbox_exporter knows no zstd: it takes the bytes as they are.",
    ),
    answering(
        "text that says it is gzip",
        "encoding",
        _coded("gzip", b"hello"),
        why="The browser shows an error: mostly a proxy has unpacked it and left the header.",
    ),
    answering(
        "gzip with junk behind it",
        UP,
        _coded("gzip", _GZIP + b"junk"),
        fields=_READ,
        why="The page is whole, browsers ignore what follows, and the evidence has a note of it.",
        others="Both take the junk for a further part of the stream.",
    ),
    answering(
        "a coding that nobody knows",
        "encoding",
        _coded("x-own", b"hello"),
        why="Nobody asked for it, and no browser can read it.",
        others="blackbox_exporter takes the bytes as they are.",
    ),
)

BOMBS: tuple[Case, ...] = (
    answering(
        "10 GB in 10 MB of gzip",
        "too_large",
        said("200 OK", "Content-Encoding: gzip", body=_GZIP_HEAD),
        Again(_zeros(), 10_000),
        HANG,
        why="The limit of 2 MB is for what is unpacked.",
        others="curl unpacks it all, and goes on when its time is up: here it was killed.",
    ),
    answering(
        "32,000 bytes for each one of zstd",
        "too_large",
        said("200 OK", "Content-Encoding: zstd", body=_ZSTD_BOMB),
        Again(_ZSTD_BLOCK * 1000),
        why="The limit of 2 MB is for what is unpacked.",
        others="curl unpacks it all, and goes on when its time is up: here it was killed.",
    ),
    answering(
        "64 MB in 102 bytes of br",
        "too_large",
        _coded("br", _BR_BOMB),
        why="The limit of 2 MB is for what is unpacked.",
        others="curl unpacks it all, as it has no such limit.",
    ),
    answering(
        "1 GB in some kilobytes of gzip twice",
        "too_large",
        _coded("gzip, gzip", gzip.compress(_GZIP_HEAD + _zeros() * 1000, mtime=0)),
        why="The limit of 2 MB is for what is unpacked, and holds for what is between two codings.",
        others="curl unpacks it all, longer than it had time, and blackbox_exporter undoes no second coding.",
    ),
)
