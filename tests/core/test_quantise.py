"""What is judged is rounded: little, the same every time, and never so that a written limit is missed."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import ClassVar

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from monitor.core.condition import Aggregate
from monitor.core.form import step_of
from monitor.core.model import Look, Moment
from monitor.core.quantise import figure, moment, quantised, share
from probes.contract import Measurement, Observation, Secret, Unit
from probes.heartbeat import Heartbeat
from tests.core.builders import START, Still, above, check
from tests.core.builders import moment as at

finite = st.floats(-1e15, 1e15, allow_subnormal=False)


@given(finite)
def test_a_figure_is_off_by_half_a_percent_at_most(value: float) -> None:
    assert abs(figure(value) - value) <= abs(value) * 0.005


@given(st.floats(allow_nan=False) | st.integers(-(10**30), 10**30) | st.booleans())
@example(0.9995)
@example(9.995)
@example(1.005)
@example(0.1 + 0.2)
@example(-0.0)
def test_it_is_the_nearest_figure_with_three_digits(value: float) -> None:
    assert repr(figure(value)) == repr(float(f"{float(value):.2e}"))


@given(st.integers(100, 999), st.integers(-12, 12), st.sampled_from((-1, 0, 1)))
def test_halves_are_rounded_as_their_decimals_are(digits: int, exponent: int, ulps: int) -> None:
    half = float(f"{digits}.5e{exponent}")
    value = half if not ulps else math.nextafter(half, ulps * math.inf)
    assert figure(value) == float(f"{value:.2e}")


@given(finite)
def test_rounding_twice_changes_nothing(value: float) -> None:
    assert figure(figure(value)) == figure(value)
    assert share(share(value)) == share(value)


@given(finite, finite)
def test_order_is_kept(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert figure(low) <= figure(high)


@given(st.floats(0, 1), st.floats(0, 1))
def test_the_order_of_ratios_is_kept(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert share(low) <= share(high)


@given(st.integers(0, 999), st.integers(-9, 9))
def test_what_people_write_is_met_exactly(digits: int, exponent: int) -> None:
    written = float(f"{digits}e{exponent}")
    assert figure(written) == written


@given(st.floats(1e-9, 0.5))
def test_what_a_ratio_lacks_to_one_is_kept_as_well(lacking: float) -> None:
    assert 1 - share(1 - lacking) == pytest.approx(lacking, rel=0.0051, abs=1e-12)


def test_availabilities_stay_apart() -> None:
    assert share(0.99951) == 0.99951
    assert share(0.999512) < 0.9996 < share(1.0) == 1.0
    assert figure(0.99951) == 1.0, "which is why ratios are rounded by what they lack"


def test_what_is_no_figure_stays_what_it_is() -> None:
    assert math.isnan(figure(math.nan))
    assert figure(-math.inf) == -math.inf
    assert (figure(10**400), figure(-(10**400))) == (math.inf, -math.inf)


@given(st.floats(0, 1e7), st.sampled_from((1, 10, 100)), st.integers(0, 10**12))
def test_times_are_cut_never_raised(tick: float, step: int, micros: int) -> None:
    now = Moment(START + timedelta(microseconds=micros), tick)
    cut = moment(now, step)
    assert -1e-6 <= now.tick - cut.tick < step / 1000 + 1e-6
    assert timedelta(0) <= now.at - cut.at < timedelta(milliseconds=2 * step, microseconds=1)
    assert moment(cut, step) == cut


def test_the_span_between_two_moments_is_the_same_on_both_clocks() -> None:
    one, other = moment(at(1.07), 100), moment(at(7.96), 100)
    assert (other.at - one.at).total_seconds() == pytest.approx(other.tick - one.tick)


def test_the_step_is_as_fine_as_the_interval_deserves() -> None:
    steps = {seconds: step_of(check(every=timedelta(seconds=seconds))) for seconds in (0.1, 1, 5, 15, 3600)}
    assert steps == {0.1: 1, 1: 10, 5: 10, 15: 100, 3600: 100}
    heard = Heartbeat(token=Secret("0123456789abcdef"), period=timedelta(hours=1))
    assert step_of(check(probe=heard, every=timedelta(minutes=1))) == 1, "it is looked at when told to"


def test_the_looks_of_a_confirmation_follow_one_another_within_tenths() -> None:
    look = Look("home", Observation(), at(0.1234), at(0.2345), scheduled=False)
    taken = quantised(look, check())
    assert (taken.began, taken.ended) == (at(0.123), at(0.234))


def test_a_look_is_quantised_as_a_whole() -> None:
    observed = Observation({"response_time": 0.123456, "ratio": 0.99951})
    look = quantised(Look("home", observed, at(0.17), at(0.38)), check(probe=Shares()))
    assert look.observation.measurements == {"response_time": 0.123, "ratio": 0.99951}
    assert (look.began, look.ended) == (at(0.1), at(0.3))
    assert quantised(look, check(probe=Shares())) == look
    bare = Look("home", Observation(), at(0), at(0))
    assert quantised(bare, check()).observation is bare.observation


def test_counters_are_exact_where_their_rate_is_asked_for() -> None:
    rate = replace(above(3.0), measurement="served", aggregate=Aggregate.RATE, window=timedelta(minutes=5))
    look = Look("home", Observation({"served": 1_234_567.0, "response_time": 1.2345}), at(0), at(1))
    assert quantised(look, check("home", rate)).observation.measurements == {
        "served": 1_234_567,
        "response_time": 1.23,
    }
    assert quantised(look, check("home")).observation.measurements["served"] == 1_230_000


def test_the_units_of_a_checks_own_measurements_count() -> None:
    look = Look("home", Observation({"mine": 0.99951}), at(0), at(1))
    assert quantised(look, check(probe=Named())).observation.measurements == {"mine": 0.99951}


@dataclass(frozen=True, slots=True)
class Shares(Still):
    measurements: ClassVar[tuple[Measurement, ...]] = (
        Measurement("response_time", Unit.SECONDS, ""), Measurement("ratio", Unit.RATIO, ""),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Named(Still):
    @property
    def measured(self) -> tuple[Measurement, ...]:
        return (Measurement("mine", Unit.RATIO, ""),)
