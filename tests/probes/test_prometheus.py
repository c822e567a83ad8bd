"""The probe prometheus: any figure of a real server, several series, and the whole way through the judge."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from monitor.config.conditions import parse_condition
from monitor.config.load import ConfigError, load
from monitor.core.condition import Level
from monitor.core.model import Look
from monitor.kinds import installed_kinds
from probes.contract import BadField, Context, Observation, Reason, Secret, Unit
from probes.prometheus import Prometheus
from tests.core.builders import Watch, moment
from tests.probes.conftest import Serve
from tests.probes.judged import look
from tests.servers import prometheus as servers
from tests.servers import wait_until

MakeContext = Callable[..., Context]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Application]:
    with servers.application(tmp_path_factory.mktemp("app")) as running:
        yield running


@pytest.fixture(scope="module")
def server(app: servers.Application, tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Prometheus]:
    with servers.prometheus_server(tmp_path_factory.mktemp("prometheus"), app.port, 1) as running:
        wait_until(lambda: len(running.ask("up")) == 2, "both targets are scraped")
        yield running


async def test_a_figure_with_its_unit(server: servers.Prometheus, context: Context) -> None:
    check = Prometheus(server.url, "vector(0.25) + 0", Unit.RATIO)
    assert {each.name: each.unit for each in check.measured}["value"] is Unit.RATIO
    seen = await look(check, context)
    assert seen.ok, seen
    assert (seen.measurements["value"], seen.measurements["series"]) == (0.25, 1)
    assert 0 < seen.measurements["query_time"] < 5
    scalar = await look(Prometheus(server.url, "scalar(vector(3))"), context)
    assert scalar.measurements["value"] == 3


async def test_of_several_series_one_is_picked_and_named(
    app: servers.Application, server: servers.Prometheus, context: Context
) -> None:
    async def value(**fields: Any) -> tuple[float | None, Observation]:
        seen = await look(Prometheus(server.url, "up", **fields), context)
        return seen.measurements.get("value"), seen

    highest, seen = await value(pick="max")
    assert highest == 1
    assert seen.evidence["series"] == f'up{{instance="127.0.0.1:{app.port}", job="shop"}}'
    lowest, seen = await value(pick="min")
    assert lowest == 0
    assert seen.evidence["series"] == 'up{instance="127.0.0.1:1", job="shop"}'
    assert seen.evidence["others"].endswith(" 1")
    assert (await value(pick="sum"))[0] == 1
    none, seen = await value()
    assert none is None
    assert seen.reason is Reason.QUERY
    assert "returns 2 series, say which with pick: up{" in seen.detail


async def test_an_empty_result_is_unknown_or_zero(server: servers.Prometheus, context: Context) -> None:
    unknown = await look(Prometheus(server.url, "up == 7"), context)
    assert unknown.reason is Reason.QUERY
    assert "empty: zero" in unknown.detail
    zero = await look(Prometheus(server.url, "count(up == 7)", empty="zero"), context)
    assert (zero.measurements["value"], zero.measurements["series"]) == (0, 0)


async def test_values_that_are_no_numbers_cannot_tell(server: servers.Prometheus, context: Context) -> None:
    for query in ("vector(NaN)", "vector(1) / 0", "-1 * vector(Inf)"):
        seen = await look(Prometheus(server.url, query), context)
        assert seen.reason is Reason.QUERY, query
        assert "no number" in seen.detail
    # Of several the others still count, but not for a sum.
    mixed = 'label_replace(vector(NaN), "a", "1", "", "") or label_replace(vector(5), "a", "2", "", "")'
    assert (await look(Prometheus(server.url, mixed, pick="max"), context)).measurements["value"] == 5
    assert (await look(Prometheus(server.url, mixed, pick="sum"), context)).reason is Reason.QUERY


async def test_a_wrong_query_is_told_with_the_servers_words(server: servers.Prometheus, context: Context) -> None:
    seen = await look(Prometheus(server.url, "sum(up"), context)
    assert seen.reason is Reason.QUERY
    assert "bad_data" in seen.detail
    assert "parse error" in seen.detail


async def test_a_server_that_is_gone_or_hangs_cannot_tell(
    serve: Serve, make_context: MakeContext, closed_port: int
) -> None:
    gone = await look(Prometheus(f"http://127.0.0.1:{closed_port}", "up"), make_context())
    assert gone.reason is Reason.SOURCE
    assert gone.detail.startswith(f"http://127.0.0.1:{closed_port}: refused")
    silent = await serve([], end="hang")
    assert (await look(Prometheus(silent.url(), "up"), make_context(0.3))).reason is Reason.SOURCE


async def test_secrets_and_hostile_labels_never_come_back(serve: Serve, context: Context) -> None:
    metric = {"__name__": "up", "a": "tell-no-one", "b\n": "\x1b[2J" + "x" * 5000}
    result = [{"metric": metric, "value": [time.time(), "1"]}]
    text = json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}}).encode()
    server = await serve([b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(text), text])
    check = Prometheus(
        f"http://u:tell-no-one@127.0.0.1:{server.port}", "up", headers={"X-Scope-OrgID": Secret("team-secret")}
    )
    seen = await look(check, context)
    assert b"X-Scope-OrgID: team-secret" in server.requests[0]
    assert b"Authorization: Basic" in server.requests[0]
    assert "tell-no-one" not in f"{seen} {check!r} {check.target}"
    assert all(len(each) <= 300 and each.isprintable() for each in seen.evidence.values())


async def test_a_number_beyond_all_numbers_is_no_answer(serve: Serve, context: Context) -> None:
    value = b"[%d, 1%s]" % (time.time(), b"0" * 400)
    text = b'{"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}, "value": %s}]}}' % value
    server = await serve([b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(text), text])
    assert (await look(Prometheus(url=server.url(), query="up"), context)).reason is Reason.SOURCE


def test_keys_that_cannot_be_used_say_what_to_write() -> None:
    with pytest.raises(BadField, match="http://") as error:
        Prometheus("prometheus:9090", "up")
    assert error.value.field == "url"
    with pytest.raises(BadField, match="PromQL"):
        Prometheus("http://prometheus:9090", "")


def test_conditions_are_read_with_the_unit_of_the_check(tmp_path: Path) -> None:
    path = tmp_path / "checks.yaml"
    text = (
        "checks: [{{name: a, probe: prometheus, url: 'http://p:9090', query: up, unit: {}, degraded: value > {}}}]\n"
    )
    for unit, limit in (
        ("ratio", "5%"),
        ("seconds", "800ms"),
        ("bytes", "20MiB"),
        ("per_second", "3/s"),
        ("count", "3"),
    ):
        path.write_text(text.format(unit, limit))
        assert load(path, kinds=installed_kinds(), env={}).checks["a"].conditions[0].unit == unit
    path.write_text(text.format("seconds", "5%"))
    with pytest.raises(ConfigError) as error:
        load(path, kinds=installed_kinds(), env={})
    assert '"5%"' in str(error.value.faults)


async def test_errors_turn_a_check_degraded_then_down_then_up(
    app: servers.Application, server: servers.Prometheus, context: Context
) -> None:
    bad, every = 'rate(http_requests_total{status=~"5.."}[2s])', "rate(http_requests_total[2s])"
    check = Prometheus(server.url, f"(sum({bad}) or vector(0)) / sum({every})", Unit.RATIO)
    conditions = [
        parse_condition(text, level, check.measured)
        for level, text in ((Level.DEGRADED, "value > 1%"), (Level.DOWN, "value > 25%"))
    ]
    watch = Watch(*conditions)
    told: list[str] = []
    at = 0.0

    async def until(state: str, errors: int, patience: int = 150) -> None:
        """A look each half minute of the judge's time; the application's and the server's go by as they do."""
        nonlocal at
        for _ in range(patience):
            await asyncio.to_thread(app.work, 100 - errors, 200, 0.0)
            if errors:
                await asyncio.to_thread(app.work, errors, 500, 0.0)
            seen = await look(check, context)
            at += 30
            taken = Look("home", seen, moment(at), moment(at + 1), limit=10.0, scheduled=True)
            if (transition := watch.judge.observe(taken).transition) is not None:
                told.append(transition.new)
            if watch.state == state:
                return
            await asyncio.sleep(0.1)
        raise AssertionError(f"{state} was not told, but {watch.state}: {seen}")

    await until("up", 0)
    await until("degraded", 8)
    await until("down", 60)
    await until("up", 0)
    assert told[:3] == ["up", "degraded", "down"]
    assert told[3:] in (["up"], ["degraded", "up"])
