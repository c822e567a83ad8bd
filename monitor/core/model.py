"""The words of the domain as frozen values: states, checks, services, looks, transitions, incidents, events."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final

from monitor.core.condition import Condition
from monitor.core.moment import Moment as Moment
from probes._quick import quick
from probes.contract import Ip, Observation, Probe, Reason, ResolverWanted


class State(StrEnum):
    """The confirmed verdict of a check."""

    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"
    UNKNOWN = "unknown"

    @property
    def bad(self) -> bool:
        return self is State.DEGRADED or self is State.DOWN


UP: Final = State.UP
UNKNOWN: Final = State.UNKNOWN
"""Where each look asks: Python 3.11 takes 0.2 µs to find a member of an enum by its class."""


class ServiceState(StrEnum):
    """What the users of a service have."""

    OPERATIONAL = "operational"
    DEGRADATION = "degradation"
    OUTAGE = "outage"
    UNKNOWN = "unknown"

    @property
    def bad(self) -> bool:
        return self is ServiceState.DEGRADATION or self is ServiceState.OUTAGE


class Impact(StrEnum):
    """What a bad check or an incident means to its service."""

    DEGRADATION = "degradation"
    OUTAGE = "outage"


class EventType(StrEnum):
    """What is told."""

    CHECK_CHANGED = "check.changed"
    SERVICE_CHANGED = "service.changed"
    INCIDENT_OPENED = "incident.opened"
    INCIDENT_UPDATED = "incident.updated"
    INCIDENT_RESOLVED = "incident.resolved"
    AGENT_IMPAIRED = "agent.impaired"
    AGENT_RECOVERED = "agent.recovered"
    DEPLOY_MARKED = "deploy.marked"
    DIGEST = "digest"


class Policy(StrEnum):
    """How it is decided that failures are an outage."""

    ADAPTIVE = "adaptive"
    """By what the target is like otherwise: one that loses packets in bursts, or half of all looks, takes more."""
    CONSECUTIVE = "consecutive"
    """By so many in a row, whatever the target is like."""


@lru_cache(maxsize=1024)
def in_seconds(span: timedelta) -> float:
    """The span in seconds; the same object for all checks that have the same, as each keeps it in several places."""
    return span.total_seconds()


@dataclass(frozen=True, slots=True)
class Confirm:
    """How much evidence calls an outage: a run of at least `looks` failures that spans at least `span`."""

    looks: int = 10
    span: timedelta = timedelta(seconds=5)
    policy: Policy = Policy.ADAPTIVE


@dataclass(frozen=True, slots=True)
class Recover:
    """How much evidence ends trouble by failures: about `looks` successes from the worst, one each `every`."""

    looks: int = 36
    every: timedelta = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Flapping:
    """When changes are too many to be told one by one: `bouts` changes for the worse `within` a span. It is over when
    nothing has changed for as long as `quiet`."""

    bouts: int = 3
    within: timedelta = timedelta(hours=1)
    quiet: timedelta = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Check:
    """One entry of checks.yaml, resolved and finished."""

    id: str
    name: str
    service: str
    probe: Probe
    every: timedelta
    timeout: timedelta
    conditions: tuple[Condition, ...] = ()
    impact: Impact = Impact.OUTAGE
    confirm: Confirm = Confirm()
    recover: Recover = Recover()
    flapping: Flapping | None = Flapping()
    """None: every change is told."""
    labels: Mapping[str, str] = field(default_factory=dict)
    owner: str | None = None
    runbook: str | None = None
    depends_on: tuple[str, ...] = ()
    usual: str | None = None
    """The measurement that is compared with its own past; None: none is."""
    was: tuple[str, ...] = ()
    """Ids under which the check was known before: its state is carried over."""
    resolver: ResolverWanted | None = None
    """By whom its names are resolved; None: as for the agent as a whole."""
    ip: Ip | None = None
    """Which addresses of a name it goes by; None: all, in their order."""
    form: object = field(default=None, init=False, repr=False, compare=False)
    """What `monitor.core.form` has found out about it."""


@dataclass(frozen=True, slots=True)
class OutageRule:
    """When a service is out: at least `needed` of `checks` (ids) are down."""

    needed: int
    checks: tuple[str, ...]
    text: str = ""


@dataclass(frozen=True, slots=True)
class Service:
    """Checks that together are something a customer uses."""

    id: str
    title: str
    checks: tuple[str, ...]
    outage: OutageRule
    owner: str | None = None
    runbook: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    flapping: Flapping | None = Flapping()
    implicit: bool = False
    """True for the service that stands behind a check which names none."""


@quick(frozen=True, slots=True)
class Look:
    """An observation with its circumstances: which check, when it began and ended, and why it was taken."""

    check: str
    observation: Observation
    began: Moment
    ended: Moment
    limit: float = math.inf
    """Seconds it was allowed to take."""
    scheduled: bool = True
    """False for an extra look (confirmation, recovery): evidence, but no sample of a window."""
    lateness: float = 0.0
    """Seconds between the planned and the real start."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the evidence says now, and why, in words a person understands."""

    state: State
    reason: Reason | None = None
    why: str = ""
    measurement: str | None = None
    value: float | None = None
    limit: float | None = None
    condition: str | None = None


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of a check's or a service's state, or only of its name. `seq` counts the changes of its subject, from
    1, for ever."""

    kind: str
    """``check`` or ``service``"""
    subject: str
    seq: int
    at: datetime
    since: datetime
    """When what is told began: the first failing look, or the first success of the final run."""
    old: str
    new: str
    verdict: Verdict
    evidence: Mapping[str, Any] = field(default_factory=dict)
    was: str = ""
    """The subject's name up to here, where that is what has changed: `old` and `new` are the same then, and whoever
    reads the past goes on with what came before under that name."""


@dataclass(frozen=True, slots=True)
class Incident:
    """One cause, from its first failing look to its recovery."""

    id: str
    services: tuple[str, ...]
    root: str
    """The id of the check that is thought to be the cause; may be corrected."""
    checks: tuple[str, ...]
    impact: Impact
    opened: datetime
    since: datetime
    updates: int = 0
    resolved: datetime | None = None
    merged_into: str | None = None
    told: frozenset[str] = frozenset()
    """The sinks that were told of it: its resolve is owed to each, whatever the routes say by then."""
    why: str = ""
    worst: Impact = Impact.DEGRADATION
    """Of all that `impact` has been: never less than that is."""

    def __post_init__(self) -> None:
        if self.impact is Impact.OUTAGE:
            object.__setattr__(self, "worst", Impact.OUTAGE)

    def lasted(self, at: datetime) -> timedelta:
        """From `since` to its end, or to `at` while it is open; nothing where the clock was set back in between."""
        return max((self.resolved or at) - self.since, timedelta(0))


@dataclass(frozen=True, slots=True)
class Event:
    """What is told. `body` is the published JSON (docs/events.md), complete and redacted, ready to be sent."""

    id: str
    type: EventType
    at: datetime
    stream: str
    """Order is kept within a stream: the incident's id, or ``check:<id>`` and ``service:<id>``."""
    body: Mapping[str, Any]
    sinks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CheckRecord:
    """What the journal keeps of a check: enough to go on where the agent was."""

    check: str
    state: State
    since: datetime
    seq: int
    snapshot: Mapping[str, Any]
    """The judge's own memory, as plain JSON values."""


