from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.series import SAMPLES_LIMIT, Series, percentile


def series(*samples: tuple[float, float], horizon: float = 100.0) -> Series:
    filled = Series(horizon)
    for tick, value in samples:
        filled.add(tick, value)
    return filled


def test_keeps_what_is_within_the_horizon() -> None:
    kept = series((0, 1), (60, 2), (101, 3))
    assert list(kept.values(0)) == [2, 3]
    assert list(kept.values(61)) == [3]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_figures_that_are_none_stay_out(value: float) -> None:
    assert len(series((0, value))) == 0


def test_a_sample_that_is_not_newer_stays_out() -> None:
    assert list(series((5, 1), (5, 2), (4, 3), (6, 4)).values(0)) == [1, 4]


def test_memory_is_bounded_however_often_it_is_fed() -> None:
    full = series(*((tick, 1.0) for tick in range(SAMPLES_LIMIT + 500)), horizon=math.inf)
    assert len(full) == SAMPLES_LIMIT


def test_rate_of_a_counter() -> None:
    assert series((0, 10), (10, 30)).rate(0) == 2.0


def test_rate_takes_a_reset_as_a_new_beginning() -> None:
    assert series((0, 100), (10, 110), (20, 5)).rate(0) == pytest.approx(15 / 20)


def test_one_sample_has_no_rate() -> None:
    assert series((0, 10)).rate(0) is None


def test_reaches_back_only_as_far_as_it_was_fed() -> None:
    assert series((10, 1)).reaches_back(10)
    assert not series((10, 1)).reaches_back(9)
    assert not Series(10).reaches_back(0)


def test_survives_a_dump_into_a_process_with_other_ticks() -> None:
    dumped = series((0, 1), (60, 2), horizon=100).dump(70)
    again = Series(100)
    again.load(dumped, tick=1040)  # another process, in which 1,040 is now; the older sample is 70 s old
    assert list(again.values(970)) == [1, 2]
    late = Series(100)
    late.load(series((0, 1), (60, 2)).dump(170), tick=0)
    assert list(late.values(-100)) == []


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=200), st.integers(1, 99))
def test_a_percentile_lies_between_the_extremes_and_grows(values: list[float], percent: int) -> None:
    found = percentile(values, percent)
    assert min(values) <= found <= max(values) or math.isclose(found, min(values)) or math.isclose(found, max(values))
    assert found <= percentile(values, 100) + 1e-6


def test_percentiles_interpolate_as_numpy_does() -> None:
    assert percentile([1, 2, 3, 4], 50) == 2.5
    assert percentile([10, 20], 95) == pytest.approx(19.5)
    assert percentile([7], 99) == 7
