"""Looks that cannot tell: of a target that blocks us, or of an agent that cannot see."""

from __future__ import annotations

from datetime import timedelta

import pytest

from monitor.core.failures import PACE
from probes.contract import Reason
from tests.core.builders import START, Watch, dead


@pytest.mark.parametrize("reason", [Reason.BLOCKED, Reason.NO_ROUTE, Reason.LATE, Reason.PROBE_BUG])
def test_what_is_not_the_targets_fault_never_makes_it_down(reason: Reason) -> None:
    watch = Watch()
    watch.see(0)
    for at in range(30, 300, 30):
        watch.see(at, fails=reason)
    assert watch.transitions[1:] == [(90, "up", "unknown")]
    assert watch.judge.verdict.reason is reason
    assert watch.judge.since == START + timedelta(seconds=30)


def test_sight_returns_to_what_is_seen() -> None:
    watch = Watch()
    watch.see(0)
    for at in (30, 60, 90):
        watch.see(at, fails=Reason.NO_ROUTE)
    watch.see(120)
    assert watch.transitions[-1] == (120, "unknown", "up")


def test_being_blind_during_an_outage_does_not_end_it() -> None:
    watch = Watch()
    watch.see(0)
    dead(watch, 30)
    for at in (60, 90, 120):
        watch.see(at, fails=Reason.NO_ROUTE)
    assert watch.state == "unknown"
    for second in range(4):
        watch.see(150 + second)
    assert watch.state == "unknown", "a success announces neither the end of the outage nor its return"
    watch.see(154)
    assert watch.transitions[-1] == (154, "unknown", "degraded")


def test_sight_that_returns_in_an_outage_tells_it_by_a_failure() -> None:
    watch = Watch()
    watch.see(0)
    dead(watch, 30)
    for at in (60, 90, 120):
        watch.see(at, fails=Reason.NO_ROUTE)
    watch.see(150, fails=Reason.REFUSED)
    assert watch.transitions[-1] == (150, "unknown", "down")


def test_trouble_is_remembered_through_all_its_states() -> None:
    watch = Watch()
    watch.see(0)
    dead(watch, 30)
    began = watch.judge.trouble_since
    assert began == START + timedelta(seconds=30)
    for at in (60, 90, 120):
        watch.see(at, fails=Reason.NO_ROUTE)
    watch.restart(121)
    for second in range(8):
        watch.see(150 + second)
    assert watch.state == "degraded"
    assert watch.judge.trouble_since == began
    for second in range(8):
        watch.see(160 + second)
    assert watch.judge.trouble_since is None


def test_one_look_that_cannot_tell_calls_nothing_off() -> None:
    watch = Watch()
    watch.see(0)
    watch.see(30, fails=Reason.REFUSED)
    assert watch.see(31, fails=Reason.BLOCKED).pace == PACE
    watch.see(32, fails=Reason.BLOCKED)
    assert watch.see(33, fails=Reason.BLOCKED).pace is None
    assert watch.see(34, fails=Reason.REFUSED).pace == PACE


def test_a_target_that_limits_our_rate_is_called_down_all_the_same() -> None:
    watch = Watch()
    watch.see(0)
    for second in range(8):
        watch.see(30 + second, fails=Reason.BLOCKED if second % 2 else Reason.STATUS)
    assert watch.state == "down"


def test_sight_that_returns_to_a_healthy_target_is_dated_by_its_look() -> None:
    watch = Watch()
    watch.see(0)
    watch.see(30, fails=Reason.REFUSED)
    for second in range(20):
        watch.see(31 + second)
    for at in (90_000, 90_030, 90_060):
        watch.see(at, fails=Reason.NO_ROUTE)
    watch.see(90_090)
    assert watch.judge.since == START + timedelta(seconds=90_090)


def test_being_blind_asks_for_no_extra_looks() -> None:
    watch = Watch()
    watch.see(0)
    assert watch.see(30, fails=Reason.NO_ROUTE).pace is None


def test_after_being_blind_a_failure_must_be_confirmed_first() -> None:
    watch = Watch()
    watch.see(0)
    for at in (30, 60, 90):
        watch.see(at, fails=Reason.NO_ROUTE)
    watch.see(120, fails=Reason.REFUSED)
    assert watch.state == "unknown"
