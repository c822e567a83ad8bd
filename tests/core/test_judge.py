"""What looks make of one check: down, degraded, up again; and when it is looked at again meanwhile."""

from __future__ import annotations

from datetime import timedelta

import pytest

from monitor.core.condition import Level
from monitor.core.failures import BURST, PACE
from monitor.core.model import Confirm, Recover
from probes.contract import Reason
from tests.core.builders import START, Watch, above, dead


def test_the_first_good_look_is_up() -> None:
    watch = Watch()
    assert watch.state == "unknown"
    watch.see(0)
    assert watch.transitions == [(0, "unknown", "up")]


def test_one_lost_packet_wakes_nobody() -> None:
    watch = Watch()
    watch.see(0)
    watch.see(30, fails=Reason.CONNECT_TIMEOUT)
    watch.see(31)
    assert watch.state == "up"


def test_an_outage_needs_a_run_of_failures_and_its_span() -> None:
    watch = Watch()
    watch.see(0)
    for at in (30.0, 30.1, 30.2, 30.3):
        watch.see(at, fails=Reason.REFUSED)
    assert watch.state == "up"
    watch.see(32, fails=Reason.REFUSED)
    assert watch.transitions[-1] == (32, "up", "down")


def test_an_outage_is_dated_back_to_its_first_failing_look() -> None:
    watch = Watch()
    watch.see(0)
    dead(watch, 30)
    assert watch.judge.since == START + timedelta(seconds=30)
    assert watch.judge.verdict.reason is Reason.REFUSED


def test_a_check_that_never_answered_is_down_after_confirmation() -> None:
    watch = Watch()
    dead(watch, 0)
    assert watch.transitions == [(2, "unknown", "down")]


def test_a_first_failure_asks_for_a_burst_and_then_for_a_pace() -> None:
    watch = Watch(confirm=Confirm())
    watch.see(0)
    first = watch.see(30, fails=Reason.REFUSED)
    assert first.burst == BURST
    assert first.pace == PACE
    second = watch.see(30.2, fails=Reason.REFUSED)
    assert second.burst == ()
    assert second.pace == PACE


def test_the_burst_fits_the_span_that_is_asked_for() -> None:
    watch = Watch(confirm=Confirm(looks=4, span=timedelta(seconds=1)))
    watch.see(0)
    assert watch.see(30, fails=Reason.REFUSED).burst == pytest.approx((0.04, 0.1, 0.18))


def test_a_dead_target_needs_no_extra_looks_until_it_answers() -> None:
    watch = Watch()
    watch.see(0)
    dead(watch, 30)
    assert watch.see(60, fails=Reason.REFUSED).pace is None
    assert watch.see(90).pace == 1.0


def test_an_outage_ends_through_degraded_and_not_with_one_success() -> None:
    watch = Watch()
    watch.see(0)
    dead(watch, 30)
    for second in range(12):
        watch.see(60 + second)
    assert [(old, new) for _, old, new in watch.transitions[1:]] == [
        ("up", "down"), ("down", "degraded"), ("degraded", "up"),
    ]  # fmt: skip
    assert watch.transitions[-1][0] == 69
    assert watch.judge.since == START + timedelta(seconds=60)


def test_while_it_recovers_the_reason_says_so() -> None:
    watch = Watch()
    watch.see(0)
    dead(watch, 30)
    for second in range(4):
        watch.see(60 + second)
        assert watch.judge.verdict.reason is Reason.REFUSED
    watch.see(64)
    assert watch.state == "degraded"
    assert "answers again" in watch.judge.verdict.why


def test_failing_now_and_then_is_degraded_never_down() -> None:
    watch = Watch(recover=Recover())
    watch.see(0)
    for second in range(60):
        watch.see(30 + second, fails=Reason.STATUS if second % 3 == 0 else None)
    assert [(old, new) for _, old, new in watch.transitions[1:]] == [("up", "degraded")]
    assert watch.judge.verdict.reason is Reason.FAILING
    assert "of the latest looks failed" in watch.judge.verdict.why


def test_a_half_failing_target_needs_a_longer_run_to_be_down() -> None:
    watch = Watch()
    watch.see(0)
    for second in range(20):
        watch.see(30 + second, fails=Reason.STATUS if second % 2 else None)
    dead(watch, 51, 14)
    assert watch.state == "degraded"
    dead(watch, 65, 10)
    assert watch.state == "down", "its own run does not make it harder"


