from __future__ import annotations

import math
from collections.abc import Callable
from datetime import timedelta

import pytest

from monitor.core.condition import USUAL, Aggregate, Bound, Condition, Level, Operator
from monitor.core.series import Series
from monitor.core.threshold import Threshold
from probes.contract import Unit
from tests.core.builders import above


class Gauge:
    """A threshold fed with looks every 30 s."""

    def __init__(self, condition: Condition, every: float = 30.0) -> None:
        self.threshold = Threshold(condition)
        self.tick = 0.0
        self.every = every
        horizon = condition.window.total_seconds() if condition.window else 0.0
        self.series = {name: Series(horizon) for name in condition.ratio_of or (condition.measurement,)}

    def see(self, *, scheduled: bool = True, usual: float | None = None, **measurements: float) -> bool:
        self.tick += self.every
        if scheduled:
            for name, series in self.series.items():
                series.move(self.tick)
                if name in measurements:
                    series.add(self.tick, measurements[name])
        self.threshold.update(
            measurements, self.series, self.tick, scheduled=scheduled, every=self.every, usual=usual
        )
        return self.threshold.active

    def values(self, *values: float) -> list[bool]:
        return [self.see(response_time=value) for value in values]


def test_a_plain_condition_needs_two_looks_in_a_row_both_ways() -> None:
    assert Gauge(above(1)).values(2, 0.5, 2, 2, 0.5, 2, 0.5, 0.5) == [
        False, False, False, True, True, True, True, False,
    ]  # fmt: skip


def test_pending_asks_for_a_second_opinion_only_while_there_is_doubt() -> None:
    gauge = Gauge(above(1))
    assert not gauge.threshold.pending
    gauge.values(0.5)
    assert not gauge.threshold.pending
    gauge.values(2)
    assert gauge.threshold.pending
    gauge.values(2)
    assert not gauge.threshold.pending
    gauge.values(0.5)
    assert gauge.threshold.pending


def test_a_condition_with_for_never_asks_for_extra_looks() -> None:
    gauge = Gauge(above(1, for_looks=(3, 5)))
    gauge.values(2)
    assert not gauge.threshold.pending


def test_for_looks_counts_bad_ones_among_the_last() -> None:
    assert Gauge(above(1, for_looks=(3, 5))).values(2, 0, 2, 0, 2, 0, 0) == [
        False, False, False, False, True, False, False,
    ]  # fmt: skip


def test_for_span_needs_every_look_of_that_time() -> None:
    gauge = Gauge(above(1, for_span=timedelta(minutes=1)))
    assert gauge.values(2, 2, 0, 2, 2, 2) == [False, False, False, False, False, True]
    assert gauge.values(0, 2, 0, 0) == [True, True, True, False]


def test_for_span_does_not_count_on_a_time_nobody_looked() -> None:
    gauge = Gauge(above(1, for_span=timedelta(minutes=2)))
    gauge.values(2, 2)
    gauge.tick += 3600
    assert gauge.values(2, 2, 2, 2, 2) == [False, False, False, False, True]


def test_clear_keeps_a_condition_true_until_it_is_reached() -> None:
    gauge = Gauge(above(1, clear=Bound(Operator.BELOW, 0.6)))
    assert gauge.values(2, 2, 0.8, 0.8, 0.5, 0.5) == [False, True, True, True, True, False]


def test_extra_looks_are_no_samples_of_windows_or_for() -> None:
    gauge = Gauge(above(1, for_looks=(2, 2)))
    gauge.see(response_time=2)
    assert not gauge.see(scheduled=False, response_time=2)
    assert gauge.see(response_time=2)


def test_extra_looks_settle_a_plain_condition() -> None:
    gauge = Gauge(above(1))
    gauge.see(response_time=2)
    assert gauge.see(scheduled=False, response_time=2)


