"""The URLs that people write for the agent: which can be used, and how the others are refused."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

A_URL: Final = "a URL such as https://host/path"
NO_URL: Final = f"must be {A_URL}"
"""It does not repeat what was written: that may hold a secret."""


def is_link(text: str) -> bool:
    """Whether people can follow it."""
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False


def is_callable(text: str) -> bool:
    """Whether the agent can ask there: with a port that exists, and as it goes over the wire."""
    try:
        return is_link(text) and urlsplit(text).port != 0 and all(letter > " " for letter in text)
    except ValueError:
        return False
