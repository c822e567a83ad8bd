"""Where a running agent answers, as a file in its state directory tells commands on the same machine."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

NAME = "agent.url"
_FRESH = f"{NAME}.new"


def tell(directory: Path, url: str) -> None:
    """Whatever has the file's name (a pipe, a link to somebody's file) is replaced, and neither opened nor followed.
    Without the file commands go by the configuration, so a directory that cannot be written does no harm."""
    fresh = directory / _FRESH
    with suppress(OSError):
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644), "w") as file:
            file.write(f"{url}\n")
        fresh.replace(directory / NAME)


def forget(directory: Path) -> None:
    """Nobody answers there any more."""
    for name in (NAME, _FRESH):
        with suppress(OSError):
            (directory / name).unlink()


def told(directory: Path) -> str:
    """The address without a slash at its end; empty where there is none, or none that this user may read."""
    try:
        descriptor = os.open(directory / NAME, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, encoding="ascii") as file:
            return file.read(2_000).strip().rstrip("/") if stat.S_ISREG(os.fstat(descriptor).st_mode) else ""
    except (OSError, UnicodeDecodeError):
        return ""
