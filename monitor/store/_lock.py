"""One agent a state directory: an exclusive lock on a file that holds our pid, let go by the kernel when we die."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from contextlib import suppress
from pathlib import Path

from monitor.store.contract import Refused, StoreBusy, StoreError


def prepare(directory: Path) -> None:
    """Make sure that the directory is there and can be written, for us alone where we create it."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError:
        raise Refused(f"state_dir {directory} is not a directory: name one, or move that file away") from None
    except NotADirectoryError:
        raise Refused(f"state_dir {directory} lies below a file: name a directory") from None
    except PermissionError as error:
        raise Refused(f"cannot create state_dir {directory}: {error.strerror}") from error
    except OSError as error:
        raise StoreError(f"cannot create state_dir {directory}: {error.strerror}") from error
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        if os.statvfs(directory).f_flag & os.ST_RDONLY:
            raise StoreError(f"state_dir {directory} is on a read-only file system: see to the mount")
        raise Refused(f"state_dir {directory} cannot be written by this user (uid {os.getuid()}): chown it to it")


_NO_NEW_FILE = (errno.EROFS, errno.ENOSPC, errno.EDQUOT)
_NO_FILE = (errno.ELOOP, errno.EISDIR, errno.ENXIO)


class AgentLock:
    """`state_dir/agent.lock`, held from construction to `release`.

    It is held on a disk that is full or read-only, too; there the pid in it may be an old one.
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory / "agent.lock"
        self._fd = _open_lock(self.path)
        if stat.S_ISFIFO(os.fstat(self._fd).st_mode):
            self.release()
            raise Refused(f"{self.path} is a pipe: remove it")  # whoever asks who holds the directory would hang
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(self._fd)
            os.close(self._fd)
            raise StoreBusy(
                f"another agent (pid {holder}) uses state_dir {directory}: stop it, or give this one a state_dir "
                f"of its own"
            ) from None
        except OSError as error:
            os.close(self._fd)
            raise StoreError(f"cannot lock {self.path}: {error.strerror}") from error
        with suppress(OSError):  # full or read-only: the lock holds without it
            os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)  # over the old one, which takes no new room
            os.ftruncate(self._fd, len(f"{os.getpid()}\n"))

    def release(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _open_lock(path: Path) -> int:
    """The lock file; where none can be made or written, whatever can be locked in its place."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except PermissionError as error:
        raise Refused(f"cannot open {path}: {error.strerror} (uid {os.getuid()}): chown it to this user") from error
    except OSError as error:
        if error.errno in _NO_FILE:
            raise Refused(f"{path} is a link, a directory or a socket: remove it") from error
        if error.errno not in _NO_NEW_FILE:
            raise StoreError(f"cannot open {path}: {error.strerror}") from error
    try:
        return os.open(path if path.exists() else path.parent, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise StoreError(f"cannot open {path}: {error.strerror}") from error


def _holder(descriptor: int) -> str:
    try:
        return os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
    except OSError:  # a directory in the place of the file
        return "unknown"