def test_missing_figures_neither_raise_nor_clear() -> None:
    gauge = Gauge(above(1))
    gauge.values(2, 2)
    assert gauge.see() is gauge.see() is True


def mean_of(values: list[float]) -> float:
    return sum(values) / len(values)


@pytest.mark.parametrize(
    ("aggregate", "percentile", "expected"),
    [
        (Aggregate.MEAN, None, mean_of),
        (Aggregate.MIN, None, min),
        (Aggregate.MAX, None, max),
        (Aggregate.LAST, None, lambda values: values[-1]),
        (Aggregate.PERCENTILE, 50, lambda values: sorted(values)[2]),
        (Aggregate.PERCENTILE, None, lambda values: sorted(values)[2]),
    ],
)
def test_aggregates_over_a_window(
    aggregate: Aggregate, percentile: int | None, expected: Callable[[list[float]], float]
) -> None:
    values = [5.0, 1.0, 3.0, 2.0, 4.0]
    gauge = Gauge(above(100, window=timedelta(minutes=5), aggregate=aggregate, percentile=percentile))
    gauge.values(*values)
    assert gauge.threshold.value == expected(values)


def test_a_window_says_nothing_before_it_has_seen_three_looks() -> None:
    assert Gauge(above(1, window=timedelta(minutes=5))).values(9, 9, 9) == [False, False, True]


def test_a_window_that_never_holds_three_looks_judges_what_it_has() -> None:
    assert Gauge(above(1, window=timedelta(seconds=60)), every=60).values(9) == [True]


def test_a_window_with_for_needs_both() -> None:
    gauge = Gauge(above(1, window=timedelta(seconds=90), for_span=timedelta(seconds=60)))
    assert gauge.values(9, 9, 9, 9, 9) == [False, False, False, False, True]


def test_a_window_leaves_at_its_clear_value() -> None:
    gauge = Gauge(above(2, window=timedelta(seconds=60), clear=Bound(Operator.BELOW, 1)), every=60)
    assert gauge.values(3, 3, 1.2, 1.2, 0.5, 0.5, 0.5)[-5:] == [True, True, False, False, False]


def test_one_slow_look_is_not_a_percentile() -> None:
    gauge = Gauge(above(1, window=timedelta(minutes=5), aggregate=Aggregate.PERCENTILE, percentile=95))
    assert gauge.values(0.1, 0.1, 0.1, 90, 0.1, 0.1) == [False] * 6
    assert gauge.values(90) == [True]


def test_a_percentile_of_the_only_look_there_is() -> None:
    once = above(1, window=timedelta(seconds=60), aggregate=Aggregate.PERCENTILE, percentile=95)
    assert Gauge(once, every=60).values(9) == [True]


def test_rate_of_a_counter_over_a_window() -> None:
    gauge = Gauge(above(1, window=timedelta(minutes=5), aggregate=Aggregate.RATE))
    assert gauge.values(0, 60, 120) == [False, True, True]
    assert gauge.threshold.value == 2.0


def test_count_waits_until_its_window_has_been_watched() -> None:
    few = Condition(
        text="count(response_time, 2m) < 4",
        level=Level.DEGRADED,
        measurement="response_time",
        unit=Unit.COUNT,
        bound=Bound(Operator.BELOW, 4),
        aggregate=Aggregate.COUNT,
        window=timedelta(minutes=2),
    )
    gauge = Gauge(few)
    assert gauge.values(1, 1, 1, 1) == [False, False, False, False]
    gauge.tick += 60  # two looks brought no figure
    assert gauge.values(1) == [True]


def ratio(limit: float, at_least: float | None = None, window: timedelta | None = timedelta(minutes=5)) -> Condition:
    return Condition(
        text="error_rate(5m) > 1%",
        level=Level.DEGRADED,
        measurement="error_rate",
        unit=Unit.RATIO,
        bound=Bound(Operator.ABOVE, limit),
        aggregate=Aggregate.MEAN if window else Aggregate.LAST,
        window=window,
        at_least=at_least,
        ratio_of=("errors", "requests"),
    )


