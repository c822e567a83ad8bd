from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core import quantise
from monitor.core.grades import NOTHING, Grades, figure_of, grade_of

FIGURES = st.floats(-1e17, 1e17)


@given(FIGURES)
def test_a_figure_of_three_digits_is_off_by_one_percent_at_most(value: float) -> None:
    judged = quantise.figure(value)
    rounded = figure_of(grade_of(judged))
    assert abs(rounded - judged) <= 0.01 * abs(judged) or abs(judged) < 1e-9
    rounded = figure_of(grade_of(value))
    assert abs(rounded - value) <= 0.0125 * abs(value) or abs(value) < 1e-9
    assert grade_of(rounded) == grade_of(value)
    assert grade_of(-value) == -grade_of(value)


@given(FIGURES, FIGURES)
def test_a_larger_figure_is_never_of_a_lower_grade(one: float, other: float) -> None:
    assert (grade_of(one) <= grade_of(other)) or one > other


@given(st.integers(10, 99), st.integers(-8, 16), FIGURES)
def test_rounding_takes_nobody_beyond_a_limit_of_two_digits(digits: int, power: int, value: float) -> None:
    limit = float(f"{digits}e{power - 1}")
    assert figure_of(grade_of(limit)) == limit
    assert value > limit or not figure_of(grade_of(value)) > limit
    assert value < limit or not figure_of(grade_of(value)) < limit


@pytest.mark.parametrize("value", [0.0, -0.0, 5e-324, 1e-10, -1e-12])
def test_next_to_nothing_is_nothing(value: float) -> None:
    assert (grade_of(value), figure_of(NOTHING)) == (NOTHING, 0.0)


@pytest.mark.parametrize("value", [1e18, 3e99, 1.7e308])
def test_what_no_target_has_is_at_the_end(value: float) -> None:
    assert grade_of(value) == grade_of(1e300) < 2**15
    assert grade_of(-value) == -grade_of(value)


def filled(*grades: int) -> Grades:
    found = Grades()
    for grade in grades:
        found.add(grade)
    return found


def test_grades_are_counted_in_order_and_taken_away_again() -> None:
    chance = Random(3)
    drawn = [chance.randrange(-40, 40) for _ in range(500)]
    counted = filled(*drawn)
    assert [counted.at(rank) for rank in range(500)] == sorted(drawn)
    assert (counted.count, len(counted)) == (500, len(set(drawn)))
    counted.remove(filled(*drawn[:300]))
    assert [counted.at(rank) for rank in range(200)] == sorted(drawn[300:])
    counted.remove(filled(*drawn[300:]))
    assert (counted.count, len(counted), list(counted)) == (0, 0, [])


def test_the_nearest_of_those_that_were_seen() -> None:
    seen = filled(10, 20, 30)
    assert [seen.nearest(grade) for grade in (1, 10, 14, 15, 16, 29, 99)] == [10, 10, 10, 10, 20, 30, 30]


def test_columns_are_read_again() -> None:
    seen = filled(-3, 5, 5, 7)
    again = Grades.read(*seen.columns())
    assert (list(again), again.count) == ([(-3, 1), (5, 2), (7, 1)], 4)


@pytest.mark.parametrize(
    ("grades", "times"),
    [
        (b"\1\0\2\0", b"\1\0\0\0"),
        (b"\2\0\1\0", b"\1\0\0\0\1\0\0\0"),
        (b"\1\0", b"\0\0\0\0"),
        (b"\1", b""),
        (b"\1\0", b"\0\0\0\2"),
    ],
)
def test_columns_that_nobody_has_written(grades: bytes, times: bytes) -> None:
    with pytest.raises(ValueError, match=r"grades|multiple"):
        Grades.read(grades, times)


def test_whatever_is_finite_has_a_grade() -> None:
    for exponent in range(-320, 309):
        assert math.isfinite(figure_of(grade_of(float(f"9.99e{exponent}" if exponent < 308 else "1.7e308"))))
