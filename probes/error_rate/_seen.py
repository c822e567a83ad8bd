"""What lines of a log come to: counts, response times, and the worst of each for people. Bounded, whatever comes."""

from __future__ import annotations

import re
from collections.abc import Callable
from heapq import nlargest

from probes.contract import TEXT_LIMIT
from probes.error_rate._latency import Latency
from probes.error_rate._paths import shape

_KEYS_MOST = 512
"""Different paths or statuses that are told apart at a time."""
_EXAMPLE = 2 * TEXT_LIMIT
"""Bytes kept of a line: more than is looked at for secrets, so that none is known by its head only."""
# Tokens live in queries.
_QUERY = re.compile(r"\?[^\s\"']+")


class Top:
    """Counts what comes most often. Of more than 512 different ones the rarer half is forgotten, so the counts are
    lower bounds; what is really frequent stays."""

    __slots__ = ("_times",)

    def __init__(self) -> None:
        self._times: dict[bytes, int] = {}

    def add(self, key: bytes, times: int = 1) -> None:
        self._times[key] = self._times.get(key, 0) + times
        if len(self._times) > _KEYS_MOST:
            self._times = dict(nlargest(_KEYS_MOST // 2, self._times.items(), key=lambda item: item[1]))

    def merge(self, other: Top) -> None:
        for key, times in other._times.items():
            self.add(key, times)

    def first(self) -> tuple[bytes, int] | None:
        return max(self._times.items(), key=lambda item: item[1], default=None)


class Seen:
    """Lines that were read, by `read` into this."""

    __slots__ = ("_read", "bad", "example", "last_bad", "latency", "left_out", "paths", "statuses", "total", "unread")

    def __init__(self, read: Callable[[bytes, Seen], None]) -> None:
        self._read = read
        self.total = 0
        self.bad = 0
        self.left_out = 0
        """Requests that do not count, by their paths."""
        self.unread = 0
        """Lines that are not what they should be."""
        self.example: bytes | None = None
        """The last of these."""
        self.last_bad: bytes | None = None
        self.latency = Latency()
        self.statuses = Top()
        self.paths = Top()

    def take(self, lines: bytes, too_long: int) -> None:
        self.unread += too_long
        if lines:
            self._read(lines, self)

    def add(self, other: Seen) -> None:
        self.total += other.total
        self.bad += other.bad
        self.left_out += other.left_out
        self.unread += other.unread
        self.example = self.example or other.example
        self.last_bad = self.last_bad or other.last_bad
        self.latency.merge(other.latency)
        self.statuses.merge(other.statuses)
        self.paths.merge(other.paths)

    def fail(self, status: bytes, request: bytes | None, times: int = 1) -> None:
        """A bad request, which is in `total` already."""
        self.bad += times
        self.statuses.add(status[:32], times)
        if request:
            self.paths.add(shape(request), times)

    def fail_line(self, line: bytes) -> None:
        """A bad line that is no request, and is in `total` already."""
        self.bad += 1
        self.last_bad = line[:_EXAMPLE]

    def odd(self, line: bytes) -> None:
        self.unread += 1
        self.example = line[:_EXAMPLE]

    def evidence(self, show: Callable[[str], str]) -> dict[str, str]:
        """For people; `show` makes text fit to be seen."""
        told: dict[str, str] = {}
        if (worst := self.paths.first()) is not None:
            told["worst_path"] = show(f"{_text(worst[0])} ({worst[1]:,} of {self.bad:,} bad)")
        if (status := self.statuses.first()) is not None:
            told["bad_status"] = show(f"{_text(status[0])} ({status[1]:,} of {self.bad:,} bad)")
        if self.last_bad is not None:
            told["bad_line"] = show(without_queries(_text(self.last_bad)))
        if self.unread:
            told["unreadable"] = f"{self.unread:,} of {self.unread + self.total + self.left_out:,} lines"
        if self.example is not None:
            told["unreadable_line"] = show(without_queries(_text(self.example)))
        return told


def without_queries(line: str) -> str:
    return _QUERY.sub("?…", line)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
