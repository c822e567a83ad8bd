"""A real journal of systemd, in a folder of our own: written by systemd-journal-remote from the export format."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

from tests.servers import Absent

_WRITER = shutil.which("systemd-journal-remote", path="/lib/systemd:/usr/lib/systemd")
_ID = "4b3f9c5e2b7a4c1d9e8f7a6b5c4d3e2f"


class Journal:
    """Messages are added to one file, which grows."""

    def __init__(self, folder: Path) -> None:
        if _WRITER is None or shutil.which("journalctl") is None:
            raise Absent("needs systemd-journal-remote: apt-get install systemd-journal-remote")
        self.folder = folder
        self._last = 0

    def write(self, unit: str, priority: int | None, *messages: str, times: int = 1) -> None:
        assert _WRITER is not None
        entries = [self._entry(unit, priority, message) for message in messages for _ in range(times)]
        subprocess.run(
            [_WRITER, "-o", self.folder / "remote-test.journal", "-"],
            input=b"".join(entries), check=True, capture_output=True,
        )  # fmt: skip

    def _entry(self, unit: str, priority: int | None, message: str) -> bytes:
        self._last = at = max(self._last + 1, time.time_ns() // 1000)
        text = message.encode("utf-8", "surrogateescape")
        fields = [
            b"__REALTIME_TIMESTAMP=%d" % at,
            b"__MONOTONIC_TIMESTAMP=%d" % (at % 10**12),
            b"_BOOT_ID=%s" % _ID.encode(),
            b"_MACHINE_ID=%s" % _ID.encode(),
            b"_SYSTEMD_UNIT=%s" % unit.encode(),
            b"MESSAGE\n" + len(text).to_bytes(8, "little") + text,
        ]
        if priority is not None:
            fields.append(b"PRIORITY=%d" % priority)
        return b"\n".join(fields) + b"\n\n"
