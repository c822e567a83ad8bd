"""Quantised figures as 16 bits each: sign, three digits and an exponent, in an order that is that of the figures.

Figures that `monitor.core.quantise` has not rounded (counters, and what lies beyond its exponents) have the code
`ESCAPE`, and stand beside the codes as they are.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable

from monitor.core.quantise import figure

ABSENT, ESCAPE = 65_534, 65_535

_LOWEST, _DECADES = -12, 30
_PER_DECADE = 900
_NEGATIVE = 1 + _DECADES * _PER_DECADE
_LACKING = 2 * _NEGATIVE
"""Ratios above a half, by what they lack to one: from here on, in five decades."""
_LACKING_LOWEST, _LACKING_DECADES = -5, 5
_POWERS = tuple(float(10**exponent) for exponent in range(23))


def encode(values: Iterable[float]) -> tuple[array[int], array[float]]:
    """The codes of figures, and in order those figures whose code is `ESCAPE`."""
    codes, escaped, known = array("H"), array("d"), dict[float, int]()
    for value in values:
        code = known.get(value)
        if code is None:
            code = known[value] = _code(value)
        codes.append(code)
        if code == ESCAPE:
            escaped.append(value)
    return codes, escaped


def decode(codes: Iterable[int], escaped: Iterable[float]) -> array[float]:
    """The reverse of `encode`."""
    values, rest, known = array("d"), iter(escaped), dict[int, float]()
    for code in codes:
        if code == ESCAPE:
            values.append(next(rest))
            continue
        value = known.get(code)
        if value is None:
            value = known[code] = _value(code)
        values.append(value)
    return values


def _code(value: float) -> int:
    if value == 0:
        return 0
    if not math.isfinite(value):
        return ABSENT if math.isnan(value) else ESCAPE
    digits, _, exponent = f"{abs(value):.2e}".partition("e")
    if float(f"{digits}e{exponent}") == abs(value):
        code = _ordinal(digits, int(exponent), _LOWEST, _DECADES)
        if code is None:
            return ESCAPE
        return code + 1 if value > 0 else code + _NEGATIVE
    if 0.5 < value < 1:
        lacking = figure(1 - value)
        if _complement(lacking) == value:
            digits, _, exponent = f"{lacking:.2e}".partition("e")
            code = _ordinal(digits, int(exponent), _LACKING_LOWEST, _LACKING_DECADES)
            return ESCAPE if code is None else code + _LACKING
    return ESCAPE


def _ordinal(digits: str, exponent: int, lowest: int, decades: int) -> int | None:
    if not lowest <= exponent < lowest + decades:
        return None
    return (exponent - lowest) * _PER_DECADE + int(digits[0] + digits[2:]) - 100


def _value(code: int) -> float:
    if code == ABSENT:
        return math.nan
    if code >= _LACKING:
        return _complement(_decimal(code - _LACKING, _LACKING_LOWEST))
    if code >= _NEGATIVE:
        return -_decimal(code - _NEGATIVE, _LOWEST)
    return _decimal(code - 1, _LOWEST) if code else 0.0


def _decimal(ordinal: int, lowest: int) -> float:
    """Exact: three digits and a power of ten are floats, and a quotient of floats is the nearest one there is."""
    decade, digits = divmod(ordinal, _PER_DECADE)
    exponent = decade + lowest - 2
    mantissa = float(digits + 100)
    return mantissa * _POWERS[exponent] if exponent >= 0 else mantissa / _POWERS[-exponent]


def _complement(lacking: float) -> float:
    return float(f"{1 - lacking:.12g}")