def test_a_success_that_began_before_the_failures_is_no_evidence_against_them() -> None:
    watch = Watch()
    watch.see(0)
    watch.see(30, fails=Reason.REFUSED)
    watch.see(29.5, took=1.0)
    watch.see(31, fails=Reason.REFUSED)
    watch.see(32, fails=Reason.REFUSED)
    assert watch.state == "down"


def test_a_dead_target_is_not_being_confirmed_any_more() -> None:
    watch = Watch()
    watch.see(0)
    watch.see(30, fails=Reason.REFUSED)
    assert watch.judge.suspicious
    dead(watch, 31, 4)
    assert watch.state == "down"
    assert not watch.judge.suspicious


def test_a_pause_of_the_agent_is_no_evidence() -> None:
    watch = Watch(confirm=Confirm())
    watch.see(0)
    watch.see(30, fails=Reason.REFUSED)
    for number in range(9):
        watch.see(50 + number / 1000, fails=Reason.REFUSED)
    assert watch.state == "up"


def test_a_failure_that_began_before_the_successes_says_nothing_about_now() -> None:
    watch = Watch()
    watch.see(0)
    watch.see(-1, took=12, fails=Reason.CONNECT_TIMEOUT)
    assert not watch.judge.suspicious


def test_a_slow_target_is_not_called_down_by_the_short_limit_of_extra_looks() -> None:
    watch = Watch()
    watch.see(0, took=0.1)
    watch.see(30, took=3, fails=Reason.STATUS)
    assert watch.judge.extra_timeout == 2
    for second in range(6):
        watch.see(34 + second, took=2, fails=Reason.FIRST_BYTE_TIMEOUT, scheduled=False, limit=2)
    assert watch.state == "up"
    assert watch.judge.extra_timeout == 10
    watch.see(41, took=3, scheduled=False)
    assert watch.judge.extra_timeout == 9


def test_a_target_that_swallows_packets_is_called_down_by_short_looks() -> None:
    watch = Watch()
    watch.see(0, took=0.1)
    watch.see(30, took=10, fails=Reason.CONNECT_TIMEOUT)
    for second in range(6):
        watch.see(40 + second, took=2, fails=Reason.CONNECT_TIMEOUT, scheduled=False, limit=2)
    assert watch.state == "down"


def test_slow_is_degraded_and_slower_is_down() -> None:
    watch = Watch(above(1), above(5, Level.DOWN))
    watch.see(0, response_time=0.1)
    watch.see(30, response_time=2)
    pending = watch.see(31, scheduled=False, response_time=2)
    assert watch.state == "degraded"
    assert pending.pace is None
    watch.see(60, response_time=6)
    watch.see(61, scheduled=False, response_time=6)
    assert watch.state == "down"
    verdict = watch.judge.verdict
    assert (verdict.reason, verdict.value, verdict.limit) == (Reason.THRESHOLD, 6, 5)
    watch.see(90, response_time=0.1)
    watch.see(91, scheduled=False, response_time=0.1)
    assert watch.state == "up"


def test_the_first_degraded_condition_explains_and_a_down_one_wins() -> None:
    watch = Watch(above(1), above(2), above(1.5, Level.DOWN))
    for at in (0, 1):
        watch.see(at, response_time=3)
    assert watch.state == "down"
    assert watch.judge.verdict.limit == 1.5
    both = Watch(above(1), above(2))
    for at in (0, 1):
        both.see(at, response_time=3)
    assert both.judge.verdict.limit == 1


def test_a_breach_in_doubt_asks_for_a_second_opinion() -> None:
    watch = Watch(above(1))
    watch.see(0, response_time=0.1)
    assert watch.see(30, response_time=2).pace == PACE
    assert watch.judge.suspicious


def test_a_failing_check_outweighs_a_slow_one() -> None:
    watch = Watch(above(1))
    for at in (0, 30):
        watch.see(at, response_time=2)
    assert watch.state == "degraded"
    dead(watch, 60)
    assert watch.state == "down"


def test_windows_take_scheduled_looks_only() -> None:
    watch = Watch(above(1, window=timedelta(minutes=5)))
    for at in (0, 30, 60):
        watch.see(at, response_time=0.1)
    for at in range(61, 80):
        watch.see(at, scheduled=False, response_time=9)
    assert watch.state == "up"


def test_extra_looks_are_short_but_not_shorter_than_a_slow_target_needs() -> None:
    watch = Watch()
    assert watch.judge.extra_timeout == 2.0
    watch.see(0, took=1.5)
    assert watch.judge.extra_timeout == 4.5
    watch.see(30, took=9)
    assert watch.judge.extra_timeout == 10
