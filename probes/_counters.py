"""What counters of a server have gained since the look before: for rates, and for ratios over time.

A server's counters begin again at zero when it restarts. Which run they belong to is remembered with them, so that a
restart adds what the new run has counted, and never anything negative.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass

SHORTEST = 0.5
"""Seconds below which a difference tells little: it is left for the next look."""
LONGEST = 3600.0
"""Seconds after which what happened meanwhile is history, not the present: counting begins anew."""

_AT, _RUN = "counted_at", "counted_run"
_PREFIX = "count_"


@dataclass(frozen=True, slots=True)
class Gain:
    """What was counted in `seconds`, by counter; a counter that is new has none."""

    seconds: float
    by: Mapping[str, float]

    def rate(self, name: str) -> float | None:
        """Per second."""
        gained = self.by.get(name)
        return None if gained is None else gained / self.seconds


def gain(
    memory: MutableMapping[str, float | str],
    counters: Mapping[str, float],
    *,
    run: str,
    now: float,
    scheduled: bool,
) -> Gain | None:
    """The gain since the last scheduled look, at `now` seconds of the wall clock; None when there is none to tell.

    `run` names the run of the server: a text that changes when it restarts. An extra look is told the same span as
    the scheduled one after it will be: it remembers nothing, as no window counts it.
    """
    at, before = memory.get(_AT), memory.get(_RUN)
    passed = now - at if isinstance(at, float) else -1.0
    known = 0.0 <= passed <= LONGEST
    if known and passed < SHORTEST:
        return None
    told = Gain(passed, _gained(memory, counters, anew=before != run)) if known else None
    if scheduled or not known:
        memory[_AT], memory[_RUN] = float(now), run
        memory.update({_PREFIX + name: float(value) for name, value in counters.items()})
    return told


def _gained(
    memory: MutableMapping[str, float | str], counters: Mapping[str, float], *, anew: bool
) -> dict[str, float]:
    gained = {}
    for name, value in counters.items():
        old = 0.0 if anew else memory.get(_PREFIX + name)
        if isinstance(old, float):
            gained[name] = value - old if value >= old else value
    return gained
