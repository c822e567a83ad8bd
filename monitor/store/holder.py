"""Which agent holds a state directory, asked from outside, without ever getting into its way."""

from __future__ import annotations

from pathlib import Path

_LOCKS = Path("/proc/locks")


def holder(directory: Path, locks: Path = _LOCKS) -> int | None:
    """The pid of the agent that holds the directory; None when none does. Raises `OSError` where it may not be read.

    The kernel is asked who holds the lock: a pid in a file may be that of an agent that has died, and trying the lock
    would keep an agent that starts at this moment from getting it.
    """
    lock = directory / "agent.lock"
    if not lock.is_file():  # to read a pipe would wait for its holder to write
        return None
    try:
        written, inode = lock.read_text("ascii").strip(), lock.stat().st_ino
    except (FileNotFoundError, NotADirectoryError, UnicodeDecodeError):
        return None
    for line in locks.read_text("ascii").splitlines():
        words = line.split()
        if words[1:2] == ["FLOCK"] and words[4:5] == [written] and words[5].endswith(f":{inode}"):
            return int(written)
    return None
