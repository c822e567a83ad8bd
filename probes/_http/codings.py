"""Content codings, unpacked a bounded piece at a time: gzip, deflate (zlib and raw), br, zstd, up to three in a row.

A few bytes may stand for gigabytes. So nothing here unpacks more than it is asked for: each coding is a stage that
*pulls* from the one before it, and all of them live on a `Ration` for one turn of the loop. What is held beside the
pieces is the window of each coding: 32 KiB (gzip, deflate), and of br and zstd as much as has come out, 16 and 8 MiB
at most (RFC 7932, 9659).

The modules for br and zstd are imported when the first such answer comes.
"""

from __future__ import annotations

import importlib
import re
import sys
import zlib
from functools import lru_cache
from typing import Any, Protocol

from probes.contract import LookFailed, Reason

ACCEPTED = "gzip, deflate, br, zstd"
"""What the Accept-Encoding of a request says: what browsers send."""
PIECE = 16 * 1024
"""Bytes that go from one stage to the next."""
MOST = 3
"""Codings in a row; each takes memory."""
_ZSTD_WINDOW = 23

_NOTHING = frozenset({"", "identity", "none", "binary", "8bit", "utf-8", "utf8", "iso-8859-1"})
"""What stands in Content-Encoding and is no coding: browsers pass over it, and so the body is as it is."""
_ALIASES = {"x-gzip": "gzip"}
_KNOWN = frozenset({"gzip", "deflate", "br", "zstd"})
_PLAIN = re.compile(r"[a-z0-9_.-]{1,24}")


@lru_cache(maxsize=256)
def asked(accept_encoding: str | None) -> frozenset[str]:
    """The codings that a request with this Accept-Encoding has asked for; none without one."""
    names = set()
    for part in (accept_encoding or "").lower().split(","):
        name, _, parameters = part.partition(";")
        if not re.fullmatch(r"\s*q\s*=\s*0(?:\.0*)?\s*", parameters):
            names.add(_ALIASES.get(name.strip(), name.strip()))
    return _KNOWN if "*" in names else frozenset(names)


def named(content_encoding: str, wanted: frozenset[str]) -> list[str]:
    """The codings to undo, the last one applied first. Raises `LookFailed` (encoding) for one nobody asked for."""
    names = [_ALIASES.get(name, name) for name in (part.strip().lower() for part in content_encoding.split(","))]
    names = [name for name in names if name not in _NOTHING]
    for name in names:
        if name not in wanted or name not in _KNOWN:
            shown = name if _PLAIN.fullmatch(name) else "a coding"
            raise LookFailed(Reason.ENCODING, f"the body came as {shown}, which was not asked for")
    if len(names) > MOST:
        raise LookFailed(Reason.ENCODING, f"the body is compressed {len(names)} times over")
    return names[::-1]


class Ration:
    """What the stages may do before the loop must turn, in bytes; a step costs something even when nothing comes."""

    __slots__ = ("left",)

    STEP = 64
    """What a call costs, as bytes that could have been unpacked instead."""
    MEMBER = 2048
    """What beginning another member or frame costs."""

    def __init__(self) -> None:
        self.left = 0


class Source(Protocol):
    """What a stage pulls from: bytes as they came, or another stage."""

    def read(self, room: int) -> bytes:
        """Some bytes, about `room` at most; b"" when there are none now."""


class Inbox:
    """What has come and has not been pulled yet."""

    __slots__ = ("_at", "_data")

    def __init__(self) -> None:
        self._data = b""
        self._at = 0

    def put(self, data: bytes) -> None:
        self._data, self._at = self._data[self._at :] + data, 0

    def read(self, room: int) -> bytes:
        piece = self._data[self._at : self._at + room]
        self._at += len(piece)
        if self._at >= len(self._data):
            self._data, self._at = b"", 0
        return piece


class Stage:
    """One coding, being undone. `limit` is the most that may come out of it, in bytes, over all calls."""

    name = ""

    def __init__(self, source: Source, ration: Ration, limit: int) -> None:
        self._source = source
        self._ration = ration
        self._limit = self._room = limit
        self._input = b""
        self._begun = False
        self._ended = False
        self.junk = False
        """Whether bytes followed the end, which are passed over, as clients do."""

    def read(self, room: int) -> bytes:
        """Raises `LookFailed`: encoding for what cannot be undone, too_large for more than the limit."""
        ration = self._ration
        while ration.left > 0:
            ration.left -= ration.STEP
            before = len(self._input)
            out = self._undo(room)
            if out:
                return self._counted(out)
            if len(self._input) < before and self._input:
                continue  # a member without content, and another behind it
            more = self._source.read(PIECE)
            if not more:
                return b""
            self._input += more
            self._begun = True
        return b""

    def _counted(self, out: bytes) -> bytes:
        self._ration.left -= len(out)
        self._room -= len(out)
        if self._room < 0:
            raise LookFailed(Reason.TOO_LARGE, f"the body's {self.name} unpacks to more than {self._limit} bytes")
        return out

    def finish(self) -> None:
        """Nothing more comes. Raises `LookFailed` (encoding) when the end is missing; nothing at all is no fault."""
        if self._begun and not self._ended:
            raise LookFailed(Reason.ENCODING, f"the body ends within its {self.name}")
        self.junk = self.junk or bool(self._input)

    def _undo(self, room: int) -> bytes:
        """Unpack from `_input`, whose used part is taken away."""
        raise NotImplementedError

    def _pass_over(self) -> bytes:
        self.junk = self.junk or bool(self._input)
        self._input = b""
        return b""

    def _broken(self, error: object = "") -> LookFailed:
        said = re.sub(r"^Error -?\d+ while decompressing data: ", "", str(error))
        return LookFailed(Reason.ENCODING, f"the body's {self.name} is broken" + (f": {said}" if said else ""))


