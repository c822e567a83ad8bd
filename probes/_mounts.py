"""File systems, looked at so that a hung mount blocks nobody: one daemon thread a mount, never two on the same."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from probes._hang import Asker, Hung

__all__ = ["FileSystems", "Hung", "RealFileSystems", "Space", "Watchers", "local_mounts"]

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


class Watchers:
    """Asks `FileSystems` so that a mount that hangs blocks nobody."""

    __slots__ = ("_spaces",)

    def __init__(self, file_systems: FileSystems) -> None:
        self._spaces = Asker(file_systems.space, "statvfs")

    async def space(self, path: str, timeout: float) -> Space:
        """Raises `Hung` after `timeout` seconds, or at once when a call has hung that long; else as statvfs."""
        return await self._spaces.ask(path, timeout)


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
