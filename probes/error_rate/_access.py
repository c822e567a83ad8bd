"""Access logs of nginx and Apache: common, combined, and what is often written after it.

Lines of one log have the same number of quotes. So a slice of some 300 lines is split at its quotes once, and every
field is a stride of the pieces: a third of the time that a regular expression took for each line. What is
unusual (escaped quotes, garbage) is read one by one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import ClassVar

from probes.error_rate._latency import bucket
from probes.error_rate._lines import Requests, Row
from probes.error_rate._paths import Chosen
from probes.error_rate._seen import Seen

# Quotes within a field are escaped, \x22 by nginx and \" by Apache. The first field in quotes is the request.
_QUOTED = rb'"((?:[^"\\]++|\\.)*+)"'
_LINE = re.compile(rb"(?:[^\"\\]++|\\.)*+" + _QUOTED + rb" (\d{3}) (\S+)(.*)", re.DOTALL)
_FIELD = re.compile(_QUOTED, re.DOTALL)
_HEAD = re.compile(rb" (\d{3})(?: |$)")
# nginx writes its times with three digits; any other number there may be anything.
_NGINX_TIME = re.compile(rb"(?:^|[ =])(\d{1,9}\.\d{3})(?=[ ,]|$)")
_ANY_TIME = re.compile(rb"(?:^|[ =])(\d{1,15}(?:\.\d{1,9})?)(?=[ ,]|$)")
_KNOWN_MOST = 16_384
"""Texts whose meaning is remembered: nginx writes times up to 9.999 s in 10,000 of them."""
_TEXT_MOST = 100
"""Bytes of a text that is remembered."""


class AccessLog(Requests):
    """``host - user [time] "request" status bytes "referer" "agent"`` and more, or less the last two."""

    slice: ClassVar[int] = 64 * 1024

    def __init__(self, bad: frozenset[bytes], chosen: Chosen, unit: float | None) -> None:
        """`unit`: in seconds, of the first number after the usual fields; None: the first as nginx writes times."""
        super().__init__(bad, chosen)
        self._unit = unit if unit is not None else 1.0
        self._time = _NGINX_TIME if unit is None else _ANY_TIME
        self._statuses: dict[bytes, bytes | None] = {}
        self._buckets: dict[bytes, int | None] = {}

    def row(self, line: bytes) -> Row | None:
        found = _LINE.match(line)
        if found is None:
            return None
        request, status, _, rest = found.groups()
        return Row(status, request, self._seconds(_FIELD.sub(b' " ', rest)))

    def read(self, lines: bytes, seen: Seen) -> None:
        table = None if b"\\" in lines else _Table.of(lines)
        if table is None:
            table = self._read_unusual(lines, seen)
        if table is not None:
            self._count(table, seen)

    def _read_unusual(self, lines: bytes, seen: Seen) -> _Table | None:
        """Read what is unusual one by one; the rest is given back."""
        each = lines.split(b"\n")[:-1]
        usual = Counter([line.count(b'"') for line in each]).most_common(1)[0][0]
        plain = [line for line in each if line.count(b'"') == usual and b"\\" not in line]
        table = _Table.of(b"\n".join([*plain, b""]))
        if table is None:
            super().read(lines, seen)
        elif len(plain) < len(each):
            rest = [line for line in each if line.count(b'"') != usual or b"\\" in line]
            super().read(b"\n".join([*rest, b""]), seen)
        return table

    def _count(self, table: _Table, seen: Seen) -> None:
        heads = [piece[:5] for piece in table.column(2)]
        statuses = {head: self._status(head) for head in set(heads)}
        if None in statuses.values():
            super().read(table.lines, seen)
            return
        requests = table.column(1)
        times = self._time_column(table)
        if self._chosen:
            kept = [at for at, request in enumerate(requests) if self._chosen(request)]
            seen.left_out += len(heads) - len(kept)
            heads, requests = [heads[at] for at in kept], [requests[at] for at in kept]
            times = [times[at] for at in kept] if times else times
        seen.total += len(heads)
        bad = {head: status for head, status in statuses.items() if status is not None and status in self._bad}
        if bad:
            failed = Counter([(head, request) for head, request in zip(heads, requests, strict=True) if head in bad])
            for (head, request), count in failed.items():
                seen.fail(bad[head], request, count)
        for text, count in Counter(times).items():
            if (found := self._bucket(text)) is not None:
                seen.latency.add(found, count)

    def _time_column(self, table: _Table) -> list[bytes]:
        """Of each line the text that begins with its response time; nothing where the first line has none.

        The text ends after the first word if that suffices: what comes behind it, such as the time of the upstream,
        makes each different from the others, and only what is known already is quick.
        """
        for column in table.unquoted():
            found = self._bucket(column[0])
            if found is None:
                continue
            try:
                first = [text[: text.index(b" ", 1)] for text in column]
            except ValueError:  # one word, or none
                return column
            return first if self._bucket(first[0]) == found else column
        return []

    def _status(self, head: bytes) -> bytes | None:
        """Of what stands behind the request: its first five bytes."""
        if head not in self._statuses:
            if len(self._statuses) > _KNOWN_MOST:
                self._statuses.clear()
            found = _HEAD.match(head)
            self._statuses[head] = found[1] if found is not None else None
        return self._statuses[head]

    def _bucket(self, text: bytes) -> int | None:
        """Of the time in what is not in quotes; None when there is none."""
        if text in self._buckets:
            return self._buckets[text]
        if len(self._buckets) > _KNOWN_MOST:
            self._buckets.clear()
        seconds = self._seconds(text)
        found = None if seconds is None else bucket(seconds)
        if len(text) < _TEXT_MOST:
            self._buckets[text] = found
        return found

    def _seconds(self, text: bytes) -> float | None:
        found = self._time.search(text)
        return float(found[1]) * self._unit if found is not None else None


class _Table:
    """Lines that all have the same number of quotes, which is not less than two."""

    __slots__ = ("_pieces", "_quotes", "_tails", "lines")

    def __init__(self, lines: bytes, pieces: list[bytes], quotes: int, tails: list[bytes]) -> None:
        self.lines = lines
        self._pieces = pieces
        self._quotes = quotes
        self._tails = tails

    @classmethod
    def of(cls, lines: bytes) -> _Table | None:
        """None if they are not like that."""
        pieces = lines.split(b'"')
        count = lines.count(b"\n")
        quotes, odd = divmod(len(pieces) - 1, count) if count else (0, 1)
        if odd or quotes < 2:
            return None
        try:
            # If each of as many strides as there are lines has a line's end, each has one, and is one line.
            tails = [end[: end.index(b"\n")] for end in pieces[quotes::quotes]]
        except ValueError:
            return None
        return cls(lines, pieces, quotes, tails)

    def column(self, number: int) -> list[bytes]:
        """What stands after so many quotes in each line; not for what comes after the last."""
        return self._pieces[number :: self._quotes] if self._quotes > number else self._tails

    def unquoted(self) -> Iterator[list[bytes]]:
        """What stands between quotes and after the last, behind the usual fields."""
        for number in range(4, self._quotes, 2):
            yield self.column(number)
        if self._quotes == 2:  # the common format: status and bytes come first
            yield [b" ".join([b"", *text.split(b" ")[3:]]) for text in self._tails]
        else:
            yield self._tails
