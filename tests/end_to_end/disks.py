"""Disks that a test can fill, make read-only and mend: a small tmpfs each, mounted for the test."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True, slots=True)
class SmallDisk:
    folder: Path

    def fill(self) -> None:
        """To the last byte, as a log that nobody rotates would."""
        ballast = os.open(self.folder / "ballast", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for size in (65536, 4096, 512, 1):
            with _until_full():
                while True:
                    os.write(ballast, b"\0" * size)
        os.close(ballast)

    def empty(self) -> None:
        (self.folder / "ballast").unlink(missing_ok=True)

    def read_only(self, *, yes: bool) -> None:
        """As the kernel does when a disk fails; it is forced, whatever is open for writing."""
        if not yes:
            _run("mount", "-o", "remount,rw", self.folder)
        elif subprocess.run(["mount", "-o", "remount,ro", self.folder], capture_output=True, check=False).returncode:
            pytest.skip("this kernel does not make a disk read-only that is being written to")


@contextmanager
def _until_full() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise


@contextmanager
def small_disk(folder: Path, size: str = "2m") -> Iterator[SmallDisk]:
    """A tmpfs at `folder`; the test is skipped where it may not mount."""
    folder.mkdir(parents=True, exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield SmallDisk(folder)
    finally:
        _run("umount", "--lazy", folder)


def _run(*command: str | Path) -> None:
    subprocess.run(command, capture_output=True, check=True)
