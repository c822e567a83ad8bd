from __future__ import annotations

import json
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.condition import Level
from monitor.core.failures import BURST, PACE
from monitor.core.judge import Judge
from monitor.core.model import CheckRecord, Confirm, Recover, State
from probes.contract import Reason
from tests.core.builders import START, Watch, above, check, look, moment


def dead(watch: Watch, at: float, seconds: int = 3) -> None:
    for second in range(seconds):
        watch.see(at + second, fails=Reason.REFUSED)


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
    assert watch.judge.verdict.why.startswith("33%") or "of the latest looks failed" in watch.judge.verdict.why


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


def test_a_dead_target_is_not_being_confirmed_any_more() -> None:
    watch = Watch()
    watch.see(0)
    watch.see(30, fails=Reason.REFUSED)
    assert watch.judge.suspicious
    dead(watch, 31, 4)
    assert watch.state == "down"
    assert not watch.judge.suspicious


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
        (("series", "response_time", "ticks"), "AAAAAAAA+H8="),
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


LOOKS = st.lists(
    st.tuples(
        st.floats(0.01, 90),
        st.sampled_from([None, None, None, Reason.REFUSED, Reason.STATUS, Reason.BLOCKED, Reason.LATE]),
        st.booleans(),
        st.one_of(st.floats(0, 5), st.just(float("nan")), st.just(float("inf")), st.just(-1.0)),
    ),
    max_size=120,
)


@given(LOOKS)
def test_transitions_alternate_and_deciding_is_deterministic(
    looks: list[tuple[float, Reason | None, bool, float]],
) -> None:
    def play() -> list[tuple[float, str, str]]:
        watch, at = Watch(above(1), above(3, Level.DOWN, window=timedelta(minutes=3))), 0.0
        for gap, fails, scheduled, value in looks:
            at += gap
            watch.see(at, fails=fails, scheduled=scheduled, response_time=value)
        return watch.transitions

    first = play()
    assert first == play()
    for (_, _, new), (_, old, _) in pairwise(first):
        assert old == new
    assert all(old != new for _, old, new in first)


@given(LOOKS, st.sampled_from([Reason.BLOCKED, Reason.NO_ROUTE, Reason.LATE]))
def test_no_evidence_no_alarm(looks: list[tuple[float, Reason | None, bool, float]], reason: Reason) -> None:
    watch, at = Watch(), 0.0
    for gap, fails, scheduled, _ in looks:
        at += gap
        watch.see(at, fails=reason if fails else None, scheduled=scheduled)
    assert not {"down", "degraded"} & {new for _, _, new in watch.transitions}


@given(LOOKS, st.integers(0, 119))
def test_a_restart_anywhere_gives_the_same_transitions(
    looks: list[tuple[float, Reason | None, bool, float]], restart_at: int
) -> None:
    def play(*, restart: bool) -> list[tuple[float, str, str]]:
        watch, at = Watch(above(1, for_looks=(2, 3))), 0.0
        for index, (gap, fails, scheduled, _) in enumerate(looks):
            at += gap
            watch.see(at, fails=fails, scheduled=scheduled, response_time=2.0 if scheduled else 0.5)
            # A blind spell is not kept: after a restart it is judged from what is seen then.
            if restart and index == restart_at and not watch.judge._blind:
                watch.restart(at)
        return watch.transitions

    assert play(restart=True) == play(restart=False)


def test_a_record_of_an_unknown_check_is_left_alone() -> None:
    record = CheckRecord("home", State.DOWN, START, 4, Watch().judge.record(moment(0)).snapshot)
    judge = Judge(check(), record, moment(60))
    assert judge.state is State.DOWN
    assert judge.seq == 4
