"""Deciding, as a whole: one look in, out comes everything that must become durable because of it.

    look -> judge -> quorum -> service -> incident -> events, routed -> Change

The world owns the judges and the services; nobody else changes them. It knows no clock and no I/O: what it returns
is committed by the pipeline, and what it remembers comes back to it from the journal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from monitor.core import actions, calming, drill, elapsing, escalating, handling, impairment, silences, unjudged
from monitor.core.actions import Actions
from monitor.core.agenda import Agenda
from monitor.core.calm import Calm
from monitor.core.causes import Causes, lost
from monitor.core.deploys import Deploys
from monitor.core.escalation import Escalation
from monitor.core.event import Standing
from monitor.core.flags import flags
from monitor.core.following import follow
from monitor.core.handled import Handling
from monitor.core.homes import adopted, status_of, take_up, withdraw
from monitor.core.judge import Judge
from monitor.core.judgement import CALM, Judgement
from monitor.core.model import (
    UNKNOWN,
    Change,
    Check,
    CheckRecord,
    Journal,
    Look,
    Moment,
    Note,
    ServiceRecord,
    ServiceState,
    State,
    Transition,
    Verdict,
    merged,
)
from monitor.core.naming import renamed
from monitor.core.plan import Plan
from monitor.core.quiet import Quiet
from monitor.core.quorum import agree
from monitor.core.service import ServiceStatus, judge_service
from monitor.core.shelter import keeps, sheltered
from monitor.core.sight import NOTE, Ailment, Sight
from monitor.core.silences import Silences
from monitor.core.suppression import Waiting, asked, news_of, reconsider, released, resume, told_at_once
from monitor.core.telling import Teller, worth_telling
from probes._quick import quick
from probes.contract import Blame


@dataclass(frozen=True, slots=True)
class Gone:
    """What is known of checks and services that are not in the plan: ids of events are made of the numbers of their
    changes, and must never come twice."""

    checks: dict[str, CheckRecord]
    services: dict[str, ServiceRecord]


@quick(frozen=True, slots=True)
class Decision:
    """What a look came to. `change` is None for nearly every look: nothing has changed."""

    judgement: Judgement
    change: Change | None = None
    ask: tuple[str, ...] = ()
    """Ids of further checks that should be looked at right now."""


_NOTHING_NEW = Decision(CALM)
"""As nearly always."""


class World:
    """All checks, services and incidents as they stand."""

    def __init__(self, plan: Plan, journal: Journal, now: Moment, judges: Mapping[str, Judge] | None = None) -> None:
        """`judges` are those that live already, by id (after a reload); others begin with what the journal has."""
        self.plan = plan
        self.origin = journal.origin
        self.journal = replace(journal, checks={}, services={})
        """The journal's name, and the incidents of the beginning."""
        self.gone = _gone(plan, journal)
        self._started = False
        self.agenda = Agenda()
        self.calm = Calm(self.agenda, journal.notes, now)
        self.sight = Sight(journal.notes.get(NOTE), now)
        """How the agent itself is."""
        impairment.resume(self, now)
        self.waiting = Waiting()
        self.drills: dict[str, drill.Drill] = {}
        """That go on, by the ids of their incidents."""
        self.unjudged = unjudged.Unjudged(journal.notes)
        self.handling = Handling(journal.notes)
        self.deploys = Deploys(journal.notes)
        self.silences = Silences(journal.notes)
        self.quiet = Quiet(journal.notes)
        self.actions = Actions.of(journal.notes)
        self.escalation = Escalation(self.agenda, journal.notes, now)
        noted = (self.unjudged, self.deploys, self.silences, self.quiet, self.actions)
        self.unreadable = [name for part in noted for name in part.unreadable]
        """Notes of another version, or of nobody: they are forgotten at the start."""
        living = judges or {}
        records = {name: _record_of(check, journal) for name, check in plan.checks.items() if name not in living}
        self._renamed = {
            name: item.check for name, item in records.items() if judges is None and item and item.check != name
        }
        """By the ids of checks that the agent before knew under another one: that one."""
        self.judges = {
            name: living.get(name) or Judge(check, records[name], now) for name, check in plan.checks.items()
        }
        self.services = {name: status_of(service, journal.services) for name, service in plan.services.items()}
        for incident in reversed(journal.incidents):  # the newest first: what is in two had left the older one
            take_up(self.services, incident)
        self.cases = {
            status.case.incident.id: status.case for status in self.services.values() if status.case is not None
        }
        """The open ones, by the id of the incident."""
        self.unseen = {name for name, judge in self.judges.items() if judge.seq and name not in living}
        """Checks whose state is from before the start, and which have not been seen since."""
        if judges is None:
            resume(self, self.judges, now)
            self.unreadable += drill.resume(self, journal.notes, now)

    @property
    def teller(self) -> Teller:
        standing = Standing(partial(flags, self), self.calm.told, self.handling.acknowledgement, self.deploys.behind)
        return Teller(self.plan, self.origin, standing, self.silences.hold)

    @property
    def causes(self) -> Causes:
        return Causes(self.judges, self.plan.dependants, self.calm.told, self.unseen)

    @property
    def next_due(self) -> float | None:
        """The tick at which `elapse` has something to do."""
        return self.agenda.next

    def elapse(self, now: Moment) -> Change | None:
        """What time alone has brought about by now, or the first part of it; to be called as long as it is due.
        Calling it earlier does nothing."""
        self.calm.moment = now
        changes = [elapsing.ELAPSED[kind](self, subject, now) for kind, subject in self.agenda.take(now.tick)]
        return merged([*changes, calming.noted(self)])

    def sighted(self, ailments: Sequence[Ailment], now: Moment) -> Change | None:
        """Take in what is wrong with the agent itself now: all of it, or nothing where it is well."""
        return impairment.take_in(self, ailments, now)

    def heard_from(self, witnesses: Iterable[str], now: Moment) -> Change | None:
        """Those who can tell whether our own network is there have answered."""
        note = self.sight.remember(witnesses, now)
        return Change(notes=(note,)) if note is not None else None

    def start(self, now: Moment) -> Change | None:
        """To be called once: what becomes of checks that were renamed since, and of incidents whose service is no
        longer in the configuration.

        One whose check is still watched goes on with the service that the check belongs to now. Another is ended:
        whoever was told is owed the end.
        """
        if self._started:
            return None
        self._started = True
        changes: list[Change | None] = []
        for name, former in self._renamed.items():
            record = self.gone.services.get(former)
            changes += renamed(self.judges[name], self.services.get(name), former, record, now)
        at_home = {status.incident.id for status in self.services.values() if status.incident is not None}
        orphans = [incident for incident in self.journal.incidents if incident.id not in at_home]
        changes += [adopted(self, incident) or withdraw(self, incident, now.at) for incident in orphans]
        changes += [part(self, now) for part in (handling.take_up, escalating.take_up, actions.take_up)]
        changes.append(Change(notes=tuple(Note(name, None) for name in self.unreadable)) if self.unreadable else None)
        silences.follow(self, now)
        changes.append(calming.begin(self, self._renamed, now))
        return merged(changes)

    def everything(self, now: Moment) -> Change:
        """All records and open incidents: for a journal that has lost what it knew."""
        statuses = self.services.values()
        return Change(
            checks=tuple(judge.record(now) for judge in self.judges.values() if judge.seq),
            services=tuple(status.record() for status in statuses if status.seq),
            incidents=tuple({item.id: item for status in statuses if (item := status.incident)}.values()),
            notes=tuple(elapsing.notes(self, now)),
        )

    def observe(self, look: Look) -> Decision:
        """Take in one look of a check that is in the plan."""
        judge = self.judges[look.check]
        previous, why = judge.trouble_since or judge.since, judge.verdict.why
        unknown = judge.state is UNKNOWN
        judgement = judge.observe(look)
        if unknown or judge.state is UNKNOWN:
            unjudged.saw(self, judge, look.ended)
        news = look.check in self.unseen and _confirms(judge, look)
        if news:
            self.unseen.discard(look.check)
        changes: list[Change | None] = []
        if judgement.transition is not None:
            changes += self.moved(judge, judgement.transition, previous, why, look)
        elif news:
            changes.append(self._judge_first(judge, look))
        if look.check in self.waiting.heard:
            self.calm.moment = look.ended
            changes.append(news_of(self, judge, look.ended))
        moved = judgement.transition is not None
        ask = asked(self, judge, look, moved=moved) if judge.check.depends_on else ()
        if judgement is CALM and not changes and not ask:
            return _NOTHING_NEW
        return Decision(judgement, merged([*changes, calming.noted(self)]) if changes else None, ask)

    def moved(
        self, judge: Judge, transition: Transition, previous: datetime, why: str, look: Look
    ) -> list[Change | None]:
        """After a transition of a check that was as it was since `previous`, and `why`."""
        now = self.calm.moment = look.ended
        clean = self.plan.source.redact  # nothing has looked through what a good look brought
        facts = judge.facts if look is judge.last else look.observation.evidence
        evidence = {clean(name): clean(text) for name, text in facts.items()}
        transition = replace(transition, evidence=evidence)
        status, before = self.services[judge.check.service], self.calm.told(judge, State(transition.old))
        root_of = status.incident if status.incident and status.incident.root == judge.check.id else None
        word = self.calm.changed(judge, transition, why, sheltered(self, judge, look, now))
        shown = replace(transition, old=word.old.value)
        events = told_at_once(self, judge, shown, previous, now, word.note, look.began.tick) if word.told else ()
        own = Change(checks=(judge.record(now),), transitions=(transition,), events=events)
        known = judge if before.bad else None
        believed = self.believed(status)
        wider = self.settle(status, believed, now.at, transition.since, transition.verdict, word.note, known)
        if known and not self.calm.told(judge).bad:
            released(self, judge, now, root_of)
        leads = bool(word.note) and self.calm.leads(judge.check.id, status.service)
        return [own, wider, *(calming.say_once(self, status, now.at, word.note, (wider,)) if leads else [])]

    def _judge_first(self, judge: Judge, look: Look) -> Change | None:
        """A check is as it was before the start, and now that is known: its service may have been waiting for it."""
        name, self.calm.moment = judge.check.id, look.ended
        if name in self.calm.held and not keeps(self, judge, look.ended.tick):
            return merged(calming.let_go(self, [name], look.ended, ""))
        return reconsider(self, judge, look.ended) if judge.waits else self.judge_again(judge, look.ended.at)

    def judge_again(self, judge: Judge, at: datetime) -> Change | None:
        """The service of a check that is as it was, and may count otherwise now."""
        status = self.services[judge.check.service]
        return self.settle(status, self.believed(status), at, judge.since, judge.verdict)

    def settle(
        self,
        status: ServiceStatus,
        states: Mapping[str, State],
        at: datetime,
        since: datetime,
        verdict: Verdict,
        note: str = "",
        changed: Judge | None = None,
    ) -> Change | None:
        """Judge the service by the `states` of its checks; `note` is a sentence that is told with its incident,
        `changed` a check that was bad before and is so otherwise now."""
        members = self.members(status)
        state = judge_service(status, agree(states))
        held = self.calm.held
        if state is ServiceState.OPERATIONAL and any(
            lost(judge) for name, judge in members.items() if name not in held
        ):
            state = ServiceState.UNKNOWN  # what was bad when we lost sight of it is not well because of that
        note = f"{note} {self.calm.service_judged(status, state)}".strip()
        state = self.calm.steady(status, state)
        changes: list[Change | None] = []
        if state is not status.state:
            changes.append(self.change_service(status, state, at, since, verdict))
        bad = [judge for name, judge in members.items() if states[name].bad]
        changes.append(follow(self, status, bad, at, note, changed))
        return merged(changes)

    def members(self, status: ServiceStatus) -> dict[str, Judge]:
        """The judges of the service's checks, by their ids."""
        return {check: self.judges[check] for check in status.service.checks}

    def believed(self, status: ServiceStatus) -> dict[str, State]:
        """The states of the service's checks, as far as they count."""
        judges = self.judges
        if not self.calm.held and (not self.unseen or status.incident is not None):
            return {check: judges[check].state for check in status.service.checks}  # as nearly ever
        return {check: self._believed(judges[check], status) for check in status.service.checks}

    def bad(self, status: ServiceStatus) -> list[Judge]:
        """The judges of its checks that are bad, as far as they count."""
        return [self.judges[check] for check, state in self.believed(status).items() if state.bad]

    def bad_among(self, statuses: Iterable[ServiceStatus]) -> dict[str, Judge]:
        """The judges of all their checks that are bad, as far as they count, by their ids."""
        if self.calm.held or self.unseen:
            return {judge.check.id: judge for status in statuses for judge in self.bad(status)}
        judges, down, degraded = self.judges, State.DOWN, State.DEGRADED  # of thousands of services
        names = (name for status in statuses for name in status.service.checks)
        return {
            name: judge for name in names if (state := (judge := judges[name]).state) is down or state is degraded
        }

    def _believed(self, judge: Judge, status: ServiceStatus) -> State:
        """What was told of it. A bad state from before the start keeps an incident open; to open one, the check must
        be seen first."""
        state, remembered = self.calm.told(judge), judge.check.id in self.unseen and status.incident is None
        return State.UNKNOWN if remembered and state.bad else state

    def change_service(
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
        members = self.members(status).values()
        telling = worth_telling(transition)
        events = (self.teller.service(status, transition, members, previous),) if telling else ()
        return Change(services=(status.record(),), transitions=(transition,), events=events)


def _confirms(judge: Judge, look: Look) -> bool:
    """Whether the look shows the check to be as it is said to be."""
    reason = look.observation.reason
    if not judge.state.bad:
        return reason is None
    if reason is None:
        return any(threshold.breached_at(look.ended.tick) for threshold in judge.thresholds)
    return reason.blame is Blame.TARGET


def _gone(plan: Plan, journal: Journal) -> Gone:
    return Gone(
        {name: replace(item, snapshot={}) for name, item in journal.checks.items() if name not in plan.checks},
        {name: item for name, item in journal.services.items() if name not in plan.services},
    )


def _record_of(check: Check, journal: Journal) -> CheckRecord | None:
    return next((journal.checks[name] for name in (check.id, *check.was) if name in journal.checks), None)
