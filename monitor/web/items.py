"""Checks, services and incidents as JSON values: what the API's documents are made of."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from itertools import islice
from typing import Any

from monitor.core.calm import Cover
from monitor.core.escalating import ahead
from monitor.core.flags import explained_by, flags, service_flags
from monitor.core.judge import Judge
from monitor.core.model import Incident, Look, Moment, State
from monitor.core.service import ServiceStatus, doubt
from monitor.core.threshold import Threshold
from monitor.core.wording import cut, describe_confirmation, describe_usual, iso
from monitor.core.world import World
from monitor.web.stream import finite

FIGURES_LIMIT = 32
CHECKS_WORST_FIRST = (State.DOWN, State.DEGRADED, State.UNKNOWN, State.UP)
Redact = Callable[[Any], Any]


def service_item(status: ServiceStatus, world: World, redact: Redact) -> dict[str, Any]:
    service = status.service
    name, title, owner, runbook = redact([service.id, service.title, service.owner, service.runbook])
    counts = [world.judges[check].state for check in service.checks]
    return {
        "id": name,
        "title": title,
        "state": status.state.value,
        "since": iso(status.since),
        "owner": owner,
        "runbook": runbook,
        "implicit": service.implicit,
        "incident": status.incident.id if status.incident else None,
        "checks": {state.value: counts.count(state) for state in CHECKS_WORST_FIRST},
        "doubt": doubt(service.outage, world.believed(status)) or None,
        "flags": list(service_flags(world, status)),
    }


def check_item(judge: Judge, world: World, redact: Redact) -> dict[str, Any]:
    check, verdict = judge.check, judge.verdict
    # Only free texts: redacting the whole tree takes six times as long, and could blank a word of ours.
    ids, target, why, owner, runbook, labels, conditions = redact(
        [
            [check.id, check.name, check.service, explained_by(world, judge)],
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
        "suppressed_by": ids[3],
        "flags": list(flags(world, judge)),
        "maintenance": _maintenance(world.calm.covered.get(check.id), redact),
        "impact": check.impact.value,
        "every": check.every.total_seconds(),
        "owner": owner,
        "runbook": runbook,
        "labels": labels,
        "last": look_item(judge.last, judge) if judge.last else None,
        "thresholds": [threshold_item(*pair) for pair in zip(judge.thresholds, conditions, strict=False)],
    }


def _maintenance(cover: Cover | None, redact: Redact) -> dict[str, Any] | None:
    """The window that a check is in."""
    if cover is None:
        return None
    name, why, by = redact([cover.window.id, cover.window.why, cover.window.by])
    return {"id": name, "until": iso(cover.ends), "why": cut(why), "by": by or None}


def look_item(look: Look, judge: Judge) -> dict[str, Any]:
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


def threshold_item(threshold: Threshold, text: str) -> dict[str, Any]:
    condition = threshold.condition
    return {
        "condition": text,
        "level": condition.level.value,
        "measurement": condition.measurement,
        "unit": condition.unit.value,
        "value": finite(threshold.value),
        "limit": finite(threshold.limit),
        "active": threshold.active,
    }


def down_item(judge: Judge, tick: float) -> dict[str, Any]:
    """What it takes now to call the check down."""
    needed = judge.confirmation(tick)
    return {
        "looks": needed.looks,
        "seconds": round(needed.span, 3),
        "bursts": round(needed.bursts, 1),
        "burst_seconds": round(needed.mean, 3),
        "why": describe_confirmation(needed),
    }


def usual_item(judge: Judge, at: datetime) -> dict[str, Any] | None:
    """What is usual at that moment, if that is asked and known."""
    usual, name = judge.usual(at), judge.check.usual
    if usual is None or name is None:
        return None
    unit = next(item.unit for item in judge.check.probe.measured if item.name == name)
    return {
        "measurement": name,
        "unit": unit.value,
        "value": finite(usual.value),
        "spread": finite(usual.spread),
        "weekly": usual.weekly,
        "why": describe_usual(usual, unit, at),
    }


def incident_item(incident: Incident, world: World, now: Moment, redact: Redact) -> dict[str, Any]:
    """Who has it, what was noted and who is called next is told of open ones; of others their events tell."""
    case, handled = world.cases.get(incident.id), world.handling.of(incident.id)
    given = handled.acknowledged
    deploy = world.deploys.behind(incident.services, incident.since)
    root, why, checks, services, by, notes = redact(
        [
            incident.root,
            incident.why,
            incident.checks[:FIGURES_LIMIT],
            incident.services[:FIGURES_LIMIT],
            given.by if given else None,
            [{"by": item.by, "at": iso(item.at), "text": item.text} for item in handled.remarks],
        ]
    )
    return {
        "id": incident.id,
        "impact": incident.impact.value,
        "worst": incident.worst.value,
        "open": incident.resolved is None,
        "opened": iso(incident.opened),
        "since": iso(incident.since),
        "resolved": iso(incident.resolved),
        "root": root,
        "why": cut(why),
        "checks": list(checks),
        "services": list(services),
        "merged_into": incident.merged_into,
        "deploy": redact(deploy.as_told(incident.since)) if deploy is not None else None,
        "acknowledged": {"by": by, "at": iso(given.at), "until": iso(given.until)} if given else None,
        "notes": notes,
        "next": [
            {"at": iso(item.at), "kind": item.kind.value, "to": redact(list(item.to))}
            for item in (ahead(world, case, now) if case is not None else ())
        ],
    }
