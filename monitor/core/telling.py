"""From what has changed to what is told of it: the event, its facts for the routes, and who gets it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from monitor.core.event import Standing, agent_body, check_body, incident_body, service_body
from monitor.core.identity import event_id
from monitor.core.judge import Judge
from monitor.core.model import Check, Event, EventType, Impact, Incident, Service, ServiceState, State, Transition
from monitor.core.plan import Plan
from monitor.core.routing import recipients, told_of_degradations
from monitor.core.service import ServiceStatus


@dataclass(frozen=True, slots=True)
class Teller:
    """Makes the events of a plan. `origin` is the journal's name, which the ids of events are made from; `standing`
    how checks stand."""

    plan: Plan
    origin: str
    standing: Standing

    def check(
        self,
        judge: Judge,
        transition: Transition,
        previous: datetime,
        service: Service,
        note: str = "",
        mark: tuple[object, ...] = (),
    ) -> Event:
        """``check.changed``. `previous` is when what ends now began, `note` a further sentence. `mark` makes the id
        another one than that of the transition's own event."""
        check = judge.check
        body = check_body(judge, transition, previous, self.plan.source, note)
        impact = check.impact if judge.state is State.DOWN else Impact.DEGRADATION if judge.state.bad else None
        facts = _facts(EventType.CHECK_CHANGED, (service,), (check,), impact, transition.new)
        key = (check.id, self.plan.source.vantage, transition.seq, *mark)
        return self._event(EventType.CHECK_CHANGED, key, transition.at, f"check:{check.id}", body, facts)

    def service(
        self, status: ServiceStatus, transition: Transition, members: Iterable[Judge], previous: datetime
    ) -> Event:
        """``service.changed``"""
        body = service_body(status, transition, members, previous, self.plan.source, self.standing)
        name, state = status.service.id, ServiceState(transition.new)
        impact = Impact(state.value) if state.bad else None
        facts = _facts(EventType.SERVICE_CHANGED, (status.service,), (), impact, state.value)
        return self._event(
            EventType.SERVICE_CHANGED, (name, status.seq), transition.at, f"service:{name}", body, facts
        )

    def incident(
        self,
        told: EventType,
        incident: Incident,
        old: Impact | None,
        statuses: Sequence[ServiceStatus],
        members: Mapping[str, Judge],
        at: datetime,
        note: str = "",
    ) -> Event:
        """``incident.*``. `old` is the impact that was told last, `statuses` are the services to speak of, the first
        of them before all, and `members` the judges of their checks, by id."""
        body = incident_body(told, incident, old, statuses, members, at, self.plan.source, self.standing, note)
        facts = _incident_facts(told, incident, statuses, members)
        key = (incident.id, incident.updates, told.value)
        return self._event(told, key, at, incident.id, body, facts, self._owed(incident, facts))

    def is_news(self, incident: Incident, services: Iterable[Service], checks: Iterable[Check]) -> bool:
        """Whether somebody may be told by the routes of what is new in an incident who was not told of it yet."""
        facts = _facts(EventType.INCIDENT_UPDATED, services, checks, incident.impact, incident.impact.value)
        return not incident.told.issuperset(recipients(self.plan.routes, facts))

    def is_told(self, incident: Incident, statuses: Sequence[ServiceStatus], members: Mapping[str, Judge]) -> bool:
        """Whether all who would be told of an update were told of the incident before."""
        facts = _incident_facts(EventType.INCIDENT_UPDATED, incident, statuses, members)
        return incident.told.issuperset(recipients(self.plan.routes, facts))

    def agent(
        self,
        told: EventType,
        transition: Transition,
        sentence: str,
        affected: Sequence[Check] = (),
        owed: Iterable[str] = (),
    ) -> Event:
        """``agent.*``, of a transition of the vantage. `affected` are the checks that cannot be judged because of it;
        `owed` are sinks that are told whatever the routes say. That we are impaired is no outage, and yet somebody
        must know: where no route takes it, it goes to those who are told of degradations."""
        body = agent_body(told, transition, sentence, [check.id for check in affected], self.plan.source)
        services = [self.plan.services[name] for name in dict.fromkeys(check.service for check in affected)]
        facts = _facts(told, services, affected, None, transition.new)
        routed = recipients(self.plan.routes, facts)
        if not routed and told is EventType.AGENT_IMPAIRED:
            routed = told_of_degradations(self.plan.routes, facts)
        to = dict.fromkeys((*routed, *sorted(self.plan.sinks.intersection(owed))))
        key = (transition.kind, transition.subject, transition.seq)
        stream = f"agent:{self.plan.source.vantage}"
        return self._event(told, key, transition.at, stream, body, facts, tuple(to))

    def _owed(self, incident: Incident, facts: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
        """Whoever was told of the incident is told how it goes on, and that it ended, whatever the routes say now."""
        routed = () if incident.resolved else recipients(self.plan.routes, facts)
        return tuple(dict.fromkeys((*routed, *sorted(incident.told & self.plan.sinks))))

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
        name = event_id(self.origin, told.value, *key)
        to = recipients(self.plan.routes, facts) if sinks is None else sinks
        return Event(name, told, at, stream, {"id": name, **body}, to)


def worth_telling(transition: Transition) -> bool:
    """The first good news is no news: a check that is found up, or a service found operational, is as expected."""
    return not (transition.old == "unknown" and transition.seq == 1 and transition.new in ("up", "operational"))


def _incident_facts(
    told: EventType, incident: Incident, statuses: Sequence[ServiceStatus], members: Mapping[str, Judge]
) -> dict[str, Sequence[str]]:
    checks = [members[check].check for check in incident.checks if check in members]
    facts = _facts(told, [status.service for status in statuses], checks, incident.impact, statuses[0].state.value)
    return facts | {"service": tuple(dict.fromkeys((*facts["service"], *incident.services)))}


def _facts(
    told: EventType, services: Iterable[Service], checks: Iterable[Check], impact: Impact | None, state: str
) -> dict[str, Sequence[str]]:
    """What the `when:` of a route can ask about this event."""
    services, checks = tuple(services), tuple(checks)
    items: list[Service | Check] = [*services, *checks]
    found: dict[str, dict[str, None]] = {
        "event": {told.value: None},
        "service": {service.id: None for service in services},
        "check": {check.id: None for check in checks},
        "impact": {impact.value: None} if impact else {},
        "state": {state: None},
        "owner": {item.owner: None for item in items if item.owner},
    }
    for item in items:
        for name, value in item.labels.items():
            found.setdefault(f"label.{name}", {})[value] = None
    return {field: tuple(values) for field, values in found.items()}
