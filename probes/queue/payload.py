"""A job as it lies in the queue, read only as far as needed: it may be huge, broken, or written by somebody hostile.

Nothing of it is ever shown but the name of its class: arguments hold customers' data.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

WHOLE = 65_536
"""Bytes up to which a job is parsed; of a larger one only the values that are looked for are searched."""

_SCALAR = rb'\s*:\s*("(?:[^"\\]|\\.){0,200}"|-?[0-9][0-9.eE+-]{0,30})'
_EARLIEST = 1e9
"""2001: a smaller number is no time of day at all."""
_LEAD = 86_400.0
"""Seconds by which a clock may be ahead; what is beyond is no time that a job was put in at."""


def peek(payload: bytes, *names: str) -> Mapping[str, Any]:
    """The values of the top level's `names` that are there. Empty for what is no JSON object."""
    if len(payload) > WHOLE:
        return {name: value for name in names if (value := _search(payload, name)) is not None}
    try:
        found = json.loads(payload)
    except (ValueError, RecursionError):
        return {}
    return {name: found[name] for name in names if name in found} if isinstance(found, dict) else {}


def _search(payload: bytes, name: str) -> Any:
    """What stands behind the last ``"name":``; libraries write the arguments before it, so it is not of them."""
    at = payload.rfind(f'"{name}":'.encode())
    match = re.compile(_SCALAR).match(payload, at + len(name) + 2) if at >= 0 else None
    if match is None:
        return None
    try:
        return json.loads(match[1])
    except ValueError:
        return None


def age(value: object, now: float) -> float | None:
    """Seconds since the time `value`; None when it is none. Seconds, milliseconds and microseconds are told apart by
    their size. A clock that is ahead makes no negative age."""
    stamp = instant(value)
    if stamp is None or stamp > now + _LEAD:
        return None
    return max(0.0, now - stamp)


def moment(text: object) -> float | None:
    """Seconds of the wall clock that ``2026-01-31T12:00:00.25Z`` stands for; UTC if it says nothing."""
    if isinstance(text, bytes):
        text = text[:40].decode("utf-8", "replace")
    if not isinstance(text, str):
        return None
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def instant(value: object) -> float | None:
    """Seconds of the wall clock that a number, or a text of one, stands for."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | bytes):
        return None
    try:
        stamp = float(value)
    except (ValueError, OverflowError):
        return None
    if not math.isfinite(stamp):
        return None
    for unit in (1.0, 1e3, 1e6):
        if _EARLIEST <= stamp / unit < _EARLIEST * 100:
            return stamp / unit
    return None
