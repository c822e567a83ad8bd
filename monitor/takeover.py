"""Putting another plan into force while the agent looks: portion by portion, in slices that hold up no look.

A reload of 10,000 changed checks would hold the loop for half a second. In each slice some portions are taken over by
all parts at once: the world, the telemetry, the pipeline and the scheduler. Whoever has a turn in between sees each
check with its own service, and both as they were or as they are now. Each slice makes another world: who walks
through the one before still finds there all that it began with.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from monitor.clock import Clock
from monitor.core.plan import Plan
from monitor.core.portions import Portion
from monitor.core.succession import arranging, take_over, under
from monitor.core.world import World
from monitor.parts import Parts

SLICE = 0.002
"""Seconds after which no further portion of a slice is begun."""
ARRANGED_AT_ONCE = 500
"""Checks or services put in the order of the file in one slice: after a while, to look one up takes 1 to 2 us."""
PAUSE = 0.002
"""Seconds that the looks have between two slices: each needs several turns of the loop."""


class Takeover:
    """Takes a world over to another plan. Call `step` until it is `done`."""

    def __init__(
        self,
        world: World,
        plan: Plan,
        portions: deque[Portion],
        parts: Parts,
        level_sinks: frozenset[str],
        clock: Clock,
    ) -> None:
        self.world = world
        self._before, self._plan = world.plan, plan
        self._waiting = portions
        self._parts = parts
        self._level_sinks = level_sinks
        self._clock = clock
        self._arranging: Iterator[None] = iter(())
        self._arranged = False

    @property
    def done(self) -> bool:
        return self._arranged

    def step(self) -> World:
        """The world after one slice more."""
        if self._waiting or self.world.plan is not self._plan:
            self._take_slice()
        elif next(self._arranging, self) is self:
            self._arranged = True
        return self.world

    def _take_slice(self) -> None:
        world, parts, now = under(self.world, self._plan), self._parts, self._clock.now()
        taken: list[Portion] = []
        changes = []
        while self._waiting and (not taken or self._clock.now().tick < now.tick + SLICE):
            portion = self._waiting.popleft()
            taken.append(portion)
            changes.append(take_over(world, portion, self._before, now))
        self.world, self._arranging = world, arranging(world, ARRANGED_AT_ONCE)
        parts.telemetry.adopt(world, taken)
        parts.pipeline.adopt(world, self._level_sinks)
        for change in changes:
            if change is not None:
                parts.pipeline.writer.enter(change)
        parts.scheduler.adopt(
            [name for portion in taken for name in portion.before.checks],
            [check for portion in taken for check in portion.after.checks.values()],
        )
