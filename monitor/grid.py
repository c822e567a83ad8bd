"""Where checks stand on the grid: when each is due, and what is known of its looks."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from monitor.core.model import Check, in_seconds

ASKED_EVERY = 0.5
"""Seconds between looks at one check that are asked for, at least: a thousand pings a second are two looks."""


class Slot:
    """A check on the grid."""

    __slots__ = (
        "asked", "beat", "began", "check", "every", "extra", "foreseen", "generation", "gone", "left_out", "pace",
        "planned", "queued", "running", "suspect", "turns",
    )  # fmt: skip

    def __init__(self, check: Check, beat: float) -> None:
        self.check = check
        self.every = in_seconds(check.every)
        self.beat = beat
        """The tick of the next place on the grid."""
        self.running = False
        """Whether a scheduled look is under way, or waits for room."""
        self.began: float | None = None
        """When (a tick) the scheduled look began that is under way."""
        self.queued = False
        """Whether it waits for room."""
        self.left_out = False
        """Whether the last beat was left out, as it came a whole interval late."""
        self.planned = 0
        """Extra looks that wait for their time, or for room."""
        self.extra = 0
        """Extra looks under way."""
        self.turns = 0
        """Extra looks that were begun so far: each takes the next of the target's addresses first."""
        self.generation = 0
        """Raised to call off the extra looks that wait."""
        self.pace: float | None = None
        """Seconds between extra looks; None: nothing is suspected, the grid is enough."""
        self.suspect = 0.0
        """Since when (a tick) extra looks are asked for: the oldest suspicion is settled first."""
        self.asked = -ASKED_EVERY
        """For when (a tick) the last look was planned that somebody asked for."""
        self.foreseen = False
        """Whether a look is planned for when there is something new to be seen, known beforehand."""
        self.gone = False
        """Whether a reload has put another in its place, or none: nothing begins any more."""

    @property
    def idle(self) -> bool:
        """Whether no look of it is under way."""
        return not self.extra and (not self.running or self.queued)


class Turn(NamedTuple):
    """A look that is due: of which slot, since when (a tick), and of which generation if it is an extra one."""

    slot: Slot
    tick: float
    generation: int | None

    @property
    def wanted(self) -> bool:
        if self.slot.gone:
            return False
        return self.generation is None or self.generation == self.slot.generation


def until_beat(check: Check, wall: float) -> float:
    """Seconds from now to the check's next place on its grid. The grid hangs on the wall clock's epoch, so that it
    is the same after a restart, and on the check's id, so that checks spread over it."""
    every = in_seconds(check.every)
    digest = hashlib.blake2b(check.id.encode(), digest_size=8).digest()
    offset = int.from_bytes(digest) / 2**64 * every
    return (offset - wall) % every
