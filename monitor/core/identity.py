"""Ids that are decided, not drawn: the same transition has the same id after every crash, retry and replay."""

from __future__ import annotations

import base64
import hashlib


def event_id(origin: str, *parts: object) -> str:
    """`origin` names the journal; `parts` name one transition in it, for ever."""
    return f"evt_{_digest(origin, *parts)}"


def incident_id(origin: str, *parts: object) -> str:
    return f"inc_{_digest(origin, *parts)}"


def drill_id(origin: str, *parts: object) -> str:
    return f"drill-{_digest(origin, *parts)}"


def maintenance_id(origin: str, *parts: object) -> str:
    """Short, as people type it."""
    return f"m-{_digest(origin, *parts)[:6]}"


def silence_id(origin: str, *parts: object) -> str:
    """Short, as people type it."""
    return f"s-{_digest(origin, 'silence', *parts)[:6]}"


def deploy_id(origin: str, *parts: object) -> str:
    return f"dep_{_digest(origin, *parts)[:12]}"


def run_id(origin: str, *parts: object) -> str:
    return f"run_{_digest(origin, 'action', *parts)}"


def _digest(*parts: object) -> str:
    """130 bits in lower-case base32: letters and digits only, as every sink's key allows."""
    text = "\x1f".join(map(str, parts)).encode()
    return base64.b32encode(hashlib.sha256(text).digest())[:26].decode().lower()
