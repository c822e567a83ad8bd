"""A wall clock that a test sets, under a real process: libfaketime steps CLOCK_REALTIME and leaves the others."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

LIBRARY = next(iter(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), None)


class WallClock:
    """`set` it while the process runs that was started with `env`."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "ahead"
        self.set(timedelta(0))
        self.env = {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }

    def set(self, ahead: timedelta) -> None:
        """By how much it is ahead of the true time; in one step, as nobody may read half of it."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{ahead.total_seconds():+.0f}\n")
        os.replace(new, self._file)  # noqa: PTH105  (as atomic as the name says)
