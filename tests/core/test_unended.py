"""A look that ran into its limit: what nobody has seen the end of makes nothing true or false that its end could have
decided otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar

import pytest

from monitor.core.condition import Aggregate, Bound, Condition, Operator
from monitor.core.measured import unended_by
from monitor.core.model import State
from probes.contract import Measurement, Reason, Unit
from tests.core.builders import Still, Watch, above

MINUTES = timedelta(minutes=5)
HUNG, UNREACHED = Reason.FIRST_BYTE_TIMEOUT, Reason.CONNECT_TIMEOUT


def time(name: str, cut_by: Reason) -> Measurement:
    return Measurement(name, Unit.SECONDS, "how long", cut_by=cut_by)


@dataclass(frozen=True, slots=True)
class Stepwise(Still):
    """Connects, waits for the first byte, takes the rest."""

    kind: ClassVar[str] = "stepwise"
    measurements: ClassVar[tuple[Measurement, ...]] = (
        time("response_time", Reason.TRANSFER_TIMEOUT),
        time("connect_time", Reason.CONNECT_TIMEOUT),
        time("first_byte_time", Reason.FIRST_BYTE_TIMEOUT),
        Measurement("body_size", Unit.BYTES, "how much"),
    )


def first_byte(limit: float, clear: float | None = None, **fields: Any) -> Condition:
    bound = Bound(Operator.BELOW, clear) if clear is not None else None
    return above(limit, measurement="first_byte_time", clear=bound, **fields)


def p95(limit: float, clear: float | None = None, window: timedelta = MINUTES) -> Condition:
    return first_byte(limit, clear, window=window, aggregate=Aggregate.PERCENTILE, percentile=95)


def watch(*conditions: Condition) -> Watch:
    return Watch(*conditions, probe=Stepwise())


def active(watched: Watch) -> bool:
    return watched.judge.thresholds[0].active


@pytest.mark.parametrize(
    ("reason", "names"),
    [
        (Reason.CONNECT_TIMEOUT, {"response_time", "connect_time", "first_byte_time"}),
        (Reason.TLS_TIMEOUT, {"response_time", "first_byte_time"}),
        (Reason.FIRST_BYTE_TIMEOUT, {"response_time", "first_byte_time"}),
        (Reason.TRANSFER_TIMEOUT, {"response_time"}),
        (Reason.QUERY_TIMEOUT, set()),
        (Reason.DNS_TIMEOUT, set()),
        (Reason.REFUSED, set()),
        (None, set()),
    ],
)
def test_what_a_look_has_not_seen_the_end_of(reason: Reason | None, names: set[str]) -> None:
    assert unended_by(reason, Stepwise.measurements) == names


def test_a_wait_in_vain_for_the_first_byte_counts_as_what_was_waited() -> None:
    watched = watch(p95(1))
    for number in range(20):
        hangs = number in (8, 14)
        figures = {"first_byte_time": 9.8 if hangs else 0.1, "response_time": 10.0 if hangs else 0.2}
        watched.see(number * 30.0, fails=HUNG if hangs else None, took=10.0 if hangs else 0.2, **figures)
        assert active(watched) is (number >= 14), "one of them alone is no percentile"


def test_a_look_that_never_connected_does_not_end_the_trouble_of_a_later_phase() -> None:
    watched = watch(p95(2, clear=1))
    for number in range(10):
        watched.see(number * 30.0, first_byte_time=3.0)
    assert active(watched)
    for number in range(10, 40):
        watched.see(number * 30.0, fails=UNREACHED if number % 3 else None, took=10.0 if number % 3 else 0.2,
                    **({} if number % 3 else {"first_byte_time": 0.1}))  # fmt: skip
        assert active(watched), "two thirds never come to their first byte: nobody knows it to be quick"
    for number in range(40, 60):
        watched.see(number * 30.0, first_byte_time=0.1)
    assert not active(watched)


def test_nor_does_it_begin_one() -> None:
    """Where a target cannot be reached, that is what is told, and no figure that nobody has seen."""
    watched = watch(p95(1))
    for number in range(20):
        hangs = number % 2 == 0
        watched.see(number * 30.0, fails=UNREACHED if hangs else None, **({} if hangs else {"first_byte_time": 0.1}))
        assert not active(watched)
    assert watched.judge.thresholds[0].value == 0.1


@pytest.mark.parametrize(
    ("aggregate", "held"), [(Aggregate.MEAN, True), (Aggregate.MAX, True), (Aggregate.MIN, False)]
)
def test_aggregates_that_a_longer_time_would_raise(aggregate: Aggregate, *, held: bool) -> None:
    watched = watch(first_byte(2, window=timedelta(minutes=2), aggregate=aggregate))
    for number in range(5):
        watched.see(number * 30.0, first_byte_time=3.0)
    assert active(watched)
    watched.see(150.0, fails=UNREACHED, took=10.0)
    for number in range(6, 9):
        watched.see(number * 30.0, first_byte_time=0.1)
    assert active(watched) is held
    for number in range(9, 14):
        watched.see(number * 30.0, first_byte_time=0.1)
    assert not active(watched)


def test_a_target_that_hangs_ends_no_slowness() -> None:
    """Extra looks have a shorter limit than the threshold: a hang of 2 s is no answer within 3 s."""
    slow = above(3)
    watched = watch(slow)
    for at in (0.0, 30.0):
        watched.see(at, response_time=4.0, took=4.0)
    assert watched.state == "degraded"
    for number in range(4):
        watched.see(60.0 + number, fails=UNREACHED, took=2.0, limit=2.0, scheduled=False, response_time=2.0)
    assert active(watched)
    assert watched.state != "up"
    watched.see(90.0, fails=UNREACHED, took=10.0, response_time=10.0)
    assert active(watched)
    assert watched.judge.thresholds[0].value == 10.0
    for at in (120.0, 121.0):
        watched.see(at, response_time=0.1)
    assert not active(watched)


def test_a_limit_that_no_look_lives_to_see_is_not_known_to_be_kept() -> None:
    """``response_time > 8s for 2 of 3`` with ``timeout: 5s``: a look that ended at 5 s may have taken 9."""
    watched = watch(above(8, for_looks=(2, 3)))
    for number in range(6):
        watched.see(number * 30.0, fails=UNREACHED, limit=5.0, took=5.0, response_time=5.0)
    assert watched.judge.thresholds[0].value is None


def test_what_is_below_a_limit_at_least_is_known_all_the_same() -> None:
    quick = Condition(
        text="first_byte_time < 1s", level=above(1).level, measurement="first_byte_time", unit=Unit.SECONDS,
        bound=Bound(Operator.BELOW, 1.0),
    )  # fmt: skip
    watched = watch(quick)
    for number in range(4):
        watched.see(number * 30.0, fails=HUNG, took=10.0, first_byte_time=0.5)
        assert not active(watched), "it hangs: that is not quick"
    for number in range(4, 6):
        watched.see(number * 30.0, first_byte_time=0.5)
    assert active(watched)
    for number in range(6, 8):
        watched.see(number * 30.0, fails=HUNG, took=10.0, first_byte_time=9.9)
    assert not active(watched)


def test_a_figure_that_is_no_time_is_as_it_is_told() -> None:
    watched = watch(above(1000, measurement="body_size", unit=Unit.BYTES))
    for number in range(2):
        watched.see(number * 30.0, fails=Reason.TRANSFER_TIMEOUT, took=10.0, body_size=5000.0)
    assert active(watched)


def test_it_is_remembered_over_a_restart_what_never_came_to_its_end() -> None:
    watched = watch(p95(2, clear=1))
    for number in range(5):
        watched.see(number * 30.0, first_byte_time=3.0)
    for number in range(5, 15):
        watched.see(number * 30.0, fails=UNREACHED, took=10.0)
        if number % 4 == 0:
            watched.restart(number * 30.0 + 11)
    for number in range(15, 19):
        watched.see(number * 30.0, first_byte_time=0.1)
        assert active(watched)
    assert watched.judge.state is not State.UP
