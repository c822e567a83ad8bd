"""File systems, looked at so that a hung mount blocks nobody: one daemon thread a mount, never two on the same.

A call into a dead NFS server or FUSE daemon sleeps in the kernel and cannot be ended. So it happens in a thread that
may be left behind; as long as it hangs, further looks are told so at once, without another thread.
"""

from __future__ import annotations

import asyncio
import os
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Protocol

from probes.contract import LookFailed, Reason

_PROC_MOUNTS = "/proc/self/mounts"
_REAL = frozenset(
    {"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "vfat", "exfat", "jfs", "reiserfs", "bcachefs"}
)
_NEVER = ("/boot/efi", "/efi", "/snap/")  # full by nature, or of no consequence


@dataclass(frozen=True, slots=True)
class Space:
    """One file system: bytes and inodes. `inodes` is 0 where the file system has no fixed number of them."""

    total: int
    free: int
    """For root as well."""
    available: int
    """For everybody else: what counts when the application writes."""
    inodes: int
    inodes_free: int

    @property
    def used(self) -> float:
        """As df counts: what root keeps in reserve is neither used nor there."""
        taken = self.total - self.free
        whole = taken + self.available
        return taken / whole if whole else 0.0

    @property
    def inodes_used(self) -> float | None:
        return 1 - self.inodes_free / self.inodes if self.inodes else None


class FileSystems(Protocol):
    """The one call that may block for ever."""

    def space(self, path: str) -> Space: ...


class RealFileSystems:
    """statvfs(2). Raises OSError."""

    def space(self, path: str) -> Space:
        found = os.statvfs(path)
        size = found.f_frsize
        return Space(
            found.f_blocks * size, found.f_bfree * size, found.f_bavail * size, found.f_files, found.f_favail
        )


class Hung(Exception):
    """The call has not come back in time, or an earlier one has not come back yet."""


Waiter = tuple[asyncio.AbstractEventLoop, asyncio.Future[Space]]


class Watchers:
    """Asks `FileSystems` in threads; at most one call is under way for a path, and its answer is for all who ask."""

    __slots__ = ("_file_systems", "_lock", "_under_way")

    def __init__(self, file_systems: FileSystems) -> None:
        self._file_systems = file_systems
        self._under_way: dict[str, tuple[float, list[Waiter]]] = {}
        self._lock = threading.Lock()

    async def space(self, path: str, timeout: float) -> Space:
        """Raises `Hung` after `timeout` seconds, or at once when a call has hung that long; else as statvfs."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Space] = loop.create_future()
        with self._lock:
            under_way = self._under_way.get(path)
            if under_way is None:
                self._start(path, (loop, answer))
            elif monotonic() - under_way[0] > timeout:
                raise Hung(path)
            else:
                under_way[1].append((loop, answer))
        try:
            return await asyncio.wait_for(answer, timeout)
        except TimeoutError:
            raise Hung(path) from None

    def _start(self, path: str, waiter: Waiter) -> None:
        thread = threading.Thread(target=self._ask, args=(path,), name=f"statvfs {path}", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            raise LookFailed(Reason.NO_DESCRIPTORS, f"no thread to look at {path}: {error}") from error
        self._under_way[path] = (monotonic(), [waiter])

    def _ask(self, path: str) -> None:
        answer: Space | Exception
        try:
            answer = self._file_systems.space(path)
        except Exception as error:  # noqa: BLE001  (handed to whoever waits)
            answer = error
        with self._lock:
            _, waiters = self._under_way.pop(path)
        for loop, future in waiters:
            # A loop that has closed meanwhile has nobody who waits.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(_settle, future, answer)


def _settle(future: asyncio.Future[Space], answer: Space | Exception) -> None:
    if future.done():
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)


def local_mounts(mounts: str = _PROC_MOUNTS) -> tuple[str, ...]:
    """Where real, local, writable file systems are mounted; each device once, the shortest path first.

    The kernel's own list: reading it touches no mount, so it cannot hang.
    """
    by_device: dict[str, str] = {}
    for line in Path(mounts).read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        device, path, kind, options, *_ = line.split(" ")
        if kind not in _REAL or "ro" in options.split(",") or path.startswith(_NEVER):
            continue
        path = path.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
        if device not in by_device or len(path) < len(by_device[device]):
            by_device[device] = path
    return tuple(sorted(by_device.values()))
