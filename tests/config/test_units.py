"""Figures with units: what is written is read back, and what has no unit is refused."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.config.units import format_duration, format_size, parse_duration, parse_figure, parse_size
from probes.contract import Unit


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=3000)))
def test_a_duration_is_read_back(span: timedelta) -> None:
    assert parse_duration(format_duration(span)) == span


@given(st.integers(min_value=0, max_value=2**60))
def test_a_size_is_read_back(size: int) -> None:
    assert parse_size(format_size(size)) == size


@given(st.text(max_size=12), st.sampled_from(Unit))
def test_any_text_is_a_figure_or_an_error_that_says_more(text: str, unit: Unit) -> None:
    try:
        assert parse_figure(text, unit) >= 0
    except ValueError as error:
        assert len(str(error)) > len(text)  # noqa: PT017  (either is fine, a crash is not)


@given(st.integers(min_value=0, max_value=10**6), st.sampled_from([unit for unit in Unit if unit is not Unit.COUNT]))
def test_a_bare_number_is_never_a_figure_with_a_unit(number: int, unit: Unit) -> None:
    with pytest.raises(ValueError, match="write"):
        parse_figure(str(number), unit)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("800ms", 0.8), ("1.5s", 1.5), ("5m", 300), ("2h", 7200), ("14d", 1209600), ("1w", 604800), ("1h30m", 5400),
     ("0s", 0), ("50us", 0.00005)],
)  # fmt: skip
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)
    assert parse_figure(text, Unit.SECONDS) == seconds


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("20MiB", Unit.BYTES, 20 * 1024**2), ("500kB", Unit.BYTES, 500_000), ("1GB", Unit.BYTES, 10**9),
        ("1.1%", Unit.RATIO, 0.011), ("150%", Unit.RATIO, 1.5), ("50", Unit.COUNT, 50), ("0.5", Unit.COUNT, 0.5),
        ("3/s", Unit.PER_SECOND, 3), ("120/m", Unit.PER_SECOND, 2), ("2KiB/s", Unit.BYTES_PER_SECOND, 2048),
    ],
)  # fmt: skip
def test_figures(text: str, unit: Unit, value: float) -> None:
    assert parse_figure(text, unit) == value


@pytest.mark.parametrize("text", ["30m1h", "1m1m", "1h 30m", "", "s", "1e3s", "٣s", "99999w", "1x"])
def test_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_duration(text)


def test_the_unit_in_words_is_corrected() -> None:
    with pytest.raises(ValueError, match=r"write 5m$"):
        parse_duration("5minutes")
    with pytest.raises(ValueError, match=r"write 5d$"):
        parse_duration("5D")


@pytest.mark.parametrize(
    ("text", "unit"), [("9" * 400, Unit.COUNT), ("9" * 400 + "%", Unit.RATIO), ("1" + "0" * 31, Unit.COUNT)]
)
def test_no_limit_is_beyond_all_measure(text: str, unit: Unit) -> None:
    with pytest.raises(ValueError, match="is too large"):
        parse_figure(text, unit)
