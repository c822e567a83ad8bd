"""Blobs of the history: what goes in comes out; what is damaged is refused, never half believed."""

from __future__ import annotations

import math
import random
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.columns import Columns
from monitor.core.history import SHORT
from monitor.core.quantise import figure, share
from monitor.core.rollup import roll_up
from monitor.core.rows import Rows
from monitor.store._chunks import dump_columns, dump_points, dump_rows, load_columns, load_points, load_rows
from monitor.store._codes import ESCAPE, decode, encode
from monitor.store._pack import Taker, put_column, put_number, put_steps

figures = st.one_of(
    st.floats(allow_nan=True),
    st.floats(-1e9, 1e9).map(figure),
    st.floats(0.5, 1).map(share),
    st.sampled_from((0.0, -0.0, 1.0, 0.999, 1e-12, 9.99e17, 1e18, 1e-13)),
)
whole = st.integers(-(2**62), 2**62)


@given(st.lists(figures, max_size=50))
def test_figures_come_back_as_they_were(values: list[float]) -> None:
    back = decode(*encode(values))
    assert [repr(value + 0.0) for value in back] == [repr(value + 0.0) for value in values]


def test_quantised_figures_take_16_bits() -> None:
    values = [figure(math.exp(n / 50)) * sign for n in range(-1200, 1200) for sign in (1, -1)]
    values += [share(1 - n / 100_000) for n in range(1, 50_000)]
    codes, escaped = encode(values)
    assert ESCAPE not in codes
    assert not escaped
    positive = sorted(set(values[:4800:2]))
    assert list(encode(positive)[0]) == sorted(encode(positive)[0]), "in the order of the figures"


@given(st.lists(st.one_of(whole, st.integers(0, 300)), max_size=99))
def test_columns_of_numbers_come_back(values: list[int]) -> None:
    assert Taker(put_column(values)).column(len(values)) == values
    assert Taker(put_steps(values)).steps(len(values)) == values


@given(whole)
def test_numbers_come_back(number: int) -> None:
    assert Taker(put_number(number)).number() == number


def test_noise_costs_its_own_bits() -> None:
    draw = random.Random(1)
    codes, _ = encode([figure(draw.lognormvariate(-2, 0.35)) for _ in range(1440)])
    assert len(put_column(codes)) < 1.12 * 1440
    assert len(put_column([7] * 1440)) < 9


def columns(count: int = 100) -> Columns:
    draw, made = random.Random(2), Columns()
    for number in range(count):
        told = {"response_time": figure(draw.random())} if number % 7 else {"body_size": 18_200.0, "odd": math.inf}
        word = "" if number % 7 else "refused"
        made.append(10**12 + number * 15_000 + number % 3, number * 15_000, number % 5 * 100, 15_000, 12, word, told)
    return made


def test_looks_come_back() -> None:
    made = columns()
    back = load_columns(*dump_columns(made))
    assert list(back.samples(range(100))) == list(made.samples(range(100)))
    empty = load_columns(*dump_columns(Columns()))
    assert len(empty) == 0


def test_points_come_back() -> None:
    points, _ = roll_up(columns(), SHORT, None, 10**12 + 10**7)
    assert load_points(*dump_points(points)) == points
    assert load_points(*dump_points([])) == []


def test_batches_come_back() -> None:
    rows = Rows[int]()
    for number in range(9):
        rows.append(
            number % 2, 10**12 + number, number, 100, 15_000, 12, "refused" if number == 3 else "", ("a", "ä")
        )
        rows.values.extend((0.123, 1234567.0))
    back = load_rows(dump_rows(rows))
    for name in (
        "whose",
        "ats",
        "ticks",
        "tooks",
        "everies",
        "marks",
        "reasons",
        "shapes",
        "values",
        "words",
        "layouts",
    ):
        assert getattr(back, name) == getattr(rows, name), name
    assert len(load_rows(dump_rows(Rows()))) == 0


@settings(max_examples=300)
@given(at=st.integers(0, 10_000), byte=st.integers(0, 255), cut=st.booleans())
def test_damage_is_a_value_error_or_harmless(at: int, byte: int, cut: bool) -> None:
    body, layout = dump_columns(columns(40))
    where = at % len(body)
    damaged = body[:where] if cut else body[:where] + bytes((byte,)) + body[where + 1 :]
    with suppress(ValueError):
        load_columns(damaged, layout)


@pytest.mark.parametrize("blob", [b"", b"\x09", b"\x01garbage"])
def test_what_is_no_blob_is_refused(blob: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        load_rows(blob)
    with pytest.raises(ValueError, match=r".+"):
        load_columns(blob, "[[],[]]")
    with pytest.raises(ValueError, match=r".+"):
        load_points(blob, "[]")
