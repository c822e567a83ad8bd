"""Slower than it has been: what a judge makes of response times that nobody has written a limit for."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import timedelta
from functools import cache
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.condition import USUAL, Bound, Operator
from monitor.core.judge import Judge
from monitor.core.judgement import Judgement
from monitor.core.model import CheckRecord, Moment, State
from monitor.core.slowness import EXTRA_LOOKS, PACE
from probes.contract import Reason
from tests.core.builders import above, check, look, moment

EVERY = 30.0
LEARNED = 9 * 86400.0


class Target:
    """A check of something that answers in 0.3 s, more or less, and the judge of it."""

    def __init__(self, *, days: float = 9, every: float = EVERY, seed: int = 1, **fields: Any) -> None:
        self.chance = Random(seed)
        self.every = every
        of = check("home", every=timedelta(seconds=every), **{"usual": "response_time", **fields})
        self.judge = Judge(of, None, moment(0))
        self.now = -every
        self.changes: list[tuple[float, str, str]] = []
        for _ in range(round(days * 86400 / every)):
            self.beat()

    def beat(self, factor: float = 1.0, **fields: Any) -> Judgement:
        self.now += self.every
        return self.see(self.now, factor, **fields)

    def see(self, at: float, factor: float = 1.0, **fields: Any) -> Judgement:
        figures = {} if "fails" in fields else {"response_time": 0.3 * factor * self.chance.lognormvariate(0, 0.1)}
        judgement = self.judge.observe(look(at, **{**figures, **fields}))
        if judgement.transition is not None:
            self.changes.append((at, judgement.transition.old, judgement.transition.new))
        return judgement

    def until(self, state: State, factor: float, most: float = 3600) -> float:
        """Seconds from the next beat on until it is in that state, with the extra looks that are asked for."""
        began, pace = self.now + self.every, None
        while self.judge.state is not state:
            assert self.now - began < most, "it never is"
            pace = self.beat(factor).pace
            at = self.now
            while pace is not None and at + pace < self.now + self.every and self.judge.state is not state:
                at += pace
                pace = self.see(at, factor, scheduled=False).pace
        return at - began


@pytest.fixture(scope="module")
def learned() -> CheckRecord:
    target = Target(every=120)
    assert target.changes == [(0.0, "unknown", "up")]
    return target.judge.record(moment(LEARNED))


@pytest.fixture
def target(learned: CheckRecord) -> Target:
    made = Target(days=0)
    made.judge = Judge(made.judge.check, learned, moment(LEARNED))
    made.now = LEARNED
    return made


def test_twice_as_slow_is_a_degradation_within_seconds(target: Target) -> None:
    assert target.until(State.DEGRADED, 2) <= 14
    verdict = target.judge.verdict
    assert (verdict.reason, verdict.measurement) == (Reason.SLOW, "response_time")
    assert verdict.value == pytest.approx(0.6, rel=0.1)
    assert verdict.limit == pytest.approx(0.3, rel=0.1)
    assert verdict.condition == "response_time > usual"
    assert verdict.why.startswith("response time 6")
    assert "usual for Tuesday 12:00 UTC is " in verdict.why
    assert " ± " in verdict.why


def test_it_began_with_the_first_slow_look_and_ended_with_the_first_good_one(target: Target) -> None:
    slow = target.now + target.every
    target.until(State.DEGRADED, 2)
    assert target.judge.since == moment(slow).at
    assert not target.judge.steady
    for _ in range(10):
        assert target.beat(2).pace is None, "what stays slow tells nothing new"
    good = target.now + target.every
    assert target.until(State.UP, 1) <= 45
    assert target.judge.since == moment(good).at


def test_a_fifth_of_slow_looks_is_found_and_stays_found(target: Target) -> None:
    for number in range(200):
        at, pace = target.now, target.beat(6 if number % 5 == 0 else 1).pace
        while pace is not None and at + pace < target.now + target.every:
            at += pace
            pace = target.see(at, 6 if target.chance.random() < 0.2 else 1, scheduled=False).pace
    assert [new for _, _, new in target.changes] == ["degraded"]
    assert "far above in " in target.judge.verdict.why


@pytest.mark.parametrize("factor", [1.1, 1.2])
def test_a_little_slower_is_no_trouble(target: Target, factor: float) -> None:
    for _ in range(300):
        target.beat(factor)
    assert target.changes == []


def test_differences_of_milliseconds_are_no_trouble(target: Target) -> None:
    quick = Target(days=1)
    quick.judge = Judge(quick.judge.check, None, moment(0))
    for number in range(300):
        quick.see(quick.now + number * 30, response_time=0.0004)
    for number in range(300, 400):
        quick.see(quick.now + number * 30, response_time=0.0019)
    assert quick.judge.state is State.UP


def test_nothing_is_known_to_be_usual_before_an_hour() -> None:
    target = Target(days=0.9 / 24)
    for _ in range(10):
        target.beat(9)
    assert target.judge.state is State.UP
    assert target.judge.usual(moment(0).at) is None


def test_extra_looks_are_bounded_and_begin_anew_with_each_beat(target: Target) -> None:
    def extras() -> int:
        at, pace, count = target.now + target.every, target.beat(1.7).pace, 0
        while pace is not None:
            assert pace == PACE
            at, count = at + 0.001, count + 1
            pace = target.see(at, scheduled=False, response_time=0.46).pace
        return count

    assert [extras(), extras()] == [EXTRA_LOOKS, EXTRA_LOOKS]
    assert target.judge.suspicious is False
    assert not target.judge.steady, "the doubt lasts"


def test_a_check_that_is_looked_at_all_the_time_needs_no_extra_looks() -> None:
    target = Target(days=2 / 24, every=1)
    assert {target.beat(2).pace for _ in range(30)} == {None}
    assert target.judge.state is State.DEGRADED


def test_while_it_is_slow_nothing_is_learned_and_after_a_day_it_is_usual(target: Target) -> None:
    before = target.judge.usual(moment(LEARNED).at)
    target.until(State.DEGRADED, 2)
    for _ in range(2000):
        target.beat(2)
    after = target.judge.usual(moment(LEARNED).at)
    assert before is not None
    assert after is not None
    assert after.value == pytest.approx(before.value, rel=0.02)
    target.until(State.UP, 2, most=86400)
    again = target.judge.usual(moment(LEARNED).at)
    assert again is not None
    assert again.value == pytest.approx(2 * before.value, rel=0.1)


def test_a_look_that_timed_out_counts_as_its_limit_but_a_run_of_them_once(target: Target) -> None:
    own = target.judge._measured.slowness
    assert own is not None
    for _ in range(3):
        target.beat(fails=Reason.CONNECT_TIMEOUT, limit=10.0)
    assert own.far == (1, 1)
    assert own.value(moment(target.now).at) == pytest.approx(10, rel=0.1)
    target.beat()
    target.beat(fails=Reason.FIRST_BYTE_TIMEOUT, limit=10.0, response_time=12.0)
    assert own.far == (2, 3)


def test_other_failures_are_no_slowness(target: Target) -> None:
    state = target.judge.record(moment(target.now)).snapshot["slowness"]
    target.beat(fails=Reason.STATUS, response_time=9.0)
    target.beat(fails=Reason.CONNECT_TIMEOUT, limit=math.inf)
    target.beat(response_time=math.nan)
    target.beat(response_time=-1.0)
    assert (
        target.judge.record(moment(target.now)).snapshot["slowness"]["response_time"]["baseline"]
        == (state["response_time"]["baseline"])
    )
    assert target.judge.state is State.UP


def test_looks_that_come_twice_or_late_are_counted_once(target: Target) -> None:
    target.beat()
    for _ in range(20):
        target.see(target.now - 10, 3)
    target.beat(3)
    for _ in range(20):
        target.see(target.now, 3)
    assert target.judge.state is State.UP


def test_what_was_in_doubt_before_a_gap_is_forgotten(target: Target) -> None:
    for _ in range(3):
        target.beat(3)
    target.now += 600
    for _ in range(3):
        target.beat(3)
    assert target.judge.state is State.UP
    target.beat(3)
    assert target.judge.state is State.DEGRADED


@pytest.mark.parametrize("beats", [3, 12])
def test_it_goes_on_after_a_restart(target: Target, beats: int) -> None:
    for _ in range(beats):
        target.beat(2)
    record = target.judge.record(moment(target.now))
    kept = CheckRecord(record.check, record.state, record.since, record.seq, json.loads(json.dumps(record.snapshot)))
    again = Target(days=0)
    again.judge, again.now = Judge(again.judge.check, kept, moment(target.now)), target.now
    again.chance.setstate(target.chance.getstate())
    for factor in (2, 2, 2, 2, 1, 1, 1, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1):
        target.beat(factor)
        again.beat(factor)
        assert again.judge.state is target.judge.state
    assert again.judge.record(moment(again.now)).snapshot == target.judge.record(moment(target.now)).snapshot


def test_what_none_has_written_costs_the_baseline(learned: CheckRecord) -> None:
    odd = json.loads(json.dumps(dict(learned.snapshot)))
    odd["slowness"]["response_time"]["doubt"] = {"began": ""}
    record = CheckRecord(learned.check, learned.state, learned.since, learned.seq, odd)
    judge = Judge(check("home", usual="response_time"), record, moment(0))
    assert judge.state is State.UP
    assert judge.usual(moment(0).at) is None


def test_a_record_from_before_there_were_baselines(learned: CheckRecord) -> None:
    old = {name: value for name, value in learned.snapshot.items() if name != "slowness"}
    record = CheckRecord(learned.check, learned.state, learned.since, learned.seq, old)
    judge = Judge(check("home", usual="response_time"), record, moment(0))
    assert judge.verdict.why != "carried over from before a restart"


def test_another_interval_keeps_what_is_usual_and_another_target_begins_anew(target: Target) -> None:
    judge = target.judge
    judge.redefine(check("home", usual="response_time", every=timedelta(seconds=10)), same_target=True)
    assert judge.usual(moment(LEARNED).at) is not None
    judge.redefine(check("home", usual="response_time"), same_target=False)
    assert judge.usual(moment(LEARNED).at) is None
    judge.redefine(check("home"), same_target=True)
    assert judge.usual(moment(LEARNED).at) is None


def test_trouble_that_is_not_asked_for_any_more_ends_with_the_next_look(target: Target) -> None:
    target.until(State.DEGRADED, 2)
    target.judge.redefine(check("home"), same_target=True)
    target.beat(2)
    assert target.judge.state is State.UP


def test_a_written_threshold_speaks_before_it(learned: CheckRecord) -> None:
    written = check("home", above(0.5), usual="response_time")
    target = Target(days=0)
    target.judge, target.now = Judge(written, learned, moment(LEARNED)), LEARNED
    for _ in range(12):
        target.beat(3)
    assert target.judge.verdict.reason is Reason.THRESHOLD
    for _ in range(12):
        target.beat(1.5)
    assert target.judge.verdict.reason is Reason.SLOW


def test_a_target_that_always_has_slow_looks_is_not_slow_because_of_them() -> None:
    target = Target(days=1 / 24)
    for _ in range(3):
        for number in range(2000):
            target.beat(8 if number % 20 == 0 else 1)
    changes = len(target.changes)
    for number in range(2000):
        target.beat(8 if number % 20 == 0 else 1)
    assert len(target.changes) == changes


_FIGURES = st.one_of(
    st.floats(0.001, 30), st.sampled_from([math.nan, math.inf, -math.inf, -1.0, 0.0, 1e299, 5e-324]), st.none()
)
_LOOKS = st.lists(
    st.tuples(
        st.floats(-90, 90),
        _FIGURES,
        st.booleans(),
        st.sampled_from([None, Reason.CONNECT_TIMEOUT, Reason.STATUS, Reason.LATE]),
    ),
    max_size=80,
)
MOVING = above(0, bound=Bound(Operator.ABOVE, 3.0, USUAL))


@cache
def ripe() -> CheckRecord:
    """What is learned in a day, once for all examples."""
    return Target(days=1, every=120).judge.record(moment(LEARNED))


@given(_LOOKS, st.integers(0, 80))
def test_whatever_comes_nothing_breaks_and_a_restart_changes_nothing(
    looks: list[tuple[float, float | None, bool, Reason | None]], cut: int
) -> None:
    of = check("home", MOVING, usual="response_time")
    one = other = Judge(of, ripe(), moment(LEARNED))
    now, seqs = LEARNED, [one.seq]
    for number, (step, value, scheduled, fails) in enumerate(looks):
        now += 30 + step
        if number == cut:
            record = one.record(moment(now))
            kept = json.loads(json.dumps(dict(record.snapshot)))
            other = Judge(of, CheckRecord(record.check, record.state, record.since, record.seq, kept), moment(now))
        figures = {} if value is None else {"response_time": value}
        seen = look(now, fails=fails, scheduled=scheduled, **figures)
        before = one.state
        transition = one.observe(seen).transition
        assert transition is None or (transition.old, transition.new) == (before.value, one.state.value)
        if other is not one:
            other.observe(seen)
            assert (other.state, other.seq, other.verdict.reason) == (one.state, one.seq, one.verdict.reason)
        seqs.append(one.seq)
    assert seqs == sorted(seqs)


def test_no_look_of_a_steady_target_is_slow_because_of_a_clock_that_is_set(target: Target) -> None:
    for days in (3, -5, 0.2, -9, 4000):
        for _ in range(40):
            target.now += target.every
            seen = look(target.now, response_time=0.3)
            at = seen.began.at + timedelta(days=days)
            moved = replace(seen, began=Moment(at, seen.began.tick), ended=Moment(at, seen.ended.tick))
            target.judge.observe(moved)
    assert target.judge.state is State.UP