class _Zlib(Stage):
    """gzip, which may have several members, and deflate, which some servers send without zlib's frame."""

    def __init__(self, source: Source, ration: Ration, limit: int, name: str) -> None:
        super().__init__(source, ration, limit)
        self.name = name
        self._unpacker: Any = zlib.decompressobj(31) if name == "gzip" else None

    def _undo(self, room: int) -> bytes:
        if self._ended:
            return self._after_end(room)
        if self._unpacker is None and not self._choose():
            return b""
        try:
            out: bytes = self._unpacker.decompress(self._input, room)
        except zlib.error as error:
            raise self._broken(error) from None
        self._input = self._unpacker.unconsumed_tail
        if self._unpacker.eof:
            self._ended = True
            self._input = self._unpacker.unused_data
        return out

    def _choose(self) -> bool:
        """zlib's frame, or raw deflate: two bytes tell."""
        if len(self._input) < 2:
            return False
        first, second = self._input[:2]
        framed = first & 15 == 8 and (first << 8 | second) % 31 == 0
        self._unpacker = zlib.decompressobj(15 if framed else -15)
        return True

    def _after_end(self, room: int) -> bytes:
        if self.name == "gzip" and not self.junk:
            if len(self._input) < 2:
                return b""  # another member, or junk: the next byte tells
            if self._input.startswith(b"\x1f\x8b"):
                self._ration.left -= Ration.MEMBER
                self._unpacker, self._ended = zlib.decompressobj(31), False
                return self._undo(room)
        return self._pass_over()


class _Brotli(Stage):
    """What follows its end is no better than damage: the module cannot tell them apart within one piece, and what is
    said must not depend on how the network cuts."""

    name = "br"

    def __init__(self, source: Source, ration: Ration, limit: int) -> None:
        super().__init__(source, ration, limit)
        self._module = _module("brotli")
        self._unpacker = self._module.Decompressor()

    def _undo(self, room: int) -> bytes:
        if self._ended:
            if self._input:
                raise self._broken("bytes follow its end")
            return b""
        unpacker = self._unpacker
        data = b""
        if unpacker.can_accept_more_data():
            data, self._input = self._input, b""
            if not data:
                return b""
        try:
            # The limit is a soft one: up to a block of 32 KiB more may come. So what came is what is counted.
            out: bytes = unpacker.process(data, output_buffer_limit=room)
        except self._module.error as error:
            raise self._broken(error) from None
        self._ended = unpacker.is_finished()
        return out


class _Zstd(Stage):
    """One frame or several, as RFC 8878 allows."""

    name = "zstd"

    def __init__(self, source: Source, ration: Ration, limit: int) -> None:
        super().__init__(source, ration, limit)
        self._module = zstd_module()
        self._begin_frame()

    def _begin_frame(self) -> None:
        options = {self._module.DecompressionParameter.window_log_max: _ZSTD_WINDOW}
        self._unpacker = self._module.ZstdDecompressor(options=options)
        self._ended = False

    def _undo(self, room: int) -> bytes:
        if self._ended:
            return self._after_end(room)
        unpacker = self._unpacker
        data = b""
        if unpacker.needs_input:
            data, self._input = self._input, b""
            if not data:
                return b""
        try:
            out: bytes = unpacker.decompress(data, max_length=room)
        except self._module.ZstdError as error:
            raise self._broken(error) from None
        if unpacker.eof:
            self._ended, self._input = True, unpacker.unused_data + self._input
        return out

    def _after_end(self, room: int) -> bytes:
        if not self.junk:
            if len(self._input) < 4:
                return b""
            if self._input.startswith(b"\x28\xb5\x2f\xfd") or self._input[1:4] == b"\x2a\x4d\x18":
                self._ration.left -= Ration.MEMBER
                self._begin_frame()
                return self._undo(room)
        return self._pass_over()


def zstd_module() -> Any:
    """That of Python 3.14, or the same for older ones. Raises `LookFailed` (unsupported)."""
    return _module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise LookFailed(Reason.UNSUPPORTED, f"this installation lacks {name}: install it anew") from error


def stages(names: list[str], inbox: Inbox, ration: Ration, limit: int) -> list[Stage]:
    """The stages that undo `names` in that order; the last is to be read. None gives more than `limit` bytes."""
    made: list[Stage] = []
    source: Source = inbox
    for name in names:
        stage: Stage
        if name == "br":
            stage = _Brotli(source, ration, limit)
        elif name == "zstd":
            stage = _Zstd(source, ration, limit)
        else:
            stage = _Zlib(source, ration, limit, name)
        made.append(stage)
        source = stage
    return made
