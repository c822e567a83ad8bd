"""Chunks: the framing of a body whose length nobody knew beforehand (RFC 9112, 7.1), without I/O.

Sizes are hexadecimal and bounded, extensions and trailers are passed over, and what all of it may cost beside the
body is bounded, or one byte a chunk would keep an agent busy. Lines may end in LF alone, as everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from probes.contract import LookFailed, Reason

LINE = 4096
"""Bytes of a size line with its extensions, or of a trailer."""
TRAILERS = 16 * 1024
OVERHEAD = 8
"""Bytes on the wire a byte of body may cost: a chunk of one byte takes six."""
_SLACK = 64 * 1024

_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n\0]*)?\r?\n")
_SIZE_BEGUN = re.compile(rb"[0-9A-Fa-f]{1,15}(?:[ \t;\r]|$)")
_SIZE_LINE, _DATA, _DATA_END, _TRAILER = range(4)
_EMPTY = (b"\r\n", b"\n")


class Chunks:
    """Fed the bytes of a chunked body; passes on what is in the chunks, and keeps no more than one line."""

    __slots__ = ("_around", "_left", "_line", "_paid", "_state", "done")

    def __init__(self) -> None:
        self._state = _SIZE_LINE
        self._left = 0
        self._line = b""
        self._around = 0
        self._paid = 0
        self.done = False

    def feed(self, data: bytes, at: int, take: Callable[[bytes], None], most: int) -> int:
        """Read from `at`, and hand over at most `most` pieces; returns where it stopped. Raises `LookFailed`."""
        while at < len(data) and not self.done and most > 0:
            if self._state == _DATA:
                piece = data[at : at + self._left]
                at += len(piece)
                self._left -= len(piece)
                self._paid += len(piece)
                most -= 1
                take(piece)
                if not self._left:
                    self._state = _DATA_END
            else:
                at = self._read_line(data, at)
        return at

    def _read_line(self, data: bytes, at: int) -> int:
        end = data.find(b"\n", at, at + LINE) + 1
        part = data[at : end or at + LINE + 1]
        line = self._line + part
        if len(line) > LINE:
            raise LookFailed(Reason.PROTOCOL, f"a line around the chunks is longer than {LINE} bytes")
        self._around += len(part)
        self._check_around()
        if end:
            self._line = b""
            self._take_line(line)
        else:
            self._line = line
            self._check_begun(line)
        return at + len(part)

    def _check_around(self) -> None:
        if self._state == _TRAILER:
            if self._around > TRAILERS:
                raise LookFailed(Reason.TOO_LARGE, f"more than {TRAILERS // 1024} KiB behind the body's chunks")
        elif self._around > _SLACK + OVERHEAD * self._paid:
            raise LookFailed(Reason.PROTOCOL, f"more than {_SLACK // 1024} KiB around the body's chunks")

    def _take_line(self, line: bytes) -> None:
        if self._state == _SIZE_LINE:
            match = _SIZE.fullmatch(line)
            if match is None:
                raise LookFailed(Reason.PROTOCOL, f"{self._where()}: its size is no hexadecimal number")
            self._left = int(match[1], 16)
            if self._left:
                self._state = _DATA
            else:
                self._state, self._around = _TRAILER, 0
        elif self._state == _DATA_END:
            self._check_data_end(line)
            self._state = _SIZE_LINE
        elif line in _EMPTY:
            self.done = True

    def _check_begun(self, line: bytes) -> None:
        """Refuse what can no longer become right, though its line has not ended: it might hang there."""
        if self._state == _DATA_END:
            self._check_data_end(line + b"\n")
        elif self._state == _SIZE_LINE and not _SIZE_BEGUN.match(line):
            raise LookFailed(Reason.PROTOCOL, f"{self._where()}: its size is no hexadecimal number")

    def _check_data_end(self, line: bytes) -> None:
        if line not in _EMPTY:
            raise LookFailed(Reason.PROTOCOL, f"the chunk before byte {self._paid} is longer than its size says")

    def _where(self) -> str:
        return f"the chunk at byte {self._paid} of the body"
