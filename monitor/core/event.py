"""The event's body: what happened in one sentence first, then states, figures, evidence, links (docs/events.md)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from monitor.core.incident import WENT
from monitor.core.judge import Judge
from monitor.core.model import Check, EventType, Impact, Incident, Service, ServiceState, State, Transition, Verdict
from monitor.core.service import ServiceStatus, doubt
from monitor.core.wording import clock, cut, duration, iso

VERSION = "1"
EVIDENCE_LIMIT = 16
"""Facts; with the limits below and `wording.TEXT_LIMIT` a body stays below the 20 KB that receivers are promised."""
FIGURES_LIMIT = 32
MEMBERS_LIMIT = 50
MEMBER_WHY_LIMIT = 120


@dataclass(frozen=True, slots=True)
class Standing:
    """How checks stand, besides what their judges know: `flags`, and the state that was `told` of each, by which its
    service is judged."""

    flags: Callable[[Judge], Sequence[str]]
    told: Callable[[Judge], State]


@dataclass(frozen=True, slots=True)
class Source:
    """Who tells: the agent's vantage, and the base of links to its page (None: no links)."""

    vantage: str
    public_url: str | None = None
    redact: Callable[[str], str] = lambda text: text
    """Takes secrets out of a text. Only what may hold one passes through it: a target's address, what a look brought.
    Names, ids and our own words are no secrets, and a password such as `shop` must not blank them out."""


def check_body(
    judge: Judge, transition: Transition, previous: datetime, source: Source, note: str = ""
) -> dict[str, Any]:
    """``check.changed``. `previous` is when what ends now began: the trouble, not only its last state. `note` is a
    further sentence; the only one where the state is what it was."""
    verdict = transition.verdict
    sentence = _check_sentence(judge.check, transition, previous) if transition.old != transition.new else ""
    body = _head(EventType.CHECK_CHANGED, transition.at, f"{sentence} {note}".strip(), source)
    body["state"] = {"old": transition.old, "new": transition.new}
    body["since"] = iso(transition.since)
    body |= _because(verdict)
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
    sentence = _service_sentence(status.service, transition, previous)
    if open_question and transition.new != ServiceState.OPERATIONAL:
        sentence = f"{sentence} Of the checks that make an outage, {open_question}."
    body = _head(EventType.SERVICE_CHANGED, transition.at, sentence, source)
    body["state"] = {"old": transition.old, "new": transition.new}
    body["since"] = iso(transition.since)
    body |= _because(transition.verdict)
    body["service"] = _service(status)
    body["evidence"] = {"checks": _members(members, standing)}
    body["links"] = _links(status.service.runbook, source)
    return body


def incident_body(
    told: EventType,
    incident: Incident,
    old: Impact | None,
    statuses: Sequence[ServiceStatus],
    members: Mapping[str, Judge],
    at: datetime,
    source: Source,
    standing: Standing,
    note: str = "",
) -> dict[str, Any]:
    """``incident.*``. `old` is the impact that was told last; `statuses` are the services to speak of, the first of
    them before all; `members` are the judges of their checks, `standing` how these stand; `note` is a further
    sentence about what goes on."""
    check = members.get(incident.root) if incident.resolved else _leading(incident, members)
    status = statuses[0]
    sentence = _incident_sentence(incident, statuses, old, check, members, standing)
    body = _head(told, at, f"{sentence} {note}" if note and not incident.resolved else sentence, source)
    new = "resolved" if incident.resolved else incident.impact.value
    body["state"] = {"old": old.value if old else "operational", "new": new}
    body["since"] = iso(incident.since)
    body |= _because(check.verdict) if check and not incident.resolved else {"reason": None, "why": incident.why}
    body["incident"] = {
        "id": incident.id,
        "impact": incident.impact.value,
        "opened": iso(incident.opened),
        "since": iso(incident.since),
        "resolved": iso(incident.resolved),
        "duration_seconds": round(incident.lasted(at).total_seconds(), 3),
        "root": incident.root,
        "checks": list(incident.checks[:MEMBERS_LIMIT]),
        "services": list(incident.services[:MEMBERS_LIMIT]),
        "affected": [] if incident.resolved else [item.service.id for item in statuses[:MEMBERS_LIMIT]],
    }
    if incident.merged_into is not None:
        body["incident"]["merged_into"] = incident.merged_into
    body["service"] = _service(status)
    if check is not None:
        body["check"] = _check(check, source)
    body["evidence"] = {**(_evidence(check, source) if check else {}), "checks": _members(members.values(), standing)}
    runbooks = [status.service.runbook, check.check.runbook if check else None]
    if len(statuses) > 1:
        runbooks.reverse()  # that of the cause helps more than that of one of those that it has taken along
    body["links"] = _links(next(filter(None, runbooks), None), source)
    return body


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


