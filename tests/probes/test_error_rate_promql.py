"""error_rate by queries to a real Prometheus server, and to servers that lie, lack, or are gone."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from probes.contract import BadField, Blame, Context, Observation, Reason
from probes.error_rate import ErrorRate
from probes.error_rate._quantiles import quantile
from tests.probes.conftest import Serve, Server
from tests.probes.judged import look
from tests.servers import wait_until
from tests.servers.prometheus import Application, Prometheus, application, prometheus_server

MakeContext = Callable[..., Context]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    with application(tmp_path_factory.mktemp("app")) as running:
        yield running


@pytest.fixture(scope="module")
def server(app: Application, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    with prometheus_server(tmp_path_factory.mktemp("prometheus"), app.port) as running:
        yield running


def probe(url: str, path: str = "/", **fields: Any) -> ErrorRate:
    given: dict[str, Any] = {
        "total": f'sum(rate(http_requests_total{{path="{path}"}}[2s]))',
        "bad": f'sum(rate(http_requests_total{{path="{path}", status=~"5.."}}[2s]))',
    }
    return ErrorRate(promql=url, **(given | fields))


async def test_requests_errors_and_percentiles(app: Application, server: Prometheus, context: Context) -> None:
    check = probe(
        server.url,
        percentiles={
            "p95": 'histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket{path="/"}[2s])))',
            "p50": "vector(NaN)",
        },
    )
    seen = Observation()
    for _ in range(100):
        await asyncio.to_thread(app.work, 30, 200)
        await asyncio.to_thread(app.work, 10, 500)
        seen = await look(check, context)
        if 0.2 < seen.measurements.get("error_rate", 0.0) < 0.3:
            break
        await asyncio.sleep(0.1)
    assert seen.measurements["error_rate"] == pytest.approx(0.25, abs=0.05)
    assert seen.measurements["request_rate"] > 10
    assert 0.0 < seen.measurements["latency_p95"] <= 0.05
    assert "latency_p50" not in seen.measurements


async def test_no_bad_series_is_no_error_and_no_series_at_all_cannot_tell(
    app: Application, server: Prometheus, context: Context
) -> None:
    app.work(1, path="/good")
    wait_until(lambda: server.ask('rate(http_requests_total{path="/good"}[2s])'), "two scrapes")
    check = probe(server.url, path="/good", total='http_requests_total{path="/good"}')
    await look(check, context)
    seen = await look(check, context)
    assert seen.measurements["bad_requests"] == 0
    assert seen.evidence["bad"] == "no such series yet"
    nothing = await look(probe(server.url, path="/nowhere"), context)
    assert (nothing.reason, nothing.detail) == (Reason.QUERY, "total: the query returns no series")


@pytest.mark.parametrize(
    ("total", "told"),
    [
        ("sum(rate(x[2s])", "total: bad_data: "),
        ("up / 0 * 0", "not a number of requests"),
        ("vector(-1)", "not a number of requests"),
        ("up[5m]", "is a matrix"),
        ('"text"', "is a string"),
    ],
)
async def test_a_query_that_is_wrong_cannot_tell(server: Prometheus, context: Context, total: str, told: str) -> None:
    wait_until(lambda: server.ask("up"), "a scrape")
    seen = await look(probe(server.url, total=total), context)
    assert seen.reason is Reason.QUERY
    assert told in seen.detail


def test_percentiles_are_those_of_the_server(app: Application, server: Prometheus) -> None:
    for count, seconds in ((50, 0.003), (30, 0.04), (15, 0.3), (4, 2.0), (1, 60.0)):
        app.work(count, 200, seconds, path="/quantiles")
    bucket = 'http_request_duration_seconds_bucket{path="/quantiles"}'
    wait_until(lambda: server.ask('http_request_duration_seconds_count{path="/quantiles"} == 100'), "a scrape")
    buckets = {float(each["metric"]["le"]): float(each["value"][1]) for each in server.ask(bucket)}
    for percent in (1, 25, 50, 75, 80, 90, 95, 97, 99):
        theirs = server.ask(f"histogram_quantile({percent / 100}, sum by (le) ({bucket}))")
        assert quantile(percent / 100, buckets) == pytest.approx(float(theirs[0]["value"][1])), percent


# --- servers that lie, lack or are gone -----------------------------------------------------------------------------


def _answer(document: object, status: str = "200 OK") -> list[bytes]:
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    return [f"HTTP/1.1 {status}\r\nContent-Length: {len(text)}\r\n\r\n".encode(), text]


def _vector(*values: str, age: float = 0.0, **more: object) -> list[bytes]:
    result = [{"metric": {"pod": str(n)}, "value": [time.time() - age, value]} for n, value in enumerate(values)]
    return _answer({"status": "success", "data": {"resultType": "vector", "result": result}, **more})


def _error(kind: str, status: str) -> list[bytes]:
    return _answer({"status": "error", "errorType": kind, "error": "something about the query"}, status)


@pytest.mark.parametrize(
    ("answer", "reason", "told"),
    [
        (_error("bad_data", "400 Bad Request"), Reason.QUERY, "total: bad_data: something about"),
        (_error("execution", "422 Unprocessable Entity"), Reason.QUERY, "execution"),
        (_error("timeout", "503 Service Unavailable"), Reason.SOURCE, "timeout"),
        (_error("internal", "200 OK"), Reason.SOURCE, "internal"),
        (_answer(b"<html>gateway</html>", "503 Service Unavailable"), Reason.SOURCE, "no answer of a Prometheus"),
        (_answer(b"", "404 Not Found"), Reason.SOURCE, "status 404"),
        (_answer(b"", "302 Found"), Reason.SOURCE, "status 302"),
        (_answer(b"", "401 Unauthorized"), Reason.DENIED, "401"),
        (_answer(b"", "429 Too Many Requests"), Reason.BLOCKED, "429"),
        (_answer({"status": "success"}), Reason.SOURCE, "no answer of a Prometheus"),
        (_answer({"status": "success", "data": {"resultType": "vector", "result": [3]}}), Reason.SOURCE, "no answer"),
        (_answer([]), Reason.SOURCE, "no answer of a Prometheus"),
        (_answer(b"[" * 100_000), Reason.SOURCE, "no answer of a Prometheus"),
        (lambda: _vector("x"), Reason.SOURCE, "no answer of a Prometheus"),
        (lambda: _vector("1", age=3600), Reason.SOURCE, "compare the clocks"),
        (lambda: _vector("1", warnings=["partial response: store 3 is gone"]), Reason.SOURCE, "store 3 is gone"),
        (lambda: _vector("NaN", "1"), Reason.QUERY, "not a number of requests"),
        (lambda: _vector(), Reason.QUERY, "no series"),
        (lambda: _vector(*["1"] * 5000), Reason.QUERY, "aggregate, with sum()"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"], Reason.SOURCE, "truncated"),
        ([b"SSH-2.0-x\r\n"], Reason.SOURCE, "protocol"),
        ([], Reason.SOURCE, "empty_reply"),
    ],
)  # fmt: skip
async def test_whatever_is_wrong_with_the_server_is_never_the_targets_trouble(
    serve: Serve, context: Context, answer: list[bytes] | Callable[[], list[bytes]], reason: Reason, told: str
) -> None:
    # Those that tell the time are made now, not when the tests are collected.
    server = await serve(answer() if callable(answer) else answer)
    seen = await look(probe(server.url("")), context)
    assert seen.reason is reason
    assert reason.blame is Blame.CANNOT_TELL
    assert told in seen.detail


async def test_a_server_that_is_gone_or_hangs_cannot_tell(
    serve: Serve, make_context: MakeContext, closed_port: int
) -> None:
    refused = await look(probe(Server(closed_port).url("")), make_context())
    assert (refused.reason, refused.detail.split(": ")[1]) == (Reason.SOURCE, "refused")
    silent = await serve([], end="hang")
    assert (await look(probe(silent.url("")), make_context(0.3))).reason is Reason.SOURCE
    half = await serve(_vector("1")[:1], end="hang")
    assert (await look(probe(half.url("")), make_context(0.3))).reason is Reason.SOURCE


async def test_several_series_are_added_up(serve: Serve, context: Context) -> None:
    server = await serve(_vector("10", "30"), _vector("1", "3"))
    check = probe(server.url("/prometheus/"))
    await look(check, context)
    server.requests.clear()
    seen = (await look(check, context)).measurements
    assert seen["request_rate"] == pytest.approx(40)
    assert seen["error_rate"] == pytest.approx(0.1)
    assert server.requests[0].startswith(b"GET /prometheus/api/v1/query?query=sum%28rate%28http_requests_total")


@pytest.mark.parametrize(
    ("fields", "field", "told"),
    [
        ({"promql": "prometheus:9090"}, "promql", "http://"),
        ({"counts": "total"}, "counts", "rate(...)"),
        ({"total": " "}, "total", "PromQL"),
        ({"bad": "x" * 5000}, "bad", "recording rule"),
        ({"latency": "x"}, "latency", "means nothing with promql"),
    ],
)
def test_keys_that_cannot_be_used_say_what_to_write(fields: dict[str, Any], field: str, told: str) -> None:
    given: dict[str, Any] = {"promql": "http://a:9090", "total": "x", "bad": "y"}
    with pytest.raises(BadField) as error:
        ErrorRate(**(given | fields))
    assert any(bad.field == field and told in str(bad) for bad in error.value.all), error.value.all
