"""Following a path: the file that is there, those that were until a moment ago, and what a rotation made of them.

Lines are handed on once each, in no order between files. What cannot be known is told: bytes passed over, and why a
path cannot be read at present.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from probes._logs.open_file import File, Position, Take, why
from probes._logs.rotated import Candidate, beside, is_rotated
from probes.contract import LookFailed

LINGER = 60.0
"""Seconds without a new byte after which a file that was rotated away is taken for finished. nginx writes to it until
it is told to reopen, Apache until its last old worker has ended."""
_OLD_MOST = 4
"""Rotated files of one path that are read beside the present one."""


class Tail:
    """Follows one path: the file that is there, and those that were until a moment ago."""

    __slots__ = (
        "_device",
        "_missing_since",
        "_now",
        "_old",
        "_present",
        "_take",
        "_written",
        "lost",
        "passed",
        "path",
        "taken",
        "trouble",
    )

    def __init__(self, path: str, take: Take) -> None:
        self.path = path
        self._take = take
        self._present: File | None = None
        self._old: list[File] = []
        self._now = 0.0
        self._missing_since: float | None = None
        self._device: int | None = None
        """Where a file must lie that appears at the path to be a new one, not one that was mounted or allowed."""
        self._written = 0
        """When any file of this path had last been written to, as the path was last seen: nanoseconds of the disk."""
        self.taken = 0
        """Bytes handed on since somebody has set it to 0."""
        self.passed = 0
        """Bytes passed over, likewise."""
        self.lost = 0
        """Files that were not found again, likewise: rotated and packed while nobody read."""
        self.trouble: LookFailed | None = None
        """Why it cannot be read at present."""

    def start(self, positions: Sequence[Position], now: float, *, at_end: bool) -> None:
        """Go on at `positions`, whose files may have other names by now; without any at the beginning or `at_end`."""
        self._now = now
        self._written = max((position.written for position in positions), default=0)
        present = self._open_present(at_end=at_end and not positions)
        if present is not None and not positions:
            self._written = os.fstat(present.fd).st_mtime_ns
        resumed = present is None or not positions
        for position in positions:
            found = self._recover(position)
            resumed |= found is present
            if found is None and position is positions[-1]:
                self.lost += 1
        if not resumed:
            self._recover_between()

    def turn(self, most: int, now: float) -> bool:
        """Read at most `most` bytes of each file; False when all of them are at their end."""
        self._now = now
        more = False
        for file in tuple(self._old):
            file.measure()
            more |= self._read(file, most)
            if now - file.quiet_since > LINGER:
                self._let_go(file)
        if self._present is not None:
            if not self._present.is_as_it_was():
                self._truncated(self._present)
                more = True
            more |= self._read(self._present, most)
        return self._follow_path() or more

    @property
    def unread(self) -> int:
        return sum(file.unread for file in self._files())

    @property
    def positions(self) -> list[Position]:
        return [file.position._replace(written=self._written) for file in self._files()]

    def close(self) -> None:
        for file in self._files():
            file.close()
        self._old, self._present = [], None

    def _files(self) -> list[File]:
        return [*self._old, self._present] if self._present is not None else [*self._old]

    def _read(self, file: File, most: int) -> bool:
        self.passed += file.pass_over()
        before = file.at
        more = file.read(most, self._take, self._now)
        self.taken += file.at - before
        return more

    def _follow_path(self) -> bool:
        """See what is at the path now; True when that is another file than before."""
        try:
            found = Path(self.path).stat()
        except OSError as error:
            self._gone(error)
            return False
        present = self._present
        if present is not None and present.identity == (found.st_dev, found.st_ino):
            self._missing_since = self.trouble = None
            self._written = max(self._written, found.st_mtime_ns)
            return False
        if present is not None:
            self._put_away(present)
        if self._open_present(at_end=found.st_dev != self._device) is None:
            return False
        if present is not None:
            self._recover_between()
        return True

    def _gone(self, error: OSError) -> None:
        """Between a rename and the new file there is none; one that was deleted may still be written to."""
        if self._missing_since is None:
            self._missing_since = self._now
        if not self._files():
            self._unreadable(error)
        elif self._now - max(self._missing_since, *(file.quiet_since for file in self._files())) > LINGER:
            self.trouble = why(error, self.path)

    def _unreadable(self, error: OSError) -> None:
        self.trouble = why(error, self.path)
        self._device = None
        if isinstance(error, FileNotFoundError):
            with suppress(OSError):
                self._device = Path(self.path).parent.stat().st_dev

    def _open_present(self, *, at_end: bool) -> File | None:
        try:
            file = File(self.path, self._now)
        except OSError as error:
            self._unreadable(error)
            return None
        except LookFailed as refused:
            self.trouble, self._device = refused, None
            return None
        self._missing_since = self.trouble = None
        self._device = file.device
        known = next((old for old in self._old if old.identity == file.identity), None)
        if known is not None:  # renamed, and renamed back
            file.close()
            self._old.remove(known)
            file = known
        elif at_end:
            file.to_end()
        self._present = file
        return file

    def _put_away(self, file: File) -> None:
        self._present = None
        self._old.append(file)
        while len(self._old) > _OLD_MOST:
            self.passed += self._old[0].unread
            self._let_go(self._old[0])

    def _let_go(self, file: File) -> None:
        self._old.remove(file)
        self._written = max(self._written, os.fstat(file.fd).st_mtime_ns)
        file.finish(self._take)
        file.close()

    def _truncated(self, file: File) -> None:
        """With copytruncate, what was not read yet is in the copy."""
        position = file.position
        file.restart()
        self._recover(position)
        self._recover_between()

    def _recover(self, position: Position) -> File | None:
        """Find the file of a position, under whatever name a rotation has given it, and go on there."""
        for file in self._holders(position):
            mine = file is self._present
            if file.has(position):
                file.to(position)
                if not mine:
                    self._old.append(file)
                return file
            if not mine:
                file.close()
        return None

    def _holders(self, position: Position) -> Iterator[File]:
        """Files that a position may be in, the likeliest first: the same file is believed before what only holds the
        same (a copy, or the file itself where devices have other numbers by now)."""
        known = {file.identity for file in self._files()}
        others = [candidate for candidate in beside(self.path) if candidate.identity not in known]
        for same in (True, False):
            present = self._present
            if present is not None and (present.identity == position.identity) is same and (same or not present.at):
                yield present
            for candidate in others:
                if (candidate.identity == position.identity) is same and (
                    file := self._opened(candidate)
                ) is not None:
                    yield file

    def _recover_between(self) -> None:
        """Files that came and went since the path was last seen: written to after all that was known then."""
        known = {file.identity for file in self._files()}
        for candidate in beside(self.path) if self._written else ():
            new = candidate.written > self._written and candidate.identity not in known
            if new and is_rotated(candidate.path, self.path) and (file := self._opened(candidate)) is not None:
                self._old.append(file)

    def _opened(self, candidate: Candidate) -> File | None:
        with suppress(OSError, LookFailed):
            return File(candidate.path, self._now)
        return None
