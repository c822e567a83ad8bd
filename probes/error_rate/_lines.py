"""How a line of a log is read: JSON, a pattern of one's own, or any line that some pattern finds bad."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple

from probes.error_rate._latency import bucket
from probes.error_rate._paths import Chosen
from probes.error_rate._seen import Seen

UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_JSON_MOST = 32 * 1024
"""Bytes of a line of JSON: reading 64 KiB made to be slow took 5 ms with the interpreter held."""


class Row(NamedTuple):
    """A line that was understood."""

    status: bytes
    """In lower case."""
    request: bytes | None
    """``GET /path HTTP/1.1``, or the path alone."""
    seconds: float | None


class Format(ABC):
    """Reads lines into `Seen`."""

    slice: ClassVar[int]
    """Bytes to read at a time: about a millisecond's work, in which nobody else has the interpreter."""

    def read(self, lines: bytes, seen: Seen) -> None:
        """One line after another; a format that knows better overrides it."""
        for line in lines.split(b"\n"):
            if line and not line.isspace():
                self.count(line, seen)

    @abstractmethod
    def count(self, line: bytes, seen: Seen) -> None:
        """Count in one line."""


class Requests(Format):
    """A request a line, with a status."""

    def __init__(self, bad: frozenset[bytes], chosen: Chosen) -> None:
        self._bad = bad
        self._chosen = chosen

    @abstractmethod
    def row(self, line: bytes) -> Row | None:
        """None of a line that tells of no request."""

    def count(self, line: bytes, seen: Seen) -> None:
        row = self.row(line)
        if row is None:
            seen.odd(line)
            return
        if self._chosen and not self._chosen(row.request or b""):
            seen.left_out += 1
            return
        seen.total += 1
        if row.seconds is not None:
            seen.latency.add(bucket(row.seconds))
        if row.status in self._bad:
            seen.fail(row.status, row.request)


class JsonLines(Requests):
    """An object a line. Fields are found by their name, or else by a dotted path into objects within."""

    slice: ClassVar[int] = 16 * 1024

    def __init__(
        self, bad: frozenset[bytes], chosen: Chosen, fields: dict[str, tuple[str, ...]], unit: float
    ) -> None:
        """`fields`: the names to try for ``status``, ``path`` and ``time``."""
        super().__init__(bad, chosen)
        self._status, self._path, self._time = (
            tuple((name, name.split(".")) for name in fields[each]) for each in ("status", "path", "time")
        )
        self._unit = unit

    def row(self, line: bytes) -> Row | None:
        if len(line) > _JSON_MOST:
            return None
        try:
            entry = json.loads(line.decode("utf-8", "replace"))
        except (ValueError, RecursionError):
            return None
        status = _found(entry, self._status)
        if isinstance(status, bool) or not isinstance(status, int | str):
            return None
        path = _found(entry, self._path)
        return Row(
            str(status).lower().encode("utf-8", "replace"),
            path.encode("utf-8", "replace") if isinstance(path, str) else None,
            _seconds(_found(entry, self._time), self._unit),
        )


class Custom(Requests):
    """A regular expression (RE2) with groups named status, path and time."""

    slice: ClassVar[int] = 16 * 1024

    def __init__(self, bad: frozenset[bytes], chosen: Chosen, pattern: Any, unit: float) -> None:
        super().__init__(bad, chosen)
        self._pattern = pattern
        self._unit = unit
        names = pattern.groupindex
        self._status, self._path, self._time = names[b"status"], names.get(b"path"), names.get(b"time")

    def row(self, line: bytes) -> Row | None:
        found = self._pattern.search(line)
        if found is None:
            return None
        groups = found.groups()
        status = groups[self._status - 1]
        if status is None:
            return None
        path = groups[self._path - 1] if self._path is not None else None
        time = groups[self._time - 1] if self._time is not None else None
        return Row(status.lower(), path, _seconds(time, self._unit))


class AnyLines(Format):
    """Lines of any log: one pattern finds those that count, another those of them that are bad."""

    slice: ClassVar[int] = 16 * 1024

    def __init__(self, bad: Any, total: Any) -> None:
        self._is_bad = bad
        self._counts = total

    def count(self, line: bytes, seen: Seen) -> None:
        bad = self._is_bad.search(line) is not None
        if not bad and self._counts is not None and self._counts.search(line) is None:
            seen.left_out += 1
            return
        seen.total += 1
        if bad:
            seen.fail_line(line)


def _found(entry: Any, names: tuple[tuple[str, list[str]], ...]) -> Any:
    if not isinstance(entry, dict):
        return None
    for name, steps in names:
        if name in entry:
            return entry[name]
        here: Any = entry
        for step in steps:
            here = here.get(step) if isinstance(here, dict) else None
        if here is not None:
            return here
    return None


def _seconds(written: Any, unit: float) -> float | None:
    if isinstance(written, bool) or not isinstance(written, int | float | str | bytes):
        return None
    try:
        seconds = float(written) * unit
    except (ValueError, OverflowError):
        return None
    return seconds if 0 <= seconds < float("inf") else None
