"""Expectations on the size of a body: ``> 1kB``, ``<= 2MiB``, ``= 0B``. Units are always written."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass

_WRITTEN = re.compile(r"(<=|>=|!=|<|>|==?)\s*([0-9]{1,12}(?:\.[0-9]{1,6})?)\s*([A-Za-z]+)")
_UNITS = {"B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_COMPARED: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
    "!=": operator.ne,
}


@dataclass(frozen=True, slots=True)
class SizeExpectation:
    """One comparison; `text` is what the user wrote."""

    text: str
    sign: str
    limit: float

    def complaint(self, size: int) -> str | None:
        """Why a body of `size` bytes is not as expected; None when it is."""
        if _COMPARED[self.sign](size, self.limit):
            return None
        return f"size {self.text}: the body has {size} bytes"


def parse_size(text: str) -> SizeExpectation:
    """Raises ValueError with what to write instead."""
    written = text.strip()
    match = _WRITTEN.fullmatch(written)
    if match is None:
        raise ValueError(f"{text!r} is not understood: write <, <=, >, >=, = or != and a size, as in > 1kB")
    sign, figure, unit = match.groups()
    if unit not in _UNITS:
        raise ValueError(f"{text!r}: the unit is none of {', '.join(_UNITS)}")
    return SizeExpectation(written, sign.replace("==", "="), float(figure) * _UNITS[unit])
