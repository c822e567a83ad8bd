"""How an outage is confirmed: learned spans, sure reasons, failures that arrive late."""

from __future__ import annotations

import json
import math
from dataclasses import astuple, replace
from datetime import timedelta

import pytest

from monitor.core.bursts import MEMORY, MONTH, TOLERATED, Bursts
from monitor.core.failures import BURST, MOST_SPANS, SURE_SPAN
from monitor.core.judge import Judge
from monitor.core.model import Confirm, Policy, Recover
from monitor.core.wording import describe_confirmation
from probes.contract import Reason
from tests.core.builders import Watch, check, moment
from tests.core.confirming import down_after, watch

DAY = 86400


def burst(watched: Watch, at: float, seconds: float, reason: Reason = Reason.CONNECT_TIMEOUT) -> None:
    """A run of failures that lasts so long, then good looks until all is well."""
    steps = [0.0, *BURST, *range(6, 100)]
    for offset in (step for step in steps if step <= seconds):
        watched.see(at + offset, fails=reason, scheduled=offset == 0)
    for second in range(45):
        watched.see(at + seconds + 0.2 + second, scheduled=False)


def known(watched: Watch, at: float) -> tuple[float, float]:
    """Short failures that are remembered, and how long they last."""
    needed = watched.judge.confirmation(moment(at).tick)
    return round(needed.bursts, 3), needed.mean


# --- what is learned -------------------------------------------------------------------------------------------


def test_a_clean_target_is_down_after_five_seconds() -> None:
    assert down_after(watch(), 30) == 5


def test_a_target_that_fails_in_bursts_takes_longer_to_be_called_down() -> None:
    watched = watch()
    for day in range(1, 4):
        for hour in range(24):
            burst(watched, day * DAY + hour * 3600, 3)
    assert watched.state == "up"
    found = down_after(watched, 4 * DAY)
    assert 20 <= found <= 40, "3.4 s * ln(730 bursts a month / 0.02)"


def test_lone_lost_packets_teach_nothing_that_would_cost_time() -> None:
    watched = watch()
    for hour in range(200):
        burst(watched, DAY + hour * 3600, 0)
    assert down_after(watched, 12 * DAY) == 5


def test_a_single_burst_is_no_reason_to_wait_a_minute() -> None:
    watched = watch()
    burst(watched, DAY, 3)
    assert 5 < down_after(watched, DAY + 3600) <= 20


def test_an_outage_teaches_nothing() -> None:
    watched = watch()
    for day in range(1, 6):
        burst(watched, day * DAY, 60)
    assert [new for _, _, new in watched.transitions].count("down") == 5
    assert down_after(watched, 7 * DAY) == 5


def test_runs_within_a_brownout_are_not_how_the_target_is_otherwise() -> None:
    watched = watch()
    for second in range(600):
        watched.see(DAY + second, fails=Reason.STATUS if second % 3 else None, scheduled=False)
    assert watched.state == "degraded"
    for second in range(60):
        watched.see(DAY + 600 + second, scheduled=False)
    assert watched.state == "up"
    assert down_after(watched, 2 * DAY) == 5


def test_what_was_learned_survives_a_restart_and_is_not_forgotten_while_we_are_away() -> None:
    watched = watch()
    for hour in range(60):
        burst(watched, DAY + hour * 3600, 3)
    before = watched.judge.confirmation(moment(4 * DAY).tick)
    record = watched.judge.record(moment(4 * DAY))
    record = replace(record, snapshot=json.loads(json.dumps(record.snapshot)))
    again = Judge(watched.judge.check, record, moment(100 * DAY))
    assert astuple(again.confirmation(moment(100 * DAY).tick)) == pytest.approx(astuple(before))


