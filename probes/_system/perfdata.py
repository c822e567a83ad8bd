"""What a Nagios or Icinga plug-in prints: its verdict's text, and performance data in base units.

The grammar is that of the Monitoring Plugins Development Guidelines, section "Performance data":
``'label'=value[UOM];[warn];[crit];[min];[max]``, separated by blanks, after a ``|`` of the first line and once more
after a ``|`` of the long output. Read leniently, as plug-ins write it: decimal commas, KiB, missing quotes.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from types import MappingProxyType

from probes.contract import Unit

MOST_FIGURES = 512
"""Figures read of one output; 64 KiB could hold ten thousand, at a cost that the loop would feel."""

_LONGEST_LABEL = 256
_VALUE = re.compile(r"([-+]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][-+]?\d+)?)(.*)", re.DOTALL)
_BLANKS = re.compile(r"\s*")
_NO_BLANKS = re.compile(r"\S*")
_PLAIN_LABEL = re.compile(r"[^\s=]{1,256}=")

_BYTES = {"B": 0, "KB": 1, "MB": 2, "GB": 3, "TB": 4, "PB": 5, "KIB": 1, "MIB": 2, "GIB": 3, "TIB": 4, "PIB": 5}
UNITS = MappingProxyType(
    {
        "": (None, 1.0),
        "s": (Unit.SECONDS, 1.0),
        "ms": (Unit.SECONDS, 1e-3),
        "us": (Unit.SECONDS, 1e-6),
        "ns": (Unit.SECONDS, 1e-9),
        "%": (Unit.RATIO, 0.01),
        "c": (Unit.COUNT, 1.0),
    }
    | {name: (Unit.BYTES, 1024.0**power) for name, power in _BYTES.items()}
)
"""Units of measurement as plug-ins write them: what is counted, and how many of its base units one is. kB is 1,024
bytes: so count the plug-ins that come with the guidelines."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One item of performance data. `value` is in base units where `written` is a known unit, and as it was written
    otherwise; None where the plug-in says that it does not know (``U``)."""

    label: str
    value: float | None
    written: str
    """The unit as it was written: ``ms``, ``%``, ``c``, nothing."""
    unit: Unit | None
    """What it counts in, where the written unit says so."""

    @property
    def counter(self) -> bool:
        """Whether it only ever grows, until it starts again."""
        return self.written == "c"


@dataclass(frozen=True, slots=True)
class Output:
    """`text` is the first line without performance data, `more` the lines after it."""

    text: str
    more: str
    figures: tuple[Figure, ...]


def read_output(output: str) -> Output:
    """All that a plug-in printed to its stdout; whatever is no performance data is passed over."""
    first, _, rest = output.partition("\n")
    text, _, figures = first.partition("|")
    more, _, further = rest.partition("|")
    return Output(text.strip(), more.strip(), read_figures(f"{figures}\n{further}"))


def read_figures(text: str) -> tuple[Figure, ...]:
    """Performance data alone. Of two figures with one label the first counts."""
    found: dict[str, Figure] = {}
    at, tries = 0, 0
    while len(found) < MOST_FIGURES and tries < 4 * MOST_FIGURES:
        tries += 1
        at = _after(_BLANKS, text, at)
        if at >= len(text):
            break
        label, begins = _label(text, at)
        at = _after(_NO_BLANKS, text, begins)
        if label is not None and (figure := _figure(label, text[begins:at])) is not None:
            found.setdefault(label, figure)
    return tuple(found.values())


def _after(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    return match.end() if match else at


def _label(text: str, at: int) -> tuple[str | None, int]:
    """The label that begins at `at`, and where its value does; no label: where to go on."""
    if text[at] != "'":
        match = _PLAIN_LABEL.match(text, at)
        return (match[0][:-1], match.end()) if match else (None, at)
    end = at + 1
    while True:
        end = text.find("'", end, at + _LONGEST_LABEL)
        if end < 0:
            return None, at
        if text[end + 1 : end + 2] != "'":
            break
        end += 2  # a quote within quotes is written twice
    if text[end + 1 : end + 2] != "=":
        return None, end + 1
    return text[at + 1 : end].replace("''", "'"), end + 2


def _figure(label: str, written: str) -> Figure | None:
    value = written.partition(";")[0]
    if value == "U":
        return Figure(label, None, "", None)
    match = _VALUE.fullmatch(value)
    if match is None:
        return None
    number = float(match[1].replace(",", "."))
    word = match[2]
    unit, scale = UNITS.get(word) or UNITS.get(word.upper(), (None, 1.0))
    scaled = number * scale
    return Figure(label, scaled if math.isfinite(scaled) else None, word, unit)


def name_of(label: str) -> str:
    """A label as the name of a measurement: lower case, what is neither letter nor digit as one ``_``."""
    name = re.sub(r"[^a-z0-9]+", "_", label.lower()).strip("_")
    if not name and label == "/":
        return "root"
    return f"_{name}" if name[:1].isdigit() else name
