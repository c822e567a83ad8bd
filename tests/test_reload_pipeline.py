"""The pipeline under another plan, in virtual time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Any, ClassVar, cast

import pytest

from monitor.core.judgement import Judgement
from monitor.core.model import Look
from monitor.core.succession import succeed
from monitor.core.world import World
from monitor.pipeline import Pipeline
from monitor.runner import Order, Runner
from monitor.store.memory import MemoryStore, Shelf
from probes.contract import Context, Measurement, Observation, Probe, Reason, Unit
from tests.core.builders import check, world
from tests.pipelines import Notes
from tests.virtual_time import VirtualClock, run


@dataclass(frozen=True, slots=True)
class Aimed(Probe):
    kind: ClassVar[str] = "aimed"
    measurements: ClassVar[tuple[Measurement, ...]] = (Measurement("response_time", Unit.SECONDS, "how long"),)

    url: str

    @property
    def target(self) -> str:
        return self.url

    async def look(self, context: Context) -> Observation:
        raise AssertionError("the runner of the test looks")


class Slow:
    """A runner whose looks last until the test lets them end."""

    def __init__(self) -> None:
        self.go = asyncio.Event()

    async def look(self, order: Order, memory: Any) -> Look:
        began = VirtualClock().now()
        await self.go.wait()
        return Look(order.check.id, Observation({}, Reason.REFUSED), began, VirtualClock().now())


@pytest.mark.parametrize("after", [None, Aimed("http://new/")])
def test_a_look_of_what_has_gone_meanwhile_does_not_count(after: Probe | None) -> None:
    async def main() -> None:
        before = world(check("home", probe=Aimed("http://old/")))
        slow, store, notes = Slow(), MemoryStore(), Notes()
        await store.open()
        pipeline = _pipeline(before, slow, store, notes)
        order = Order(before.judges["home"].check, 0.0, 5.0, scheduled=True)
        look = asyncio.create_task(pipeline.take(order))
        await asyncio.sleep(1)
        plan = world(check("home", probe=after) if after else check("other")).plan
        now, _ = succeed(before, plan, VirtualClock().now())
        pipeline.adopt(now, frozenset())
        slow.go.set()
        assert await look == Judgement()
        assert notes.looks == 0
        assert all(judge.last is None for judge in now.judges.values())
        assert await pipeline.take(replace(order, check=check("gone"))) == Judgement()
        await pipeline.writer.settle()

    run(main())


def test_a_look_of_what_was_only_described_otherwise_counts() -> None:
    async def main() -> None:
        probe = Aimed("http://same/")
        before = world(check("home", probe=probe))
        slow, store, notes = Slow(), MemoryStore(), Notes()
        await store.open()
        pipeline = _pipeline(before, slow, store, notes)
        look = asyncio.create_task(pipeline.take(Order(before.judges["home"].check, 0.0, 5.0, scheduled=True)))
        await asyncio.sleep(1)
        now, _ = succeed(before, world(check("home", probe=probe, owner="web")).plan, VirtualClock().now())
        pipeline.adopt(now, frozenset())
        slow.go.set()
        await look
        assert notes.looks == 1
        assert now.judges["home"].last is not None

    run(main())


def test_what_was_pending_is_committed_before_what_a_reload_changes() -> None:
    async def main() -> None:
        before = world(check("home", probe=Aimed("http://old/")))
        slow, shelf, notes = Slow(), Shelf(), Notes()
        store = MemoryStore(shelf)
        await store.open()
        pipeline = _pipeline(before, slow, store, notes)
        slow.go.set()
        for _ in range(3):
            await asyncio.sleep(1)
            await pipeline.take(Order(before.judges["home"].check, 0.0, 5.0, scheduled=True))
        assert pipeline.writer.uncommitted, "an outage, not yet written down"
        now, change = succeed(before, world(check("other")).plan, VirtualClock().now())
        pipeline.adopt(now, frozenset())
        assert change is not None
        pipeline.writer.enter(change)
        await pipeline.writer.settle()
        kinds = [body["type"] for body in reversed(await store.events(10))]
        assert kinds.index("incident.opened") < kinds.index("incident.resolved")
        assert kinds.count("incident.opened") == kinds.count("incident.resolved") == 1
        assert all(incident.resolved for incident in shelf.incidents.values())

    run(main())


def _pipeline(watched: World, slow: Slow, store: MemoryStore, notes: Notes) -> Pipeline:
    runner = cast(Runner, slow)
    return Pipeline(
        watched, runner, store, VirtualClock(), level_sinks=frozenset(), wake=lambda _: None, observer=notes
    )
