"""Deciding, as a whole: one look in, out comes everything that must become durable because of it.

    look -> judge -> quorum -> service -> incident -> events, routed -> Change

The world owns the judges and the services; nobody else changes them. It knows no clock and no I/O: what it returns
is committed by the pipeline, and what it remembers comes back to it from the journal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from monitor.core.event import Source, check_body, incident_body, service_body
from monitor.core.identity import event_id
from monitor.core.incident import BadCheck, IncidentStep, follow, withdraw
from monitor.core.judge import Judge, Judgement
from monitor.core.model import (
    Change,
    Check,
    CheckRecord,
    Event,
    EventType,
    Impact,
    Incident,
    Journal,
    Look,
    Moment,
    OutageRule,
    Service,
    ServiceState,
    State,
    Transition,
    Verdict,
)
from monitor.core.quorum import agree
from monitor.core.routing import Route, recipients
from monitor.core.service import ServiceStatus, judge_service


@dataclass(frozen=True, slots=True)
class Plan:
    """What the world is made of: the finished configuration, as far as deciding needs it."""

    checks: Mapping[str, Check]
    services: Mapping[str, Service]
    routes: tuple[Route, ...]
    source: Source
    redact: Callable[[Any], Any] = lambda value: value
    """Takes secrets out of a tree of JSON values."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What a look came to. `change` is None for nearly every look: nothing has changed."""

    judgement: Judgement
    change: Change | None = None


