from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.condition import Operator
from monitor.core.series import SAMPLES_LIMIT, Series, percentile


def series(*samples: tuple[float, float], horizon: float = 100.0) -> Series:
    filled = Series(horizon)
    for tick, value in samples:
        filled.move(tick)
        filled.add(tick, value)
    return filled


def values(kept: Series) -> list[float]:
    return [kept.at(rank) for rank in range(kept.count)]


def test_keeps_what_is_within_the_horizon() -> None:
    kept = series((0, 3), (60, 2), (101, 1))
    assert (values(kept), kept.total, kept.last) == ([1, 2], 3, 1)
    kept.move(161)
    assert values(kept) == [1]
    kept.move(1e9)
    assert (kept.count, kept.total) == (0, 0)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_figures_that_are_none_stay_out(value: float) -> None:
    assert series((0, value)).count == 0


def test_a_sample_that_is_not_newer_stays_out() -> None:
    assert values(series((5, 1), (5, 2), (4, 3), (6, 4))) == [1, 4]


def test_memory_is_bounded_however_often_it_is_fed() -> None:
    full = series(*((tick, float(tick)) for tick in range(SAMPLES_LIMIT + 5)), horizon=math.inf)
    for tick in range(SAMPLES_LIMIT + 5):
        full.miss(tick)
    assert (full.count, full.missed, full.at(0)) == (SAMPLES_LIMIT, SAMPLES_LIMIT, 5.0)


def test_rate_of_a_counter() -> None:
    assert series((0, 10), (10, 30)).rate == 2.0


def test_rate_takes_a_reset_as_a_new_beginning() -> None:
    assert series((0, 100), (10, 110), (20, 5)).rate == pytest.approx(15 / 20)


def test_one_sample_has_no_rate() -> None:
    assert series((0, 10)).rate is None


def test_reaches_back_only_as_far_as_it_was_fed() -> None:
    assert series((10, 1)).reaches_back(10)
    assert not series((10, 1)).reaches_back(9)
    assert not Series(10).reaches_back(0)


def test_looks_that_missed_the_end_are_counted_for_as_long_as_the_window() -> None:
    kept = series((0, 1))
    for tick in (10, 20, 20, 15, 110):
        kept.move(tick)
        kept.miss(tick)
    assert (kept.count, kept.missed) == (0, 3), "one told twice and one that is late are left out"
    kept.move(115)
    assert kept.missed == 2


def test_survives_a_dump_into_a_process_with_other_ticks() -> None:
    kept = series((0, 2), (60, 1))
    kept.miss(65)
    dumped = kept.dump(70)
    again = Series(100)
    again.load(dumped, tick=1040)  # another process, in which 1,040 is now; the older sample is 70 s old
    assert (values(again), again.last, again.missed) == ([1, 2], 1, 1)
    again.move(1071)
    assert values(again) == [1]
    late = Series(100)
    late.load(series((0, 1), (60, 2)).dump(170), tick=0)
    assert late.count == 0


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=200), st.integers(1, 99))
def test_a_percentile_lies_between_the_extremes_and_grows(samples: list[float], percent: int) -> None:
    found = percentile(samples, percent)
    low, high = min(samples), max(samples)
    assert low <= found <= high or math.isclose(found, low) or math.isclose(found, high)
    assert found <= percentile(samples, 100) + 1e-6


def test_percentiles_interpolate_as_numpy_does() -> None:
    assert percentile([1, 2, 3, 4], 50) == 2.5
    assert percentile([10, 20], 95) == pytest.approx(19.5)
    assert percentile([7], 99) == 7


@given(
    st.lists(st.tuples(st.floats(0, 60), st.floats(-1e6, 1e6)), min_size=1, max_size=120),
    st.integers(1, 99),
    st.sampled_from((5.0, 100.0, 1e4)),
)
def test_a_window_says_what_its_samples_say_however_it_moved(
    steps: list[tuple[float, float]], percent: int, horizon: float
) -> None:
    """Held against the plain way: keep all, and sort what is young enough."""
    kept, tick, everything = Series(horizon), 0.0, []
    for gap, value in steps:
        tick += gap + 0.001
        kept.move(tick)
        kept.add(tick, value)
        everything.append((tick, value))
    young = [value for taken, value in everything if taken >= tick - horizon]
    assert (values(kept), kept.count) == (sorted(young), len(young))
    assert kept.total == pytest.approx(sum(young))
    assert kept.percentile(percent) == pytest.approx(percentile(young, percent))


def test_what_is_missing_counts_as_longer_than_all() -> None:
    kept = series(*((tick, float(tick)) for tick in range(1, 11)))
    assert kept.percentile(50) == 5.5
    assert kept.percentile(50, missed=2) == 6.5
    assert kept.percentile(50, missed=9) == 10
    assert kept.percentile(90, missed=9) == math.inf
    assert series((0, 1)).percentile(99, missed=1) == math.inf, "between what is known and what nobody knows"


@pytest.mark.parametrize(
    ("operator", "first", "second"),
    [(Operator.ABOVE, 3, 2), (Operator.AT_LEAST, 3, 2), (Operator.BELOW, 1, 2), (Operator.AT_MOST, 1, 2)],
)
def test_the_outmost_are_those_that_meet_a_bound_first(operator: Operator, first: float, second: float) -> None:
    kept = series((0, 2), (1, 3), (2, 1))
    assert (kept.outmost(1, operator), kept.outmost(2, operator)) == (first, second)
