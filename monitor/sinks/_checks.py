"""What the fields of several sinks have in common: checks for their ``__post_init__``."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

from monitor.urls import NO_URL, is_callable
from probes.contract import BadField, Secret

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_OURS = frozenset({"content-length", "content-type", "host", "transfer-encoding", "connection"})
LONGEST: Final = timedelta(seconds=20)
"""What one attempt may take (`monitor.sending.Pace.send_timeout`)."""


def check_url(url: str, field: str = "url") -> None:
    """Where a sink is asked. Raises `BadField`, whose text does not repeat it: it may hold a secret."""
    if not is_callable(url):
        raise BadField(field, NO_URL)


def check_timeout(timeout: timedelta, field: str = "timeout") -> None:
    """Of one attempt."""
    if not timedelta(0) < timeout <= LONGEST:
        raise BadField(field, "must be more than 0s and at most 20s")


def check_key(key: Secret, field: str = "api_key", what: str = "key") -> None:
    """A key or token that goes into a header. Raises `BadField`, whose text does not repeat it."""
    text = key.reveal()
    if not text.isascii() or not text.isprintable() or " " in text:
        raise BadField(field, f"holds what no {what} holds: copy it whole, and nothing else")


def check_header(name: str, value: str) -> None:
    """One of `headers`, which are sent along."""
    if not _NAME.fullmatch(name):
        raise BadField("headers", f"{name!r} is no name of a header")
    if name.lower() in _OURS or name.lower().startswith("webhook-"):
        raise BadField("headers", f"{name} is set by Brownout itself: leave it out")
    if not value.isascii() or any(ord(letter) < ord(" ") and letter != "\t" for letter in value):
        raise BadField("headers", f"the value of {name} must be one line of ASCII")
