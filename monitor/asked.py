"""What somebody asks for by the API or a hook, as JSON: read, and refused in words that repeat nothing of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def must_know(asked: Mapping[str, Any], *known: str) -> None:
    """Raises `ValueError` where there are other keys than these."""
    if unknown := asked.keys() - set(known):
        raise ValueError(f"{len(unknown)} unknown key(s): known are {', '.join(known)}")


def line_of(asked: Mapping[str, Any], key: str, longest: int) -> str:
    """A text on one line, of at most so many characters; empty where there is none. Raises `ValueError`."""
    text = asked.get(key) or ""
    if not isinstance(text, str) or len(text) > longest or (text and not text.isprintable()):
        raise ValueError(f"{key} must be a text of at most {longest} characters, on one line")
    return text
