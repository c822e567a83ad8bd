"""A plug-in with a leak: the agent whose pid is in /run/greedy takes memory until somebody ends it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from probes.contract import Context, Measurement, Observation, Probe, Unit

_WHOSE = Path("/run/greedy")
_taken: list[bytes] = []


@dataclass(frozen=True, slots=True)
class Greedy(Probe):
    """Takes memory, once it is told to."""

    kind: ClassVar[str] = "greedy"
    measurements: ClassVar[tuple[Measurement, ...]] = (Measurement("taken", Unit.COUNT, "Pieces of 16 MiB."),)
    thresholds: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    @property
    def target(self) -> str:
        return "memory"

    async def look(self, context: Context) -> Observation:
        while _told():
            _taken.append(b"x" * 2**24)
        return Observation({"taken": float(len(_taken))})


def _told() -> bool:
    return _WHOSE.exists() and _WHOSE.read_text().strip() == str(os.getpid())
