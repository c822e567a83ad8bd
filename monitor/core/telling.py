"""From what has changed to what is told of it: the event, its facts for the routes, and who gets it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from monitor.core.deploys import Deploy
from monitor.core.digest import Digest, digest_body
from monitor.core.escalation import HOURS
from monitor.core.event import Standing, agent_body, check_body, deploy_body, incident_body, service_body
from monitor.core.handled import CHANGED, Kind, Update, Updates
from monitor.core.identity import event_id
from monitor.core.judge import Judge
from monitor.core.model import Check, Event, EventType, Impact, Incident, Service, ServiceState, State, Transition
from monitor.core.plan import Plan
from monitor.core.roster import resolved
from monitor.core.routing import Policy, hushed, policies, recipients, told_of_degradations
from monitor.core.scene import Scene
from monitor.core.service import ServiceStatus


@dataclass(frozen=True, slots=True)
class Teller:
    """Makes the events of a plan. `origin` is the journal's name, which the ids of events are made from; `standing`
    how checks stand."""

    plan: Plan
    origin: str
    standing: Standing
    silenced: Callable[[Mapping[str, Sequence[str]], datetime], bool] = lambda _facts, _at: False
    """Whether nobody is to be told of what has these facts."""

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
        body = check_body(judge, transition, previous, self.plan.source, self.standing, note)
        impact = check.impact if judge.state is State.DOWN else Impact.DEGRADATION if judge.state.bad else None
        facts = facts_about(EventType.CHECK_CHANGED, (service,), (check,), impact, transition.new)
        key = (check.id, self.plan.source.vantage, transition.seq, *mark)
        return self._event(EventType.CHECK_CHANGED, key, transition.at, f"check:{check.id}", body, facts)

    def service(
        self, status: ServiceStatus, transition: Transition, members: Iterable[Judge], previous: datetime
    ) -> Event:
        """``service.changed``"""
        body = service_body(status, transition, members, previous, self.plan.source, self.standing)
        name, state = status.service.id, ServiceState(transition.new)
        impact = Impact(state.value) if state.bad else None
        facts = facts_about(EventType.SERVICE_CHANGED, (status.service,), (), impact, state.value)
        return self._event(
            EventType.SERVICE_CHANGED, (name, status.seq), transition.at, f"service:{name}", body, facts
        )

    def incident(
        self,
        told: EventType,
        scene: Scene,
        old: Impact | None,
        at: datetime,
        note: str = "",
        update: Update = CHANGED,
        to: tuple[str, ...] | None = None,
    ) -> Event:
        """``incident.*``. `old` is the impact that was told last. `to`: the sinks that are told; None: all to whom it
        is owed."""
        incident = scene.incident
        body = incident_body(told, scene, old, at, self.plan.source, self.standing, note, update)
        facts = _incident_facts(told, scene)
        key = (incident.id, incident.updates, told.value)
        named = (
            self._owed(incident, facts, at) if to is None else tuple(name for name in to if name in self.plan.sinks)
        )
        news = to is not None or (incident.impact is Impact.OUTAGE and old is not Impact.OUTAGE)
        sinks = tuple(name for name in named if self._wants(name, told, incident, update.kind, news=news))
        return self._event(told, key, at, incident.id, body, facts, sinks)

    def is_news(self, incident: Incident, services: Iterable[Service], checks: Iterable[Check], at: datetime) -> bool:
        """Whether somebody may be told by the routes of what is new in an incident who was not told of it yet."""
        facts = facts_about(EventType.INCIDENT_UPDATED, services, checks, incident.impact, incident.impact.value)
        return not incident.told.issuperset(self._recipients(facts, at))

    def routed(self, scene: Scene, at: datetime) -> tuple[str, ...]:
        """The sinks that the routes have for an update of an incident."""
        return self._recipients(self.facts_of(scene), at)

    def facts_of(self, scene: Scene) -> Mapping[str, Sequence[str]]:
        """What a `when:` can ask about an update of an incident."""
        return _incident_facts(EventType.INCIDENT_UPDATED, scene)

    @property
    def calls_again(self) -> float:
        """Seconds until other policies may be for an incident because of the hour; infinite: none ever are."""
        return HOURS if any(route.policy and route.during for route in self.plan.routes) else math.inf

    def policies(self, scene: Scene, at: datetime) -> dict[Policy, tuple[str, ...]]:
        """By which policies others are called for it, each with the targets of the routes that have it."""
        facts = self.facts_of(scene)
        return {} if self.silenced(facts, at) else policies(self.plan.routes, facts, at)

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
        facts = facts_about(told, services, affected, None, transition.new)
        at = transition.at
        routed = self._recipients(facts, at)
        if not routed and told is EventType.AGENT_IMPAIRED:
            routed = resolved(self.plan.roster, told_of_degradations(self.plan.routes, facts), at)
        if told is EventType.AGENT_RECOVERED:
            routed = tuple(name for name in routed if self.plan.updates.get(name) is not Updates.NONE)
            owed = [name for name in owed if self.plan.updates.get(name) is not Updates.NONE]
        to = dict.fromkeys((*routed, *sorted(owed)))
        key = (transition.kind, transition.subject, transition.seq)
        stream = f"agent:{self.plan.source.vantage}"
        return self._event(told, key, transition.at, stream, body, facts, tuple(to))

    def deploy(self, deploy: Deploy, previous: Deploy | None, at: datetime) -> Event:
        """``deploy.marked``. For the routes, one of all services is of each that somebody has written down."""
        watched = self.plan.services
        services = [watched[name] for name in deploy.services if name in watched]
        body = deploy_body(deploy, previous, services, at, self.plan.source)
        concerned = services if deploy.services else [item for item in watched.values() if not item.implicit]
        facts = facts_about(EventType.DEPLOY_MARKED, concerned, (), None, "")
        return self._event(EventType.DEPLOY_MARKED, (deploy.id,), at, f"deploy:{deploy.id}", body, facts)

    def is_quiet(self, impact: Impact, at: datetime) -> bool:
        """Whether what has that impact may be kept from anybody now."""
        hours = (route.clocked(at) for route in self.plan.routes if route.quiet is not None)
        return impact is Impact.DEGRADATION and (True, True) in hours

    def hushed(self, told: EventType, scene: Scene, at: datetime) -> tuple[tuple[str, str], ...]:
        """From which targets it is kept now, and by which quiet hours."""
        facts = _incident_facts(told, scene)
        return () if self.silenced(facts, at) else hushed(self.plan.routes, facts, at)

    def digest(
        self, digest: Digest, quiet: Mapping[str, Any], key: Iterable[object], sinks: tuple[str, ...]
    ) -> Event:
        """``digest``: of what `quiet` hours have held back."""
        name = event_id(self.origin, EventType.DIGEST.value, *key)
        links = {"page": self.plan.source.public_url} if self.plan.source.public_url else {}
        body = digest_body(name, digest, links) | {"quiet": quiet}
        return Event(name, EventType.DIGEST, digest.at, f"digest:{name}", body, sinks)

    def _recipients(self, facts: Mapping[str, Sequence[str]], at: datetime) -> tuple[str, ...]:
        if self.silenced(facts, at):
            return ()
        return resolved(self.plan.roster, recipients(self.plan.routes, facts, at), at)

    def _owed(self, incident: Incident, facts: Mapping[str, Sequence[str]], at: datetime) -> tuple[str, ...]:
        """Whoever was told of the incident is told how it goes on, whatever the routes say now. Its end is owed to
        those, too, that are no more: it may still be open there, and waits for them in the outbox."""
        if incident.resolved is not None:
            return tuple(sorted(incident.told))
        if self.silenced(facts, at):
            return ()
        return tuple(dict.fromkeys((*self._recipients(facts, at), *sorted(incident.told & self.plan.sinks))))

    def _wants(self, sink: str, told: EventType, incident: Incident, kind: Kind, *, news: bool) -> bool:
        """Whether it is told that, as its `updates:` say. `news`: it calls for somebody, or the sink is named."""
        updates = self.plan.updates.get(sink, Updates.ALL)
        if updates is Updates.ALL or told is EventType.INCIDENT_OPENED:
            return True
        if told is EventType.INCIDENT_RESOLVED:
            return updates is Updates.END
        if kind is Kind.CHANGED:
            return news or sink not in incident.told
        return kind in (Kind.ESCALATED, Kind.REMINDER)

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
        to = self._recipients(facts, at) if sinks is None else sinks
        return Event(name, told, at, stream, {"id": name, **body}, to)


def worth_telling(transition: Transition) -> bool:
    """The first good news is no news: a check that is found up, or a service found operational, is as expected."""
    return not (transition.old == "unknown" and transition.seq == 1 and transition.new in ("up", "operational"))


def _incident_facts(told: EventType, scene: Scene) -> dict[str, Sequence[str]]:
    incident, members = scene.incident, scene.members
    services, state = [status.service for status in scene.statuses], scene.statuses[0].state.value
    checks = [members[check].check for check in incident.checks if check in members]
    facts = facts_about(told, services, checks, incident.impact, state)
    return facts | {"service": tuple(dict.fromkeys((*facts["service"], *incident.services)))}


def facts_about(
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
