"""Clocks that a test sets, under a real process: what `wall_clock.c` tells it is the time."""

from __future__ import annotations

import shutil
import struct
import subprocess
from datetime import timedelta
from pathlib import Path

COMPILER = shutil.which("cc") or shutil.which("gcc")
_SOURCE = Path(__file__).with_suffix(".c")


class WallClock:
    """`set` it, or let time `pass_`, while the process runs that was started with `env`. Not libfaketime: under it
    `time.sleep` fails."""

    def __init__(self, folder: Path) -> None:
        assert COMPILER
        library, self._file = folder / "wall_clock.so", folder / "wall_clock"
        subprocess.run([COMPILER, "-shared", "-fPIC", "-O1", "-o", library, _SOURCE], check=True, timeout=60)
        self._file.write_bytes(bytes(16))
        self.env = {"LD_PRELOAD": str(library), "WALL_CLOCK": str(self._file)}
        self.passed = timedelta(0)

    def set(self, ahead: timedelta) -> None:
        """By how much the wall clock is ahead of the true time."""
        self._write(0, ahead)

    def pass_(self, span: timedelta) -> None:
        """All clocks go on by that at once; whoever waits for a while wakes when its own time is up."""
        self.passed += span
        self._write(8, self.passed)

    def _write(self, place: int, span: timedelta) -> None:
        with self._file.open("r+b") as file:
            file.seek(place)
            file.write(struct.pack("<q", span // timedelta(microseconds=1) * 1000))