def test_a_ratio_is_the_ratio_of_sums() -> None:
    gauge = Gauge(ratio(0.5))
    gauge.see(errors=1, requests=1)  # a mean of ratios would say 50.05 %
    assert not gauge.see(errors=1, requests=999)
    assert gauge.threshold.value == 2 / 1000


def test_a_ratio_without_enough_traffic_says_nothing() -> None:
    gauge = Gauge(ratio(0.5, at_least=50))
    assert not gauge.see(errors=9, requests=10)
    assert gauge.threshold.value is None
    assert gauge.see(errors=90, requests=90)


def test_a_ratio_of_nothing_says_nothing() -> None:
    assert not Gauge(ratio(0.5)).see(errors=0, requests=0)


def test_the_last_ratio_asks_for_traffic_too() -> None:
    gauge = Gauge(ratio(0.5, at_least=50, window=None))
    gauge.see(error_rate=0.9, requests=10)
    gauge.see(error_rate=0.9)
    assert gauge.threshold.value is None
    gauge.see(error_rate=0.9, requests=60)
    assert gauge.threshold.value == 0.9


def test_survives_a_restart() -> None:
    gauge = Gauge(above(1, for_span=timedelta(minutes=2)))
    gauge.values(2, 2)
    dumped = gauge.threshold.dump(gauge.tick)
    gauge.threshold = Threshold(gauge.threshold.condition)
    gauge.threshold.load(dumped, gauge.tick)
    assert gauge.values(2, 2, 2) == [False, False, True]
    fresh = Threshold(above(1))
    fresh.load(Threshold(above(1)).dump(0), 0)
    assert not fresh.active


@pytest.mark.parametrize(
    ("operator", "below", "at", "over"),
    [
        (Operator.ABOVE, False, False, True),
        (Operator.AT_LEAST, False, True, True),
        (Operator.BELOW, True, False, False),
        (Operator.AT_MOST, True, True, False),
    ],
)
def test_operators(operator: Operator, *, below: bool, at: bool, over: bool) -> None:
    assert [operator.holds(value, 1) for value in (0.9, 1, 1.1)] == [below, at, over]


def test_a_limit_may_be_another_measurement() -> None:
    gauge = Gauge(above(0, bound=Bound(Operator.ABOVE, 2.0, "workers"), measurement="depth"))
    gauge.see(depth=9, workers=4)
    assert gauge.see(depth=9, workers=4)
    assert (gauge.threshold.value, gauge.threshold.limit) == (9, 8)
    gauge.see(depth=9)
    gauge.see(depth=9, workers=math.nan)
    assert gauge.threshold.active, "what is not measured clears nothing"
    gauge.see(depth=9, workers=5)
    assert not gauge.see(depth=9, workers=5)


def test_a_limit_may_be_a_multiple_of_what_is_usual() -> None:
    slow = above(
        0, bound=Bound(Operator.ABOVE, 3.0, USUAL), clear=Bound(Operator.BELOW, 2.0, USUAL),
        window=timedelta(seconds=60), aggregate=Aggregate.PERCENTILE, percentile=95,
    )  # fmt: skip
    gauge = Gauge(slow)
    assert not gauge.see(response_time=99)
    assert gauge.threshold.limit is None
    gauge.see(response_time=1, usual=0.3)
    assert gauge.see(response_time=1, usual=0.3)
    assert gauge.threshold.limit == pytest.approx(0.9)
    dumped = gauge.threshold.dump(gauge.tick)
    again = Threshold(slow)
    again.load(dumped, gauge.tick)
    assert again.limit == gauge.threshold.limit
    assert gauge.see(response_time=0.7, usual=0.3)
    gauge.see(response_time=0.5, usual=0.3)
    for _ in range(3):
        gauge.see(response_time=0.5, usual=0.3)
    assert not gauge.threshold.active
