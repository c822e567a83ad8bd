"""Long windows: what they say is held against all samples, kept one by one."""

from __future__ import annotations

import base64
import json
import math
import sys
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.series import Series, percentile
from monitor.core.slices import GRADES_LIMIT, SLICES, Slices, _Slice

DAY, EVERY = 86_400.0, 5.0


def latencies(seed: int, count: int) -> list[float]:
    """Three digits, as all that is judged."""
    chance = Random(seed)
    return [
        float(f"{0.2 * chance.lognormvariate(0, 0.4) * (1 + 4 * (chance.random() < 0.02)):.2e}") for _ in range(count)
    ]


def fed(values: list[float], horizon: float = DAY, every: float = EVERY) -> Slices:
    window = Slices(horizon)
    for number, value in enumerate(values):
        window.move(number * every)
        window.add(number * every, value)
    return window


@pytest.fixture(scope="module")
def drawn() -> list[float]:
    return latencies(1, 18_000)


@pytest.fixture(scope="module")
def day(drawn: list[float]) -> Slices:
    return fed(drawn)


def test_a_day_of_looks_each_five_seconds(drawn: list[float], day: Slices) -> None:
    window = day
    assert 17_280 < window.count <= 17_280 * (1 + 1.5 / SLICES), "it looks back a slice farther at most"
    seen = drawn[-window.count :]
    assert (window.at(0), window.at(window.count - 1)) == (min(seen), max(seen))
    assert window.total == pytest.approx(sum(seen))
    assert window.last == seen[-1]
    for percent in (1, 5, 50, 90, 95, 99):
        assert window.percentile(percent) == pytest.approx(percentile(seen, percent), rel=0.0101)


def test_it_takes_little_memory(day: Slices) -> None:
    def size(window: Slices) -> int:
        columns = [*(part.grades for part in window._slices), window._grades]
        arrays = sum(sys.getsizeof(grades._grades) + sys.getsizeof(grades._times) for grades in columns)
        return arrays + sum(sys.getsizeof(grades) for grades in columns) + sum(map(sys.getsizeof, window._slices))

    assert size(day) < 50_000
    assert len(json.dumps(day.dump(0.0))) < 60_000
    chance = Random(5)
    spread = [chance.choice((-1, 1)) * 10 ** chance.uniform(-9, 17) for _ in range(18_000)]
    assert size(fed(spread)) < 150_000, "a target that makes as much of it as it can"


def test_more_grades_than_a_slice_tells_apart_are_the_nearest() -> None:
    chance = Random(6)
    spread = [10 ** chance.uniform(-6, 6) for _ in range(2_000)]
    window = fed(spread, horizon=19_200.0, every=1.0)
    assert max(len(part.grades) for part in window._slices) == GRADES_LIMIT
    assert window.percentile(50) == pytest.approx(percentile(spread, 50), rel=0.25)
    assert window.at(window.count - 1) == max(spread)


def test_what_is_older_than_the_window_goes_slice_by_slice() -> None:
    window = fed([1.0] * 100, horizon=100.0, every=1.0)
    window.add(100, 9.0)
    assert window.at(window.count - 1) == 9.0
    window.move(199)
    assert 1 <= window.count <= 5
    window.move(DAY)
    assert (window.count, len(window._slices), window.total) == (0, 0, 0)
    window.move(DAY)
    assert window.rate is None


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_figures_that_are_none_stay_out(value: float) -> None:
    assert fed([value]).count == 0


def test_what_no_target_can_have_meant_breaks_nothing() -> None:
    window = fed([1.7e308, -1.7e308, 1.7e308, 5e-324])
    again = Slices(DAY)
    again.load(json.loads(json.dumps(window.dump(20.0))), 20.0)
    assert again.count == window.count == 4
    assert math.isfinite(again.total)
    assert again.at(3) == window.at(3) > 1e200


def test_a_sample_that_is_not_newer_stays_out() -> None:
    window = fed([1.0, 2.0])
    window.add(5.0, 3.0)
    window.add(4.0, 3.0)
    assert (window.count, window.last) == (2, 2.0)


