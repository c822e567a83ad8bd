"""A log file that is open: whole lines are read of it, and a position in it that can be found again.

Everything here may hang with its disk, so it runs in a thread (`_logs.reader`); nothing here knows of threads, loops
or clocks. A position names the file by device and inode, and vouches for itself by the bytes before it: an
inode that was given to a new file, or a file that was truncated and has grown beyond the position, is not mistaken
for what was read.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from hashlib import blake2s
from pathlib import Path
from typing import NamedTuple

from probes.contract import LookFailed, Reason

LINE_MOST = 64 * 1024
"""Bytes of a line; of a longer one nothing is read."""
BACKLOG = 256 * 1024 * 1024
"""Bytes unread beyond which the oldest are passed over: a few seconds of work at most."""
_PRINT = 512
"""Bytes before a position that vouch for it: with the time of the last line, wherever in a line that is."""
_HOMES = ("/home/", "/root/", "/run/user/")
"""Closed to a service by the sandbox of the shipped unit, whoever may read there otherwise."""
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY

Take = Callable[[bytes, int], None]
"""Is handed whole lines, each with its end, and how many there were besides of which nothing is read."""


class Position(NamedTuple):
    """Where in which file to go on: everything before `at` was handed on."""

    device: int
    inode: int
    at: int
    print: str
    """Of the bytes before `at`: their number, a colon, their hash."""
    inside: bool
    """Whether `at` is within a line that is too long."""
    written: int = 0
    """When that path had last been written to: nanoseconds of the disk's own clock."""

    @property
    def identity(self) -> tuple[int, int]:
        return self.device, self.inode


class File:
    """One open file. `at` is the beginning of the first line that was not handed on."""

    __slots__ = ("_before", "_inside", "_rest", "at", "device", "fd", "inode", "quiet_since", "size")

    def __init__(self, path: str, now: float) -> None:
        """Raises OSError, and `LookFailed` for what is no file."""
        mode = Path(path).stat().st_mode
        if not stat.S_ISREG(mode):  # opening a pipe would already be noticed by whoever writes to it
            raise LookFailed(Reason.SOURCE, f"{path} is no regular file, but {_sort(mode)}")
        self.fd = os.open(path, _FLAGS)
        found = os.fstat(self.fd)
        self.device, self.inode, self.size = found.st_dev, found.st_ino, found.st_size
        self.at = 0
        self.quiet_since = now
        self._rest = b""
        self._before = b""
        self._inside = False

    @property
    def identity(self) -> tuple[int, int]:
        return self.device, self.inode

    @property
    def unread(self) -> int:
        return max(0, self.size - self.at - len(self._rest))

    @property
    def position(self) -> Position:
        return Position(self.device, self.inode, self.at, fingerprint(self._before), self._inside)

    def close(self) -> None:
        os.close(self.fd)

    def measure(self) -> None:
        self.size = os.fstat(self.fd).st_size

    def to_end(self) -> None:
        """Pass over what is there; a line of which only the beginning is there is still to come."""
        self.measure()
        start = max(0, self.size - LINE_MOST)
        whole = os.pread(self.fd, LINE_MOST, start).rfind(b"\n") + 1
        if whole or not start:
            self._go(start + whole, inside=False)
        else:
            self._go(self.size, inside=True)

    def has(self, position: Position) -> bool:
        """Whether that is a position in this file, or could be one in what this is a copy of."""
        if position.at == 0:
            return self.identity == position.identity
        length = int(position.print.partition(":")[0])
        if self.size < position.at:
            return False
        return fingerprint(os.pread(self.fd, length, position.at - length)) == position.print

    def to(self, position: Position) -> None:
        self._go(position.at, inside=position.inside)

    def pass_over(self) -> int:
        """Leave out the oldest if too much is unread; how many bytes that is."""
        surplus = self.unread - BACKLOG
        if surplus <= 0:
            return 0
        self._go(self.at + len(self._rest) + surplus, inside=True)
        return surplus

    def is_as_it_was(self) -> bool:
        """False when it was truncated since it was read, even if it has grown beyond that again."""
        self.measure()
        if self.size < self.at + len(self._rest):
            return False
        before = self._before
        return os.pread(self.fd, len(before), self.at - len(before)) == before

    def restart(self) -> None:
        """It was truncated. A writer that does not append leaves a hole before what it goes on to write."""
        self.measure()
        self._go(0, inside=False)
        with suppress(OSError):  # all hole, or a file system that does not tell
            self._go(os.lseek(self.fd, 0, os.SEEK_DATA), inside=False)

    def read(self, most: int, take: Take, now: float) -> bool:
        """Hand on what is there, of at most `most` bytes; False when there is no more for now."""
        data = os.pread(self.fd, most, self.at + len(self._rest))
        if not data:
            return False
        self.quiet_since = now
        if self._inside:
            cut = data.find(b"\n") + 1
            if not cut:
                self._advance(data)
                return len(data) == most
            self._advance(data[:cut])
            self._inside = False
            whole = data[cut:]
        else:
            whole = self._rest + data
        end = whole.rfind(b"\n") + 1
        self._rest = whole[end:]
        if end:
            self._hand_on(whole[:end], take)
        self._give_up_on_rest(take)
        return len(data) == most

    def finish(self, take: Take) -> None:
        """Nothing more will come: a last line without an end is a line."""
        rest, self._rest = self._rest, b""
        if rest.strip(b"\0"):
            self._advance(rest)
            take(rest.replace(b"\0", b"") + b"\n", 0)

    def _hand_on(self, whole: bytes, take: Take) -> None:
        self._advance(whole)
        if b"\0" in whole:
            whole = whole.replace(b"\0", b"")
        first = whole.find(b"\n")
        if first > LINE_MOST:  # of a slice no longer than a line only the first can be
            take(whole[first + 1 :], 1)
        else:
            take(whole, 0)

    def _give_up_on_rest(self, take: Take) -> None:
        rest = self._rest
        if len(rest) > LINE_MOST or (rest and not rest.strip(b"\0")):
            self._rest = b""
            self._advance(rest)
            if rest.strip(b"\0"):
                self._inside = True
                take(b"", 1)

    def _advance(self, data: bytes) -> None:
        self.at += len(data)
        self._before = (self._before + data)[-_PRINT:] if len(data) < _PRINT else data[-_PRINT:]

    def _go(self, at: int, *, inside: bool) -> None:
        self.at, self._rest, self._inside = at, b"", inside
        self._before = os.pread(self.fd, min(_PRINT, at), at - min(_PRINT, at))


def fingerprint(data: bytes) -> str:
    """Vouches for `data` in 20 characters or so."""
    return f"{len(data)}:{blake2s(data, digest_size=8).hexdigest()}"


def why(error: OSError, path: str) -> LookFailed:
    """What an error of the file system says about a log: never anything about the service that writes it."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return LookFailed(Reason.SOURCE, f"there is no file {path}")
    if isinstance(error, PermissionError):
        mends = "brownout install --with home opens it" if path.startswith(_HOMES) else "on Debian, the group adm may"
        return LookFailed(Reason.DENIED, f"the agent may not read {path}: {mends}")
    return LookFailed(Reason.SOURCE, f"{path} cannot be read: {error.strerror}")


def _sort(mode: int) -> str:
    for test, name in ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket")):
        if test(mode):
            return name
    return "a device"
