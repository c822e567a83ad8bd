"""A wall clock that a test sets, under a real process: what `wall_clock.c` tells it is the time."""

from __future__ import annotations

import shutil
import subprocess
from datetime import timedelta
from pathlib import Path

COMPILER = shutil.which("cc") or shutil.which("gcc")
_SOURCE = Path(__file__).with_suffix(".c")


class WallClock:
    """`set` it while the process runs that was started with `env`. Not libfaketime: under it `time.sleep` fails."""

    def __init__(self, folder: Path) -> None:
        assert COMPILER
        library, self._file = folder / "wall_clock.so", folder / "wall_clock"
        subprocess.run([COMPILER, "-shared", "-fPIC", "-O1", "-o", library, _SOURCE], check=True, timeout=60)
        self._file.write_bytes(bytes(8))
        self.env = {"LD_PRELOAD": str(library), "WALL_CLOCK": str(self._file)}

    def set(self, ahead: timedelta) -> None:
        """By how much it is ahead of the true time."""
        nanoseconds = ahead // timedelta(microseconds=1) * 1000
        with self._file.open("r+b") as file:
            file.write(nanoseconds.to_bytes(8, "little", signed=True))
