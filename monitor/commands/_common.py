"""What all commands say alike. It imports next to nothing, as some of them have no more to do than that."""

from __future__ import annotations

import json
from typing import Any

from monitor.journald import complain

FINE, FINDING, WRONG = 0, 1, 2


def print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))


def fail(message: str) -> int:
    """Say what is wrong and what to do; the exit code for wrong usage."""
    complain(f"brownout: {message}")
    return WRONG
