"""What scripts, vendors and people hand in from outside: deploys, and acknowledgements by a signature."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from monitor.core import handling
from monitor.core.model import Change, Moment
from monitor.core.world import World
from monitor.deciding import decided
from monitor.hooks import Hook
from monitor.invitations import Invitations
from monitor.marking import Marker
from monitor.pipeline import Pipeline
from monitor.web import Doors


def doors_of(pipeline: Pipeline, invitations: Invitations, hooks: Callable[[], Iterable[Hook]]) -> Doors:
    """`hooks` is asked anew for each request: a reload brings others."""

    async def acknowledge(incident: str, by: str) -> bool:
        def decide(world: World, now: Moment) -> tuple[bool, Change | None]:
            known = incident in world.cases
            return known, handling.acknowledge(world, incident, by, now)

        return await decided(pipeline, decide)

    return Doors(hooks, Marker(pipeline).mark, acknowledge, invitations)
