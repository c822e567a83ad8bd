"""Looks that hang: extra looks begin at a soft deadline, and tell what the one that waits would tell later."""

from __future__ import annotations

from datetime import timedelta

from monitor.core.failures import BURST
from monitor.core.judge import Judge
from monitor.core.patience import EXTRA_TIMEOUT, SOFT_DEADLINE
from probes.contract import Reason, Secret
from tests.core.builders import START, Watch, check, look, moment
from tests.core.confirming import down_after, watch
from tests.core.succeeded import Heard


def test_a_look_that_takes_long_is_suspicious_at_its_soft_deadline() -> None:
    watched = watch()
    assert watched.judge.soft_deadline == SOFT_DEADLINE
    meanwhile = watched.judge.overdue(moment(30.75))
    assert meanwhile is not None
    assert meanwhile.burst == (0.0, *BURST)
    assert not watched.judge.suspicious, "it is no evidence"


def test_nothing_is_suspicious_before_it_is_known_how_long_looks_take() -> None:
    assert Watch().judge.soft_deadline is None


def test_the_soft_deadline_follows_what_slow_looks_take() -> None:
    watched = watch()
    for number in range(1000):
        watched.see(30 * (number + 1), took=1.0 if number % 50 == 0 else 0.2)
    assert 0.75 < (watched.judge.soft_deadline or 0) <= 3.0
    watched.see(40_000, took=3.0)
    assert watched.judge.soft_deadline == 9.0
    watched.see(40_030, took=3.5)
    assert watched.judge.soft_deadline is None, "it is not before the time limit"


def test_what_arrives_is_never_overdue() -> None:
    judge = Judge(check(probe=Heard(Secret("a-token-of-some-length"))), None, moment(0))
    judge.observe(look(0, took=0.1))
    assert judge.soft_deadline is None


def test_nothing_new_is_asked_for_where_extra_looks_are_under_way_or_the_target_is_down() -> None:
    watched = watch()
    watched.see(30, fails=Reason.REFUSED)
    assert watched.judge.overdue(moment(31)) is None
    down_after(watched, 31)
    assert watched.judge.overdue(moment(70)) is None


def test_packets_that_are_swallowed_are_an_outage_before_the_first_look_ends() -> None:
    watched = watch()
    watched.judge.overdue(moment(30.75))
    for offset in (0.0, *BURST):
        swallowed(watched, 30.75 + offset, Reason.CONNECT_TIMEOUT)
    assert watched.transitions[-1][2] == "down"
    watched.see(30, took=10, fails=Reason.CONNECT_TIMEOUT)
    assert watched.judge._failures._bad.at == START + timedelta(seconds=30)


def swallowed(watched: Watch, at: float, reason: Reason) -> None:
    watched.see(at, took=EXTRA_TIMEOUT, fails=reason, scheduled=False, limit=EXTRA_TIMEOUT)


def test_an_application_that_hangs_is_an_outage_once_a_look_has_waited_to_the_end() -> None:
    watched = watch()
    watched.judge.overdue(moment(30.75))
    for offset in (0.0, *BURST):
        swallowed(watched, 30.75 + offset, Reason.FIRST_BYTE_TIMEOUT)
        assert watched.judge.extra_timeout == EXTRA_TIMEOUT, "the look that waits tells whether more time helps"
    assert watched.state == "up"
    assert watched.judge.suspicious
    watched.restart(38)
    judgement = watched.see(30, took=10, fails=Reason.FIRST_BYTE_TIMEOUT)
    assert judgement.transition is not None
    assert watched.state == "down"
    assert watched.judge.since == START + timedelta(seconds=30)


def test_a_slow_answer_dispels_the_doubt() -> None:
    watched = watch()
    watched.judge.overdue(moment(30.75))
    for offset in (0.0, 0.2, 0.5):
        swallowed(watched, 30.75 + offset, Reason.FIRST_BYTE_TIMEOUT)
    watched.see(30, took=4)
    assert watched.judge.steady
    swallowed(watched, 29, Reason.FIRST_BYTE_TIMEOUT)
    assert watched.judge.steady, "it began before the good look"


def test_a_doubt_of_long_ago_is_none() -> None:
    watched = watch()
    swallowed(watched, 30, Reason.FIRST_BYTE_TIMEOUT)
    assert not watched.judge.steady
    watched.see(600, took=10, fails=Reason.FIRST_BYTE_TIMEOUT)
    assert watched.judge._failures._bad.looks == 1


def test_an_overdue_look_that_is_void_tells_nothing() -> None:
    watched = watch()
    watched.judge.overdue(moment(30.75))
    watched.see(30, took=10, fails=Reason.LATE)
    swallowed(watched, 42, Reason.FIRST_BYTE_TIMEOUT)
    assert watched.judge.extra_timeout == 10
