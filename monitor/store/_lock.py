"""One agent a state directory: an exclusive lock on a file that holds our pid, let go by the kernel when we die."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from monitor.store.contract import StoreBusy, StoreError


def prepare(directory: Path) -> None:
    """Make sure that the directory is there and can be written, for us alone where we create it."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError:
        raise StoreError(f"state_dir {directory} is not a directory: name one, or move that file away") from None
    except NotADirectoryError:
        raise StoreError(f"state_dir {directory} lies below a file: name a directory") from None
    except OSError as error:
        raise StoreError(f"cannot create state_dir {directory}: {error.strerror}") from error
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        raise StoreError(f"state_dir {directory} cannot be written by this user (uid {os.getuid()}): chown it to it")


class AgentLock:
    """`state_dir/agent.lock`, held from construction to `release`."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "agent.lock"
        try:
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise StoreError(f"cannot open {self.path}: {error.strerror}") from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)
        except BlockingIOError:
            holder = os.pread(self._fd, 20, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._fd)
            raise StoreBusy(
                f"another agent (pid {holder}) uses state_dir {directory}: stop it, or give this one a state_dir "
                f"of its own"
            ) from None
        except OSError as error:
            os.close(self._fd)
            raise StoreError(f"cannot lock {self.path}: {error.strerror}") from error

    def release(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
