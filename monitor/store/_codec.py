"""How values of the domain become JSON bytes and integers, and come back: shared by all stores.

What comes back is checked. A figure that nobody has written (a scribble in a file that is whole) is damage: it raises
`ValueError` here, where the journal can be kept aside, and not a week later where nobody expects it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from monitor.core.model import Event
from monitor.store.contract import Unstorable

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LATEST = (datetime(9000, 1, 1, tzinfo=UTC) - _EPOCH) // _MICROSECOND
"""Microseconds. No clock shows that, and there is room behind it to count on."""
_MOST = 2**53
"""What is counted by ones never gets there, and is not near the limit of SQLite's integers."""
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)
"""Built once: `json.dumps` with options builds one for each value, which is half of its time."""


def to_micros(at: datetime) -> int:
    """UTC microseconds since 1970; exact, unlike `datetime.timestamp`."""
    return (at - _EPOCH) // _MICROSECOND


def from_micros(micros: Any) -> datetime:
    """Raises `ValueError` for what no clock has shown."""
    if not isinstance(micros, int) or not 0 <= micros < _LATEST:
        raise ValueError(f"{micros!r:.40} is no time")
    return _EPOCH + timedelta(microseconds=micros)


def read_count(value: Any) -> int:
    """A number of something, or of a row. Raises `ValueError`."""
    if not isinstance(value, int) or not 0 <= value < _MOST:
        raise ValueError(f"{value!r:.40} counts nothing")
    return value


def read_text(value: Any) -> str:
    """Raises `ValueError`."""
    if not isinstance(value, str):
        raise ValueError(f"{value!r:.40} is no text")  # noqa: TRY004  (damage of the file, not of the program)
    return value


def read_names(value: Any) -> tuple[str, ...]:
    """Of a list in JSON. Raises `ValueError`."""
    names = _from_json(value)
    if not isinstance(names, list):
        raise ValueError(f"{value!r:.40} is no list")  # noqa: TRY004  (as above)
    return tuple(map(read_text, names))


def read_object(value: Any) -> dict[str, Any]:
    """Of an object in JSON. Raises `ValueError`."""
    found = _from_json(value)
    if not isinstance(found, dict):
        raise ValueError(f"{value!r:.40} is no object")  # noqa: TRY004  (as above)
    return found


def read_value(value: Any) -> Any:
    """Of any value in JSON but null. Raises `ValueError`."""
    found = _from_json(value)
    if found is None:
        raise ValueError("null is no value")
    return found


def _from_json(value: Any) -> Any:
    try:
        return json.loads(value)
    except (TypeError, RecursionError) as error:
        raise ValueError(f"{value!r:.40} is no JSON") from error


def to_json(value: Any, what: str) -> bytes:
    """Compact JSON. `what` names the value in the `Unstorable` that is raised when it is none.

    A lone surrogate (text of a target, decoded leniently) becomes "?", and a figure that is none (NaN, infinite)
    null: neither must stop an alert.
    """
    try:
        text = _encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise Unstorable(f"{what} cannot be stored as JSON: {error}") from error
    return text.encode("utf-8", "replace")


def _encode(value: Any) -> str:
    try:
        return _ENCODER.encode(value)
    except ValueError:
        if isinstance(value, float):
            raise  # null by itself means that there is nothing
        return _ENCODER.encode(_finite(value))


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def encode_body(event: Event) -> bytes:
    """The bytes that every sink and every attempt will see."""
    return to_json(dict(event.body), f"the body of event {event.id}")


def decode_body(body: bytes) -> Mapping[str, Any]:
    """Raises `ValueError` for damage."""
    decoded = read_object(body)
    read_text(decoded.get("id"))
    return decoded