def test_looks_that_missed_the_end_go_with_their_slices() -> None:
    window = fed([1.0] * 60, horizon=100.0, every=1.0)
    for tick in (60.0, 61.0, 50.0):
        window.miss(tick)
    assert (window.count, window.missed) == (60, 3)
    assert window.percentile(95, missed=window.missed) == 1.0
    assert window.percentile(99, missed=window.missed) == math.inf
    window.move(1000.0)
    assert (window.count, window.missed) == (0, 0)
    window.miss(1000.0)
    window.add(999.0, 2.0)  # a look that took less time, told later
    assert (window.count, window.missed, window.last) == (1, 1, 2.0)


def test_a_counter_is_followed_through_its_slices_and_resets() -> None:
    chance, values = Random(4), [0.0]
    for _ in range(2_000):
        values.append(0.0 if chance.random() < 0.01 else values[-1] + chance.randrange(10))
    window, exact = fed(values, horizon=1e6, every=1.0), Series(1e6)
    assert fed([5.0]).rate is None
    for number, value in enumerate(values[-1000:]):
        exact.add(float(number), value)
    short = fed(values[-1000:], horizon=3200.0, every=1.0)
    assert short.rate == pytest.approx(exact.rate)
    assert window.rate is not None


def test_reaches_back_only_as_far_as_it_was_fed() -> None:
    window = fed([1.0, 2.0])
    assert window.reaches_back(0.0)
    assert not window.reaches_back(-1.0)
    assert not Slices(DAY).reaches_back(0.0)


@given(st.integers(0, 10**6), st.lists(st.integers(1, 200), min_size=1, max_size=4))
@settings(max_examples=8)
def test_it_goes_on_after_a_restart_as_if_there_had_been_none(seed: int, batches: list[int]) -> None:
    drawn, number = latencies(seed, 400), 0
    lasting, restarted, apart = Slices(500.0), Slices(500.0), 0.0
    while number < len(drawn):
        for value in drawn[number : number + batches[number % len(batches)]]:
            number += 1
            for window, tick in ((lasting, number * 2.0), (restarted, number * 2.0 + apart)):
                window.move(tick)
                window.add(tick, value)
        dumped = json.loads(json.dumps(restarted.dump(number * 2.0 + apart)))
        apart += 4096.0
        restarted = Slices(500.0)
        restarted.load(dumped, number * 2.0 + apart)
        assert restarted.count == lasting.count
        assert restarted.total == lasting.total
        if lasting.count:
            assert restarted.percentile(95) == lasting.percentile(95)


def test_the_samples_of_a_short_window_are_taken_over() -> None:
    series = Series(100.0)
    for tick in range(10):
        series.add(float(tick), float(tick + 1))
    series.miss(9.5)
    window = Slices(DAY)
    window.load(series.dump(10.0), 10.0)
    assert (window.count, window.missed, window.percentile(50)) == (10, 1, 5.5)


def _ticks(dumped: Any) -> None:
    dumped["slices"][0][0][0] = 1e300


def _missed(dumped: Any) -> None:
    dumped["slices"][0][1] = -1


def _told(dumped: Any) -> None:
    dumped["slices"][0][2][0] = "high"


def _grades(dumped: Any) -> None:
    dumped["slices"][0][3] = base64.b64encode(b"\2\0\1\0").decode()


def _short(dumped: Any) -> None:
    dumped["slices"][0].pop()


@pytest.mark.parametrize("scribble", [_ticks, _missed, _told, _grades, _short])
def test_what_nobody_has_written_is_refused(scribble: Callable[[Any], None]) -> None:
    dumped = json.loads(json.dumps(fed([1.0, 2.0]).dump(10.0)))
    scribble(dumped)
    with pytest.raises(ValueError):  # noqa: PT011  (whatever is found first)
        Slices(DAY).load(dumped, 10.0)


def test_a_slice_without_samples_is_read_again() -> None:
    window = Slices(DAY)
    window.miss(5.0)
    again = Slices(DAY)
    again.load(window.dump(6.0), 6.0)
    assert (again.count, again.missed) == (0, 1)
    assert isinstance(again._slices[0], _Slice)
