from __future__ import annotations

import math
from datetime import datetime, timedelta
from itertools import pairwise
from random import Random

import pytest

from monitor.core.baseline import Baseline, Usual, hour_of
from monitor.core.wording import describe_usual
from probes.contract import Unit
from tests.core.builders import START

EVERY = 300.0


def watched(days: float, *, every: float = EVERY, baseline: Baseline | None = None, start: float = 0.0) -> Baseline:
    """A baseline of 0.3 s that is half as slow again by day, with noise of an eighth."""
    made, chance = baseline or Baseline(Unit.SECONDS), Random(1)
    for number in range(round(days * 86400 / every)):
        at = START + timedelta(seconds=start + number * every)
        teach(made, truth(at.hour) * chance.lognormvariate(0, 0.12), at, every)
    return made


def teach(baseline: Baseline, value: float, at: datetime, every: float) -> None:
    expected, weekly = baseline.expected(hour_of(at), at.minute)
    baseline.learn(baseline.level_of(value), hour_of(at), every, expected, weekly=weekly)


def truth(hour: int) -> float:
    return 0.3 if 8 <= hour < 20 else 0.2


def test_it_says_nothing_before_an_hour() -> None:
    assert not watched(1 / 24 - 0.01, every=30).ripe(30)
    assert watched(1 / 24, every=30).ripe(30)
    assert not watched(1 / 24, every=300).ripe(300), "too few looks"


def test_it_learns_each_hour_of_the_week() -> None:
    baseline = watched(9, every=60)
    for hours in range(0, 168, 5):
        usual = baseline.usual(START + timedelta(hours=hours, minutes=30))
        assert usual.weekly
        expected = truth((START + timedelta(hours=hours)).hour)
        assert usual.value == pytest.approx(expected, rel=0.1)
        assert usual.spread == pytest.approx(0.12 * expected, rel=0.25)


def test_levels_lead_over_into_those_of_the_next_hour() -> None:
    baseline = watched(9, every=60)
    values = [baseline.usual(START + timedelta(minutes=step)).value for step in range(7 * 60, 9 * 60, 5)]
    assert max(abs(after / before - 1) for before, after in pairwise(values)) < 0.1


def test_until_the_hour_of_the_week_is_known_the_higher_guess_counts() -> None:
    baseline = watched(2)  # ends at noon, when it is slow
    noon, night = START + timedelta(days=2), START + timedelta(days=2, hours=14)
    assert baseline.usual(noon) == Usual(pytest.approx(0.3, rel=0.1), pytest.approx(0.04, rel=0.5), weekly=False)
    assert baseline.usual(night).value > 0.25, "the recent level, though last night was quicker"


def test_a_slow_change_of_all_hours_is_followed_within_days() -> None:
    baseline = watched(8)
    for day in range(3):
        for number in range(288):
            at = START + timedelta(days=8 + day, seconds=number * EVERY)
            teach(baseline, truth(at.hour) * 1.2, at, EVERY)
    usual = baseline.usual(START + timedelta(days=11, hours=2, minutes=30))
    assert usual.value == pytest.approx(0.36, rel=0.05)


def test_one_wild_look_moves_next_to_nothing() -> None:
    baseline = watched(8)
    at = START + timedelta(days=8)
    before = baseline.usual(at)
    teach(baseline, 9e99, at, EVERY)
    assert baseline.usual(at).value == pytest.approx(before.value, rel=0.01)


def test_what_is_adopted_is_usual() -> None:
    baseline = watched(8)
    at = START + timedelta(days=8)
    before = baseline.usual(at).value
    baseline.adopt(math.log(2))
    assert baseline.usual(at).value == pytest.approx(2 * before, rel=0.05)


def test_an_hour_hardly_seen_is_not_learned_and_a_gap_is_left_out() -> None:
    baseline = watched(3 / 24, every=30)  # 12:00 to 15:00
    baseline = watched(0.1 / 24, every=30, baseline=baseline, start=8 * 3600)  # a look at 20:00
    baseline = watched(2 / 24, every=30, baseline=baseline, start=10 * 3600)
    hours = [baseline.usual(START + timedelta(hours=hour, minutes=30)).weekly for hour in range(13)]
    assert hours == [True, True, True, *[False] * 7, True, False, False]


def test_it_goes_on_after_a_restart() -> None:
    baseline, again = watched(2.3), Baseline(Unit.SECONDS)
    again.load(baseline.dump())
    at = START + timedelta(days=2.4)
    assert again.usual(at) == baseline.usual(at)
    fresh = Baseline(Unit.SECONDS)
    fresh.load(Baseline(Unit.SECONDS).dump())
    assert fresh.dump() == Baseline(Unit.SECONDS).dump()


@pytest.mark.parametrize(
    ("field", "value"),
    [("hours", "AAAA" * 200), ("hours", "A"), ("count", -1), ("recent", math.inf), ("spread", "x"), ("hour", 999)],
)
def test_what_no_baseline_has_written_is_refused(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Baseline(Unit.SECONDS).load({**Baseline(Unit.SECONDS).dump(), field: value})


def test_what_is_usual_in_words() -> None:
    assert describe_usual(Usual(0.3, 0.0512, weekly=False), Unit.SECONDS, START) == "usual is 300 ms ± 51 ms"
    weekly = describe_usual(Usual(0.3, 0.05, weekly=True), Unit.SECONDS, START)
    assert weekly == "usual for Sunday 12:00 UTC is 300 ms ± 50 ms"
