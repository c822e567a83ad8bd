"""Lines for the journal of systemd, which can be told how urgent each of them is: sd-daemon(3)."""

from __future__ import annotations

import os
import sys
from typing import Final, TextIO

PRIORITIES: Final = {"critical": 2, "error": 3, "warning": 4, "info": 6, "debug": 7}
"""What the journal calls our levels."""


def reads(out: TextIO | None) -> bool:
    """Whether the journal reads what is written to `out`: systemd.exec(5)."""
    try:
        found = os.fstat(out.fileno()) if out is not None else None
    except (OSError, ValueError):
        return False
    return found is not None and os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def complain(line: object) -> None:
    """Write a line to stderr; in the journal it is an error, so that `journalctl -p warning` has it."""
    mark = f"<{PRIORITIES['error']}>" if reads(sys.stderr) else ""
    print(f"{mark}{line}", file=sys.stderr)
