"""The event's body: what happened in one sentence first, then states, figures, evidence, links (docs/events.md)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from monitor.core.deploys import Deploy
from monitor.core.handled import CHANGED, Acknowledgement, Update, acknowledged_json
from monitor.core.judge import Judge
from monitor.core.model import EventType, Impact, Service, ServiceState, State, Transition, Verdict
from monitor.core.scene import Scene
from monitor.core.sentences import check_sentence, deploy_sentence, incident_sentence, service_sentence
from monitor.core.service import ServiceStatus, doubt
from monitor.core.wording import cut, iso

VERSION = "1"
EVIDENCE_LIMIT = 16
"""Facts; with the limits below and `wording.TEXT_LIMIT` a body stays below the 20 KB that receivers are promised."""
FIGURES_LIMIT = 32
MEMBERS_LIMIT = 50
MEMBER_WHY_LIMIT = 120


@dataclass(frozen=True, slots=True)
class Standing:
    """How checks stand, besides what their judges know: `flags`, and the state that was `told` of each, by which its
    service is judged; who has `acknowledged` an incident (its id); and the deploy of any of some services
    `behind` which something began, if that was soon."""

    flags: Callable[[Judge], Sequence[str]]
    told: Callable[[Judge], State]
    acknowledged: Callable[[str], Acknowledgement | None]
    behind: Callable[[Iterable[str], datetime], Deploy | None]


@dataclass(frozen=True, slots=True)
class Source:
    """Who tells: the agent's vantage, and the base of links to its page (None: no links)."""

    vantage: str
    public_url: str | None = None
    redact: Callable[[str], str] = lambda text: text
    """Takes secrets out of a text. Only what may hold one passes through it: a target's address, what a look brought.
    Names, ids and our own words are no secrets, and a password such as `shop` must not blank them out."""


def check_body(
    judge: Judge, transition: Transition, previous: datetime, source: Source, standing: Standing, note: str = ""
) -> dict[str, Any]:
    """``check.changed``. `previous` is when what ends now began: the trouble, not only its last state. `note` is a
    further sentence; the only one where the state is what it was."""
    deploy = standing.behind((judge.check.service,), transition.since) if State(transition.new).bad else None
    moved = transition.old != transition.new
    sentence = check_sentence(judge.check, transition, previous, deploy) if moved else ""
    body = _head(EventType.CHECK_CHANGED, transition.at, f"{sentence} {note}".strip(), source)
    body["state"] = {"old": transition.old, "new": transition.new}
    body["since"] = iso(transition.since)
    body |= _because(transition.verdict) | _deployed(deploy, transition.since)
    body["check"] = _check(judge, source)
    body["service"] = {"id": judge.check.service}
    body["evidence"] = _evidence(judge, source)
    body["links"] = _links(judge.check.runbook, source)
    return body


def service_body(
    status: ServiceStatus,
    transition: Transition,
    members: Iterable[Judge],
    previous: datetime,
    source: Source,
    standing: Standing,
) -> dict[str, Any]:
    """``service.changed``"""
    members = tuple(members)
    open_question = doubt(status.service.outage, {judge.check.id: standing.told(judge) for judge in members})
    deploy = None
    if ServiceState(transition.new).bad:
        deploy = standing.behind((status.service.id,), transition.since)
    sentence = service_sentence(status.service, transition, previous, deploy)
    if open_question and transition.new != ServiceState.OPERATIONAL:
        sentence = f"{sentence} Of the checks that make an outage, {open_question}."
    body = _head(EventType.SERVICE_CHANGED, transition.at, sentence, source)
    body["state"] = {"old": transition.old, "new": transition.new}
    body["since"] = iso(transition.since)
    body |= _because(transition.verdict) | _deployed(deploy, transition.since)
    body["service"] = _service(status)
    body["evidence"] = {"checks": _members(members, standing)}
    body["links"] = _links(status.service.runbook, source)
    return body


def incident_body(
    told: EventType,
    scene: Scene,
    old: Impact | None,
    at: datetime,
    source: Source,
    standing: Standing,
    note: str = "",
    update: Update = CHANGED,
) -> dict[str, Any]:
    """``incident.*``. `old` is the impact that was told last; `standing` is how the checks stand; `note` is a further
    sentence about what goes on; `update` is why it is told of again."""
    incident, check, status = scene.incident, scene.leading, scene.statuses[0]
    deploy = None if incident.resolved else standing.behind(incident.services, incident.since)
    sentence = incident_sentence(scene, old, standing.told, deploy)
    body = _head(told, at, f"{sentence} {note}" if note and not incident.resolved else sentence, source)
    new = "resolved" if incident.resolved else incident.impact.value
    body["state"] = {"old": old.value if old else "operational", "new": new}
    if told is EventType.INCIDENT_UPDATED:
        body["update"] = {"kind": update.kind.value, "by": update.by or None, "text": cut(update.text)}
    body["since"] = iso(incident.since)
    body |= _because(check.verdict) if check and not incident.resolved else {"reason": None, "why": incident.why}
    body["incident"] = _incident(scene, at, standing)
    body |= _deployed(deploy, incident.since)
    body["service"] = _service(status)
    if check is not None:
        body["check"] = _check(check, source)
    seen = _evidence(check, source) if check else {}
    body["evidence"] = seen | {"checks": _members(scene.members.values(), standing)}
    runbooks = [status.service.runbook, check.check.runbook if check else None]
    if len(scene.statuses) > 1:
        runbooks.reverse()  # that of the cause helps more than that of one of those that it has taken along
    body["links"] = _links(next(filter(None, runbooks), None), source)
    return body


