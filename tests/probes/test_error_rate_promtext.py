"""The parser of Prometheus' text formats, against prometheus_client's own, and what a hostile endpoint may send."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.registry import Collector

from probes import _promtext
from probes._promtext import Malformed, labels, selector

Found = set[tuple[str, tuple[tuple[str, str], ...], float]]


def read(text: bytes, *names: str) -> Found:
    async def collect() -> Found:
        return {
            (sample.name, tuple(sorted(labels(sample.series).items())), sample.value)
            async for part in _promtext.samples(text, names)
            for sample in part
        }

    return asyncio.run(collect())


def theirs(families: Iterable[Metric], *names: str) -> Found:
    return {
        (sample.name, tuple(sorted(sample.labels.items())), sample.value)
        for family in families
        for sample in family.samples
        if sample.name in names
    }


class Fixed(Collector):
    def __init__(self, *families: Metric) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _openmetrics(registry: CollectorRegistry) -> bytes:
    text: bytes = generate_openmetrics(registry)  # type: ignore[no-untyped-call]  # it has no types
    return text


# Surrogates cannot be encoded; prometheus_client splits lines at every Unicode line break, which the format does not.
_TEXT = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"], include_characters='"\\\n{}#,= '), max_size=12
)
_VALUES = st.floats(min_value=0, allow_nan=False, allow_infinity=False)


@settings(max_examples=150)
@given(st.dictionaries(st.tuples(_TEXT, _TEXT), _VALUES, max_size=8))
def test_what_client_libraries_write_is_read_as_they_read_it(series: dict[tuple[str, str], float]) -> None:
    families = []
    for name in ("http_requests", "http_requests_of_others", "http"):
        family = CounterMetricFamily(name, "Help with a \\ and a\nline break.", labels=["path", "status"])
        for pair, value in series.items():
            family.add_metric(list(pair), value, created=1.5)
        families.append(family)
    registry = CollectorRegistry()
    registry.register(Fixed(*families))
    names = ("http_requests_total", "http_total")
    for text, parse in (
        (generate_latest(registry), parse_text),
        (_openmetrics(registry), parse_openmetrics),
    ):
        assert read(text, *names) == theirs(parse(text.decode()), *names)


_SPACE = st.sampled_from(["", " ", "\t", "  "])
_GAP = st.sampled_from([" ", "\t", "   "])


@settings(max_examples=150)
@given(
    spaces=st.lists(_SPACE, min_size=6, max_size=6),
    gaps=st.lists(_GAP, min_size=2, max_size=2),
    value=st.sampled_from(["0", "1", "12.5", "1e3", "1.5E-3", "+Inf", "17.", ".5"]),
    stamp=st.sampled_from(["", "1395066363000"]),
    comma=st.booleans(),
)
def test_blanks_commas_and_time_stamps_are_as_the_format_has_them(
    spaces: list[str], gaps: list[str], value: str, stamp: str, comma: bool
) -> None:
    a, b, c, d, e, f = spaces
    line = f'hits_total{a}{{{b}x{c}={d}"1"{e},y="2"{"," if comma else ""}{f}}}{gaps[0]}{value}'
    text = (line + (gaps[1] + stamp if stamp else "") + "\n").encode()
    assert read(text, "hits_total") == theirs(parse_text(text.decode()), "hits_total")


def test_exemplars_created_series_and_types_are_passed_over() -> None:
    text = (
        b"# HELP hits Some } help # with all\n# TYPE hits counter\n"
        b'hits_total{path="/a b#c}"} 17.0 1520879607.789 # {trace_id="KOO5} S4vxi0o"} 0.67 1520879607.0\n'
        b'hits_created{path="/a b#c}"} 1.5e9\nhits_total_more 4\nhits_total 3 # {a="b"} 1\r\n# EOF\n'
    )
    found = {("hits_total", (("path", "/a b#c}"),), 17.0), ("hits_total", (), 3.0)}
    assert read(text, "hits_total") == found


def test_values_that_are_no_numbers_are_handed_on() -> None:
    found = read(b'a NaN\na{x="1"} +Inf\na{x="2"} -Inf\na{x="3"} inf', "a")
    assert sorted(str(value) for _, _, value in found) == ["-inf", "inf", "inf", "nan"]


@pytest.mark.parametrize(
    "line",
    [
        b'a{x="1} 3', b'a{x="1"', b"a{x=1} 3", b"a ", b"a one", b'a{x="1"}', b"a 1_000", b"a 0x10", b"a 1 2 3",
        b'a{x="1" y="2"} 3', b'a{="1"} 3', b"a{,} 3", b"a \xff", b"a 1 \x00", b"a " + b"9" * 70_000,
        b'a{x="' + b"\\" * 99,
    ],
)  # fmt: skip
def test_a_line_that_was_asked_for_and_cannot_be_read_is_told(line: bytes) -> None:
    with pytest.raises(Malformed):
        read(b"a 1\n" + line + b"\nb 2\n", "a")


@settings(max_examples=200)
@given(st.text('a{}="\\,# 1.e+\t\n', max_size=60))
def test_garbage_never_raises_anything_else(text: str) -> None:
    try:
        found = read(text.encode(), "a", "aa")
    except Malformed:
        return
    assert all(name in ("a", "aa") and not math.isnan(value) for name, _, value in found)


def test_lines_of_others_may_be_garbage() -> None:
    text = b"<html>\n" + bytes(range(1, 256)) * 10 + b'\nwanted{x="1"} 2\nunwanted{{{{\nwanted_too{'
    assert read(text, "wanted") == {("wanted", (("x", "1"),), 2.0)}


def test_lines_across_the_borders_of_windows_are_found() -> None:
    size = _promtext._WINDOW
    for shift in range(-12, 4):
        text = b"#" * (size + shift) + b"\nwanted 1\n" + b"x 1\n" * 3 + b'wanted{a="1"} 2'
        assert len(read(text, "wanted")) == 2, shift


async def test_a_huge_answer_is_read_in_slices() -> None:
    line = b'http_requests_total{method="GET",path="/api/v1/thing/%d",status="%d"} %d\n'
    text = b"# TYPE http_requests counter\n" + b"".join(line % (n, 200 + n % 300, n) for n in range(100_000))
    turns = 0

    async def beat() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    beating = asyncio.create_task(beat())
    names = ["http_requests_total", "something_else"]
    parts = [len(part) async for part in _promtext.samples(bytearray(text), names)]
    beating.cancel()
    assert sum(parts) == 100_000
    print(f"{len(parts)} slices of at most {max(parts)} lines, {turns} turns")
    assert max(parts) < 10_000
    assert turns > len(parts) > 30


# --- selectors ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "fits", "not_"),
    [
        ("a", {}, None),
        ('a{s=~"5.."}', {"s": "503"}, {"s": "5033"}),
        ('a{s=~"5"}', {"s": "5"}, {"s": "503"}),
        ('a{s!~"2..|3.."}', {"s": "404"}, {"s": "302"}),
        ('a{s="x\\"y\\\\z\\n"}', {"s": 'x"y\\z\n'}, {"s": "x"}),
        ("a{s='x\"y'}", {"s": 'x"y'}, {"s": "xy"}),
        ("a{s=~`\\d+`}", {"s": "12"}, {"s": "d"}),
        ('a{s!="x"}', {}, {"s": "x"}),
        ('a{s=""}', {}, {"s": "x"}),
        ('a{s=~".*"}', {}, None),
        ('a{s=~".+"}', {"s": "x"}, {}),
        (' a { s = "x" , t != "y", } ', {"s": "x"}, {"s": "x", "t": "y"}),
    ],
)
def test_matchers_mean_what_they_mean_in_promql(text: str, fits: dict[str, str], not_: dict[str, str] | None) -> None:
    assert selector(text).name == "a"
    assert selector(text).accepts(fits)
    assert not_ is None or not selector(text).accepts(not_)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("sum(a)", "belongs to promql"),
        ("", "name"),
        ("a{s=x}", 'label="value"'),
        ('a{s=~"("}', "RE2"),
        ('a{s=~"(?=x)"}', "RE2"),
        ('a{s=~"\\d"}', "\\\\d"),
        ('a{s="x"', "name"),
        ('{s="x"}', "name"),
    ],
)
def test_a_selector_that_cannot_be_read_says_what_to_write(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        selector(text)
