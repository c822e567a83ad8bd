"""Whether a passive probe was there to hear: gaps in the agent's presence, and clocks that were set.

Times in a check's memory are Unix times. When the clock is set while the agent listens, they are moved along, so that
a span that passes 02:00 to 02:05 stays five minutes; where nobody listened, a step cannot be told from time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from typing import NamedTuple

from probes.contract import Presence

Memory = MutableMapping[str, float | str]

_STEP = 1.0
"""Seconds by which the clock and time must disagree to be a step: less is the clock being slewed."""
_SEEN, _UPTIME, _BY = "seen", "seen_uptime", "seen_by"
CROWDED = "crowded"
"""In the memory once somebody turned away has excused a silence, until something is heard again: no further one does,
or whoever fills all connections could keep a dead job quiet."""


class Absence(NamedTuple):
    """From the last sign of the agent to when it listened again; Unix times. What came between may be lost."""

    begun: float
    ended: float


class Turn(NamedTuple):
    """What happened since the check was last thought of."""

    absence: Absence | None
    step: float
    """Seconds by which the clock was set forward (negative: back) while the agent listened."""
    crowded: bool = False
    """Whether the absence is that somebody was turned away."""


def attend(memory: Memory, presence: Presence, stamps: Iterable[str]) -> Turn:
    """Note that the agent is there. `stamps` name the past moments in `memory`, which move with a clock that is set
    and never lie in the future."""
    now = presence.now
    seen, uptime = number(memory, _SEEN), number(memory, _UPTIME)
    unbroken = memory.get(_BY) == presence.name
    memory[_SEEN], memory[_UPTIME], memory[_BY] = now, presence.uptime, presence.name
    if seen is None or uptime is None:
        return Turn(None, 0.0)
    if not unbroken:
        move(memory, stamps, 0.0, now)
        if presence.turned_away and CROWDED in memory:
            return Turn(None, 0.0)
        # A clock that went back meanwhile: nobody knows for how long.
        absence = Absence(seen if seen <= presence.since else 0.0, presence.since)
        return Turn(absence, 0.0, presence.turned_away)
    step = (now - seen) - (presence.uptime - uptime)
    if abs(step) < _STEP:
        return Turn(None, 0.0)
    move(memory, stamps, step, now)
    return Turn(None, step)


def move(memory: Memory, stamps: Iterable[str], step: float, now: float) -> None:
    """Past moments by the clock as it is set now."""
    for name in stamps:
        stamp = number(memory, name)
        if stamp is not None:
            memory[name] = min(stamp + step, now)


def number(memory: Mapping[str, float | str], name: str) -> float | None:
    """What is kept under this name, if it is a number."""
    value = memory.get(name)
    return float(value) if isinstance(value, int | float) else None
