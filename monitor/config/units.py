"""Figures with their units: durations, sizes, ratios, rates. A bare number where a unit belongs is an error.

All parsers raise `ValueError` with a text that says what to write; none accepts a negative figure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

from probes.contract import Unit

DURATION_EXAMPLE = "a duration such as 30s"
SIZE_EXAMPLE = "a size such as 20MiB"
MOST_EXAMPLE = "30 per 1h"

_SECONDS: Mapping[str, Decimal] = {
    "w": Decimal(604800),
    "d": Decimal(86400),
    "h": Decimal(3600),
    "m": Decimal(60),
    "s": Decimal(1),
    "ms": Decimal("0.001"),
    "us": Decimal("0.000001"),
}
_DURATION_WORDS = {"sec": "s", "secs": "s", "second": "s", "seconds": "s", "min": "m", "mins": "m", "minute": "m"}
_DURATION_WORDS |= {"minutes": "m", "hour": "h", "hours": "h", "hr": "h", "day": "d", "days": "d", "week": "w"}
_DURATION_WORDS |= {"weeks": "w", "msec": "ms", "millis": "ms", "µs": "us"}
_BYTES: Mapping[str, Decimal] = {
    "B": Decimal(1),
    "kB": Decimal(1000),
    "KB": Decimal(1000),
    "MB": Decimal(1000**2),
    "GB": Decimal(1000**3),
    "TB": Decimal(1000**4),
    "KiB": Decimal(1024),
    "MiB": Decimal(1024**2),
    "GiB": Decimal(1024**3),
    "TiB": Decimal(1024**4),
}
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)([A-Za-zµ]+)")
_WHOLE_DURATION = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?[A-Za-zµ]+)+")
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)([A-Za-z]*)")
_LONGEST = Decimal(3650 * 86400)
_LARGEST = Decimal(10) ** 30
"""No limit is beyond that, whatever it counts: what has hundreds of digits would be infinite as a float."""


@lru_cache(maxsize=4096)
def parse_duration(text: str) -> timedelta:
    """``800ms``, ``1.5s``, ``1h30m``; units us, ms, s, m, h, d, w."""
    return timedelta(microseconds=int((_seconds(text) * 1_000_000).to_integral_value()))


def format_duration(span: timedelta) -> str:
    """The shortest usual way to write `span`; `parse_duration` reads it back."""
    microseconds = span // timedelta(microseconds=1)
    if microseconds < 1_000_000:
        return _plain(Decimal(microseconds) / 1000) + "ms" if microseconds else "0s"
    seconds, rest = divmod(microseconds, 1_000_000)
    parts = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count}{unit}")
    if seconds or rest:
        parts.append(_plain(seconds + Decimal(rest) / 1_000_000) + "s")
    return "".join(parts)


@lru_cache(maxsize=1024)
def parse_size(text: str) -> int:
    """Bytes: ``20MiB``, ``500kB``, ``1GB``."""
    return int(_size(text))


def format_size(size: int) -> str:
    """In the largest unit that divides `size`; `parse_size` reads it back."""
    for unit in ("TiB", "GiB", "MiB", "KiB", "TB", "GB", "MB", "kB"):
        count, rest = divmod(size, int(_BYTES[unit]))
        if count and not rest:
            return f"{count}{unit}"
    return f"{size}B"


def parse_most(text: str) -> tuple[int, timedelta]:
    """``30 per 1h``: so many within any span of that length."""
    count, per, span = text.partition(" per ")
    if not per or not re.fullmatch(r"[1-9][0-9]{0,5}", count.strip()):
        raise ValueError(f'"{text[:30]}" says not how many there may be: write it as {MOST_EXAMPLE}')
    length = parse_duration(span.strip())
    if not timedelta(seconds=1) <= length <= timedelta(days=7):
        raise ValueError(f'"{text[:30]}": the span must be from 1s to 7d')
    return int(count), length


def parse_whole(text: str) -> int:
    """A bare whole number; ``-3`` is one."""
    if not re.fullmatch(r"-?[0-9]{1,18}", text):
        raise ValueError(f'"{text}" is not a whole number')
    return int(text)


def parse_number(text: str) -> float:
    """A bare number, whole or with a decimal point."""
    if not re.fullmatch(r"-?[0-9]{1,18}(?:\.[0-9]{1,18})?", text):
        raise ValueError(f'"{text}" is not a number')
    return float(text)


def parse_figure(text: str, unit: Unit) -> float:
    """A limit in the base unit of `unit`: seconds, bytes, a ratio, a count, a second."""
    _refuse_negative(text)
    figure = _figure(text, unit)
    if figure > _LARGEST:
        raise ValueError(f'"{text[:30]}" is too large')
    return float(figure)


def _figure(text: str, unit: Unit) -> Decimal:
    if unit is Unit.SECONDS:
        return _seconds(text)
    if unit is Unit.RATIO:
        return _ratio(text)
    if unit is Unit.BYTES:
        return _size(text)
    if unit is Unit.COUNT:
        return _count(text)
    return _per_second(text, of_bytes=unit is Unit.BYTES_PER_SECOND)


def _seconds(text: str) -> Decimal:
    _refuse_negative(text)
    if _NUMBER.fullmatch(text):
        raise ValueError(f'"{text}" has no unit: write {text}s (or {text}ms, {text}m, {text}h)')
    if not _WHOLE_DURATION.fullmatch(text):
        raise ValueError(f'"{text}" is not {DURATION_EXAMPLE}, 800ms or 1h30m')
    total, smallest = Decimal(0), Decimal("Infinity")
    for number, unit in _PART.findall(text):
        scale = _SECONDS.get(unit)
        if scale is None:
            raise ValueError(f'"{text}" is not {DURATION_EXAMPLE}: {_unit_advice(number, unit)}')
        if scale >= smallest:
            raise ValueError(f'"{text}" is not {DURATION_EXAMPLE}: write the larger unit first, each unit once')
        smallest = scale
        total += Decimal(number) * scale
    if total > _LONGEST:
        raise ValueError(f'"{text}" is longer than ten years')
    return total


def _unit_advice(number: str, unit: str) -> str:
    meant = _DURATION_WORDS.get(unit.lower()) or (unit.lower() if unit.lower() in _SECONDS else None)
    return f"write {number}{meant}" if meant else f'unknown unit "{unit}"; the units are ms, s, m, h, d, w'


def _size(text: str) -> Decimal:
    _refuse_negative(text)
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(f'"{text}" is not {SIZE_EXAMPLE} or 500kB')
    number, unit = match.groups()
    if not unit:
        raise ValueError(f'"{text}" has no unit: write {text}B, or a larger unit such as 20MiB')
    if unit not in _BYTES:
        meant = next((known for known in _BYTES if known.lower() in (unit.lower(), unit.lower() + "b")), "MiB")
        raise ValueError(
            f'"{text}" is not {SIZE_EXAMPLE}: write {number}{meant}; the units are B, kB, MB, GB, KiB, MiB, GiB'
        )
    size = Decimal(number) * _BYTES[unit]
    if size > 2**62:
        raise ValueError(f'"{text}" is too large')
    return size


def _ratio(text: str) -> Decimal:
    if text.endswith("%") and _NUMBER.fullmatch(text[:-1]):
        return Decimal(text[:-1]) / 100
    if _NUMBER.fullmatch(text):
        percent = _plain(Decimal(text) * 100) if Decimal(text) <= 1 else text
        raise ValueError(f'"{text}" has no unit: write a ratio in percent, for example {percent}%')
    raise ValueError(f'"{text}" is not a ratio such as 1%')


def _count(text: str) -> Decimal:
    if not _NUMBER.fullmatch(text):
        raise ValueError(f'"{text}" is not a count: write a bare number such as 50')
    return Decimal(text)


def _per_second(text: str, *, of_bytes: bool) -> Decimal:
    example = "20MiB/s" if of_bytes else "3/s"
    amount, slash, per = text.partition("/")
    if not slash:
        raise ValueError(f'"{text}" is not a figure a second: write it as {example}')
    if per not in ("s", "m", "h"):
        raise ValueError(f'"{text}" is not a figure a second such as {example}: after the slash comes s, m or h')
    return (_size(amount) if of_bytes else _count(amount)) / _SECONDS[per]


def _refuse_negative(text: str) -> None:
    if text.startswith("-"):
        raise ValueError(f'"{text}" is negative: write a figure of zero or more')


def _plain(number: Decimal) -> str:
    """Without exponent and without trailing zeros."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def parse_end(lasts: Any, until: Any, begin: float) -> float:
    """When something ends (Unix time) that begins then, and lasts so long or until a time: one of both as a text, the
    other None. Raises `ValueError`, which repeats nothing of them."""
    if (lasts is None) is (until is None):
        raise ValueError("say when it ends: either for, as in 2h, or until, as in 2026-12-01T22:00:00Z")
    if lasts is not None:
        try:
            return begin + parse_duration(lasts if isinstance(lasts, str) else "").total_seconds()
        except ValueError:
            raise ValueError("for must be a duration with a unit, such as 30m or 2h") from None
    return zoned("until", until).timestamp()  # in its own zone: the first and the last day of all have no UTC


def zoned(key: str, written: Any) -> datetime:
    """A time with a zone. Raises `ValueError`, which repeats nothing of what is `written`."""
    try:
        at = datetime.fromisoformat(written if isinstance(written, str) else "")
    except ValueError:
        at = datetime(1970, 1, 1)  # noqa: DTZ001  (refused below)
    if at.tzinfo is None:
        raise ValueError(f"{key} must be a time with a zone, such as 2026-12-01T22:00:00Z")
    return at