@dataclass(frozen=True, slots=True)
class ServiceRecord:
    """What the journal keeps of a service."""

    service: str
    state: ServiceState
    since: datetime
    seq: int


@dataclass(frozen=True, slots=True)
class Note:
    """Something small to be remembered across restarts that is no state of a check or a service: a window of
    maintenance, what was told of the agent itself. `value` is a plain JSON value; None: forget it."""

    name: str
    """Unique; begins with its subject, as in ``maintenance:3f2a``."""
    value: Any


@dataclass(frozen=True, slots=True)
class Change:
    """All that one decision makes durable, in one transaction: all of it or nothing."""

    checks: tuple[CheckRecord, ...] = ()
    services: tuple[ServiceRecord, ...] = ()
    transitions: tuple[Transition, ...] = ()
    incidents: tuple[Incident, ...] = ()
    events: tuple[Event, ...] = ()
    notes: tuple[Note, ...] = ()


def merged(changes: Sequence[Change | None]) -> Change | None:
    real = [change for change in changes if change is not None]
    if len(real) < 2:
        return real[0] if real else None
    return Change(
        checks=tuple(item for change in real for item in change.checks),
        services=tuple(item for change in real for item in change.services),
        transitions=tuple(item for change in real for item in change.transitions),
        incidents=tuple(item for change in real for item in change.incidents),
        events=tuple(item for change in real for item in change.events),
        notes=tuple(item for change in real for item in change.notes),
    )


@dataclass(frozen=True, slots=True)
class Journal:
    """What the store knew when it was opened. `origin` names this journal for ever: event ids are made from it."""

    origin: str
    epoch: int
    checks: Mapping[str, CheckRecord] = field(default_factory=dict)
    services: Mapping[str, ServiceRecord] = field(default_factory=dict)
    incidents: tuple[Incident, ...] = ()
    """The open ones."""
    notes: Mapping[str, Any] = field(default_factory=dict)
    """By their names."""
