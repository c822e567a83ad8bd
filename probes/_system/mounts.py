"""File systems, looked at so that a hung mount blocks nobody: one daemon thread a mount, never two on the same."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from probes._system.hang import Asker, Hung

__all__ = ["FileSystems", "Hung", "RealFileSystems", "Space", "Watchers", "local_mounts"]

_MOUNTS = "/proc/self/mountinfo"
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
        if stat.S_IMODE(os.stat(path).st_mode) == 0:  # noqa: PTH116  (a path may be anything here)
            # What systemd puts before a path that a service may not see: figures of it would be another disk's.
            raise PermissionError(errno.EACCES, "hidden by the sandbox", path)
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


def local_mounts(mounts: str = _MOUNTS) -> tuple[str, ...]:
    """Where real, local, writable file systems are mounted; each device once, the shortest path first.

    Writable is what the file system is, not what our view of it is: a service's sandbox (ProtectSystem=strict) mounts
    everything read-only for us. What something else is mounted over, as ProtectHome= does, cannot be looked at.
    The kernel's own list: reading it touches no mount, so it cannot hang.
    """
    lines = Path(mounts).read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    table = {mount.id: mount for mount in map(_mount, lines)}
    by_device: dict[str, str] = {}
    for mount in table.values():
        if mount.kind not in _REAL or mount.read_only or mount.path.startswith(_NEVER) or _covered(mount, table):
            continue
        if mount.device not in by_device or len(mount.path) < len(by_device[mount.device]):
            by_device[mount.device] = mount.path
    return tuple(sorted(by_device.values()))


@dataclass(frozen=True, slots=True)
class _Mount:
    """A line of mountinfo (proc(5))."""

    id: str
    parent: str
    path: str
    kind: str
    device: str
    read_only: bool
    """The file system itself, for everybody."""


def _mount(line: str) -> _Mount:
    place, _, what = line.partition(" - ")
    number, parent, _, _, path, *_ = place.split(" ")
    kind, device, options, *_ = what.split(" ")
    path = path.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
    return _Mount(number, parent, path, kind, device, "ro" in options.split(","))


def _covered(mount: _Mount, table: Mapping[str, _Mount]) -> bool:
    """True when its path leads to another: one on top of it, one before it, or the same of what it is mounted on."""
    for other in table.values():
        on_top = other.parent == mount.id and other.path == mount.path
        before = other.parent == mount.parent and mount.path.startswith(f"{other.path.rstrip('/')}/")
        if on_top or (before and other is not mount):
            return True
    parent = table.get(mount.parent)
    return parent is not None and parent is not mount and _covered(parent, table)
