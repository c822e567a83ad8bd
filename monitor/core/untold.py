"""Trouble of a check that nobody is told of: it waits for word of a dependency, or one that fails explains it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from monitor.core.model import State
from monitor.core.snapshot import read_given_instant


@dataclass(frozen=True, slots=True)
class Untold:
    """Kept in the check's record, so that a restart forgets nothing that is owed."""

    told: State
    """The state that people were told of last."""
    previous: datetime
    """Since when that was so, or since when the trouble that they were told of began."""
    by: str | None = None
    """The failing dependency that explains it: it is suppressed. None: it waits, at most `suppression.PATIENCE`."""
    asked: float = 0.0
    """Dependencies that were looked at from this tick on have been heard."""

    def dump(self) -> dict[str, Any]:
        return {"told": self.told.value, "previous": self.previous.isoformat(), "by": self.by}


def read_untold(dumped: Mapping[str, Any] | None, tick: float) -> Untold | None:
    """After a restart at `tick`. Raises `KeyError`, `TypeError` or `ValueError` where nobody has written it so."""
    if dumped is None:
        return None
    previous, by = read_given_instant(dumped["previous"]), dumped["by"]
    return Untold(State(dumped["told"]), previous, None if by is None else str(by), tick)
