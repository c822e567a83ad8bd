"""What a check remembers over a restart, and what becomes of a memory that nobody has written."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from monitor.core.judge import Judge
from monitor.core.model import CheckRecord, State
from probes.contract import Reason
from tests.core.builders import START, Watch, above, check, look, moment


def test_failures_before_a_restart_and_one_after_are_no_outage() -> None:
    watch = Watch()
    watch.see(0)
    for at in (30, 31):
        watch.see(at, fails=Reason.REFUSED)
    watch.restart(32)
    watch.see(632, fails=Reason.REFUSED)
    assert watch.state == "up"
    watch.see(634, fails=Reason.REFUSED)
    watch.see(635, fails=Reason.REFUSED)
    assert watch.judge.since == START + timedelta(seconds=632)


def test_a_restart_changes_nothing() -> None:
    watch = Watch(above(1, window=timedelta(minutes=5)), above(3, for_looks=(2, 3)))
    watch.see(0, response_time=0.1)
    watch.see(30, fails=Reason.REFUSED)
    watch.judge.memory["cpu"] = 7.0
    watch.restart(30.5)
    watch.see(31, fails=Reason.REFUSED)
    watch.see(32, fails=Reason.REFUSED)
    assert watch.transitions[-1] == (32, "up", "down")
    assert watch.judge.seq == 2
    assert watch.judge.since == START + timedelta(seconds=30)
    assert watch.judge.memory == {"cpu": 7.0}
    watch.restart(33)
    assert watch.judge.verdict.reason is Reason.REFUSED


def test_a_restart_with_other_thresholds_keeps_what_still_fits() -> None:
    record = Judge(check("home", above(1)), None, moment(0)).record(moment(0))
    judge = Judge(check("home", above(2), above(3, window=timedelta(minutes=1))), record, moment(5))
    assert judge.state is State.UNKNOWN
    assert [threshold.active for threshold in judge.thresholds] == [False, False]


@pytest.mark.parametrize("snapshot", [{}, {"at": 0.0, "failures": None}, {"at": "yesterday"}])
def test_a_memory_that_cannot_be_read_costs_the_windows_not_the_state(snapshot: dict[str, Any]) -> None:
    record = CheckRecord("home", State.DOWN, START, 4, snapshot)
    judge = Judge(check("home", above(1, window=timedelta(minutes=1))), record, moment(60))
    assert (judge.state, judge.seq) == (State.DOWN, 4)
    judge.observe(look(61))
    assert judge.state is State.DOWN
    fresh = Judge(check(), CheckRecord("home", State.UP, START, 1, snapshot), moment(60))
    fresh.observe(look(61))
    assert fresh.state is State.UP


@pytest.mark.parametrize(
    ("place", "scribble"),
    [
        (("at",), 10**400),
        (("failures", "score"), "high"),
        (("failures", "looks"), -1),
        (("failures", "failed"), 99),
        (("failures", "bad", "age"), 1e300),
        (("failures", "suspect_at"), "2026-01-02T03:04:05"),
        (("failures", "good"), "none"),
        (("thresholds",), ["none"]),
        (("series", "response_time", "60.0", "ticks"), "AAAAAAAA+H8="),
        (("patience",), None),
        (("trouble_since",), 7),
        (("why",), {}),
        (("memory",), 5),
    ],
)
def test_a_memory_that_nobody_has_written_is_not_met_in_the_middle_of_a_look(
    place: tuple[str, ...], scribble: object
) -> None:
    watch = Watch(above(1, window=timedelta(minutes=1)))
    watch.see(0, response_time=0.1)
    snapshot = json.loads(json.dumps(watch.judge.record(moment(1)).snapshot))
    within = snapshot
    for name in place[:-1]:
        within = within[name]
    within[place[-1]] = scribble
    judge = Judge(watch.judge.check, CheckRecord("home", State.DOWN, START, 4, snapshot), moment(60))
    for second in range(61, 200):
        judge.observe(look(second))
    assert judge.state is State.UP
    judge.record(moment(200))


def test_a_record_is_plain_json() -> None:
    watch = Watch(above(1, window=timedelta(minutes=5)))
    watch.see(0, response_time=0.1)
    record = watch.judge.record(moment(1))
    assert json.loads(json.dumps(record.snapshot)) == record.snapshot


def test_a_wall_clock_that_ran_backwards_puts_nothing_into_the_future() -> None:
    watch = Watch(above(1, window=timedelta(minutes=5)))
    watch.see(0, response_time=0.1)
    record = watch.judge.record(moment(100))
    earlier = Judge(watch.judge.check, record, moment(-1000))
    earlier.observe(look(-999, response_time=0.1))
    assert earlier.state is State.UP


def test_a_record_of_an_unknown_check_is_left_alone() -> None:
    record = CheckRecord("home", State.DOWN, START, 4, Watch().judge.record(moment(0)).snapshot)
    judge = Judge(check(), record, moment(60))
    assert judge.state is State.DOWN
    assert judge.seq == 4
