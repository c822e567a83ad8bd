"""Looks that come twice, much later, or in another order: what is told again is no further evidence."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.judge import Judge
from monitor.core.model import Confirm, Look, Moment, Recover
from probes.contract import Reason
from tests.core.builders import START, Watch, above, check, look
from tests.core.test_properties import FAILURES, Step, looks_of, steps


def watch() -> Watch:
    made = Watch(confirm=Confirm(), recover=Recover())
    made.see(0, took=0.05)
    return made


def test_five_failed_looks_are_five_however_often_they_are_told() -> None:
    watched = watch()
    for round_ in range(4):
        for second in range(0, 10, 2):
            watched.see(30 + second, fails=Reason.REFUSED, scheduled=not round_ and not second)
    assert watched.state == "up"
    for second in range(12, 22, 2):
        watched.see(30 + second, fails=Reason.REFUSED, scheduled=False)
    assert watched.state == "down", "ten of them"


def test_two_good_looks_end_no_outage_however_often_they_are_told() -> None:
    watched = watch()
    for second in range(12):
        watched.see(30 + second, fails=Reason.REFUSED, scheduled=False)
    for _ in range(40):
        for second in (60, 61):
            watched.see(second, scheduled=False)
    assert watched.state == "down"
    for second in (62, 63, 64):
        watched.see(second, scheduled=False)
    assert watched.state == "degraded"


def test_looks_that_timed_out_sooner_than_others_are_counted_once() -> None:
    watched = watch()
    for _ in range(5):
        for second in range(4):
            watched.see(30 + second, fails=Reason.FIRST_BYTE_TIMEOUT, took=2, limit=2, scheduled=False)
    watched.see(29, fails=Reason.FIRST_BYTE_TIMEOUT, took=10)
    assert watched.state == "up"


def test_what_others_saw_at_the_same_moment_is_another_look() -> None:
    watched = watch()
    for number in range(12):
        seen = look(30 + number // 2, fails=Reason.REFUSED, scheduled=False)
        told = replace(seen.observation, evidence={"seen_by": f"other {number % 2}"})
        watched.judge.observe(replace(seen, observation=told))
    assert watched.state == "down"


def test_what_was_good_at_the_moment_of_a_failure_is_another_look() -> None:
    watched = watch()
    for at in range(30, 38):
        watched.judge.observe(look(at, fails=Reason.REFUSED, scheduled=False))
    watched.judge.observe(look(37, scheduled=False))
    watched.judge.observe(look(38, fails=Reason.REFUSED, scheduled=False))
    watched.judge.observe(look(39, fails=Reason.REFUSED, scheduled=False))
    assert watched.state == "up"


def test_one_slow_look_crosses_no_threshold_however_often_it_is_told() -> None:
    watched = Watch(above(1))
    for at in (30, 60, 30, 60, 30):
        watched.see(at, response_time=2.0 if at == 30 else 0.1)
    assert watched.state == "up"


@given(steps(None, *FAILURES, odd=False), st.integers(0, 10**6))
@settings(max_examples=40)
def test_an_outage_has_all_its_failures_whatever_is_told_again(taken: list[Step], seed: int) -> None:
    chance, of = Random(seed), check("home", confirm=Confirm(), recover=Recover())
    judge = Judge(of, None, Moment(START, 1000.0))
    told: list[Look] = []
    failed: set[tuple[float, float, bool, Reason | None]] = set()
    for seen in looks_of(taken):
        fresh = replace(seen, check="home")
        if fresh.observation.ok:
            failed = set()
        else:
            failed.add((fresh.began.tick, fresh.ended.tick, fresh.scheduled, fresh.observation.reason))
        for item in (fresh, *(chance.choice(told[-30:]) for _ in range(3) if told)):
            transition = judge.observe(item).transition
            if transition is not None and transition.new == "down":
                assert len(failed) >= of.confirm.looks
        told.append(fresh)


def test_what_is_late_speaks_of_an_earlier_time() -> None:
    """A slow look that ended before two quick ones, and is told after them."""
    watched = Watch(above(1, for_span=timedelta(seconds=1)))
    for at, value in ((0, 0.1), (30, 0.1), (15, 9.0), (16, 9.0), (17, 9.0)):
        watched.see(at, response_time=value)
    assert watched.state == "up"
