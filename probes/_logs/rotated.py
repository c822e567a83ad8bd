"""Under which names a rotation puts what was at a path: logrotate, newsyslog, the loggers of Python and Java."""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from itertools import islice
from pathlib import Path, PurePath
from typing import NamedTuple

_ENTRIES_MOST = 4096
"""Names of a folder that are looked at."""
_MOST = 64
"""Of these, the files that were written last."""
_PACKED = (".gz", ".bz2", ".xz", ".zst", ".lz4", ".Z", ".zip")
_ROTATED = re.compile(r"(?:[.\-_]\d[\d.\-_T:]*|[.\-_](?:old|prev))$")


class Candidate(NamedTuple):
    """A file beside the path."""

    path: str
    identity: tuple[int, int]
    written: int
    """When it was last written to: nanoseconds of the file system's own clock."""


def beside(path: str) -> list[Candidate]:
    """The files beside `path`, the one written last first; packed ones left out."""
    real = Path(path).resolve()
    found: list[Candidate] = []
    with suppress(OSError), os.scandir(real.parent) as entries:
        for entry in islice(entries, _ENTRIES_MOST):
            if entry.name == real.name or is_packed(entry.name):
                continue
            with suppress(OSError):
                seen = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(seen.st_mode):
                    found.append(Candidate(entry.path, (seen.st_dev, seen.st_ino), seen.st_mtime_ns))
    found.sort(key=lambda candidate: candidate.written, reverse=True)
    return found[:_MOST]


def is_packed(name: str) -> bool:
    return name.endswith(_PACKED)


def original(name: str) -> str | None:
    """``access.log`` of ``access.log.1``, ``access.log-20261122`` and ``access-20261122.log``; None of a name that no
    rotation gives."""
    pure = PurePath(name)
    for whole, end in ((pure.name, ""), (pure.stem, pure.suffix)):
        found = _ROTATED.search(whole)
        if found is not None and found.start():
            return whole[: found.start()] + end
    return None


def is_rotated(name: str, path: str) -> bool:
    """Whether `name` is what a rotation makes of the path's: access.log.api is another log."""
    return original(PurePath(name).name) == Path(path).resolve().name
