"""A DNS message as it comes over the wire, cut into its records: which owner, which type, which bytes.

dnspython reads messages, too, but at a price that a hostile server names: 8 kB of long names hold it for seconds.
Here a message costs what it has in bytes, and a record is one of dnspython's only where somebody wants to read it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

HEADER = 12
_OPT = 41
_EXTENDED_ERROR = 15
_RECORD = struct.Struct("!HHIH")
_SHORTS = struct.Struct("!HH")
_COUNTS = struct.Struct("!3H")
_LONGEST_NAME = 255
_POINTER, _LONGEST_LABEL = 0xC0, 63
_MOST_POINTERS = 32
"""Pointers of one name; a server that compresses well uses one or two."""


class Section(IntEnum):
    ANSWER, AUTHORITY, ADDITIONAL = range(3)


@dataclass(frozen=True, slots=True)
class Raw:
    """A record: `owner` is in wire form, in lower case; the data lie from `start` to `end`."""

    section: Section
    owner: bytes
    rdtype: int
    rdclass: int
    ttl: int
    start: int
    end: int


class Message:
    """One message, whose header and question are known to be right. What is read raises ValueError, with words."""

    __slots__ = ("_at", "data")

    def __init__(self, data: bytes, start: int) -> None:
        """`start`: where the records begin."""
        self.data = data
        self._at = start

    @property
    def counts(self) -> tuple[int, int, int]:
        """Records of each section, as the header says."""
        answers, authority, additional = _COUNTS.unpack_from(self.data, 6)
        return answers, authority, additional

    def records(self) -> Iterator[Raw]:
        """All of them, in order; then the message must be at its end."""
        for section, count in zip(Section, self.counts, strict=True):
            for _ in range(count):
                yield self._record(section)
        if self._at != len(self.data):
            raise ValueError(f"{len(self.data) - self._at} bytes follow its last record")

    def _record(self, section: Section) -> Raw:
        owner, at = self.name(self._at)
        start = at + _RECORD.size
        if start > len(self.data):
            raise ValueError("it ends within a record")
        rdtype, rdclass, ttl, size = _RECORD.unpack_from(self.data, at)
        if start + size > len(self.data):
            raise ValueError("it ends within a record")
        self._at = start + size
        # A TTL with its highest bit set is none (RFC 2181, 8).
        return Raw(section, owner, rdtype, rdclass, ttl if ttl < 2**31 or rdtype == _OPT else 0, start, self._at)

    def name(self, at: int) -> tuple[bytes, int]:
        """The name there without its pointers, in lower case (a length is never a letter), and where it ends."""
        data, found, end, lowest = self.data, bytearray(), 0, at
        pointers = 0
        while True:
            if at >= len(data):
                raise ValueError("it ends within a name")
            size = data[at]
            if size <= _LONGEST_LABEL:
                found += data[at : at + 1 + size]
                at += 1 + size
                if len(found) > _LONGEST_NAME:
                    raise ValueError(f"a name is longer than {_LONGEST_NAME} bytes")
                if size == 0:
                    return bytes(found).lower(), end or at
            elif size >= _POINTER and at + 1 < len(data):
                target = (size - _POINTER) << 8 | data[at + 1]
                end = end or at + 2
                pointers += 1
                if target >= lowest or pointers > _MOST_POINTERS:
                    raise ValueError("a pointer in a name does not lead back, or to no end")
                lowest = at = target
            else:
                raise ValueError("a label is of no known kind")


def extended_rcode(opt: Raw, low: int) -> int:
    """The whole code of an answer: eight bits are in the TTL of its OPT record (RFC 6891, 6.1.3)."""
    return opt.ttl >> 24 << 4 | low


def extended_errors(data: bytes, opt: Raw) -> Iterator[tuple[int, str]]:
    """Number and text of each (RFC 8914). Raises ValueError."""
    at = opt.start
    while at < opt.end:
        if at + _SHORTS.size > opt.end:
            raise ValueError("its OPT record ends within an option")
        code, size = _SHORTS.unpack_from(data, at)
        at += _SHORTS.size
        option = data[at : min(at + size, opt.end)]
        if len(option) < size:
            raise ValueError("its OPT record ends within an option")
        if code == _EXTENDED_ERROR and size > 1:
            yield int.from_bytes(option[:2], "big"), option[2:].rstrip(b"\0").decode("utf-8", "replace")
        at += size


def is_opt(record: Raw) -> bool:
    """Whether it is no record but says how the server speaks."""
    return record.rdtype == _OPT and record.section is Section.ADDITIONAL


def strings_of(data: bytes, record: Raw) -> Iterator[bytes]:
    """Those of a TXT record. Raises ValueError."""
    at = record.start
    while at < record.end:
        size = data[at]
        if at + 1 + size > record.end:
            raise ValueError("a text ends within a string")
        yield data[at + 1 : at + 1 + size]
        at += 1 + size