def test_a_suspicion_survives_a_restart_with_its_runs() -> None:
    watched = watch()
    watched.see(DAY, fails=Reason.REFUSED)
    watched.see(DAY + 3, fails=Reason.REFUSED, scheduled=False)
    watched.see(DAY + 4, scheduled=False)
    watched.restart(DAY + 4)
    for second in range(20):
        watched.see(DAY + 5 + second, scheduled=False)
    assert known(watched, DAY + 24) == (1, 3.5)


def test_a_record_of_a_version_that_did_not_learn_is_taken_over() -> None:
    watched = watch()
    watched.see(30, fails=Reason.REFUSED)
    record = watched.judge.record(moment(31))
    old = {"state", "score", "bad", "good", "looks", "failed", "suspect_at"}
    kept = {name: value for name, value in record.snapshot["failures"].items() if name in old}
    snapshot = {name: value for name, value in record.snapshot.items() if name != "patience"} | {"failures": kept}
    judge = Judge(watched.judge.check, replace(record, snapshot=snapshot), moment(31))
    assert judge.suspicious
    assert judge.verdict.why == watched.judge.verdict.why


def test_another_target_is_learned_anew() -> None:
    watched = watch()
    burst(watched, DAY, 3)
    assert known(watched, DAY)[0] == 1
    watched.judge.redefine(check(confirm=Confirm()), same_target=True)
    assert known(watched, DAY)[0] == 1
    watched.judge.redefine(check(confirm=Confirm()), same_target=False)
    assert known(watched, DAY)[0] == 0


def test_bursts_that_are_never_seen_again_are_forgotten() -> None:
    bursts = Bursts()
    bursts.watch(0)
    assert bursts.span(0) == bursts.mean == 0
    bursts.learn(50, 100, MONTH)
    spans = [bursts.span(MONTH + later * MEMORY) for later in (0, 1, 2, 3, 20)]
    assert spans == sorted(spans, reverse=True)
    assert spans[0] > 14
    assert spans[-1] == 0


def test_bursts_approach_the_formula_of_the_study() -> None:
    bursts = Bursts()
    bursts.watch(0)
    for number in range(10_000):
        bursts.learn(1, 2.0, number * 600.0)
    ever = 2.0 * math.log(MONTH / 600 / TOLERATED)
    assert bursts.span(10_000 * 600) == pytest.approx(ever, rel=0.02)


def test_seconds_of_failing_at_the_first_look_ask_for_no_endless_span() -> None:
    bursts = Bursts()
    bursts.learn(3, 30, 0)
    assert bursts.span(0) < math.inf


def test_so_many_looks_as_are_written_are_the_least_however_many_that_is() -> None:
    watched = watch(confirm=Confirm(looks=80))
    watched.see(DAY, fails=Reason.REFUSED)
    watched.see(DAY + 1, scheduled=False)
    for number in range(80):
        assert watched.state == "up"
        watched.see(DAY + 2 + number, fails=Reason.REFUSED, scheduled=False)
    assert watched.state == "down"


def test_what_is_learned_is_bounded() -> None:
    watched = watch()
    for hour in range(50):
        burst(watched, DAY + hour * 3600, 4)
        burst(watched, DAY + hour * 3600 + 1800, 15 if hour > 10 else 4)
    assert watched.judge.confirmation(moment(5 * DAY).tick).span == MOST_SPANS * 5


def test_consecutive_only_counts() -> None:
    watched = watch(confirm=Confirm(3, timedelta(0), Policy.CONSECUTIVE))
    for hour in range(100):
        burst(watched, DAY + hour * 3600, 0.2)
    watched.see(10 * DAY, fails=Reason.STATUS)
    watched.see(10 * DAY + 1)
    for second in range(3):
        watched.see(10 * DAY + 2 + second, fails=Reason.STATUS)
    assert watched.state == "down"


def test_a_target_known_for_bursts_is_not_looked_at_as_densely() -> None:
    watched = watch()
    for hour in range(60):
        burst(watched, DAY + hour * 3600, 4)
    assert watched.see(5 * DAY, fails=Reason.REFUSED).burst == pytest.approx([2 * offset for offset in BURST])


