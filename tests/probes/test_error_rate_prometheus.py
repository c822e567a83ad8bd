"""error_rate at a real application's metrics (prometheus_client): restarts, workers, labels, what may go wrong."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from probes.contract import BadField, ByteSize, Context, Observation, Reason, Secret
from probes.error_rate import ErrorRate
from tests.probes.conftest import Serve
from tests.probes.judged import look
from tests.servers import end
from tests.servers.prometheus import Application, application

MakeContext = Callable[..., Context]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    with application(tmp_path_factory.mktemp("app")) as running:
        yield running


def probe(url: str, *more: str, path: str = "/", **fields: Any) -> ErrorRate:
    """A check of the requests of one path, so that tests of one application do not meet."""
    given: dict[str, Any] = {
        "total": f'http_requests_total{{path="{path}"}}',
        "bad": f'http_requests_total{{path="{path}", status=~"5.."}}',
    }
    return ErrorRate(prometheus=(url, *more), **(given | fields))


async def work(app: Application, count: int, status: int = 200, seconds: float = 0.05, path: str = "/") -> None:
    await asyncio.to_thread(app.work, count, status, seconds, path)


async def start(stack: ExitStack, folder: Path, **how: Any) -> Application:
    return await asyncio.to_thread(stack.enter_context, application(folder, **how))


async def total(check: ErrorRate, context: Context, enough: float, patience: float = 20.0) -> tuple[float, float]:
    """The sums of requests and bad ones over looks, until there are `enough`."""
    requests = bad = 0.0
    until = monotonic() + patience
    while requests < enough and monotonic() < until:
        seen = await look(check, context)
        assert seen.ok, seen
        requests += seen.measurements.get("requests", 0.0)
        bad += seen.measurements.get("bad_requests", 0.0)
        await asyncio.sleep(0)
    return requests, bad


async def test_requests_errors_rate_and_percentiles(app: Application, context: Context) -> None:
    await work(app, 7, 500)
    check = probe(app.url, latency="http_request_duration_seconds")
    first = await look(check, context)
    assert first.ok, first
    assert first.measurements.keys() == {"read_time"}
    assert "ground" in first.evidence["note"]
    await work(app, 90, 200, 0.03)
    await work(app, 10, 503, 0.9)
    seen = (await look(check, context)).measurements
    assert (seen["requests"], seen["bad_requests"], seen["error_rate"]) == (100, 10, 0.1)
    assert seen["request_rate"] > 0
    assert 0.025 < seen["latency_p50"] <= 0.05
    assert 0.75 < seen["latency_p95"] < seen["latency_p99"] <= 1.0
    quiet = (await look(check, context)).measurements
    assert (quiet["requests"], quiet["bad_requests"], quiet["stopped_for"]) == (0, 0, 0)
    assert "error_rate" not in quiet
    assert "latency_p50" not in quiet


async def test_the_worst_series_is_named(app: Application, context: Context) -> None:
    check = probe(app.url, total="http_requests_total", bad='http_requests_total{status=~"5.."}')
    await work(app, 1, 200)
    await look(check, context)
    await work(app, 3, 502, path='/a "b"')
    await work(app, 2, 500)
    seen = await look(check, context)
    assert seen.evidence["worst"] == 'http_requests_total{method="GET",path="/a \\"b\\"",status="502"}: +3'


async def test_a_new_label_set_counts_from_its_first_value(app: Application, context: Context) -> None:
    await work(app, 5, path="/new")
    check = probe(app.url, path="/new")
    await look(check, context)
    await work(app, 3, 500, path="/new")
    seen = (await look(check, context)).measurements
    assert (seen["requests"], seen["bad_requests"]) == (3, 3)


async def test_a_restart_loses_nothing_and_invents_nothing(tmp_path: Path, context: Context) -> None:
    with application(tmp_path) as before:
        await work(before, 1000, 500)
        check = probe(before.url)
        await look(check, context)
        end(before.process)
        refused = await look(check, context)
        assert refused.reason is Reason.REFUSED
    with ExitStack() as stack:
        after = await start(stack, tmp_path, port=before.port)
        await work(after, 20, 200)
        await work(after, 5, 500)
        seen = await look(check, context)
        assert (seen.measurements["requests"], seen.measurements["bad_requests"]) == (25, 5)
        assert seen.evidence["counters"] == "the process has started since"


async def test_workers_behind_one_port_with_counts_of_their_own(tmp_path: Path, context: Context) -> None:
    with application(tmp_path, workers=3) as app:
        for _ in range(30):
            await work(app, 1000, 500)  # lands on any of them
        check = probe(app.url)
        for _ in range(500):  # until each has answered
            seen = await look(check, context)
            if "3 processes" in seen.evidence.get("processes", ""):
                break
        assert seen.evidence["processes"] == "3 processes have answered"
        for _ in range(30):
            await work(app, 10, 200)
        await work(app, 5, 500)
        assert await total(check, context, 305) == (305, 5)


async def test_workers_that_share_their_counts(tmp_path: Path, context: Context) -> None:
    with application(tmp_path, workers=3, shared=True) as app:
        for _ in range(10):
            await work(app, 100, 500)
        check = probe(app.url)
        await look(check, context)
        for _ in range(10):
            await work(app, 10, 200)
        await work(app, 5, 500)
        seen = (await look(check, context)).measurements
        assert (seen["requests"], seen["bad_requests"]) == (105, 5)
        end(app.process)
    with ExitStack() as stack:
        app = await start(stack, tmp_path, workers=3, shared=True, port=app.port)
        await work(app, 30, 200)
        seen = (await look(check, context)).measurements
        assert (seen["requests"], seen["bad_requests"]) == (30, 0)


async def test_several_instances_are_added_up_and_one_that_is_gone_costs_no_counts(
    tmp_path: Path, context: Context
) -> None:
    with ExitStack() as stack:
        one, two = (stack.enter_context(application(tmp_path)) for _ in range(2))
        await work(one, 1)
        await work(two, 1)
        check = probe(one.url, two.url)
        await look(check, context)
        await work(one, 10, 500)
        await work(two, 30)
        seen = (await look(check, context)).measurements
        assert (seen["requests"], seen["bad_requests"], seen["error_rate"]) == (40, 10, 0.25)
        await work(one, 10)
        end(two.process)
        failed = await look(check, context)
        assert failed.reason is Reason.REFUSED
        assert two.url in failed.detail
        two = await start(stack, tmp_path, port=two.port)
        await work(two, 5)
        assert (await look(check, context)).measurements["requests"] == 15


async def test_counts_go_on_over_a_restart_of_the_agent(app: Application, context: Context) -> None:
    await work(app, 10, path="/agent")
    await look(probe(app.url, path="/agent"), context)
    await work(app, 4, 500, path="/agent")
    await work(app, 4, path="/agent")
    seen = (await look(probe(app.url, path="/agent"), context)).measurements
    assert (seen["requests"], seen["bad_requests"]) == (8, 4)
    # What was noted for other selectors is not compared with.
    other = probe(app.url, total="http_requests_total", bad='http_requests_total{status="500"}')
    assert (await look(other, context)).measurements.keys() == {"read_time"}


async def test_a_process_that_was_young_at_the_last_look_is_not_counted_anew(serve: Serve, context: Context) -> None:
    text = b"process_start_time_seconds %.2f\nhits_total %d\nbad_total %d\n"
    begun = time.time() - 1.0
    server = await serve(_answer(text % (begun, 10, 0)), _answer(text % (begun, 18, 4)))
    for told in ({}, {"requests": 8.0, "bad_requests": 4.0}):
        agent = probe(server.url(), total="hits_total", bad="bad_total")  # each is that of another agent process
        seen = (await look(agent, context)).measurements
        assert {name: seen[name] for name in ("requests", "bad_requests") if name in seen} == told


async def test_extra_looks_take_nothing_from_the_windows(app: Application, context: Context) -> None:
    check = probe(app.url, path="/extra")
    await work(app, 1, path="/extra")
    await look(check, context)
    extra = Context(context.timeout, context.resolver, context.tls, context.memory, scheduled=False)
    await work(app, 3, 500, path="/extra")
    assert (await look(check, extra)).measurements["requests"] == 3
    await work(app, 2, path="/extra")
    seen = (await look(check, context)).measurements
    assert (seen["requests"], seen["bad_requests"]) == (5, 3)


# --- what may go wrong ----------------------------------------------------------------------------------------------


def _answer(text: bytes, status: bytes = b"200 OK") -> list[bytes]:
    return [b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n" % (status, len(text)), text]


async def _look(serve: Serve, context: Context, text: bytes, **fields: Any) -> Observation:
    server = await serve(_answer(text))
    given = {"total": "hits_total", "bad": "bad_total"} | fields
    return await look(probe(server.url("/metrics"), **given), context)


@pytest.mark.parametrize(
    ("text", "reason", "told"),
    [
        (b"<html>Sign in</html>", Reason.BODY, "no text of Prometheus metrics: <html>Sign in"),
        (b"hits_total{a=\"1} 3\n", Reason.BODY, "is not understood: hits_total"),
        (b"# TYPE hit counter\nhit_total 3\n# TYPE hitz_total counter\n", Reason.QUERY, "did you mean hitz_total?"),
        (b"# TYPE hits counter\nhits_total_count 3\n", Reason.QUERY, "did you mean hits_total_count?"),
        (b"other 3\n", Reason.QUERY, "total: the answer has no series hits_total"),
        (b"", Reason.QUERY, "the answer has no series hits_total"),
        (b'hits_total{code="200"} 3\n', Reason.QUERY, "no series of hits_total has a label status; there are code"),
    ],
)  # fmt: skip
async def test_an_answer_that_tells_nothing_says_why(
    serve: Serve, context: Context, text: bytes, reason: Reason, told: str
) -> None:
    seen = await _look(serve, context, text, bad='hits_total{status=~"5.."}')
    assert seen.reason is reason
    assert told in seen.detail


async def test_matchers_that_fit_no_series_are_told(serve: Serve, context: Context) -> None:
    seen = await _look(serve, context, b'hits_total{a="1"} 3\n', total='hits_total{a="2"}', bad='hits_total{a="1"}')
    assert seen.reason is Reason.QUERY
    assert "fits the matchers" in seen.detail


async def test_a_declared_counter_without_series_is_a_service_without_requests_yet(
    serve: Serve, context: Context
) -> None:
    server = await serve(
        _answer(b"# TYPE hits counter\n"), _answer(b"# TYPE hits counter\n"), _answer(b'hits_total{s="500"} 2\n')
    )
    check = probe(server.url(), total="hits_total", bad='hits_total{s="500"}')
    assert (await look(check, context)).ok
    assert (await look(check, context)).measurements["requests"] == 0
    assert (await look(check, context)).measurements["bad_requests"] == 2


async def test_values_that_no_counter_has_are_left_out(serve: Serve, context: Context) -> None:
    text = b'hits_total{s="200"} %b\nhits_total{s="500"} 1\nhits_total{s="501"} NaN\nhits_total{s="502"} +Inf\n'
    server = await serve(_answer(text % b"NaN"), _answer(text % b"5"), _answer(text % b"7"))
    check = probe(server.url(), total="hits_total", bad='hits_total{s="500"}')
    told = [(await look(check, context)).measurements.get("requests") for _ in range(3)]
    assert told == [None, 5, 2]


async def test_the_applications_own_endpoint_speaks_for_the_application(
    serve: Serve, make_context: MakeContext, closed_port: int
) -> None:
    refused = await look(probe(f"http://127.0.0.1:{closed_port}/metrics"), make_context())
    assert refused.reason is Reason.REFUSED
    silent = await serve([], end="hang")
    waited = await look(probe(silent.url()), make_context(0.3))
    assert waited.reason is Reason.FIRST_BYTE_TIMEOUT
    assert waited.measurements["read_time"] >= 0.3
    failing = await serve(_answer(b"oops", b"500 Internal Server Error"))
    assert (await look(probe(failing.url()), make_context())).reason is Reason.STATUS
    closed = await serve(_answer(b"no", b"403 Forbidden"))
    assert (await look(probe(closed.url()), make_context())).reason is Reason.DENIED


async def test_an_endless_answer_is_cut_off(serve: Serve, context: Context) -> None:
    chunk = b"hits_total 1\n" * 5000
    server = await serve([b"HTTP/1.1 200 OK\r\n\r\n", *[chunk] * 100])
    seen = await look(probe(server.url(), max_bytes=ByteSize(1_000_000)), context)
    assert seen.reason is Reason.TOO_LARGE


async def test_an_answer_that_stops_half_way_is_no_answer(serve: Serve, make_context: MakeContext) -> None:
    server = await serve([b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\nhits_total 1\n"], end="hang")
    assert (await look(probe(server.url()), make_context(0.3))).reason is Reason.TRANSFER_TIMEOUT


async def test_secrets_never_come_back(serve: Serve, context: Context) -> None:
    server = await serve(_answer(b'hits_total{a="tell-no-one\n'))
    url = f"http://user:tell-no-one@127.0.0.1:{server.port}/metrics"
    check = probe(url, total="hits_total", bad="bad_total", headers={"X-Key": Secret("also-secret")})
    seen = await look(check, context)
    assert b"also-secret" in server.requests[0]
    assert "tell-no-one" not in f"{seen} {check!r} {check.target}"


@pytest.mark.parametrize(
    ("fields", "field", "told"),
    [
        ({"prometheus": ("example.com/metrics",)}, "prometheus", "https://"),
        ({"prometheus": ()}, "probe", "where to count"),
        ({"json": "http://a/"}, "prometheus", "one place too many"),
        ({"total": "rate(x[1m])"}, "total", "belongs to promql"),
        ({"bad": 'x{s=~"("}'}, "bad", "RE2"),
        ({"bad": None}, "bad", "is missing"),
        ({"percentiles": {"p95": "x"}}, "percentiles", "means nothing with prometheus"),
        ({"headers": {"X": Secret("a\nb")}}, "headers.X", "line break"),
    ],
)
def test_keys_that_cannot_be_used_say_what_to_write(fields: dict[str, Any], field: str, told: str) -> None:
    given: dict[str, Any] = {"prometheus": ("http://a/",), "total": "hits_total", "bad": "bad_total"}
    with pytest.raises(BadField) as error:
        ErrorRate(**(given | fields))
    assert any(bad.field == field and told in str(bad) for bad in error.value.all), error.value.all
