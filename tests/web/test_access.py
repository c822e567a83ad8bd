"""Tokens, scopes, and what else a write must show."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from monitor.tokens import Scope, Token
from monitor.web import Site, application, bind
from monitor.web.access import ADDRESSES, ATTEMPT_EVERY, ATTEMPTS, TOKEN_NAME, Attempts
from monitor.web.server import ACCESS
from tests.web.conftest import Agent, Serve
from tests.web.test_server import assert_problem

ADMIN, READER = "admin-token-0123456789", "reader-token-0123456789"
TOKENS = (Token.of("deploy", ADMIN, [Scope.ADMIN]), Token.of("grafana", READER, [Scope.READ]))


def with_token(text: str, **headers: str) -> dict[str, dict[str, str]]:
    return {"headers": {"Authorization": f"Bearer {text}", **headers}}


@pytest.fixture
async def writable() -> AsyncIterator[Agent]:
    """An agent with a route that writes; the answer names the token."""

    async def write(request: web.Request) -> web.Response:
        return web.Response(text=request[TOKEN_NAME])

    async with aiohttp.ClientSession() as client:
        agent = Agent(client)
        app = application(agent.view(tokens=lambda: TOKENS, public_url="https://status.example.com/"))
        app.router.add_post("/api/v1/write", app[ACCESS].requires(Scope.ADMIN, write))
        site = Site(app, bind("127.0.0.1", 0))
        await site.start()
        agent.base = f"http://127.0.0.1:{site.port}"
        yield agent
        await site.stop()


async def refused(agent: Agent, expected: int, **fields: object) -> tuple[str, dict[str, str]]:
    status, headers, text = await agent.get("/api/v1/write", method="POST", **fields)
    assert_problem(status, headers, text, expected)
    return text, dict(headers)


async def test_the_right_token_with_its_scope_writes(writable: Agent) -> None:
    status, _, text = await writable.get("/api/v1/write", method="POST", **with_token(ADMIN))
    assert (status, text) == (200, "deploy")
    status, _, text = await writable.get("/api/v1/write", method="POST", json={}, **with_token(ADMIN))
    assert (status, text) == (200, "deploy")


async def test_without_a_token_with_a_wrong_one_or_without_its_scope_nobody_writes(writable: Agent) -> None:
    _, headers = await refused(writable, 401)
    assert headers["WWW-Authenticate"] == 'Bearer realm="brownout"'
    text, headers = await refused(writable, 401, **with_token(ADMIN + "x"))
    assert headers["WWW-Authenticate"] == 'Bearer realm="brownout", error="invalid_token"'
    assert ADMIN not in text
    text, headers = await refused(writable, 403, **with_token(READER))
    assert headers["WWW-Authenticate"] == 'Bearer realm="brownout", error="insufficient_scope", scope="admin"'
    assert "grafana lacks the scope admin" in text
    await refused(writable, 401, headers={"Authorization": f"Basic {ADMIN}"})
    await refused(writable, 401, params={"token": ADMIN}, headers={"Cookie": f"token={ADMIN}"})
    await refused(writable, 401, headers={"Authorization": "Bearer \xe4\xf6"})
    _, _, metrics = await writable.get("/metrics")
    assert 'brownout_api_refused_total{reason="missing"} 3.0' in metrics
    assert 'brownout_api_refused_total{reason="unknown"} 2.0' in metrics
    assert 'brownout_api_refused_total{reason="scope"} 1.0' in metrics


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Origin": "https://evil.example.net"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Host": "evil.example.net"}, 421),
        ({"Origin": "https://status.example.com", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Host": "status.example.com", "Origin": "https://status.example.com"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
    ],
)
async def test_a_page_from_elsewhere_writes_nothing_even_with_a_token(
    writable: Agent, headers: dict[str, str], expected: int
) -> None:
    fields = with_token(ADMIN, **headers)
    status, _, _ = await writable.get("/api/v1/write", method="POST", **fields)
    assert status == expected


async def test_on_every_address_a_write_comes_under_a_known_name_or_an_address() -> None:
    async with aiohttp.ClientSession() as client:
        agent = Agent(client)
        app = application(agent.view(tokens=lambda: TOKENS))
        app.router.add_post("/w", app[ACCESS].requires(Scope.ADMIN, lambda _: _answer()))
        site = Site(app, bind("0.0.0.0", 0))
        await site.start()
        agent.base = f"http://127.0.0.1:{site.port}"
        for host, expected in (("evil.example.net", 421), ("192.0.2.9:80", 200), ("localhost", 200)):
            status, _, _ = await agent.get("/w", method="POST", **with_token(ADMIN, Host=host))
            assert status == expected, host
        await site.stop()


async def _answer() -> web.Response:
    return web.Response()


async def test_bodies_are_json_and_bounded(writable: Agent) -> None:
    await refused(writable, 415, data=b"x=1", **with_token(ADMIN))
    await refused(writable, 413, json={"long": "x" * 20_000}, **with_token(ADMIN))


async def test_other_methods_are_told_what_is_taken(writable: Agent) -> None:
    status, headers, text = await writable.get("/api/v1/write", method="DELETE")
    assert_problem(status, headers, text, 405)
    assert headers["Allow"] == "POST"
    assert "takes POST" in text


async def test_guessing_is_told_apart_and_counted_and_shuts_nobody_out(writable: Agent) -> None:
    """Behind a proxy all come from one address."""
    for _ in range(ATTEMPTS):
        await refused(writable, 401, **with_token("x" * 20))
    _, headers = await refused(writable, 429, **with_token("x" * 20))
    assert 1 <= int(headers["Retry-After"]) <= ATTEMPT_EVERY + 1
    status, _, _ = await writable.get("/api/v1/write", method="POST", **with_token(ADMIN))
    assert status == 200
    await refused(writable, 403, **with_token(READER))
    await refused(writable, 401)
    writable.clock.at += ATTEMPT_EVERY + 0.1
    await refused(writable, 401, **with_token("x" * 20))
    _, _, metrics = await writable.get("/metrics")
    assert 'brownout_api_refused_total{reason="throttled"} 1.0' in metrics


def test_attempts_are_remembered_within_bounds() -> None:
    attempts = Attempts()
    for number in range(ADDRESSES + 10):
        attempts.failed(str(number), 0.0)
    assert len(attempts._full_at) == ADDRESSES
    for _ in range(3 * ATTEMPTS):
        attempts.failed("one", 0.0)
    assert attempts.wait("one", 0.0) > 0
    assert attempts.wait("another", 0.0) == 0
    assert attempts.wait("one", 1000.0) == 0


async def test_where_reading_is_protected_only_the_page_and_health_are_open(serve: Serve) -> None:
    agent = await serve(tokens=lambda: TOKENS, protected=lambda: True)
    for path in ("/api/v1/status", "/api/v1/incidents", "/api/v1/events", "/metrics"):
        status, headers, text = await agent.get(path)
        assert_problem(status, headers, text, 401)
        assert (await agent.get(path, **with_token(READER)))[0] == 200
        assert (await agent.get(path, **with_token(ADMIN)))[0] == 403
    for path in ("/", "/static/page.js", "/healthz", "/readyz"):
        assert (await agent.get(path))[0] == 200
