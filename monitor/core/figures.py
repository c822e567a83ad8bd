"""The last look of a check in half the room: it is kept until the next one, for thousands of checks.

Names are kept once for all looks that have the same, figures as bare numbers, and a text that many looks tell (a
status, the address of a host) once.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from functools import lru_cache

from monitor.core.model import Look
from probes.contract import Observation

_NAMES, _TEXTS = 4096, 16_384
"""Sets of names, and texts, that are remembered; a target may send another one each time."""


class Figures(Mapping[str, float]):
    """Figures by name."""

    __slots__ = ("_places", "_values")

    def __init__(self, figures: Mapping[str, float]) -> None:
        """Raises `OverflowError` for a whole number beyond all floats."""
        self._places = _places(tuple(figures))
        self._values = array("d", figures.values())

    def __getitem__(self, name: str) -> float:
        return self._values[self._places[name]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return repr(dict(self))


def small(look: Look) -> Look:
    """The same look."""
    seen = look.observation
    try:
        measurements, phases = Figures(seen.measurements), Figures(seen.phases)
    except OverflowError:
        return look
    evidence = {name: _text(text) for name, text in seen.evidence.items()}
    told = Observation(measurements, seen.reason, seen.detail, phases, evidence)
    return Look(look.check, told, look.began, look.ended, look.limit, look.scheduled, look.lateness)


@lru_cache(_NAMES)
def _places(names: tuple[str, ...]) -> dict[str, int]:
    return {name: place for place, name in enumerate(names)}


@lru_cache(_TEXTS)
def _text(text: str) -> str:
    return text
