"""Conditions that compare with what is usual."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

from monitor.core.condition import USUAL, Bound, Condition, Operator
from monitor.core.judge import Judge
from monitor.core.model import Check, CheckRecord, State
from probes.contract import Reason
from tests.core.builders import above, check, look, moment

EVERY = 300.0
SLOW = above(0, bound=Bound(Operator.ABOVE, 3.0, USUAL), clear=Bound(Operator.BELOW, 2.0, USUAL))


class Watched:
    def __init__(self, *conditions: Condition, **fields: Any) -> None:
        self.judge = Judge(self.check(*conditions, **fields), None, moment(0))
        self.now = 0.0

    def check(self, *conditions: Condition, **fields: Any) -> Check:
        return check("home", *conditions, every=timedelta(seconds=EVERY), **fields)

    def see(self, value: float, times: int = 1, **fields: Any) -> State:
        for _ in range(times):
            self.now += EVERY
            self.judge.observe(look(self.now, response_time=value, **fields))
        return self.judge.state

    def restart(self) -> None:
        record = self.judge.record(moment(self.now))
        kept = CheckRecord(
            record.check, record.state, record.since, record.seq, json.loads(json.dumps(record.snapshot))
        )
        self.judge = Judge(self.judge.check, kept, moment(self.now))


def test_three_times_as_slow_as_usual() -> None:
    watched = Watched(SLOW)
    assert watched.see(0.3, 40) is State.UP
    watched.restart()
    assert watched.see(1.0, 2) is State.DEGRADED
    assert watched.judge.verdict.why == "response time 1 s, limit 900 ms (3x usual)"
    assert watched.see(0.7, 5) is State.DEGRADED, "not below its clear value"
    assert watched.see(0.3, 2) is State.UP


def test_it_says_nothing_while_nothing_is_usual_and_learns_from_good_scheduled_looks_only() -> None:
    watched = Watched(SLOW)
    watched.see(0.3, 20)
    for fields in ({"scheduled": False}, {"fails": Reason.STATUS}):
        watched.see(9.0, 2, **fields)
    watched.see(float("nan"), 3)
    watched.see(-1.0, 3)
    assert watched.see(9.0, 4) is State.UP
    watched.see(0.3, 30)
    assert watched.see(9.0, 2) is State.DEGRADED


def test_trouble_becomes_usual_after_a_day_not_before() -> None:
    watched = Watched(SLOW)
    watched.see(0.3, 40)
    assert watched.see(1.5, 280) is State.DEGRADED
    assert watched.see(1.5, 600) is State.UP


def test_the_baseline_of_the_check_itself_is_shared() -> None:
    watched = Watched(SLOW, usual="response_time")
    watched.see(0.3, 40)
    snapshot = watched.judge.record(moment(watched.now)).snapshot
    assert snapshot["usuals"] == {}
    assert watched.see(1.5, 2) is State.DEGRADED
    assert watched.judge.verdict.condition == SLOW.text


def test_another_definition_keeps_what_is_usual_and_another_target_does_not() -> None:
    watched = Watched(SLOW)
    watched.see(0.3, 40)
    other = replace(SLOW, bound=Bound(Operator.ABOVE, 2.0, USUAL), clear=None, text="other")
    watched.judge.redefine(watched.check(other), same_target=True)
    assert watched.see(0.7, 2) is State.DEGRADED
    assert watched.see(0.3, 2) is State.UP
    watched.judge.redefine(watched.check(SLOW), same_target=False)
    assert watched.see(9.0, 4) is State.UP


def test_a_record_from_before_the_condition_was_written() -> None:
    watched = Watched(above(5))
    watched.see(0.3, 40)
    watched.judge = Judge(watched.check(SLOW), watched.judge.record(moment(watched.now)), moment(watched.now))
    assert watched.see(9.0, 4) is State.UP
