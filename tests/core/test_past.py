"""Looks on their way into the past: rows, columns, roll-ups, ribbons. What stores do with them is in tests/store."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.columns import Columns, distribute
from monitor.core.history import LONG, SHORT, Figures, Span
from monitor.core.model import Look, State, Transition, Verdict
from monitor.core.ribbon import spans
from monitor.core.rollup import Held, join, roll_up, step_for
from monitor.core.rows import Rows, to_millis
from monitor.core.series import percentile
from probes.contract import Observation, Reason
from tests.core.builders import START, above, check, moment

BEGAN = to_millis(START)
MINUTE = 60_000


def rows_of(*looks: tuple[float, dict[str, float]], **fields: Any) -> Rows[str]:
    rows = Rows[str]()
    for seconds, figures in looks:
        look = Look("home", Observation(figures), moment(seconds), moment(seconds + 1), **fields)
        rows.add("home", check("home"), look, State.UP)
    return rows


def columns_of(values: list[float], every: float = 15.0) -> Columns:
    columns = Columns()
    for number, value in enumerate(values):
        at = BEGAN + round(number * every * 1000)
        columns.append(at, at, 100, round(every * 1000), 12, "", {"response_time": value})
    return columns


def test_rows_are_cut_in_time() -> None:
    rows = rows_of((0, {"a": 1.0}), (60, {"b": 2.0}), (30, {"a": 3.0, "b": 4.0}))
    early, late = rows.cut(BEGAN + 45_000)
    assert (early.ats.tolist(), early.values.tolist()) == ([BEGAN, BEGAN + 30_000], [1.0, 3.0, 4.0])
    assert (late.ats.tolist(), late.values.tolist()) == ([BEGAN + 60_000], [2.0])
    whole, nothing = rows.cut(BEGAN + 99_000)
    assert whole is rows
    assert not nothing
    late.extend(early)
    assert late.values.tolist() == [2.0, 1.0, 3.0, 4.0]
    assert list(Rows[str]().cut(0)[1].offsets()) == []


def test_measurements_that_are_phases_are_left_out_but_for_those_in_a_ratio_or_a_threshold() -> None:
    observed = Observation(
        {"connect_time": 0.1, "tls_time": 0.2, "run_time": 3.0}, phases={"connect": 0.1, "tls": 0.2}
    )
    look = Look("home", observed, moment(0), moment(1))
    named = replace(above(1.0), measurement="share", ratio_of=("tls_time", "run_time"))
    rows = Rows[str]()
    rows.add("home", check("home", named), look, State.UP)
    rows.add("home", check("home", was=("front",)), look, State.UP)
    assert [names for _, _, names in rows.offsets()] == [("tls_time", "run_time"), ("run_time",)]
    assert rows.formerly == {"home": ("front",)}


def test_columns_know_what_a_look_did_not_tell() -> None:
    found: dict[str, Columns] = {}
    distribute(rows_of((0, {"a": 1.0}), (60, {"b": 2.0}), (90, {})), found)
    columns = found["home"]
    assert [columns.told(row) for row in range(3)] == [{"a": 1.0}, {"b": 2.0}, {}]
    distribute(rows_of((120, {})), found, only="other")
    assert len(columns) == 3


def test_columns_are_joined_and_parted() -> None:
    one, other = columns_of([0.1, 0.2]), columns_of([0.3])
    one.extend(other)
    assert one.figures["response_time"].tolist() == [0.1, 0.2, 0.3]
    other.append(BEGAN + 9 * MINUTE, 0, 100, 15_000, 12, "refused", {"more": 1.0})
    one.extend(other)
    assert [one.told(row) for row in (3, 4)] == [{"response_time": 0.3}, {"more": 1.0}]
    parts = one.parts(5 * MINUTE)
    assert [(first - BEGAN, len(part)) for first, part in parts.items()] == [(0, 4), (5 * MINUTE, 1)]
    assert one.parts(60 * MINUTE) == {BEGAN: one}


def test_a_reason_of_another_version_is_still_a_failure() -> None:
    columns = Columns()
    for word in ("", "refused", "came_with_2.0"):
        columns.append(BEGAN, 0, 0, 15_000, 12, word, {})
    assert [sample.reason for sample in columns.samples(range(3))] == [None, Reason.REFUSED, Reason.NO_DATA]


def test_rows_are_split_among_bunches() -> None:
    rows = rows_of((0, {"a": 1.0}), (60, {"a": 2.0}))
    rows.whose[1] = "other"
    parts = dict(rows.split([{"home": 3, "other": 40}[name] for name in rows.whose], lambda number: number // 32))
    assert {bunch: (part.whose, part.values.tolist()) for bunch, part in parts.items()} == {
        0: ([3], [1.0]), 1: ([40], [2.0]),
    }  # fmt: skip


def test_extra_looks_tell_the_state_and_nothing_else() -> None:
    columns = columns_of([0.1])
    columns.append(BEGAN + 1000, 1000, 0, 15_000, 1, "refused", {"response_time": 9.0})
    [point], _ = roll_up(columns, SHORT, None, BEGAN + 11_000)
    assert (point.looks, point.failed, point.figures["response_time"].max) == (1, 0, 0.1)
    assert point.seconds == {State.UP: 0.9, State.DEGRADED: 10.0}


def test_a_state_is_known_for_three_intervals() -> None:
    columns = columns_of([0.1, 0.1], every=60)
    points, held = roll_up(columns, SHORT, None, BEGAN + 15 * MINUTE)
    assert [point.seconds for point in points] == [{State.UP: 240.0}]
    assert held == Held(0, BEGAN + 15 * MINUTE, BEGAN + 60_100 + 180_000)
    later = Columns()
    later.append(BEGAN + 20 * MINUTE, 0, 0, 60_000, 12, "", {"response_time": math.inf})
    points, _ = roll_up(later, SHORT, held, BEGAN + 20 * MINUTE)
    assert [(point.looks, dict(point.figures)) for point in points] == [(1, {})], "what came late is not known"
    assert roll_up(Columns(), SHORT, None, BEGAN) == ([], None)


@given(st.lists(st.floats(0.001, 9), min_size=1, max_size=200))
def test_a_period_has_the_figures_of_its_looks(values: list[float]) -> None:
    points, _ = roll_up(columns_of(values), LONG, None, BEGAN + 60 * MINUTE)
    figures = points[0].figures["response_time"]
    exact = (min(values), sum(values) / len(values), max(values), *(percentile(values, p) for p in (50, 95, 99)))
    told = (figures.min, figures.mean, figures.max, figures.p50, figures.p95, figures.p99)
    assert told == pytest.approx(exact, rel=0.0051)
    assert figures.count == len(values)


@pytest.mark.parametrize("noise", [0.1, 0.3, 0.5])
def test_joined_periods_are_near_the_truth(noise: float) -> None:
    """What docs/history.md promises: two days of 5 minutes as one."""
    draw = random.Random(7)
    values = [draw.lognormvariate(-2, noise) for _ in range(2 * 5760)]
    points, _ = roll_up(columns_of(values), SHORT, None, BEGAN + 48 * 60 * MINUTE)
    [joined] = join(points, timedelta(days=4))
    figures = joined.figures["response_time"]
    assert figures.p50 == pytest.approx(percentile(values, 50), rel=0.03)
    assert figures.p95 == pytest.approx(percentile(values, 95), rel=0.05)
    assert figures.p99 == pytest.approx(percentile(values, 99), rel=0.08)
    assert (figures.count, joined.looks) == (len(values), len(values))
    assert figures.mean == pytest.approx(sum(values) / len(values), rel=0.005)


def test_joining_keeps_what_needs_no_joining() -> None:
    points, _ = roll_up(columns_of([0.9951] * 41), SHORT, None, BEGAN + 10 * MINUTE)
    assert join(points, SHORT) == points
    assert points[0].figures["response_time"].mean == 0.9951, "a ratio near one"
    lone = replace(points[1], figures={"other": Figures(1, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)})
    [joined] = join([points[0], lone], LONG)
    assert joined.figures == points[0].figures | lone.figures
    assert joined.seconds == {State.UP: 599.9}


def test_the_step_never_makes_too_many_points() -> None:
    def step(hours: float, wanted: timedelta | None = None) -> timedelta:
        return step_for(START, START + timedelta(hours=hours), wanted)

    assert step(1) == SHORT
    assert step(10 * 365 * 24) == timedelta(days=14)
    assert step(1, timedelta(minutes=7)) == timedelta(minutes=10)
    assert step(1, timedelta(minutes=90)) == timedelta(hours=2)
    assert step(24 * 365, SHORT) == timedelta(hours=5)


def change(seq: int, seconds: float, state: str) -> Transition:
    at = moment(seconds).at
    return Transition("check", "home", seq, at, at, "unknown", state, Verdict(State.UP, why=f"is {state}"))


def test_a_ribbon_has_holes_where_nobody_was() -> None:
    def at(seconds: float) -> Any:
        return moment(seconds).at

    made = [change(1, 0, "up"), change(2, 1000, "down")]
    absences = [
        (at(-900), at(-800)),
        (at(100), at(130)),
        (at(400), at(600)),
        (at(900), at(1100)),
        (at(1500), at(1900)),
    ]
    found = spans(made, at(50), at(1800), absences)
    assert [((s.start - START).total_seconds(), (s.end - START).total_seconds(), s.state) for s in found] == [
        (50, 400, "up"), (400, 600, None), (600, 900, "up"), (900, 1000, None), (1000, 1100, None),
        (1100, 1500, "down"), (1500, 1800, None),
    ]  # fmt: skip
    assert found[0] == Span(at(50), at(400), "up", "is up")
    assert [span.state for span in spans(made, at(0), at(300), [(at(100), at(300))])] == ["up", None]
    assert [span.state for span in spans(made, at(0), at(300), [(at(100), at(200))])] == ["up", None, "up"]
    assert spans([], at(0), at(9)) == []
    assert spans(made[:1], at(-9), at(0)) == []
