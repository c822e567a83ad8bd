"""The files of a check, read in turns, and what has been read of them handed over with the span that it stands for.

It may hang with a disk, and knows of no thread and no clock: `probes/_logs/reader.py` runs it.
"""

from __future__ import annotations

import glob
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import PurePath
from typing import Any, Generic, Protocol, Self, TypeVar

from probes._logs.open_file import Position
from probes._logs.rotated import is_packed, original
from probes._logs.tail import Tail
from probes.contract import LookFailed, Reason

AWAY = 120.0
"""Seconds after which what was written while nobody read is passed over: it is too old to be counted as now."""
FILES_MOST = 64
"""Files that one check follows; of a pattern that fits more, the first by name."""
_SHORT = 0.5
"""Seconds: a shorter span gives no rate worth telling."""
_RESCAN = 5.0
"""Seconds between looks for files that a pattern fits by now."""


class Counts(Protocol):
    """What is made of lines. It is filled in the thread, and given away whole."""

    def take(self, lines: bytes, too_long: int) -> None:
        """Whole lines, each with its end, and how many there were besides of which nothing is read."""

    def add(self, other: Self) -> None:
        """Count in what another one has seen."""


C = TypeVar("C", bound=Counts)


@dataclass(frozen=True, slots=True)
class Handed(Generic[C]):
    """What was read since the last time."""

    counts: C
    seconds: float
    """The span they stand for; 0 when it is too short to make rates of."""
    passed: int
    """Bytes that were passed over, as too much had piled up."""
    away: float
    """Seconds after which reading was taken up again at the end, as nobody had read for so long; else 0."""
    first: bool
    """Whether this is the first time: nothing was read yet."""
    files: int
    matching: int
    """Files that are followed, and that there are."""
    lost: int
    """Rotated files that had gone, or were packed, before they were read to their end."""
    trouble: LookFailed | None
    """Why one of them cannot be read."""
    resume: str
    """What to hand in after a restart."""

    def after(self, other: Handed[C]) -> Handed[C]:
        """This with what was handed over before, and reached nobody."""
        self.counts.add(other.counts)
        return replace(
            self,
            seconds=self.seconds + other.seconds,
            passed=self.passed + other.passed,
            lost=self.lost + other.lost,
            away=max(self.away, other.away),
            first=self.first or other.first,
        )


class Following(Generic[C]):
    """All files of a check."""

    def __init__(self, patterns: Sequence[str], new_counts: Callable[[], C], most: int) -> None:
        """`most`: bytes to read at a time."""
        self._patterns = patterns
        self._new_counts = new_counts
        self._counts = new_counts()
        self._most = most
        self._tails: dict[str, Tail] = {}
        self._matching = 0
        self._scanned = self._since = self._turned = 0.0
        self._away = 0.0
        self._first = True

    def start(self, resume: str, now: float, wall: float) -> None:
        """Go on where `resume` says, or at the end. `now` counts seconds through pauses, `wall` is Unix time."""
        self._since = self._turned = now
        known, ago = _understood(resume, wall)
        if ago > AWAY:
            self._away = ago
            known = {}
        elif known:
            self._since = now - ago
            self._first = False
        self._scan(now, known)

    def turn(self, now: float, breathe: Callable[[], None] | None = None) -> bool:
        """Read a slice of each file, and `breathe` after each; False when there is no more for now."""
        if now - self._turned > AWAY:  # the machine was paused, or the disk hung
            self._away = now - self._turned
            self.close()
            self._counts = self._new_counts()
            self._since = now
            self._scan(now, {})
        self._turned = now
        if now - self._scanned > _RESCAN:
            self._scan(now, None)
        more = False
        for tail in tuple(self._tails.values()):
            before = tail.taken
            more |= tail.turn(self._most, now)
            if breathe is not None and tail.taken != before:
                breathe()
        return more

    @property
    def taken(self) -> int:
        return sum(tail.taken for tail in self._tails.values())

    def hand_over(self, now: float, wall: float) -> Handed[C]:
        tails = self._tails.values()
        taken, passed, unread = self.taken, sum(tail.passed for tail in tails), sum(tail.unread for tail in tails)
        seconds = self._spent(now, taken, passed, unread)
        lost = sum(tail.lost for tail in tails)
        counts, self._counts = self._counts, self._new_counts()
        for tail in tails:
            tail.taken = tail.passed = tail.lost = 0
        away, self._away = self._away, 0.0
        first, self._first = self._first, False
        trouble = next((tail.trouble for tail in tails if tail.trouble is not None), None)
        if not tails:
            trouble = LookFailed(Reason.SOURCE, f"no file fits {', '.join(self._patterns)}")
        resume = _resume(self._tails, wall - (now - self._since))
        return Handed(counts, seconds, passed, away, first, len(tails), self._matching, lost, trouble, resume)

    def close(self) -> None:
        for tail in self._tails.values():
            tail.close()
        self._tails.clear()

    def _spent(self, now: float, taken: int, passed: int, unread: int) -> float:
        """The part of the span that was read: neither what was passed over, nor what is still to be read."""
        span = now - self._since
        if span < _SHORT:
            return 0.0
        whole = taken + passed + unread
        if not whole or not unread + passed:
            self._since = now
            return span
        self._since += span * (taken + passed) / whole
        return span * taken / whole

    def _take(self, lines: bytes, too_long: int) -> None:
        self._counts.take(lines, too_long)

    def _scan(self, now: float, known: dict[str, list[Position]] | None) -> None:
        """See which files there are. A file that appears while we watch is new; any other is taken up at its end."""
        self._scanned = now
        paths = _paths(self._patterns)
        self._matching = len(paths)
        for path in paths[:FILES_MOST]:
            if path not in self._tails and len(self._tails) < FILES_MOST:
                tail = self._tails[path] = Tail(path, self._take)
                tail.start((known or {}).get(path, ()), now, at_end=known is not None)
        gone = [path for path, tail in self._tails.items() if path not in paths and tail.trouble is not None]
        for path in gone:  # of a pattern; nobody writes to it under another name either
            self._tails.pop(path).close()


def _paths(patterns: Sequence[str]) -> list[str]:
    found: dict[str, None] = {}
    for pattern in patterns:
        if not glob.has_magic(pattern):
            found[pattern] = None
            continue
        names = sorted(islice(glob.iglob(pattern), 4096))  # noqa: PTH207  (a pattern may be absolute)
        for name in names:
            before = original(PurePath(name).name)
            rotated = before is not None and str(PurePath(name).with_name(before)) in names
            if not rotated and not is_packed(name):
                found[name] = None
    return list(found)


def _resume(tails: dict[str, Tail], wall: float) -> str:
    files = {path: positions for path, tail in tails.items() if (positions := tail.positions)}
    return json.dumps({"wall": round(wall, 3), "files": files}, separators=(",", ":"))


def _understood(resume: str, wall: float) -> tuple[dict[str, list[Position]], float]:
    """Positions by path, and how many seconds ago they were; nothing of what cannot be understood."""
    try:
        written: dict[str, Any] = json.loads(resume)
        known = {
            path: [Position(int(a), int(b), int(c), str(d), bool(e), int(f)) for a, b, c, d, e, f in positions]
            for path, positions in written["files"].items()
        }
        ago = wall - float(written["wall"])
    except (ValueError, TypeError, KeyError, AttributeError):
        return {}, 0.0
    if ago < -1.0:  # the clock was set back: nobody knows how long it was
        return {}, AWAY
    return known, max(0.0, ago)
