"""`/api/v1/status`: how everything stands, worst first, for people's pages and for scripts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any, TypeVar

from monitor.core.judge import Judge
from monitor.core.model import Incident, Look, ServiceState, State
from monitor.core.service import ServiceStatus
from monitor.core.threshold import Threshold
from monitor.core.wording import clock, cut, iso
from monitor.core.world import World
from monitor.web.health import impaired
from monitor.web.stream import finite, json_pieces
from monitor.web.view import View

SORT_SLICE = 1000
FIGURES_LIMIT = 32
FRESH = 0.5
"""Seconds that an answer is kept: a hundred open pages cost as much as one."""

_WORST_FIRST = (State.DOWN, State.DEGRADED, State.UNKNOWN, State.UP)
_SERVICES_WORST_FIRST = (
    ServiceState.OUTAGE,
    ServiceState.DEGRADATION,
    ServiceState.UNKNOWN,
    ServiceState.OPERATIONAL,
)
Redact = Callable[[Any], Any]

_T = TypeVar("_T")


@dataclass(slots=True)
class _Sorted:
    """Checks and services by state; within a state as the configuration has them, so that a page stands still."""

    checks: dict[State, list[Judge]] = field(default_factory=lambda: {state: [] for state in _WORST_FIRST})
    services: dict[ServiceState, list[ServiceStatus]] = field(
        default_factory=lambda: {state: [] for state in _SERVICES_WORST_FIRST}
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
            "services": (_service(status, world, view.redact) for status in islice(services, limit)),
            "checks": (_check(judge, view.redact) for judge in islice(checks, limit)),
            "incidents": [
                incident_item(incident, view.redact) for incident in islice(found.incidents.values(), limit)
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


def _service(status: ServiceStatus, world: World, redact: Redact) -> dict[str, Any]:
    service = status.service
    name, title, owner, runbook = redact([service.id, service.title, service.owner, service.runbook])
    states = [world.judges[check].state for check in service.checks]
    return {
        "id": name,
        "title": title,
        "state": status.state.value,
        "since": iso(status.since),
        "owner": owner,
        "runbook": runbook,
        "implicit": service.implicit,
        "incident": status.incident.id if status.incident else None,
        "checks": {state.value: states.count(state) for state in _WORST_FIRST},
    }


def _check(judge: Judge, redact: Redact) -> dict[str, Any]:
    check, verdict = judge.check, judge.verdict
    # Only free texts: redacting the whole tree takes six times as long, and could blank a word of ours.
    ids, target, why, owner, runbook, labels, conditions = redact(
        [
            [check.id, check.name, check.service],
            check.probe.target,
            verdict.why,
            check.owner,
            check.runbook,
            dict(check.labels),
            [condition.text for condition in check.conditions[:FIGURES_LIMIT]],
        ]
    )
    return {
        "id": ids[0],
        "name": ids[1],
        "service": ids[2],
        "probe": check.probe.kind,
        "target": cut(target),
        "state": judge.state.value,
        "since": iso(judge.since),
        "reason": verdict.reason.value if verdict.reason else None,
        "why": cut(why),
        "advice": verdict.reason.advice if verdict.reason else None,
        "confirming": judge.suspicious,
        "impact": check.impact.value,
        "every": check.every.total_seconds(),
        "owner": owner,
        "runbook": runbook,
        "labels": labels,
        "last": _look(judge.last, judge) if judge.last else None,
        "thresholds": [_threshold(*pair) for pair in zip(judge.thresholds, conditions, strict=False)],
    }


def _look(look: Look, judge: Judge) -> dict[str, Any]:
    seen = look.observation
    # Declared names only: what a target calls its figures is not for us to repeat.
    measured = (item for item in judge.check.probe.measured if item.name in seen.measurements)
    phases = ((name, took) for name, took in seen.phases.items() if name.isidentifier())
    return {
        "at": iso(look.ended.at),
        "ok": seen.ok,
        "reason": seen.reason.value if seen.reason else None,
        "measurements": {
            item.name: {"value": finite(seen.measurements[item.name]), "unit": item.unit.value}
            for item in islice(measured, FIGURES_LIMIT)
        },
        "phases": {name: finite(took) for name, took in islice(phases, FIGURES_LIMIT)},
    }


def _threshold(threshold: Threshold, text: str) -> dict[str, Any]:
    condition = threshold.condition
    return {
        "condition": text,
        "level": condition.level.value,
        "measurement": condition.measurement,
        "unit": condition.unit.value,
        "value": finite(threshold.value),
        "limit": condition.bound.limit,
        "active": threshold.active,
    }


def incident_item(incident: Incident, redact: Redact) -> dict[str, Any]:
    root, why, checks, services = redact(
        [incident.root, incident.why, incident.checks[:FIGURES_LIMIT], incident.services]
    )
    return {
        "id": incident.id,
        "impact": incident.impact.value,
        "open": incident.resolved is None,
        "opened": iso(incident.opened),
        "since": iso(incident.since),
        "resolved": iso(incident.resolved),
        "root": root,
        "why": cut(why),
        "checks": list(checks),
        "services": list(services),
        "merged_into": incident.merged_into,
    }
