"""`/api/v1/status`: how everything stands, worst first, for people's pages and for scripts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any, TypeVar

from monitor.core.calming import is_well_now
from monitor.core.judge import Judge
from monitor.core.model import Incident, ServiceState, State
from monitor.core.service import WORST_FIRST, ServiceStatus
from monitor.core.wording import clock, cut, iso
from monitor.core.world import World
from monitor.web.duty import on_duty
from monitor.web.health import impaired
from monitor.web.items import CHECKS_WORST_FIRST, check_item, incident_item, service_item
from monitor.web.stream import json_pieces
from monitor.web.view import View

SORT_SLICE = 1000
FRESH = 0.5
"""Seconds that an answer is kept: a hundred open pages cost as much as one."""

_T = TypeVar("_T")


@dataclass(slots=True)
class _Sorted:
    """Checks and services by state; within a state as the configuration has them, so that a page stands still."""

    checks: dict[State, list[Judge]] = field(default_factory=lambda: {state: [] for state in CHECKS_WORST_FIRST})
    services: dict[ServiceState, list[ServiceStatus]] = field(
        default_factory=lambda: {state: [] for state in WORST_FIRST}
    )
    incidents: dict[str, Incident] = field(default_factory=dict)


class StatusDocument:
    """Builds the document, and hands out the same one for a moment."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._lock = asyncio.Lock()
        self._kept: tuple[int, float, list[bytes]] | None = None

    async def pieces(self, limit: int) -> list[bytes]:
        """The document's bytes; `limit` bounds each of its lists."""
        async with self._lock:
            tick = self._view.clock.now().tick
            if self._kept and self._kept[0] == limit and 0 <= tick - self._kept[1] < FRESH:
                return self._kept[2]
            pieces = [piece async for piece in self._build(limit)]
            self._kept = (limit, tick, pieces)
            return pieces

    async def _build(self, limit: int) -> AsyncIterator[bytes]:
        view, world = self._view, self._view.world()
        found = await _sorted(world)
        services = chain.from_iterable(found.services.values())
        checks = chain.from_iterable(found.checks.values())
        lists: dict[str, Iterable[Any]] = {
            "services": (service_item(status, world, view.redact) for status in islice(services, limit)),
            "checks": (check_item(judge, world, view.redact) for judge in islice(checks, limit)),
            "incidents": [
                incident_item(incident, world, view.clock.now(), view.redact)
                for incident in islice(found.incidents.values(), limit)
            ],
        }
        async for piece in json_pieces(self._head(found, world, limit), lists):
            yield piece

    def _head(self, found: _Sorted, world: World, limit: int) -> dict[str, Any]:
        view = self._view
        state, sentence = _summary(found, world)
        return {
            "agent": {
                "version": view.version,
                "vantage": view.vantage,
                "started": iso(view.started),
                "now": iso(view.clock.now().at),
                "impaired": impaired(view.health()),
            },
            "duty": view.redact(on_duty(world, view.clock.now().at)),
            "summary": {"state": state.value, "sentence": cut(view.redact(sentence))},
            "counts": {
                "checks": {state.value: len(judges) for state, judges in found.checks.items()},
                "services": {state.value: len(statuses) for state, statuses in found.services.items()},
                "incidents": len(found.incidents),
            },
            "truncated": max(len(world.judges), len(world.services)) > limit,
        }


async def _sorted(world: World) -> _Sorted:
    found = _Sorted()
    async for judge in _in_slices(list(world.judges.values())):
        found.checks[judge.state].append(judge)
    async for status in _in_slices(list(world.services.values())):
        found.services[status.state].append(status)
        if status.incident is not None:
            found.incidents[status.incident.id] = status.incident
    return found


async def _in_slices(items: list[_T]) -> AsyncIterator[_T]:
    for place, item in enumerate(items, 1):
        yield item
        if place % SORT_SLICE == 0:
            await asyncio.sleep(0)


def _summary(found: _Sorted, world: World) -> tuple[ServiceState, str]:
    """The worst state, and one sentence that a CEO understands."""
    for state in (ServiceState.OUTAGE, ServiceState.DEGRADATION):
        if statuses := found.services[state]:
            worst = statuses[0]
            what = "has an outage" if state is ServiceState.OUTAGE else "is degraded"
            what = "fails again and again, and works at the moment" if is_well_now(world, worst) else what
            others = sum(len(found.services[bad]) for bad in ServiceState if bad.bad) - 1
            more = f" {others} more service{' has' if others == 1 else 's have'} trouble." if others else ""
            because = _why(worst, world)
            return state, f"{worst.service.title} {what}{f': {because}' if because else ''}.{more}"
    unknown = found.services[ServiceState.UNKNOWN]
    still = next((status for status in unknown if status.incident is not None), None)
    if still is not None and still.incident is not None:
        others = len(unknown) - 1
        more = f". {others} more service{'' if others == 1 else 's'} cannot be judged" if others else ""
        told = (
            f"{still.service.title} cannot be judged; its incident since {clock(still.incident.since)} is still open"
        )
        return ServiceState.UNKNOWN, told + more
    if not unknown:
        told = "All systems operational" if world.services else "Nothing is watched: checks.yaml has no checks"
        return ServiceState.OPERATIONAL, told
    if not found.services[ServiceState.OPERATIONAL] and not any(judge.last for judge in world.judges.values()):
        return ServiceState.UNKNOWN, "Waiting for the first looks"
    more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
    return ServiceState.UNKNOWN, f"{unknown[0].service.title}{more} cannot be judged; nothing is known to be bad"


def _why(status: ServiceStatus, world: World) -> str:
    """Which check is the cause, and what is wrong with it."""
    if status.incident is not None and status.incident.why:
        root = world.judges.get(status.incident.root)
        return f"{root.check.name if root else status.incident.root}: {status.incident.why}"
    bad = (world.judges[check] for check in status.service.checks if world.judges[check].state.bad)
    return next((f"{judge.check.name}: {judge.verdict.why}" for judge in bad), "")