class World:
    """All checks, services and incidents as they stand."""

    def __init__(self, plan: Plan, journal: Journal, now: Moment) -> None:
        self._plan = plan
        self._origin = journal.origin
        self.judges = {check.id: Judge(check, _record_of(check, journal), now) for check in plan.checks.values()}
        self.services = {service.id: self._status_of(service, journal) for service in plan.services.values()}
        self._orphans = tuple(
            incident
            for incident in journal.incidents
            if not any(service in self.services for service in incident.services)
        )

    def _status_of(self, service: Service, journal: Journal) -> ServiceStatus:
        status = ServiceStatus(service)
        if record := journal.services.get(service.id):
            status.state, status.since, status.seq = record.state, record.since, record.seq
        status.incident = next((item for item in journal.incidents if service.id in item.services), None)
        return status

    def start(self, now: Moment) -> Change | None:
        """What must be told at once: the end of incidents whose service is no longer in the configuration, and
        services that stand differently because their checks do."""
        withdrawn = [self._withdrawn(incident, now.at) for incident in self._orphans]
        self._orphans = ()
        judged = [
            change
            for status in self.services.values()
            if status.seq and (change := self._judge_service(status, now.at, now.at, Verdict(State.UNKNOWN)))
        ]
        return _merged([*withdrawn, *judged])

    def observe(self, look: Look) -> Decision:
        """Take in one look of a check that is in the plan."""
        judge = self.judges[look.check]
        previous = judge.trouble_since or judge.since
        judgement = judge.observe(look)
        if judgement.transition is None:
            return Decision(judgement)
        transition = replace(judgement.transition, evidence=dict(look.observation.evidence))
        told = self._check_event(judge, transition, previous) if _worth_telling(transition) else None
        own = Change(
            checks=(judge.record(look.ended),), transitions=(transition,), events=(told,) if told is not None else ()
        )
        status = self.services[judge.check.service]
        wider = self._judge_service(status, look.ended.at, transition.since, transition.verdict)
        return Decision(judgement, _merged([own, wider]))

    def _judge_service(self, status: ServiceStatus, at: datetime, since: datetime, verdict: Verdict) -> Change | None:
        """The service after one of its checks has changed, and what that does to its incident."""
        members = {check: self.judges[check] for check in status.service.checks}
        state = judge_service(status, agree({check: judge.state for check, judge in members.items()}))
        changes = [self._service_change(status, state, at, since, verdict)] if state is not status.state else []
        bad = [
            BadCheck(judge.check.id, judge.state, judge.since, judge.verdict.why)
            for judge in members.values()
            if judge.state.bad
        ]
        if step := follow(status, bad, self._origin, at):
            changes.append(self._incident_change(step, status, members, at))
        return _merged(changes)

    def _service_change(
        self, status: ServiceStatus, state: ServiceState, at: datetime, since: datetime, verdict: Verdict
    ) -> Change:
        old, previous = status.state, status.incident.since if status.incident else status.since or since
        status.state, status.since, status.seq = state, since, status.seq + 1
        transition = Transition(
            kind="service",
            subject=status.service.id,
            seq=status.seq,
            at=at,
            since=since,
            old=old.value,
            new=state.value,
            verdict=verdict,
        )
        events = []
        if _worth_telling(transition):
            members = [self.judges[check] for check in status.service.checks]
            body = service_body(status, transition, members, previous, self._plan.source)
            facts = self._facts(EventType.SERVICE_CHANGED, status.service, (), _impact_of(state), state.value)
            stream = f"service:{status.service.id}"
            events.append(
                self._event(EventType.SERVICE_CHANGED, (status.service.id, status.seq), at, stream, body, facts)
            )
        return Change(services=(status.record(),), transitions=(transition,), events=tuple(events))

    def _check_event(self, judge: Judge, transition: Transition, previous: datetime) -> Event:
        check = judge.check
        body = check_body(judge, transition, previous, self._plan.source)
        impact = check.impact if judge.state is State.DOWN else Impact.DEGRADATION if judge.state.bad else None
        service = self.services[check.service].service
        facts = self._facts(EventType.CHECK_CHANGED, service, (check,), impact, transition.new)
        key = (check.id, self._plan.source.vantage, transition.seq)
        return self._event(EventType.CHECK_CHANGED, key, transition.at, f"check:{check.id}", body, facts)

    def _incident_change(
        self, step: IncidentStep, status: ServiceStatus, members: Mapping[str, Judge], at: datetime
    ) -> Change:
        before = status.incident
        incident = step.incident
        body = incident_body(step, status, before.impact if before else None, members, at, self._plan.source)
        checks = [members[check].check for check in incident.checks if check in members]
        facts = self._facts(step.told, status.service, checks, incident.impact, status.state.value)
        event = self._incident_event(step, body, at, facts)
        incident = replace(incident, told=incident.told.union(event.sinks))
        status.incident = None if incident.resolved else incident
        return Change(incidents=(incident,), events=(event,))

    def _incident_event(
        self, step: IncidentStep, body: dict[str, Any], at: datetime, facts: Mapping[str, Sequence[str]]
    ) -> Event:
        """Whoever was told of the incident is told how it goes on, and that it ended, whatever the routes say now."""
        incident = step.incident
        routed = () if incident.resolved else recipients(self._plan.routes, facts)
        sinks = tuple(dict.fromkeys((*routed, *sorted(incident.told))))
        key = (incident.id, incident.updates, step.told.value)
        return self._event(step.told, key, at, incident.id, body, facts, sinks)

    def _withdrawn(self, incident: Incident, at: datetime) -> Change:
        service = Service(id=incident.services[0], title=incident.services[0], checks=(), outage=_NO_RULE)
        status = ServiceStatus(service, incident=incident)
        return self._incident_change(withdraw(incident, "no longer watched", at), status, {}, at)

    def _event(
        self,
        told: EventType,
        key: Iterable[object],
        at: datetime,
        stream: str,
        body: dict[str, Any],
        facts: Mapping[str, Sequence[str]],
        sinks: tuple[str, ...] | None = None,
    ) -> Event:
        name = event_id(self._origin, told.value, *key)
        to = recipients(self._plan.routes, facts) if sinks is None else sinks
        return Event(name, told, at, stream, self._plan.redact({"id": name, **body}), to)

    @staticmethod
    def _facts(
        told: EventType, service: Service, checks: Sequence[Check], impact: Impact | None, state: str
    ) -> dict[str, Sequence[str]]:
        """What the `when:` of a route can ask about this event."""
        facts: dict[str, Sequence[str]] = {
            "event": (told.value,),
            "service": (service.id,),
            "check": tuple(check.id for check in checks),
            "impact": (impact.value,) if impact else (),
            "state": (state,),
            "owner": tuple({owner: None for owner in (service.owner, *(check.owner for check in checks)) if owner}),
        }
        for labels in (service.labels, *(check.labels for check in checks)):
            for name, value in labels.items():
                facts[f"label.{name}"] = (*facts.get(f"label.{name}", ()), value)
        return facts


_NO_RULE = OutageRule(needed=1, checks=())


def _record_of(check: Check, journal: Journal) -> CheckRecord | None:
    return next((journal.checks[name] for name in (check.id, *check.was) if name in journal.checks), None)


def _worth_telling(transition: Transition) -> bool:
    """The first good news is no news: a check that is found up, or a service found operational, is as expected."""
    return not (transition.old == "unknown" and transition.seq == 1 and transition.new in ("up", "operational"))


def _impact_of(state: ServiceState) -> Impact | None:
    return Impact(state.value) if state.bad else None


def _merged(changes: Sequence[Change | None]) -> Change | None:
    real = [change for change in changes if change is not None]
    if len(real) < 2:
        return real[0] if real else None
    return Change(
        checks=tuple(item for change in real for item in change.checks),
        services=tuple(item for change in real for item in change.services),
        transitions=tuple(item for change in real for item in change.transitions),
        incidents=tuple(item for change in real for item in change.incidents),
        events=tuple(item for change in real for item in change.events),
    )
