"""What holds whatever is looked at, in whatever order, by whatever clock: properties of the core as a whole."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import groupby
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.condition import Level
from monitor.core.judge import Judge
from monitor.core.model import (
    Change,
    Check,
    Confirm,
    EventType,
    Look,
    Moment,
    OutageRule,
    Recover,
    Service,
    Transition,
)
from monitor.core.quantise import quantised
from monitor.core.world import World
from probes.contract import Blame, Observation, Reason
from tests.core.builders import START, above, check, world

TEN_YEARS = 10 * 365 * 86400.0

FAILURES = (
    Reason.REFUSED, Reason.CONNECT_TIMEOUT, Reason.FIRST_BYTE_TIMEOUT, Reason.STATUS, Reason.TLS_NAME,
    Reason.DNS_NXDOMAIN,
)  # fmt: skip
BLIND = (Reason.BLOCKED, Reason.NO_ROUTE, Reason.LATE, Reason.DNS_SERVFAIL)
ODD = (math.nan, math.inf, -math.inf, -1.0, 0.0, 1e308, 5e-324, 10**400)


@dataclass(frozen=True)
class Step:
    """A look: how long after the one before it began (s, back in time if negative), and what it saw."""

    gap: float
    check: str
    reason: Reason | None
    value: float | int | None
    took: float
    scheduled: bool
    short: bool
    twice: bool
    clock: float
    """Seconds by which the wall clock is set before it."""


def steps(*reasons: Reason | None, odd: bool = True) -> st.SearchStrategy[list[Step]]:
    """Runs of looks that are alike, as single ones confirm nothing."""
    values = st.sampled_from((None, 0.1, 0.3, 2.0, 9.0, *(ODD if odd else ())))
    gaps = st.sampled_from((0.0, 0.2, 1.0, 5.0, 30.0, 30.0, 300.0, *((-7.0, TEN_YEARS) if odd else ())))
    clocks = st.sampled_from((0.0,) * 12 + ((3600.0, -86_400.0) if odd else (0.0,)))
    step = st.builds(
        Step, gaps, st.sampled_from(("home", "api")), st.sampled_from(reasons), values,
        st.sampled_from((0.05, 2.0, 10.0)), st.booleans(), st.booleans(),
        st.booleans() if odd else st.just(False), clocks,
    )  # fmt: skip
    runs = st.builds(lambda item, times: [item] * times, step, st.integers(1, 14))
    return st.lists(runs, max_size=12).map(lambda found: [item for run in found for item in run])


ANYTHING = steps(None, None, *FAILURES, *BLIND)


def looks_of(taken: Iterable[Step]) -> Iterator[Look]:
    tick, clock = 1000.0, 0.0
    for step in taken:
        tick, clock = max(tick + step.gap, 0.0), clock + step.clock

        def at(now: float, apart: float = clock) -> Moment:
            return Moment(START + timedelta(seconds=now - 1000.0 + apart), now)

        measured = {} if step.value is None else {"response_time": step.value}
        seen = Observation(measured, step.reason, evidence={"address": "192.0.2.1"})
        limit = 2.0 if step.short else 10.0
        look = Look(step.check, seen, at(tick), at(tick + step.took), limit, step.scheduled)
        look = quantised(look, BY_NAME[step.check])  # as everything that is judged
        yield from [look] * (1 + step.twice)


def checks() -> tuple[Check, ...]:
    every: dict[str, Any] = {"service": "shop", "confirm": Confirm(), "recover": Recover()}
    slow = above(1, clear=None), above(5, Level.DOWN, for_looks=(2, 3)), above(0.5, window=timedelta(minutes=3))
    return check("home", *slow, **every), check("api", **every)


BY_NAME = {item.id: item for item in checks()}


def shop() -> World:
    service = Service("shop", "Web shop", ("home", "api"), OutageRule(1, ("home", "api")), flapping=None)
    return world(*checks(), services={"shop": service})


@dataclass
class Story:
    """A world, and what it did."""

    world: World
    changes: list[tuple[Look, Change]]

    def live(self, looks: Iterable[Look]) -> None:
        for look in looks:
            change = self.world.observe(look).change
            if change is not None:
                self.changes.append((look, change))

    @property
    def transitions(self) -> list[Transition]:
        return [item for _, change in self.changes for item in change.transitions]


def lived(taken: Sequence[Step]) -> Story:
    story = Story(shop(), [])
    story.live(looks_of(taken))
    return story


@given(ANYTHING)
@settings(max_examples=25)
def test_nothing_raises_and_transitions_alternate(taken: list[Step]) -> None:
    last: dict[tuple[str, str], Transition] = {}
    for item in lived(taken).transitions:
        before = last.get((item.kind, item.subject))
        assert item.old != item.new
        assert item.old == (before.new if before else "unknown")
        assert item.seq == (before.seq + 1 if before else 1)
        last[item.kind, item.subject] = item


@given(ANYTHING)
@settings(max_examples=25)
def test_deciding_is_deterministic(taken: list[Step]) -> None:
    assert [change for _, change in lived(taken).changes] == [change for _, change in lived(taken).changes]


@given(steps(None, *FAILURES, odd=False), st.lists(st.integers(1, 40), min_size=1))
@settings(max_examples=25)
def test_the_same_looks_in_batches_of_any_size_give_the_same_transitions(taken: list[Step], sizes: list[int]) -> None:
    of = checks()[1]
    looks = [replace(look, check="api") for look, _ in groupby(looks_of(taken))]
    assert list(judged(of, looks, [len(looks)])) == list(judged(of, looks, sizes))


def judged(of: Check, looks: Sequence[Look], sizes: Sequence[int]) -> Iterator[Transition]:
    """In batches of these sizes; between two of them all that is known has been written down and read again."""
    judge, number, begin = Judge(of, None, Moment(START, 1000.0)), 0, 0
    while begin < len(looks):
        batch = looks[begin : begin + sizes[number % len(sizes)]]
        for look in batch:
            if (transition := judge.observe(look).transition) is not None:
                yield transition
        begin, number = begin + len(batch), number + 1
        record = judge.record(batch[-1].ended)
        judge = Judge(of, replace(record, snapshot=json.loads(json.dumps(record.snapshot))), batch[-1].ended)


@given(ANYTHING)
@settings(max_examples=25)
def test_what_cannot_tell_neither_pages_nor_resolves(taken: list[Step]) -> None:
    for look, change in lived(taken).changes:
        reason = look.observation.reason
        if reason is None or reason.blame is Blame.TARGET:
            continue
        assert {item.new for item in change.transitions if item.kind == "check"} <= {"unknown"}
        assert {item.new for item in change.transitions} <= {"unknown", "degradation"}, "what else is known to be bad"
        told = {event.type for event in change.events}
        assert not told & {EventType.INCIDENT_OPENED, EventType.INCIDENT_RESOLVED}
        assert all(incident.resolved is None for incident in change.incidents)


@given(steps(None, *BLIND))
@settings(max_examples=25)
def test_no_alarm_without_evidence(taken: list[Step]) -> None:
    fine = [replace(step, value=0.1 if step.value is None else min(step.value, 0.1)) for step in taken]
    story = lived(fine)
    assert {item.new for item in story.transitions} <= {"up", "operational", "unknown"}
    assert not [change.incidents for _, change in story.changes if change.incidents]


@given(steps(None, *FAILURES, odd=False))
@settings(max_examples=25)
def test_an_outage_by_failures_has_all_its_failures(taken: list[Step]) -> None:
    """None is called by fewer than there must be since the last good look."""
    judge, failed = Judge(checks()[1], None, Moment(START, 1000.0)), 0
    before: Look | None = None
    for look in looks_of(taken):
        failed = 0 if look.observation.ok else failed + (look is not before)
        before = look
        transition = judge.observe(replace(look, check="api")).transition
        if transition is not None and transition.new == "down":
            assert failed >= judge.check.confirm.looks


@given(ANYTHING)
@settings(max_examples=20)
def test_every_incident_that_was_opened_can_be_closed(taken: list[Step]) -> None:
    story = lived(taken)
    looks = list(looks_of(taken))
    tick = max((look.ended.tick for look in looks), default=1000.0) + 1
    at = max((look.ended.at for look in looks), default=START)
    for number in range(400):
        for name in ("home", "api"):
            now = Moment(at + timedelta(seconds=5.0 * number), tick + 5.0 * number)
            story.live([Look(name, Observation({"response_time": 0.1}), now, now)])
    assert all(status.incident is None for status in story.world.services.values())
    assert {judge.state.value for judge in story.world.judges.values()} == {"up"}
    opened = {item.id for _, change in story.changes for item in change.incidents}
    assert opened == {item.id for _, change in story.changes for item in change.incidents if item.resolved}