def test_what_it_takes_is_told_in_words() -> None:
    watched = watch()
    assert describe_confirmation(watched.judge.confirmation(moment(0).tick)) == "after 5 s of failures"
    burst(watched, DAY, 3)
    found = describe_confirmation(watched.judge.confirmation(moment(DAY).tick))
    assert found == "after 20 s of failures: a short one was seen lately, of 2.9 s"
    burst(watched, DAY + 100, 2)
    found = describe_confirmation(watched.judge.confirmation(moment(DAY + 200).tick))
    assert found.endswith(": 2 short ones were seen lately, on average of 2.5 s")


# --- reasons that decide sooner --------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", [Reason.DNS_NXDOMAIN, Reason.TLS_EXPIRED, Reason.TLS_NAME, Reason.TLS_UNTRUSTED])
def test_what_no_lost_packet_looks_like_is_decided_sooner(reason: Reason) -> None:
    watched = watch()
    for hour in range(60):
        burst(watched, DAY + hour * 3600, 4)
    first = watched.see(5 * DAY, fails=reason)
    assert first.burst[-1] == SURE_SPAN
    for offset in first.burst:
        watched.see(5 * DAY + offset, fails=reason, scheduled=False)
    assert watched.transitions[-1] == (5 * DAY + SURE_SPAN, "up", "down")


def test_one_other_failure_in_the_run_and_it_is_not_sure() -> None:
    watched = watch()
    for offset in (0.0, *BURST[:-1]):
        watched.see(30 + offset, fails=Reason.RESET if offset == 0.5 else Reason.TLS_NAME)
    watched.see(30 + BURST[-1] - 0.1, fails=Reason.TLS_NAME)
    assert watched.state == "up"
    watched.see(30 + BURST[-1], fails=Reason.TLS_NAME)
    assert watched.state == "down"


def test_failures_that_end_after_later_successes_are_a_degradation_and_no_outage() -> None:
    watched = watch()
    for number in range(5):
        at = 30 + 10 * number
        watched.see(at + 1, took=0.05, scheduled=False)
        watched.see(at, took=9, fails=Reason.FIRST_BYTE_TIMEOUT)
    assert watched.state == "degraded"
    assert watched.judge._failures._bad.looks == 0


def test_failures_of_one_burst_that_arrive_late_count_once() -> None:
    watched = watch()
    watched.see(36, took=0.05, scheduled=False)
    for second in range(5):
        watched.see(30 + second, took=8, fails=Reason.CONNECT_TIMEOUT)
    assert watched.state == "up"


def test_a_failure_that_arrives_late_was_no_run_and_teaches_nothing() -> None:
    watched = watch()
    watched.see(36, took=0.05, scheduled=False)
    watched.see(30, took=8, fails=Reason.CONNECT_TIMEOUT)
    assert watched.judge.suspicious
    for second in range(20):
        watched.see(40 + second, scheduled=False)
    assert not watched.judge.suspicious
    assert known(watched, 70) == (0, 0.0)


def test_a_failure_on_the_way_back_from_an_outage_counts_whenever_it_arrives() -> None:
    watched = watch()
    down_after(watched, 30)
    for second in range(4):
        watched.see(60 + second, scheduled=False)
    watched.see(62.5, took=3, fails=Reason.RESET, scheduled=False)
    watched.see(66, scheduled=False)
    assert watched.state == "down"


def test_an_outage_is_left_through_degraded_with_any_figures() -> None:
    watched = watch(recover=Recover(looks=5))
    down_after(watched, 30)
    for at in (60, 61, 62, 63):
        watched.see(at, scheduled=False)
    watched.see(64, fails=Reason.RESET, scheduled=False)
    for at in (65, 66, 67, 68):
        watched.see(at, scheduled=False)
        assert watched.state == "down"
    watched.see(69, scheduled=False)
    assert watched.state in ("degraded", "up")
