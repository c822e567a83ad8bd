"""The windows of a check: which are kept sample by sample, which in slices, and what goes from one to another."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from monitor.core.condition import Aggregate, Bound, Condition, Operator
from monitor.core.judge import Judge
from monitor.core.model import Check
from monitor.core.series import SAMPLES_LIMIT, Samples, Series
from monitor.core.slices import Slices
from monitor.core.windows import Windows
from probes.contract import Unit
from tests.core.builders import above, check, look, moment

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def p95(limit: float, window: timedelta, **fields: Any) -> Condition:
    return above(limit, window=window, aggregate=Aggregate.PERCENTILE, percentile=95, **fields)


def watched(*conditions: Condition, every: float = 5.0) -> Check:
    return check("home", *conditions, every=timedelta(seconds=every))


def samples(windows: Windows, condition: Condition) -> Samples:
    return windows.of(condition)["response_time"]


def fed(item: Check, looks: int, every: float = 5.0) -> Windows:
    windows = Windows(item)
    for number in range(looks):
        windows.see(number * every, {"response_time": 0.1}, (), full=True)
    return windows


def test_a_window_of_more_samples_than_are_kept_one_by_one_is_kept_in_slices() -> None:
    short, long = p95(1, HOUR), p95(1, DAY)
    windows = Windows(watched(short, long, above(1)))
    assert isinstance(samples(windows, short), Series)
    assert isinstance(samples(windows, long), Slices)
    assert windows.of(above(1)) == {}
    most = timedelta(seconds=5 * SAMPLES_LIMIT)
    assert isinstance(samples(Windows(watched(p95(1, most))), p95(1, most)), Slices)
    assert isinstance(samples(Windows(watched(p95(1, most), every=5.1)), p95(1, most)), Series)


def test_conditions_on_the_same_share_a_window() -> None:
    one, other = p95(1, HOUR), above(2, window=HOUR)
    windows = fed(watched(one, other), 3)
    assert samples(windows, one) is samples(windows, other)
    assert samples(windows, one).count == 3


def test_a_ratio_has_a_window_for_its_part_and_one_for_the_whole() -> None:
    rate = above(0.01, window=HOUR, measurement="error_rate", ratio_of=("errors", "requests"))
    found = Windows(watched(rate)).of(rate)
    assert list(found) == ["errors", "requests"]
    assert len(found) == 2
    assert "error_rate" not in found


@pytest.mark.parametrize(
    ("before", "after", "kept"),
    [
        (HOUR, HOUR, 100),
        (HOUR / 2, HOUR, 100),
        (HOUR, HOUR / 12, 60),
        (HOUR, DAY, 100),
        (DAY, DAY / 2, 100),
        (DAY, HOUR, 0),
    ],
)
@pytest.mark.parametrize("restart", [False, True])
def test_another_length_goes_on_with_what_is_known(
    before: timedelta, after: timedelta, kept: int, *, restart: bool
) -> None:
    old, new = p95(1, before), p95(1, after)
    known, windows = fed(watched(old), 100), Windows(watched(new))
    if restart:
        windows.load(known.dump(495.0), 495.0)
    else:
        windows.keep(known)
    windows.see(500.0, {}, (), full=True)
    assert samples(windows, new).count == kept


def test_of_several_windows_the_one_of_the_same_length_is_taken_or_else_the_longest() -> None:
    minute, hour, two = p95(1, timedelta(minutes=1)), p95(1, HOUR), p95(1, 2 * HOUR)
    known = fed(watched(minute, hour), 300, every=4.0)
    for wanted, count in ((minute, 16), (hour, 300), (two, 300)):
        windows = Windows(watched(wanted, every=8.0))
        windows.load(known.dump(1196.0), 1196.0)
        assert samples(windows, wanted).count == count


def test_another_measurement_is_no_source() -> None:
    windows = Windows(watched(p95(1, HOUR, measurement="first_byte_time")))
    windows.keep(fed(watched(p95(1, HOUR)), 10))
    assert windows.of(p95(1, HOUR, measurement="first_byte_time"))["first_byte_time"].count == 0


def test_samples_of_a_version_that_kept_them_once_for_all_lengths() -> None:
    once = Series(3600.0)
    for number in range(100):
        once.add(number * 5.0, 0.1)
    short, long = p95(1, timedelta(minutes=1)), p95(1, DAY)
    windows = Windows(watched(short, long))
    windows.load({"response_time": once.dump(495.0)}, 495.0)
    assert (samples(windows, short).count, samples(windows, long).count) == (13, 100)


def count_below(limit: float, window: timedelta) -> Condition:
    return above(limit, window=window, aggregate=Aggregate.COUNT, bound=Bound(Operator.BELOW, limit), unit=Unit.COUNT)


def test_a_day_is_judged_whole_however_often_it_is_looked_at() -> None:
    slow = p95(1, DAY)
    judge = Judge(watched(slow, count_below(1_400, DAY), every=60), None, moment(0))
    states = []
    for number in range(3_000):
        late = 2_000 <= number < 2_060
        judgement = judge.observe(look(number * 60.0, response_time=2.0 if late else 0.1))
        if judgement.transition is not None:
            states.append((number, judgement.transition.new))
    assert states == [(0, "up")], "60 of 1,440 are less than a twentieth, and none of the day is forgotten"
    for number in range(3_000, 3_030):
        judge.observe(look(number * 60.0, response_time=2.0))
    assert (judge.state, judge.verdict.value) == ("degraded", 2.0)
