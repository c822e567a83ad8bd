"""The grammar of thresholds. What it refuses is pinned by the files in bad/."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.config.conditions import parse_condition, split_condition
from monitor.core.condition import USUAL, Aggregate, Bound, Condition, Level, Operator
from probes.contract import Measurement, Unit

KNOWN = (
    Measurement("response_time", Unit.SECONDS, ""),
    Measurement("error_rate", Unit.RATIO, "", ratio_of=("bad", "total")),
    Measurement("cpu", Unit.RATIO, ""),
    Measurement("load", Unit.COUNT, ""),
    Measurement("errors", Unit.COUNT, ""),
    Measurement("sent", Unit.BYTES, ""),
    Measurement("count", Unit.COUNT, ""),
    Measurement("speed", Unit.PER_SECOND, ""),
    Measurement("load_share", Unit.RATIO, ""),
    Measurement("connect_time", Unit.SECONDS, ""),
    Measurement("first_byte_time", Unit.SECONDS, ""),
)
MINUTES = timedelta(minutes=5)


def parse(text: str) -> Condition:
    return parse_condition(text, Level.DEGRADED, KNOWN)


def test_last() -> None:
    assert parse("response_time > 8s for 3 of 5") == Condition(
        text="response_time > 8s for 3 of 5",
        level=Level.DEGRADED,
        measurement="response_time",
        unit=Unit.SECONDS,
        bound=Bound(Operator.ABOVE, 8.0),
        for_looks=(3, 5),
    )


def test_percentile_with_clear() -> None:
    condition = parse("p95(response_time,5m)>800ms,clear<600ms")
    assert (condition.aggregate, condition.percentile, condition.window) == (Aggregate.PERCENTILE, 95, MINUTES)
    assert (condition.bound, condition.clear) == (Bound(Operator.ABOVE, 0.8), Bound(Operator.BELOW, 0.6))


@pytest.mark.parametrize(
    ("text", "bound"),
    [
        ("response_time > 3x usual", Bound(Operator.ABOVE, 3.0, USUAL)),
        ("p95(response_time, 5m) > 1.5x usual", Bound(Operator.ABOVE, 1.5, USUAL)),
        ("load < usual", Bound(Operator.BELOW, 1.0, USUAL)),
        ("load > errors", Bound(Operator.ABOVE, 1.0, "errors")),
        ("mean(load, 5m) >= 0.5x errors", Bound(Operator.AT_LEAST, 0.5, "errors")),
        ("rate(errors, 5m) > speed", Bound(Operator.ABOVE, 1.0, "speed")),
        ("first_byte > 2x connect", Bound(Operator.ABOVE, 2.0, "connect_time")),
    ],
)
def test_a_limit_that_moves(text: str, bound: Bound) -> None:
    condition = parse(text)
    assert condition.bound == bound
    assert condition.compares_with_usual is (bound.of == USUAL)


def test_a_limit_that_moves_may_clear_at_another() -> None:
    condition = parse("response_time > 3x usual, clear < 2x usual")
    assert condition.clear == Bound(Operator.BELOW, 2.0, USUAL)
    assert parse("response_time > 3x usual, clear < 9s").clear == Bound(Operator.BELOW, 9.0)


def test_the_time_of_a_phase_is_called_like_the_phase() -> None:
    assert parse("p95(first_byte, 5m) > 300ms").measurement == "first_byte_time"


def test_what_a_condition_needs() -> None:
    condition = parse("error_rate(5m) > cpu, clear < load_share")
    assert all(map(condition.needs, ("error_rate", "bad", "total", "cpu", "load_share")))
    assert not condition.needs("load")


def test_ratio_of_sums() -> None:
    condition = parse("error_rate(5m) > 1%, at least 50 requests")
    assert (condition.aggregate, condition.window, condition.at_least) == (Aggregate.MEAN, MINUTES, 50)
    assert condition.ratio_of == ("bad", "total")
    assert condition.bound.limit == 0.01


@pytest.mark.parametrize(
    ("text", "aggregate", "unit", "limit"),
    [
        ("mean(load, 10m) >= 2", Aggregate.MEAN, Unit.COUNT, 2),
        ("rate(errors, 5m) > 3/s", Aggregate.RATE, Unit.PER_SECOND, 3),
        ("rate(sent, 5m) > 3MB/s", Aggregate.RATE, Unit.BYTES_PER_SECOND, 3_000_000),
        ("rate(response_time, 5m) > 50%", Aggregate.RATE, Unit.RATIO, 0.5),
        ("count(response_time, 5m) < 2", Aggregate.COUNT, Unit.COUNT, 2),
        ("max(response_time, 5m) <= 2s", Aggregate.MAX, Unit.SECONDS, 2),
        ("min(cpu, 1d) > 5%", Aggregate.MIN, Unit.RATIO, 0.05),
        ("last(load, 1m) > 2", Aggregate.LAST, Unit.COUNT, 2),
        ("last(load) > 2", Aggregate.LAST, Unit.COUNT, 2),
        ("count(5m) > 2", Aggregate.MEAN, Unit.COUNT, 2),
        ("count > 2", Aggregate.LAST, Unit.COUNT, 2),
    ],
)
def test_aggregates(text: str, aggregate: Aggregate, unit: Unit, limit: float) -> None:
    condition = parse(text)
    assert (condition.aggregate, condition.unit, condition.bound.limit) == (aggregate, unit, limit)


def test_modifiers_in_any_order_with_or_without_commas() -> None:
    one = parse("cpu(5m) > 95% for 5m clear < 80% at least 3")
    two = parse("cpu(5m) > 95%, at least 3 looks, clear < 80%, for 5m")
    assert (one.for_span, one.clear, one.at_least) == (two.for_span, two.clear, two.at_least)
    assert one.for_span == MINUTES


def test_the_text_is_kept_with_single_spaces() -> None:
    assert parse("cpu  >\n 95%").text == "cpu > 95%"


_SPANS = st.integers(1, 86400).map(lambda seconds: f"{seconds}s")
_UPWARD = st.builds(
    lambda percentile, window, limit, clear, looks: (
        f"p{percentile}(response_time, {window}) > {limit}ms, clear < {limit - clear}ms for {looks[0]} of {looks[1]}"
    ),
    st.integers(1, 99),
    _SPANS,
    st.integers(100, 10**6),
    st.integers(0, 100),
    st.tuples(st.integers(1, 10), st.integers(10, 100)),
)


@given(_UPWARD)
def test_every_well_formed_condition_is_read(text: str) -> None:
    condition = parse(text)
    assert condition.text == text
    assert condition.clear is not None
    assert condition.clear.limit <= condition.bound.limit


_WORDS = st.sampled_from(
    ["response_time", "cpu", "p95", "mean", "(", ")", ",", ">", "<", "=", "800ms", "5m", "1%", "3", "for", "of",
     "clear", "at", "least", "requests", "é", "-1s", "1/s"]
)  # fmt: skip


@given(st.lists(_WORDS, max_size=14).map(" ".join) | st.text(max_size=40))
def test_any_text_is_a_condition_or_an_error(text: str) -> None:
    try:
        parse(text)
    except ValueError as error:
        assert str(error)  # noqa: PT017  (either is fine, a crash is not)


@given(_UPWARD)
def test_what_a_flow_list_splits_is_recognised(text: str) -> None:
    assert split_condition(["cpu > 5%", *text.split(", "), "load > 2"]) == text
    assert split_condition([text, "cpu > 5%"]) is None
