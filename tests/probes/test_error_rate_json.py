"""error_rate at figures in JSON: counters, intervals, rates, and answers that tell nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from probes.contract import BadField, Context, Reason, Secret
from probes.error_rate import ErrorRate
from probes.error_rate._meter import Meter
from probes.error_rate.source import Tally
from tests.probes.conftest import Serve, Server
from tests.probes.judged import look

MakeContext = Callable[..., Context]


def _answer(document: object) -> list[bytes]:
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    return [b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(text), text]


def stats(total: object, bad: object, **more: object) -> list[bytes]:
    return _answer({"requests": {"total": total, "5xx": bad}, **more})


def probe(server: Server, **fields: Any) -> ErrorRate:
    given: dict[str, Any] = {"total": "$.requests.total", "bad": '$.requests["5xx"]'}
    return ErrorRate(json=server.url("/stats"), **(given | fields))


async def test_counters_are_compared_with_the_look_before(serve: Serve, context: Context) -> None:
    server = await serve(
        stats(1000, 100),
        stats("1040", 110, latency={"p95": 0.25, "p50": None}),
        stats(30, 3, latency={"p95": 0.1, "p50": 0.01}),
    )
    check = probe(server, percentiles={"p95": "$.latency.p95", "p50": "$.latency.p50"})
    first = await look(probe(server), context)
    assert first.measurements.keys() == {"read_time"}
    second = (await look(check, context)).measurements
    assert (second["requests"], second["bad_requests"], second["error_rate"]) == (40, 10, 0.25)
    assert second["latency_p95"] == 0.25
    assert "latency_p50" not in second
    third = (await look(check, context)).measurements  # it has begun again
    assert (third["requests"], third["bad_requests"], third["latency_p50"]) == (30, 3, 0.01)


async def test_figures_of_an_interval_are_taken_for_the_time_since_the_last_look(
    serve: Serve, context: Context
) -> None:
    server = await serve(stats(6000, 600))
    check = probe(server, counts="interval", interval=timedelta(minutes=1))
    assert "requests" not in (await look(check, context)).measurements
    seen = (await look(check, context)).measurements
    assert seen["request_rate"] == pytest.approx(100)
    assert seen["error_rate"] == pytest.approx(0.1)
    assert 0 < seen["requests"] < 1000


def test_what_nobody_looked_at_is_not_made_up() -> None:
    memory: dict[str, float | str] = {}
    by_minute = Meter(probe(Server(1), counts="interval", interval=timedelta(minutes=1)), "json", "total")
    assert by_minute.take(memory, (1e9, 0.0), 600, 60, {}) is None
    assert by_minute.take(memory, (1e9 + 15, 15.0), 600, 60, {}) == Tally(150, 15, 15)
    assert by_minute.take(memory, (1e9 + 815, 815.0), 600, 60, {}) == Tally(600, 60, 60)
    rate = Meter(probe(Server(1), counts="rate"), "json", "total")
    rate.take(memory, (1e9, 0.0), 10, 1, {})
    assert rate.take(memory, (1e9 + 850, 850.0), 10, 1, {}) == Tally(3000, 300, 300)


def test_an_answer_that_was_overtaken_tells_nothing() -> None:
    memory: dict[str, float | str] = {}
    meter = Meter(probe(Server(1)), "json", "total")
    meter.take(memory, (1e9, 0.0), 100, 10, {})
    assert meter.take(memory, (1e9 + 2, 2.0), 120, 12, {}) == Tally(20, 2, 2)
    assert meter.take(memory, (1e9 + 1, 1.0), 110, 11, {}) is None
    assert meter.take(memory, (1e9 + 4, 4.0), 121, 12, {}) == Tally(1, 0, 2)


async def test_rates_are_rates(serve: Serve, context: Context) -> None:
    server = await serve(stats(50, 5))
    check = probe(server, counts="rate")
    await look(check, context)
    seen = (await look(check, context)).measurements
    assert seen["request_rate"] == pytest.approx(50)
    assert seen["bad_requests"] == pytest.approx(seen["requests"] / 10)


async def test_other_paths_are_not_compared_with(serve: Serve, context: Context) -> None:
    server = await serve(_answer({"requests": {"total": 10, "5xx": 1}, "other": 90_000}))
    await look(probe(server), context)
    assert "requests" not in (await look(probe(server, total="$.other"), context)).measurements


@pytest.mark.parametrize(
    ("answer", "reason", "told"),
    [
        (_answer(b"<html>"), Reason.BODY, "is not JSON"),
        (_answer(b"[" * 100_000), Reason.TOO_LARGE, "deeper than 500"),
        (_answer({"requests": {"total": 3}}), Reason.QUERY, 'bad: $.requests["5xx"] leads to no number'),
        (stats("many", 0), Reason.QUERY, "total: $.requests.total leads to no number"),
        (stats(float("nan"), 0), Reason.QUERY, "total"),
        (stats(-1, 0), Reason.QUERY, "total"),
        (stats(10**400, 0), Reason.QUERY, "total"),
        (stats(True, 0), Reason.QUERY, "total"),
        (_answer(b'"' + b"x" * 2_100_000 + b'"'), Reason.TOO_LARGE, "2000000"),
        ([b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"], Reason.STATUS, "503"),
    ],
)
async def test_an_answer_that_tells_nothing_says_why(
    serve: Serve, context: Context, answer: list[bytes], reason: Reason, told: str
) -> None:
    seen = await look(probe(await serve(answer)), context)
    assert seen.reason is reason
    assert told in seen.detail


async def test_the_applications_own_endpoint_speaks_for_the_application(
    serve: Serve, make_context: MakeContext, closed_port: int
) -> None:
    assert (await look(probe(Server(closed_port)), make_context())).reason is Reason.REFUSED
    silent = await serve([], end="hang")
    assert (await look(probe(silent), make_context(0.3))).reason is Reason.FIRST_BYTE_TIMEOUT


@pytest.mark.parametrize(
    ("fields", "field", "told"),
    [
        ({"total": "requests.total"}, "total", "begin with $"),
        ({"bad": "$.a > 3"}, "bad", "path alone"),
        ({"counts": "interval"}, "interval", "is missing"),
        ({"interval": timedelta(minutes=1)}, "interval", "counts: interval"),
        ({"percentiles": {"p90": "$.a"}}, "percentiles", "p50, p95, p99"),
        ({"latency": "x"}, "latency", "means nothing with json"),
        ({"dsn": Secret("x")}, "dsn", "means nothing with json"),
    ],
)
def test_keys_that_cannot_be_used_say_what_to_write(fields: dict[str, Any], field: str, told: str) -> None:
    with pytest.raises(BadField) as error:
        probe(Server(1), **fields)
    assert any(bad.field == field and told in str(bad) for bad in error.value.all), error.value.all
