"""How values of the domain become JSON bytes and integers, and come back: shared by all stores."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from monitor.core.model import Event
from monitor.store.contract import Unstorable

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)
"""Built once: `json.dumps` with options builds one for each value, which is half of its time."""


def to_micros(at: datetime) -> int:
    """UTC microseconds since 1970; exact, unlike `datetime.timestamp`."""
    return (at - _EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)


def to_json(value: Any, what: str) -> bytes:
    """Compact JSON. `what` names the value in the `Unstorable` that is raised when it is none.

    A lone surrogate (text of a target, decoded leniently) becomes "?": it must not stop an alert.
    """
    try:
        text = _ENCODER.encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise Unstorable(f"{what} cannot be stored as JSON: {error}") from error
    return text.encode("utf-8", "replace")


def encode_body(event: Event) -> bytes:
    """The bytes that every sink and every attempt will see."""
    return to_json(dict(event.body), f"the body of event {event.id}")


def decode_body(body: bytes) -> Mapping[str, Any]:
    decoded: dict[str, Any] = json.loads(body)
    return decoded
