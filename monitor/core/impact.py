"""What an incident means to its services."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.core.causes import lost
from monitor.core.incident import Case
from monitor.core.model import Impact, ServiceState, State

if TYPE_CHECKING:
    from monitor.core.world import World


def impact_of(world: World, case: Case) -> Impact:
    """What it means now to the services that are not well; as it was, while nothing is known of them."""
    services, before, outage = world.services, case.incident.impact, ServiceState.OUTAGE
    if any(services[name].state is outage for name in case.services):  # of thousands, mostly the first
        return Impact.OUTAGE
    degraded = any(services[name].state is ServiceState.DEGRADATION for name in case.services)
    if not degraded or (before is Impact.OUTAGE and _out_of_sight(world, case)):
        return before
    return Impact.DEGRADATION


def _out_of_sight(world: World, case: Case) -> bool:
    """Whether one of its services may still have an outage: what makes one was bad when we lost sight of it. That is
    no longer an outage once we see that it is none."""
    for name in case.services:
        rule = world.services[name].service.outage
        judges = [world.judges[check] for check in rule.checks]
        bad = sum(world.calm.told(judge) is State.DOWN or lost(judge) for judge in judges)
        if any(map(lost, judges)) and bad >= rule.needed:
            return True
    return False
