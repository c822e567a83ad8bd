"""Expectations on JSON: ``$.queue < 100``, ``$.status = pass``, ``$.items[0]["a b"] != 'x'``, ``$.ready``.

A path is ``$`` with ``.name``, ``["name"]`` and ``[index]`` steps (negative counts from the end). Compared are
numbers, ``true``, ``false``, ``null``, and texts, quoted or bare. A path alone must
exist and be neither false nor null.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass

from probes._http.jsonscan import MISSING, Extract, prepare
from probes._look import visible

_STEP = re.compile(r"""\.([A-Za-z_][\w-]*)|\[(-?\d{1,9})\]|\[("(?:[^"\\]|\\.)*"|'[^']*')\]""")
_COMPARISON = re.compile(r"\s*(==|=|!=|<=|>=|<|>)\s*(.+?)\s*", re.DOTALL)
_ORDER: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_Literal = str | float | bool | None


@dataclass(frozen=True, slots=True)
class JsonExpectation:
    """One comparison; `text` is what the user wrote."""

    text: str
    path: tuple[str | int, ...]
    operator: str | None
    wanted: str | float | bool | None

    def complaint(self, found: object, show: Callable[[str, int], str] = visible) -> str | None:
        """Why what was `found` at the path is not as expected; None when it is. `show` makes text fit to be seen, and
        cuts it."""
        if found is MISSING:
            return f"{self.text}: nothing is there"
        if self._holds(found):
            return None
        text = found.start if isinstance(found, Extract) else json.dumps(found, ensure_ascii=False)
        return f"{self.text}: found {show(text, 80)}"

    def _holds(self, found: object) -> bool:
        if self.operator is None:
            return found is not None and found is not False
        if self.operator in _ORDER:
            figure = number(found)
            return figure is not None and _ORDER[self.operator](figure, float(self.wanted or 0))
        return _same(found, self.wanted) == (self.operator != "!=")


def parse_path(text: str) -> tuple[str | int, ...]:
    """A path alone. Raises ValueError with what to write instead."""
    parsed = parse(text)
    if parsed.operator is not None:
        raise ValueError(f"{text!r} compares: write the path alone, as in $.a.b[0]")
    return parsed.path


def parse(text: str) -> JsonExpectation:
    """Raises ValueError with what to write instead."""
    prepare()
    written = text.strip()
    if not written.startswith("$"):
        raise ValueError(f"{text!r} does not begin with $, as in $.queue < 100")
    path: list[str | int] = []
    at = 1
    while step := _STEP.match(written, at):
        name, index, quoted = step.groups()
        path.append(name if name is not None else int(index) if index is not None else _unquoted(quoted))
        at = step.end()
    rest = written[at:]
    if not rest.strip():
        return JsonExpectation(written, tuple(path), None, None)
    comparison = _COMPARISON.fullmatch(rest)
    if comparison is None:
        raise ValueError(
            f"{text!r} is not understood at {rest!r}: write $.a.b[0] and =, !=, <, <=, > or >= and a value"
        )
    sign = comparison[1].replace("==", "=")
    wanted = _literal(comparison[2])
    if sign in _ORDER and (isinstance(wanted, bool) or not isinstance(wanted, int | float)):
        raise ValueError(f"{text!r}: {sign} compares numbers, not {comparison[2]!r}")
    return JsonExpectation(written, tuple(path), sign, wanted)


def find(document: object, path: tuple[str | int, ...]) -> object:
    """What stands at `path`, or `MISSING`."""
    for step in path:
        if isinstance(step, str) and isinstance(document, dict):
            document = document.get(step, MISSING)
        elif isinstance(step, int) and isinstance(document, list) and -len(document) <= step < len(document):
            document = document[step]
        else:
            return MISSING
    return document


def _same(found: object, wanted: _Literal) -> bool:
    if isinstance(wanted, bool) or wanted is None or isinstance(found, bool) or found is None:
        return found is wanted
    if isinstance(wanted, str):
        return found == wanted
    # A figure that is written as a text is what many health endpoints answer: "3" is 3.
    return number(found) == wanted


def number(found: object) -> float | None:
    """The number that was found, as JSON has it or written as a text; None for anything else."""
    if isinstance(found, bool) or not isinstance(found, int | float | str):
        return None
    try:
        return float(found)
    except (ValueError, OverflowError):
        return None


def _literal(text: str) -> str | float | bool | None:
    if text[0] in "\"'":
        if len(text) < 2 or text[-1] != text[0]:
            raise ValueError(f"{text!r} lacks its closing quote")
        return _unquoted(text)
    if text in ("true", "false", "null"):
        return {"true": True, "false": False, "null": None}[text]
    try:
        return float(text)
    except ValueError:
        return text


def _unquoted(text: str) -> str:
    if text[0] == "'":
        return text[1:-1]
    value = json.loads(text)
    assert isinstance(value, str)  # noqa: S101  (a JSON text in double quotes is a str)
    return value
