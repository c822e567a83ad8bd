"""A plan put into force in slices: whoever has a turn in between finds all parts of one mind."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import pairwise
from typing import Any, cast

from monitor.clock import Clock
from monitor.core.model import Check, Moment
from monitor.core.portions import portions
from monitor.core.world import World
from monitor.parts import Parts
from monitor.pipeline import Pipeline
from monitor.runner import Runner
from monitor.scheduler import FIRST_LOOKS_A_SECOND, Scheduler
from monitor.store.memory import MemoryStore
from monitor.takeover import SLICE, Takeover
from monitor.telemetry import Telemetry
from tests.core.builders import check, world
from tests.core.stories import Story, begun
from tests.pipelines import Notes
from tests.scheduling import Notes as Seen
from tests.scheduling import Taken
from tests.virtual_time import VirtualClock, run

MANY = [f"c{number}" for number in range(40)]


@dataclass
class Ageing:
    """A clock for which each question takes a third of a slice."""

    clock: Clock
    asked: int = 0

    def now(self) -> Moment:
        self.asked += 1
        now = self.clock.now()
        return Moment(now.at, now.tick + self.asked * SLICE / 3)


class Rig:
    """A world and all that a takeover touches."""

    def __init__(self, before: World) -> None:
        self.world = before
        self.taken = Taken()
        self.telemetry = Telemetry(before, clock=VirtualClock(), version="0", vantage="test")
        self.pipeline = Pipeline(
            before, cast(Runner, None), MemoryStore(), VirtualClock(),
            level_sinks=frozenset(), wake=lambda _: None, observer=Notes(),
        )  # fmt: skip
        self.scheduler = Scheduler(
            before.plan.checks.values(), self.taken, self.taken.pass_over, lambda _: 2.0, VirtualClock(),
            limit=500, limit_per_host=500, observer=Seen(),
        )  # fmt: skip

    def takeover(self, after: World) -> Takeover:
        parts = cast(Parts, self)
        found = deque(portions(self.world.plan, after.plan))
        return Takeover(self.world, after.plan, found, parts, frozenset(), cast(Clock, Ageing(VirtualClock())))

    def looked_at(self, name: str, since: float) -> list[float]:
        return [at for at in self.taken.at(name) if at >= since]


def taken_over(before: list[Check], after: list[Check], seen: Callable[[Rig, Takeover], Any]) -> Rig:
    """A plan of `before`, and after ten seconds one of `after`; `seen` is called after each slice."""

    async def main() -> Rig:
        rig = Rig(begun(Story(world(*before)), [item.id for item in before]).world)
        running = asyncio.create_task(rig.scheduler.run())
        await asyncio.sleep(10)
        takeover = rig.takeover(world(*after))
        while not takeover.done:
            rig.world = takeover.step()
            seen(rig, takeover)
            await asyncio.sleep(0.1)
        await asyncio.sleep(10)
        running.cancel()
        return rig

    return run(main())


def test_in_each_slice_all_parts_know_the_same_checks() -> None:
    slices: list[set[str]] = []

    def seen(rig: Rig, _takeover: Takeover) -> None:
        known = set(rig.world.judges)
        slices.append(known)
        assert set(rig.world.services) == known, "each check has its service"
        series = rig.telemetry._checks
        assert {name: item.judge for name, item in series.items()} == rig.world.judges
        assert all(item.check is item.judge.check for item in series.values())
        assert set(rig.scheduler._slots) == known
        assert rig.pipeline._world is rig.world

    taken_over([check(name) for name in MANY], [check(f"new-{name}") for name in MANY], seen)
    assert len(slices) > 10
    assert slices[-1] == {f"new-{name}" for name in MANY}
    assert any(0 < len(known & set(MANY)) < len(MANY) for known in slices), "some of both, for a while"


def test_what_is_new_in_many_slices_is_looked_at_at_one_pace() -> None:
    names = [f"new-{name}" for name in MANY]
    hourly = {"every": timedelta(hours=1)}
    rig = taken_over([check("c0", **hourly)], [check(name, **hourly) for name in names], lambda *_: None)
    times = sorted(at for name in names for at in rig.looked_at(name, 0))
    assert len(times) == len(names)
    assert all(later - earlier > 0.9 / FIRST_LOOKS_A_SECOND for earlier, later in pairwise(times))


async def test_a_plan_with_nothing_different_is_one_slice_and_keeps_all() -> None:
    before = Rig(begun(Story(world(*map(check, MANY))), MANY).world)
    plan = before.world.plan
    other = replace(plan, routes=(), checks=dict(reversed(plan.checks.items())))
    takeover = Takeover(before.world, other, deque(), cast(Parts, before), frozenset(), VirtualClock())
    after = takeover.step()
    assert (after.plan, after.judges) == (other, before.world.judges)
    assert not takeover.done
    takeover.step()
    assert takeover.done
    assert list(after.judges) == list(reversed(MANY)), "in the order of the file"