def _leading(incident: Incident, members: Mapping[str, Judge]) -> Judge | None:
    """The check to speak of now: the worst of the bad ones, the root first among equals."""
    bad = [judge for judge in members.values() if judge.state.bad]
    order = [(judge.state is not State.DOWN, judge.check.id != incident.root, judge.since) for judge in bad]
    return bad[order.index(min(order))] if bad else members.get(incident.root)


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


def _check_sentence(check: Check, transition: Transition, previous: datetime) -> str:
    name, verdict = check.name, transition.verdict
    match State(transition.new):
        case State.UP:
            return f"{name} is up again after {_lasted(previous, transition)}."
        case State.UNKNOWN:
            return f"{name} cannot be judged since {clock(transition.since)}: {verdict.why}."
        case state:
            return f"{name} is {state.value} since {clock(transition.since)}: {verdict.why}."


def _service_sentence(service: Service, transition: Transition, previous: datetime) -> str:
    because = f": {transition.verdict.why}" if transition.verdict.why else ""
    since = clock(transition.since)
    match ServiceState(transition.new):
        case ServiceState.OPERATIONAL:
            return f"{service.title} is back to normal after {_lasted(previous, transition)}."
        case ServiceState.UNKNOWN:
            return f"{service.title} cannot be judged since {since}{because}."
        case ServiceState.DEGRADATION:
            return f"{service.title} is degraded since {since}{because}."
        case _:
            return f"{service.title} has an outage since {since}{because}."


def _incident_sentence(
    incident: Incident,
    statuses: Sequence[ServiceStatus],
    old: Impact | None,
    leading: Judge | None,
    members: Mapping[str, Judge],
    standing: Standing,
) -> str:
    if incident.resolved is not None:
        return _end_sentence(incident, statuses, incident.resolved)
    status = statuses[0]
    who, several = _who([item for item in statuses if item.state is status.state])
    because = _why(incident, leading, members)
    if incident.impact is Impact.DEGRADATION and (question := _doubt(status, members, standing)):
        because = f"{because} Of the checks that make an outage, {question}."
    if incident.impact is Impact.OUTAGE:
        began = min(
            (item.since for item in statuses if item.state is status.state and item.since), default=incident.since
        )
        before = f" (degraded since {clock(incident.since)})" if incident.since < began and not several else ""
        return f"{who} {'have' if several else 'has'} an outage since {clock(began)}{before}: {because}"
    be = "are" if several else "is"
    if old is Impact.OUTAGE:
        return f"{who} {be} no longer out, but still degraded: {because}"
    return f"{who} {be} degraded since {clock(incident.since)}: {because}"


def _doubt(status: ServiceStatus, members: Mapping[str, Judge], standing: Standing) -> str:
    rule = status.service.outage
    return doubt(rule, {check: standing.told(members[check]) for check in rule.checks})


def _end_sentence(incident: Incident, statuses: Sequence[ServiceStatus], resolved: datetime) -> str:
    lasted = duration(incident.lasted(resolved))
    who, several = _who(statuses)
    if incident.merged_into is not None:
        return f"{who}: this incident goes on as {incident.merged_into}, which has the same cause."
    if went := WENT.get(incident.why):
        return f"{who}: {incident.root} {went}, which ends the incident after {lasted}."
    be = "are" if several else "is"
    return f"{who} {be} back to normal after {lasted}. It was {incident.root}: {incident.why}."


def _who(statuses: Sequence[ServiceStatus]) -> tuple[str, bool]:
    """The services in words, and whether they are more than one."""
    titles = [status.service.title for status in statuses]
    match titles:
        case [title]:
            return title, False
        case [title, other]:
            return f"{title} and {other}", True
        case _:
            return f"{titles[0]} and {len(titles) - 1} more services", True


def _why(incident: Incident, leading: Judge | None, members: Mapping[str, Judge]) -> str:
    """The worst that is wrong, and where that is not the cause, also the cause."""
    others = sum(judge.state.bad for judge in members.values()) - 1
    # While it flaps it may be well at this moment: then it is why the incident was opened that is said.
    because = f"{leading.check.id if leading else incident.root}: {(leading and leading.verdict.why) or incident.why}"
    because += f" (and {others} more)." if others > 0 else "."
    root = members.get(incident.root)
    if root is None or root is leading or not root.state.bad or not others:
        return because
    return f"{because} The cause is probably {root.check.id}: {root.verdict.why}."


def _lasted(previous: datetime, transition: Transition) -> str:
    return duration(max(transition.since - previous, timedelta(0)))
