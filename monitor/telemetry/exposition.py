"""The two text formats of Prometheus: families with their headings, labels, figures, and which format is asked for.

Text 0.0.4 and OpenMetrics 1.0 differ only in headings and the closing line, as long as counters end in ``_total``: so
samples are rendered once and serve both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_OPENMETRICS_TYPE = "application/openmetrics-text"
_SUFFIX = {"counter": "_total", "info": "_info"}
_TEXT_TYPE = {"info": "gauge", "stateset": "gauge"}


@dataclass(frozen=True, slots=True)
class Family:
    """A metric family as OpenMetrics names it: without ``_total`` and ``_info``."""

    name: str
    type: str
    help: str
    unit: str = ""

    @property
    def sample(self) -> str:
        """The name that its samples carry."""
        return self.name + _SUFFIX.get(self.type, "")

    def heading(self, *, openmetrics: bool) -> bytes:
        if not openmetrics:
            kind = _TEXT_TYPE.get(self.type, self.type)
            return f"# HELP {self.sample} {self.help}\n# TYPE {self.sample} {kind}\n".encode()
        unit = f"# UNIT {self.name} {self.unit}\n" if self.unit else ""
        return f"# TYPE {self.name} {self.type}\n{unit}# HELP {self.name} {self.help}\n".encode()


def escaped(value: str) -> str:
    """A label's value, as it stands between its quotes."""
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def labels(pairs: Mapping[str, str]) -> str:
    """``check="home",service="shop"``"""
    return ",".join(f'{name}="{escaped(value)}"' for name, value in pairs.items())


def figure(value: float) -> str:
    """Twelve digits: no clock of ours is better, and counters of bytes stay exact up to a terabyte."""
    return f"{value:.12g}"


def wants_openmetrics(accept: str) -> bool:
    """Whether an Accept header asks for OpenMetrics at least as much as for plain text; silence means plain text."""
    openmetrics = plain = 0.0
    for item in accept.split(","):
        kind, *parameters = (part.strip().lower() for part in item.split(";"))
        given = dict(part.partition("=")[::2] for part in parameters)
        quality = _quality(given.get("q", "1"))
        if kind == _OPENMETRICS_TYPE and given.get("version", "1.0.0").strip('"') == "1.0.0":
            openmetrics = max(openmetrics, quality)
        elif kind == "text/plain":
            plain = max(plain, quality)
    return openmetrics > 0 and openmetrics >= plain


def _quality(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
