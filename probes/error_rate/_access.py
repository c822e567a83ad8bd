"""Access logs of nginx and Apache: common, combined, and what is often written after it.

Nearly all of the work is done by `bytes.split` and `Counter` over a slice of some 300 lines at a time; a regular
expression over each line took three times as long. What is unusual (escaped quotes, garbage) is read one by one.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import ClassVar

from probes.error_rate._latency import bucket
from probes.error_rate._lines import Format, Row
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
_TAIL_MOST = 100
"""Bytes of a text that is remembered."""


class AccessLog(Format):
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

    def read(self, lines: list[bytes], seen: Seen) -> None:
        plain = [line for line in lines if b'\\"' not in line]
        if len(plain) < len(lines):
            super().read([line for line in lines if b'\\"' in line], seen)
        parts = [line.split(b'"', 3) for line in plain]
        try:
            heads = [part[2][:5] for part in parts]
        except IndexError:  # no request in quotes: garbage, or an empty line
            super().read(plain, seen)
            return
        if self._chosen:
            chosen = self._chosen
            kept = [at for at, part in enumerate(parts) if chosen(part[1])]
            seen.left_out += len(parts) - len(kept)
            parts, heads, plain = [parts[at] for at in kept], [heads[at] for at in kept], [plain[at] for at in kept]
        self._count_statuses(plain, parts, heads, seen)

    def _count_statuses(self, lines: list[bytes], parts: list[list[bytes]], heads: list[bytes], seen: Seen) -> None:
        times = Counter(heads)
        statuses = {head: self._status(head) for head in times}
        seen.total += sum(times.values())
        odd = {head for head, status in statuses.items() if status is None}
        bad = {head: status for head, status in statuses.items() if status in self._bad and status is not None}
        if bad:
            failed = Counter([(head, part[1]) for head, part in zip(heads, parts, strict=True) if head in bad])
            for (head, request), count in failed.items():
                seen.fail(bad[head], request, count)
        if odd:
            for line, head in zip(lines, heads, strict=True):
                if head in odd:
                    seen.total -= 1
                    seen.odd(line)
            lines = [line for line, head in zip(lines, heads, strict=True) if head not in odd]
        self._count_times(lines, seen)

    def _count_times(self, lines: list[bytes], seen: Seen) -> None:
        tails = Counter([line.rsplit(b'"', 1)[1] for line in lines])
        without: set[bytes] = set()
        for tail, count in tails.items():
            found = self._bucket(tail)
            if found is None:
                without.add(tail)
            else:
                seen.latency.add(found, count)
        if not without:
            return
        # The time may stand before the last field in quotes: then it does so in the first such line.
        rest = [line for line in lines if line.rsplit(b'"', 1)[1] in without]
        first = self.row(rest[0])
        if first is None or first.seconds is None:
            return
        for line in rest:
            row = self.row(line)
            if row is not None and row.seconds is not None:
                seen.latency.add(bucket(row.seconds))

    def _status(self, head: bytes) -> bytes | None:
        """Of what stands behind the request: its first five bytes."""
        if head not in self._statuses:
            if len(self._statuses) > _KNOWN_MOST:
                self._statuses.clear()
            found = _HEAD.match(head)
            self._statuses[head] = found[1] if found is not None else None
        return self._statuses[head]

    def _bucket(self, tail: bytes) -> int | None:
        """Of the time in what stands behind the last quote; None when there is none."""
        if tail in self._buckets:
            return self._buckets[tail]
        if len(self._buckets) > _KNOWN_MOST:
            self._buckets.clear()
        # When nothing in quotes comes after the request, status and bytes are there, and not the time.
        seconds = self._seconds(b" ".join(tail.split(b" ")[3:]) if _HEAD.match(tail) else tail)
        found = None if seconds is None else bucket(seconds)
        if len(tail) < _TAIL_MOST:
            self._buckets[tail] = found
        return found

    def _seconds(self, text: bytes) -> float | None:
        found = self._time.search(text)
        return float(found[1]) * self._unit if found is not None else None
