"""From what has changed to what is told of it: the event, its facts for the routes, and who gets it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from monitor.core.event import agent_body, check_body, incident_body, service_body
from monitor.core.identity import event_id
from monitor.core.judge import Judge
from monitor.core.model import Check, Event, EventType, Impact, Incident, Service, ServiceState, State, Transition
from monitor.core.plan import Plan
from monitor.core.routing import recipients
from monitor.core.service import ServiceStatus


@dataclass(frozen=True, slots=True)
class Teller:
    """Makes the events of a plan. `origin` is the journal's name, which the ids of events are made from."""

    plan: Plan
    origin: str

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
        body = service_body(status, transition, members, previous, self.plan.source)
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
        body = incident_body(told, incident, old, statuses, members, at, self.plan.source, note)
        checks = [members[check].check for check in incident.checks if check in members]
        services = [status.service for status in statuses]
        facts = _facts(told, services, checks, incident.impact, statuses[0].state.value)
        facts["service"] = tuple(dict.fromkeys((*facts["service"], *incident.services)))
        key = (incident.id, incident.updates, told.value)
        return self._event(told, key, at, incident.id, body, facts, self._owed(incident, facts))

    def agent(
        self,
        told: EventType,
        transition: Transition,
        sentence: str,
        affected: Sequence[Check] = (),
        owed: Iterable[str] = (),
    ) -> Event:
        """``agent.*``, of a transition of the vantage. `affected` are the checks that cannot be judged because of it;
        `owed` are sinks that are told whatever the routes say."""
        body = agent_body(told, transition, sentence, [check.id for check in affected], self.plan.source)
        facts = _agent_facts(told, transition.new, [(check, self.plan.services[check.service]) for check in affected])
        to = dict.fromkeys((*recipients(self.plan.routes, facts), *sorted(self.plan.sinks.intersection(owed))))
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


def _agent_facts(told: EventType, state: str, affected: Sequence[tuple[Check, Service]]) -> dict[str, Sequence[str]]:
    """A route may also name a service or a check that is affected."""
    facts: dict[str, Sequence[str]] = {
        "event": (told.value,),
        "service": tuple(dict.fromkeys(service.id for _, service in affected)),
        "check": tuple(check.id for check, _ in affected),
        "impact": (),
        "state": (state,),
        "owner": tuple(
            dict.fromkeys(owner for check, service in affected if (owner := check.owner or service.owner))
        ),
    }
    return facts


def _facts(
    told: EventType, services: Sequence[Service], checks: Sequence[Check], impact: Impact | None, state: str
) -> dict[str, Sequence[str]]:
    """What the `when:` of a route can ask about this event."""
    owners = (*(item.owner for item in services), *(item.owner for item in checks))
    facts: dict[str, Sequence[str]] = {
        "event": (told.value,),
        "service": tuple(service.id for service in services),
        "check": tuple(check.id for check in checks),
        "impact": (impact.value,) if impact else (),
        "state": (state,),
        "owner": tuple(dict.fromkeys(filter(None, owners))),
    }
    for labels in (*(item.labels for item in services), *(item.labels for item in checks)):
        for name, value in labels.items():
            facts[f"label.{name}"] = (*facts.get(f"label.{name}", ()), value)
    return facts