def _incident(scene: Scene, at: datetime, standing: Standing) -> dict[str, Any]:
    incident = scene.incident
    merged = {} if incident.merged_into is None else {"merged_into": incident.merged_into}
    return {
        "id": incident.id,
        "impact": incident.impact.value,
        "opened": iso(incident.opened),
        "since": iso(incident.since),
        "resolved": iso(incident.resolved),
        "duration_seconds": round(incident.lasted(at).total_seconds(), 3),
        "root": incident.root,
        "checks": list(incident.checks[:MEMBERS_LIMIT]),
        "services": list(incident.services[:MEMBERS_LIMIT]),
        "acknowledged": acknowledged_json(standing.acknowledged(incident.id)),
        "affected": [] if incident.resolved else [item.service.id for item in scene.statuses[:MEMBERS_LIMIT]],
        **merged,
    }


def agent_body(
    told: EventType, transition: Transition, sentence: str, affected: Sequence[str], source: Source
) -> dict[str, Any]:
    """``agent.*``: of the agent itself. `affected` are the ids of checks that cannot be judged because of it."""
    body = _head(told, transition.at, sentence, source)
    impaired = told is EventType.AGENT_IMPAIRED
    body["state"] = {"old": "well" if impaired else "impaired", "new": "impaired" if impaired else "well"}
    body["since"] = iso(transition.since)
    body |= _because(transition.verdict)
    body["agent"] = {"id": source.vantage, "checks": list(affected[:MEMBERS_LIMIT]), "affected": len(affected)}
    body["evidence"] = {}
    body["links"] = _links(None, source)
    return body


def deploy_body(
    deploy: Deploy, previous: Deploy | None, services: Sequence[Service], at: datetime, source: Source
) -> dict[str, Any]:
    """``deploy.marked``. `previous` was there before, of the same `services` (none: of all)."""
    sentence = deploy_sentence(deploy, previous, [service.title for service in services])
    body = _head(EventType.DEPLOY_MARKED, at, sentence, source)
    body["state"] = {"old": previous.version if previous else "unknown", "new": deploy.version}
    body["since"] = iso(deploy.at)
    body |= {"reason": None, "why": ""} | _deployed(deploy, None)
    body["evidence"] = {}
    body["links"] = _links(None, source) | ({"deploy": deploy.url} if deploy.url else {})
    return body


def _deployed(deploy: Deploy | None, began: datetime | None) -> dict[str, Any]:
    return {} if deploy is None else {"deploy": deploy.as_told(began)}


def _head(told: EventType, at: datetime, sentence: str, source: Source) -> dict[str, Any]:
    return {
        "version": VERSION,
        "type": told.value,
        "at": iso(at),
        "sentence": cut(sentence),
        "vantage": source.vantage,
    }


def _because(verdict: Verdict) -> dict[str, Any]:
    told: dict[str, Any] = {"reason": None, "why": cut(verdict.why)}
    if verdict.reason is not None:
        told |= {
            "reason": verdict.reason.value,
            "blame": verdict.reason.blame.value,
            "advice": verdict.reason.advice,
        }
    if verdict.condition is not None:
        told["threshold"] = {
            "condition": verdict.condition,
            "measurement": verdict.measurement,
            "value": verdict.value,
            "limit": verdict.limit,
        }
    return told


def _check(judge: Judge, source: Source) -> dict[str, Any]:
    check = judge.check
    return {
        "id": check.id,
        "name": check.name,
        "probe": check.probe.kind,
        "target": cut(source.redact(check.probe.target)),
        "state": judge.state.value,
        "impact": check.impact.value,
        "owner": check.owner,
        "labels": dict(check.labels),
    }


def _service(status: ServiceStatus) -> dict[str, Any]:
    service = status.service
    return {
        "id": service.id,
        "title": service.title,
        "state": status.state.value,
        "owner": service.owner,
        "labels": dict(service.labels),
    }


def _members(judges: Iterable[Judge], standing: Standing) -> list[dict[str, Any]]:
    """The states of a service's checks, the bad ones first."""
    ordered = sorted(judges, key=lambda judge: (not judge.state.bad, judge.check.id))
    return [
        {"id": judge.check.id, "state": judge.state.value, "why": cut(judge.verdict.why, MEMBER_WHY_LIMIT)}
        | ({"flags": list(marks)} if (marks := standing.flags(judge)) else {})
        for judge in ordered[:MEMBERS_LIMIT]
    ]


def _evidence(judge: Judge, source: Source) -> dict[str, Any]:
    """What the last look saw: bounded here, and written by a target that may be hostile."""
    look = judge.last
    if look is None:
        return {}
    observation = look.observation
    evidence: dict[str, Any] = {
        "looked_at": iso(look.began.at),
        "measurements": _figures(observation.measurements),
        "phases": _figures(observation.phases),
    }
    facts = islice(judge.facts.items(), EVIDENCE_LIMIT)
    return evidence | {"facts": {cut(key): cut(source.redact(value)) for key, value in facts}}


def _figures(figures: Mapping[str, float]) -> dict[str, float]:
    """Bounded, and without what JSON cannot say (NaN, infinite)."""
    finite = ((name, value) for name, value in figures.items() if math.isfinite(value))
    return dict(islice(finite, FIGURES_LIMIT))


def _links(runbook: str | None, source: Source) -> dict[str, str]:
    links = {"page": source.public_url, "runbook": runbook}
    return {name: url for name, url in links.items() if url}
