"""What happened, in one sentence for people: of a check, of a service, of an incident."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from monitor.core.deploys import Deploy
from monitor.core.incident import WENT
from monitor.core.judge import Judge
from monitor.core.model import Check, Impact, Incident, Service, ServiceState, State, Transition
from monitor.core.scene import Scene
from monitor.core.service import ServiceStatus, doubt
from monitor.core.wording import clock, duration


def check_sentence(check: Check, transition: Transition, previous: datetime, deploy: Deploy | None = None) -> str:
    """`previous` is when what ends now began, `deploy` what the trouble came soon after."""
    name, verdict = check.name, transition.verdict
    match State(transition.new):
        case State.UP:
            return f"{name} is up again after {_lasted(previous, transition)}."
        case State.UNKNOWN:
            return f"{name} cannot be judged since {clock(transition.since)}: {verdict.why}."
        case state:
            return f"{name} is {state.value} since {_clock(transition.since, deploy)}: {verdict.why}."


def service_sentence(
    service: Service, transition: Transition, previous: datetime, deploy: Deploy | None = None
) -> str:
    """As of a check."""
    because = f": {transition.verdict.why}" if transition.verdict.why else ""
    since = _clock(transition.since, deploy)
    match ServiceState(transition.new):
        case ServiceState.OPERATIONAL:
            return f"{service.title} is back to normal after {_lasted(previous, transition)}."
        case ServiceState.UNKNOWN:
            return f"{service.title} cannot be judged since {since}{because}."
        case ServiceState.DEGRADATION:
            return f"{service.title} is degraded since {since}{because}."
        case _:
            return f"{service.title} has an outage since {since}{because}."


def incident_sentence(scene: Scene, old: Impact | None, told: Callable[[Judge], State], deploy: Deploy | None) -> str:
    """`old` is the impact that was told last; `told` the states that people were told of checks, `deploy` what the
    trouble came soon after."""
    incident, statuses = scene.incident, scene.statuses
    if incident.resolved is not None:
        return _end_sentence(incident, statuses, incident.resolved)
    status = statuses[0]
    whose, several = who([item for item in statuses if item.state is status.state])
    because = _why(scene)
    if incident.impact is Impact.DEGRADATION and (question := _doubt(status, scene.members, told)):
        because = f"{because} Of the checks that make an outage, {question}."
    if incident.impact is Impact.OUTAGE:
        began = min(
            (item.since for item in statuses if item.state is status.state and item.since), default=incident.since
        )
        before = f" (degraded since {clock(incident.since)})" if incident.since < began and not several else ""
        behind = f", {deploy.before(incident.since)}" if deploy else ""
        return f"{whose} {'have' if several else 'has'} an outage since {clock(began)}{before}{behind}: {because}"
    be = "are" if several else "is"
    if old is Impact.OUTAGE:
        return f"{whose} {be} no longer out, but still degraded: {because}"
    return f"{whose} {be} degraded since {_clock(incident.since, deploy)}: {because}"


def deploy_sentence(deploy: Deploy, previous: Deploy | None, titles: Sequence[str]) -> str:
    """`titles` are those of the services that it is of; none: of all."""
    where = f" to {deploy.environment}" if deploy.environment else ""
    of = f" of {titles[0]}" if titles else ""
    of += f" and {len(titles) - 1} more" if len(titles) > 1 else ""
    by = f" by {deploy.by}" if deploy.by else ""
    before = f"; before it was {previous.version}" if previous and previous.version != deploy.version else ""
    return f"Deploy {deploy.version}{of}{where}{by}{before}."


def _doubt(status: ServiceStatus, members: Mapping[str, Judge], told: Callable[[Judge], State]) -> str:
    rule = status.service.outage
    return doubt(rule, {check: told(members[check]) for check in rule.checks})


def _end_sentence(incident: Incident, statuses: Sequence[ServiceStatus], resolved: datetime) -> str:
    lasted = duration(incident.lasted(resolved))
    whose, several = who(statuses)
    if incident.merged_into is not None:
        return f"{whose}: this incident goes on as {incident.merged_into}, which has the same cause."
    if went := WENT.get(incident.why):
        return f"{whose}: {incident.root} {went}, which ends the incident after {lasted}."
    be = "are" if several else "is"
    return f"{whose} {be} back to normal after {lasted}. It was {incident.root}: {incident.why}."


def who(statuses: Sequence[ServiceStatus]) -> tuple[str, bool]:
    """The services in words, and whether they are more than one."""
    titles = [status.service.title for status in statuses]
    match titles:
        case [title]:
            return title, False
        case [title, other]:
            return f"{title} and {other}", True
        case _:
            return f"{titles[0]} and {len(titles) - 1} more services", True


def _why(scene: Scene) -> str:
    """The worst that is wrong, and where that is not the cause, also the cause."""
    incident, leading, root = scene.incident, scene.leading, scene.root
    others = sum(judge.state.bad for judge in scene.members.values()) - 1
    # While it flaps it may be well at this moment: then it is why the incident was opened that is said.
    because = f"{leading.check.id if leading else incident.root}: {(leading and leading.verdict.why) or incident.why}"
    because += f" (and {others} more)." if others > 0 else "."
    if root is None or root is leading or not root.state.bad or not others:
        return because
    return f"{because} The cause is probably {root.check.id}: {root.verdict.why}."


def _lasted(previous: datetime, transition: Transition) -> str:
    return duration(max(transition.since - previous, timedelta(0)))


def _clock(since: datetime, deploy: Deploy | None) -> str:
    """``14:02:15 UTC, 3 min after deploy v42``"""
    return f"{clock(since)}, {deploy.before(since)}" if deploy else clock(since)
