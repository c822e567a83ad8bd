"""Lines of access logs and others as real servers write them, and what hostile clients make of them."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probes.contract import BadField
from probes.error_rate import ErrorRate
from probes.error_rate._latency import ERROR, Latency, bucket, value
from probes.error_rate._paths import shape
from probes.error_rate._seen import Seen, Top
from probes.error_rate.log import Log

HEAD = "192.0.2.7 - frank [22/Nov/2026:02:36:30 +0000] "
COMMON = HEAD + '"GET /a HTTP/1.1" 200 5'
COMBINED = COMMON + ' "https://example.com/" "Mozilla/5.0 (X11)"'


def seen(*lines: str | bytes, **fields: Any) -> Seen:
    """What a check makes of these lines, read at once and then read one by one, which must be the same."""
    source = Log(ErrorRate(log=("/var/log/access.log",), **fields))
    data = [line.encode() if isinstance(line, str) else line for line in lines]
    whole, single = Seen(source.format.read), Seen(source.format.read)
    whole.take(b"".join(line + b"\n" for line in data), 0)
    for line in data:
        single.take(line + b"\n", 0)
    for name in ("total", "bad", "left_out", "unread"):
        assert getattr(whole, name) == getattr(single, name), name
    assert whole.latency.count == single.latency.count
    assert whole.paths.first() == single.paths.first()
    return whole


def time_of(line: str, **fields: Any) -> float | None:
    """The response time in the line, to within 1 %."""
    latency = seen(line, **fields).latency
    return latency.percentile(0.5) if latency.count else None


@pytest.mark.parametrize(
    "line",
    [
        COMMON,
        COMBINED,
        COMBINED + " 0.004 0.003",
        "www.example.com:443 " + COMBINED,
        COMBINED + ' "203.0.113.9"',
        HEAD + r'"GET /\"a\" HTTP/1.1" 200 5 "-" "-"',
        HEAD + r'"GET / HTTP/1.1" 200 5 "-" "\"; 500 \" 500 1"',
        HEAD + '"-" 200 0 "-" "-"',
        HEAD + '"" 200 0 "-" "-"',
        HEAD + r'"\x16\x03\x01" 200 157 "-" "-"',
        HEAD + '"GET / HTTP/1.1" 200 - "-" "-"',
        HEAD + r'"GET /\\" 200 5 "-" "-"',
    ],
)
def test_access_logs_as_servers_write_them(line: str) -> None:
    got = seen(line, line.replace(" 200 ", " 503 "), line.replace(" 200 ", " 404 "))
    assert (got.total, got.bad, got.unread) == (3, 1, 0)


@pytest.mark.parametrize(
    "request_line",
    [r"GET /\" 500 1 \"x HTTP/1.1", r"GET /\" 500 1", r"\\\" 500 5 \"", "\\x22 500 5 \\x22"],
)
def test_a_client_cannot_write_its_own_status(request_line: str) -> None:
    got = seen(HEAD + f'"{request_line}" 200 5 "-" "-"', HEAD + f'"GET /" 200 5 "{request_line}" "{request_line}"')
    assert (got.total, got.bad) == (2, 0)


def test_garbage_is_counted_as_unreadable() -> None:
    got = seen(COMBINED, "", "garbage", b"\xff\x00\xfe", '"' * 999, HEAD + '"GET / HTTP/1.1" abc 5', COMBINED, "\r")
    assert (got.total, got.unread) == (2, 4)


@pytest.mark.parametrize(
    ("line", "seconds", "unit"),
    [
        (COMBINED, None, None),
        (COMMON, None, None),
        (COMBINED + " 0.004 0.003", 0.004, None),
        (COMBINED + ' "-" 1.500 -', 1.5, None),
        (COMBINED + ' rt=0.250 uct="0.001" uht="0.002" urt="0.003"', 0.25, None),
        (COMBINED + ' 0.250 "203.0.113.9"', 0.25, None),
        (COMBINED + " request_time=0.250", 0.25, None),
        (COMMON + " 0.250", 0.25, None),
        (COMBINED + " 250000", None, None),
        (COMBINED + " 250000", 0.25, "us"),
        (COMBINED + " 250", 0.25, "ms"),
        (COMMON + " 3", 3.0, "s"),
        (COMBINED.replace("Mozilla", "rt=9.999"), None, None),
        (HEAD + r'"GET / HTTP/1.1" 200 5 "-" "\" 9.999 \"" 0.250', 0.25, None),
        (COMBINED + " 0.000", 0.0, None),
    ],
)
def test_response_times_in_access_logs(line: str, seconds: float | None, unit: str | None) -> None:
    fields = {} if unit is None else {"latency_unit": unit}
    assert time_of(line, **fields) == (None if seconds is None else pytest.approx(seconds, rel=ERROR))


def test_paths_that_do_not_count() -> None:
    lines = [
        COMBINED.replace("/a", path)
        for path in ("/healthz", "/healthz?x=1", "/healthz2", "/static/a.js", "/cart?to=/healthz", "http://h/healthz")
    ]
    assert seen(*lines, ignore_paths=("/healthz", "/static/*")).total == 2
    assert seen(*lines, only_paths=("/healthz*",)).total == 4
    got = seen(*lines, only_paths=("/static/*", "/healthz2"), ignore_paths=("/static/*",))
    assert (got.total, got.left_out) == (1, 5)


def test_statuses_that_are_bad() -> None:
    lines = [COMBINED.replace(" 200 ", f" {status} ") for status in (200, 404, 429, 499, 500, 503, 504)]
    assert seen(*lines).bad == 3
    assert seen(*lines, bad="5xx, 429").bad == 4
    assert seen(*lines, bad="500-503").bad == 2
    assert seen(*lines, bad="4xx").bad == 3


def test_the_worst_is_named_without_what_may_be_a_token() -> None:
    token = "kQ7vZ2mXw9LrT4bNc8HsJ5dFg3Py6AeU1oWi"
    lines = [HEAD + f'"GET {path} HTTP/1.1" 502 0 "-" "-"' for path in [f"/reset/{token}?next={token}"] * 3 + ["/a"]]
    told = seen(*lines, HEAD + '"GET /a HTTP/1.1" 500 0 "-" "-"').evidence(str)
    assert told == {"worst_path": "/reset/* (3 of 5 bad)", "bad_status": "502 (4 of 5 bad)"}


@pytest.mark.parametrize(
    ("request_line", "shown"),
    [
        ("GET /orders/4711/items HTTP/1.1", "/orders/*/items"),
        ("GET /u/550e8400-e29b-41d4-a716-446655440000 HTTP/1.1", "/u/*"),
        ("POST /api/v1/login HTTP/1.1", "/api/v1/login"),
        ("GET http://a.example/x?y HTTP/1.1", "/x"),
        ("/x;jsessionid=1", "/x"),
        ("/deep" * 60, "/deep" * 23 + "/..."),
        ("OPTIONS * HTTP/1.1", "*"),
    ],
)
def test_shapes_of_paths(request_line: str, shown: str) -> None:
    assert shape(request_line.encode()) == shown.encode()


def test_lines_of_json() -> None:
    entry = {"status": 502, "request": "GET /a?b=c HTTP/1.1", "request_time": 0.25, "http": {"code": "200"}}
    got = seen(json.dumps(entry), '{"status": "200"}', b'{"status": 200, "x": "\xff"}', format="json")
    assert (got.total, got.bad, got.unread) == (3, 1, 0)
    assert got.paths.first() == (b"/a", 1)
    assert got.latency.percentile(0.5) == pytest.approx(0.25, rel=ERROR)


def test_fields_of_json() -> None:
    code, level = (
        {"format": "json", "fields": {"status": "http.code"}},
        {"format": "json", "fields": {"status": "level"}},
    )
    got = seen('{"http": {"code": "200", "ms": 250}}', latency="http.ms", latency_unit="ms", **code)
    assert (got.total, got.bad) == (1, 0)
    assert got.latency.percentile(0.5) == pytest.approx(0.25, rel=ERROR)
    assert seen('{"http.code": 500}', **code).bad == 1
    assert seen('{"level": "ERROR"}', '{"level": "info"}', bad="error, fatal", **level).bad == 1
    assert seen('{"level": 50}', '{"level": 30}', bad="50, 60", **level).bad == 1


@pytest.mark.parametrize(
    "line",
    ["{", "[1]", "7", "{}", '{"status": null}', '{"status": {}}', "[" * 50_000, '{"status": 1' + "0" * 5000 + "}",
     json.dumps({"status": 200, "x": "y" * 40_000})],
)  # fmt: skip
def test_json_that_tells_of_no_request(line: str) -> None:
    got = seen(line, format="json")
    assert (got.total, got.unread) == (0, 1)


@pytest.mark.parametrize("time", ["-1", '"x"', "true", "NaN", "Infinity", "1e999", "null", "[]"])
def test_times_that_are_none(time: str) -> None:
    got = seen(f'{{"status": 200, "request_time": {time}}}', format="json")
    assert (got.total, got.latency.count) == (1, 0)


def test_a_pattern_of_ones_own() -> None:
    fields = {"format": "custom", "pattern": r"(?P<path>/\S*) -> (?P<status>\w+)(?: in (?P<time>\d+) ms)?"}
    got = seen("x /a -> 500 in 250 ms", "x /b -> 200", "none", b"\xff /c -> 200", latency_unit="ms", **fields)
    assert (got.total, got.bad, got.unread) == (3, 1, 1)
    assert got.latency.percentile(0.5) == pytest.approx(0.25, rel=ERROR)
    assert seen("/a -> FAILED", "/b -> OK", bad="failed", **fields).bad == 1


def test_lines_of_any_log() -> None:
    lines = ("INFO a", "ERROR b?token=tell-no-one", "DEBUG c", "")
    got = seen(*lines, format="lines", bad="ERROR|FATAL")
    assert (got.total, got.bad) == (3, 1)
    assert got.evidence(str)["bad_line"] == "ERROR b?…"
    got = seen(*lines, format="lines", bad="ERROR", total="INFO|ERROR")
    assert (got.total, got.bad, got.left_out) == (2, 1, 1)


@pytest.mark.parametrize(
    ("fields", "key", "words"),
    [
        ({"log": ("access.log",)}, "log", "absolute"),
        ({"bad": "5xy"}, "bad", "names no statuses"),
        ({"bad": "503-500"}, "bad", "wrong way round"),
        ({"bad": " , "}, "bad", "names no status"),
        ({"format": "custom"}, "pattern", "is missing"),
        ({"format": "custom", "pattern": "("}, "pattern", "not a regular expression"),
        ({"format": "custom", "pattern": "(?P<code>x)"}, "pattern", "no group named status"),
        ({"format": "custom", "pattern": "(?P<status>x)(?P<user>y)"}, "pattern", "'user'"),
        ({"format": "custom", "pattern": "(?P<status>x)", "only_paths": ("/a",)}, "pattern", "no group named path"),
        ({"format": "lines"}, "bad", "is missing"),
        ({"format": "lines", "bad": "("}, "bad", "not a regular expression"),
        ({"format": "json", "fields": {"time": "t"}}, "fields", "latency"),
        ({"pattern": "x"}, "pattern", "means nothing with format: combined"),
        ({"total": "x"}, "total", "means nothing with format: combined"),
        ({"ignore_paths": ("healthz",)}, "ignore_paths", "not a path"),
        ({"only_paths": ("/a*b",)}, "only_paths", "not a path"),
    ],
)
def test_what_cannot_be_meant_is_told(fields: dict[str, Any], key: str, words: str) -> None:
    with pytest.raises(BadField) as raised:
        ErrorRate(**{"log": ("/var/log/access.log",)} | fields)
    assert raised.value.field == key
    assert words in str(raised.value)


@given(st.lists(st.floats(min_value=1e-5, max_value=1e5), min_size=1, max_size=50), st.floats(0.01, 1.0))
def test_percentiles_are_off_by_no_more_than_they_say(times: list[float], part: float) -> None:
    latency = Latency()
    for seconds in times:
        latency.add(bucket(seconds))

    below = sorted(times)[max(0, int(part * len(times)) - 1)]
    above = sorted(times)[min(len(times) - 1, int(part * len(times)))]
    assert below * (1 - ERROR) * 0.9999 <= latency.percentile(part) <= above * (1 + ERROR) * 1.0001


def test_no_time_is_none() -> None:
    assert value(bucket(0.0)) == 0.0
    with pytest.raises(ValueError, match="no time"):
        Latency().percentile(0.5)


def test_what_is_frequent_stays_among_many() -> None:
    top, chance = Top(), random.Random(1)
    for number in range(20_000):
        top.add(b"%d" % number)
        if chance.random() < 0.1:
            top.add(b"frequent")
    first = top.first()
    assert first is not None
    assert first[0] == b"frequent"
    assert len(top._times) <= 512


@settings(max_examples=200)
@given(st.lists(st.binary(max_size=80).filter(lambda line: b"\n" not in line), max_size=8))
def test_whatever_stands_there_is_read_or_counted(lines: list[bytes]) -> None:
    whole = [COMBINED.encode(), *lines, COMBINED.encode()]
    got = seen(*whole)
    assert 2 <= got.total + got.unread <= len(whole)
    assert got.total >= 2
