"""Alertmanager: what it is sent, when it is told again, and what a real one makes of it."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import respx
from aiohttp import web

from monitor.sinks import _http
from monitor.sinks.alertmanager import Alertmanager
from monitor.sinks.contract import SendFailed
from probes.contract import BadField, Secret
from tests.servers.alertmanager import alertmanager, alerts
from tests.sinks.lives import (
    ACKNOWLEDGED,
    ALL,
    CANNOT_TELL,
    INCIDENT,
    OPENED,
    REMINDER,
    RESOLVED,
    TEST,
    WORSE,
    delivered,
    hostile,
)
from tests.sinks.made import NOW, context
from tests.sinks.official import hold
from tests.sinks.telling import Pager

SINK = Alertmanager(("http://one:9093/",), labels={"team": "web", "a-b": "x", "0": "y"})


@dataclass
class Fake(Pager):
    """An Alertmanager that keeps alerts by their labels."""

    sink = SINK
    alerts: dict[str, dict[str, Any]] = field(default_factory=dict)
    posts: list[list[dict[str, Any]]] = field(default_factory=list)

    def take(self, request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/api/v2/alerts"
        assert request.headers["content-type"] == "application/json"
        sent = json.loads(request.content)
        hold("alertmanager", "definitions/postableAlerts", sent)
        self.posts.append(sent)
        for alert in sent:
            assert alert["labels"]
            for name, value in alert["labels"].items():
                assert re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", name)
                assert value
            assert alert["endsAt"] >= alert["startsAt"] or alert["startsAt"] > "2026-02", (
                "`lives` are later than `NOW`"
            )
            self.alerts[json.dumps(alert["labels"], sort_keys=True)] = alert
        return httpx.Response(200)

    def firing(self, now: datetime = NOW) -> list[str]:
        return sorted(
            alert["labels"]["severity"]
            for alert in self.alerts.values()
            if datetime.fromisoformat(alert["endsAt"]) > now
        )


@pytest.fixture
def fake() -> Fake:
    return Fake()


async def repeated(fake: Fake, after: timedelta, sink: Alertmanager = SINK) -> dict[str, Any]:
    kept = {INCIDENT: fake.memory}
    with respx.mock:
        respx.route().mock(side_effect=fake.take)
        async with httpx.AsyncClient(verify=False) as client:
            await sink.repeat(kept, context(client, now=NOW + after))
    return fake.memory


async def test_an_incidents_life(fake: Fake) -> None:
    await fake.tell(OPENED)
    assert fake.firing() == ["warning"]
    await fake.tell(WORSE)
    assert fake.firing() == ["critical"]
    assert len(fake.posts[-1]) == 2, "the one begins and the other ends in the same request"
    await fake.tell(ACKNOWLEDGED, REMINDER, CANNOT_TELL | {"incident": WORSE["incident"]})
    assert fake.firing() == ["critical"]
    assert len(fake.alerts) == 2, "labels stay what they were"
    await fake.tell(RESOLVED)
    assert fake.firing() == []
    [ended] = fake.posts[-1]
    assert ended["annotations"]["summary"] == RESOLVED["sentence"]


async def test_labels_identify_and_annotations_explain(fake: Fake) -> None:
    told = OPENED | {"service": OPENED["service"] | {"labels": {"tier.one": "gold", "severity": "page"}}}
    await fake.tell(told)
    [[alert]] = fake.posts
    assert alert["labels"] == {
        "alertname": "BrownoutDegradation", "severity": "warning", "incident": INCIDENT, "service": "shop",
        "owner": "web", "vantage": "fra1", "team": "web", "a_b": "x", "_0": "y", "tier_one": "gold",
    }  # fmt: skip
    assert alert["annotations"]["summary"] == OPENED["sentence"]
    assert "p95(response_time, 5m) > 800ms" in alert["annotations"]["description"]
    assert alert["annotations"]["runbook_url"] == "https://wiki.example.com/shop"
    assert alert["generatorURL"] == "https://status.ops.example.com"


async def test_what_is_open_is_told_again_before_it_lapses(fake: Fake) -> None:
    await fake.tell(WORSE)
    for minute in range(1, 10):
        assert fake.firing(NOW + timedelta(minutes=minute)) == ["critical"]
        await repeated(fake, timedelta(minutes=minute))
    assert len(fake.alerts) == 1


async def test_an_end_is_told_for_five_minutes_more(fake: Fake) -> None:
    await fake.tell(WORSE, RESOLVED)
    ends = [alert["endsAt"] for alert in fake.alerts.values()]
    assert await repeated(fake, timedelta(minutes=4))
    assert [alert["endsAt"] for alert in fake.alerts.values()] == ends
    posts = len(fake.posts)
    assert await repeated(fake, timedelta(minutes=6)) == {}
    assert len(fake.posts) == posts


async def test_what_was_not_accepted_is_not_remembered(fake: Fake) -> None:
    fake.answers = [httpx.Response(503)]
    with pytest.raises(SendFailed):
        await fake.tell(OPENED)
    assert fake.memory == {}


async def test_one_of_a_cluster_is_enough(fake: Fake) -> None:
    cluster = Alertmanager(("http://one:9093", "http://two:9093"))
    fake.answers = [httpx.ConnectError("gone"), httpx.Response(200)]
    await fake.send(cluster, OPENED)
    assert fake.firing() == ["warning"]
    fake.answers = [httpx.Response(400), httpx.Response(503)]
    with pytest.raises(SendFailed) as raised:
        await fake.send(cluster, WORSE)
    assert not raised.value.permanent


async def test_a_test_lapses_by_itself(fake: Fake) -> None:
    await fake.tell(TEST, RESOLVED | {"test": True})
    [[alert]] = fake.posts
    assert alert["labels"]["test"] == "true"
    assert fake.memory == {}
    assert fake.firing(NOW + timedelta(minutes=6)) == []


@pytest.mark.parametrize("name", ALL)
async def test_hostile_text(fake: Fake, name: str) -> None:
    await fake.tell(hostile(ALL[name]))
    for alert in fake.alerts.values():
        assert all(value.isprintable() for value in alert["labels"].values())
        assert len(json.dumps(alert)) < 20_000


@pytest.mark.parametrize(
    ("answer", "permanent", "shown"),
    [
        (httpx.Response(400, json="bad label"), True, "bad label"),
        (httpx.Response(401, json="T0KEN is wrong"), True, "Unauthorized"),
        (httpx.Response(429), False, "Too Many"),
        (httpx.Response(502, text="<html>"), False, "Bad Gateway"),
    ],
)
async def test_refusals(fake: Fake, answer: httpx.Response, permanent: bool, shown: str) -> None:
    fake.answers = [answer]
    sink = Alertmanager(("http://one:9093",), headers={"authorization": Secret("T0KEN")})
    with pytest.raises(SendFailed) as raised:
        await fake.send(sink, OPENED)
    assert raised.value.permanent is permanent
    assert shown in str(raised.value)
    assert "T0KEN" not in str(raised.value) + repr(sink)


@pytest.mark.parametrize(
    ("field_", "facts"),
    [
        ("url", {"url": ("one:9093",)}),
        ("url", {"url": ()}),
        ("hold", {"hold": timedelta(minutes=2)}),
        ("headers", {"headers": {"content-type": Secret("x")}}),
    ],
)
def test_what_cannot_be_used_is_refused(field_: str, facts: dict[str, Any]) -> None:
    with pytest.raises(BadField) as raised:
        Alertmanager(**({"url": ("http://one:9093",)} | facts))
    assert raised.value.field == field_


# --- a real one -----------------------------------------------------------------------------------------------


async def test_a_real_one_groups_escalates_and_resolves(tmp_path: Path) -> None:
    told: list[dict[str, Any]] = []

    async def hook(request: web.Request) -> web.Response:
        told.append(await request.json())
        return web.Response()

    app = web.Application()
    app.router.add_post("/hook", hook)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    memory: dict[str, Any] = {}
    try:
        with alertmanager(tmp_path, f"http://{host}:{port}/hook") as url:
            sink = Alertmanager((url,))
            async with _http.new_client() as client:

                async def tell(body: dict[str, Any]) -> None:
                    now = datetime.now(UTC)
                    made = body | {"at": now.isoformat(), "since": now.isoformat()}
                    await sink.send(delivered(made), context(client, now=now, memory=memory))

                await tell(OPENED)
                await _until(lambda: _states(told) == [{"warning": "firing"}])
                await tell(WORSE)
                await _until(lambda: {"warning": "resolved", "critical": "firing"} in _states(told))
                assert [alert["labels"]["severity"] for alert in await asyncio.to_thread(alerts, url)] == ["critical"]
                await sink.repeat({"i": memory}, context(client, now=datetime.now(UTC)))
                await tell(RESOLVED)
                await _until(lambda: _states(told)[-1].get("critical") == "resolved")
                assert {message["groupLabels"]["incident"] for message in told} == {INCIDENT}
                assert await asyncio.to_thread(alerts, url) == []
    finally:
        await runner.cleanup()


def _states(told: list[dict[str, Any]]) -> list[dict[str, str]]:
    return [{alert["labels"]["severity"]: alert["status"] for alert in message["alerts"]} for message in told]


async def _until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not reached():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
