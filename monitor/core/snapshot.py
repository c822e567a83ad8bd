"""Reading what a judge has kept of itself, and what the world has noted.

What none can have written raises `ValueError`: it would be met later, in the middle of a look, and after each start.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar

T = TypeVar("T")

UNREADABLE = (KeyError, TypeError, ValueError, AttributeError)
"""What is raised by what another version has written, or nobody."""

LARGEST = 1e300
"""No figure that is kept is larger, either way."""
_LONGEST = 1e11
"""Seconds, some 3,000 years."""


def read_notes(
    notes: Mapping[str, Any], prefix: str, read: Callable[[str, Any], T]
) -> tuple[dict[str, T], list[str]]:
    """What is in those notes whose names begin so, by the rest of the name, which `read` gets with the value; and the
    names of those that `read` refuses by one of `UNREADABLE`: they are of another version, or of nobody."""
    found, unreadable = {}, []
    for name, value in notes.items():
        if name.startswith(prefix):
            rest = name.removeprefix(prefix)
            try:
                found[rest] = read(rest, value)
            except UNREADABLE:
                unreadable.append(name)
    return found, unreadable


def read_number(value: Any, largest: float = LARGEST) -> float:
    if isinstance(value, (int, float)) and -largest <= value <= largest:
        return value
    raise ValueError(f"{value!r:.40} is no number")


def read_seconds(value: Any) -> float:
    """An age, or a moment by some clock."""
    return read_number(value, _LONGEST)


def read_count(value: Any) -> int:
    if isinstance(value, int) and value >= 0:
        return value
    raise ValueError(f"{value!r:.40} counts nothing")


def read_instant(text: Any) -> datetime | None:
    """None where nothing is written."""
    if not text:
        return None
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"{text!r:.40} is of no time zone")
    return at


def read_given_instant(text: Any) -> datetime:
    """One that must be written."""
    at = read_instant(text)
    if at is None:
        raise ValueError("a time is missing")
    return at
