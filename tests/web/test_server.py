"""Sockets, routes, errors, and what keeps strangers out."""

from __future__ import annotations

import asyncio
import errno
import json
import socket

import aiohttp
import jsonschema
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from monitor.web import Site, application, bind
from monitor.web.health import Health
from monitor.web.names import hostname, is_loopback_name, network
from tests.web.conftest import Agent, Serve
from tests.web.made import page, shop

# RFC 9457, appendix A.
PROBLEM_SCHEMA = {
    "type": "object",
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 100, "maximum": 599},
        "detail": {"type": "string"},
        "instance": {"type": "string", "format": "uri-reference"},
    },
}


def assert_problem(status: int, headers: object, text: str, expected: int) -> None:
    document = json.loads(text)
    jsonschema.validate(document, PROBLEM_SCHEMA)
    assert status == document["status"] == expected
    assert headers["Content-Type"] == "application/problem+json"  # type: ignore[index]


def test_a_taken_port_is_an_error_at_once() -> None:
    (first,) = bind("127.0.0.1", 0)
    with first, pytest.raises(OSError, match="in use") as caught:
        bind("127.0.0.1", first.getsockname()[1])
    assert caught.value.errno == errno.EADDRINUSE


def test_a_name_without_an_address_is_an_error() -> None:
    with pytest.raises(socket.gaierror):
        bind("no such host", 0)


def test_localhost_is_bound_wherever_it_points() -> None:
    sockets = bind("localhost", 0)
    assert {item.getsockname()[0] for item in sockets} <= {"127.0.0.1", "::1"}
    for item in sockets:
        item.close()


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/static/page.js", "text/javascript; charset=utf-8"),
        ("/static/page.css", "text/css; charset=utf-8"),
        ("/static/icon-down.svg", "image/svg+xml; charset=utf-8"),
        ("/api/v1/status", "application/json"),
        ("/api/v1/incidents", "application/json"),
        ("/api/v1/events", "application/json"),
        ("/metrics", "text/plain; version=0.0.4; charset=utf-8"),
        ("/healthz", "application/health+json"),
        ("/readyz", "application/health+json"),
    ],
)
async def test_every_route_answers_get_and_head_with_the_same_headers(
    agent: Agent, path: str, content_type: str
) -> None:
    for method in ("GET", "HEAD"):
        status, headers, text = await agent.get(path, method=method)
        assert status == 200
        assert headers["Content-Type"] == content_type
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Content-Security-Policy"].startswith(
            "default-src 'none'; script-src 'self'; style-src 'self'"
        )
        assert headers["Server"] == "brownout"
        assert headers["Cache-Control"] in ("no-store", "no-cache")
        assert bool(text) is (method == "GET")


@pytest.mark.parametrize("path", ["/nope", "/static/", "/static/../server.py", "/static/%2e%2e/server.py", "/api"])
async def test_what_is_not_there_is_a_problem(agent: Agent, path: str) -> None:
    assert_problem(*await agent.get(path), expected=404)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
async def test_nothing_can_be_written(agent: Agent, method: str) -> None:
    status, headers, text = await agent.get("/api/v1/status", method=method)
    assert_problem(status, headers, text, expected=405)
    assert headers["Allow"] == "GET,HEAD"
    assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("limit", ["0", "-1", "ten", "", "10001", "9" * 400, "٣"])
async def test_a_limit_that_is_none_is_a_problem(agent: Agent, limit: str) -> None:
    for path in ("status", "incidents", "events"):
        assert_problem(*await agent.get(f"/api/v1/{path}", params={"limit": limit}), expected=400)


async def test_a_broken_journal_is_a_problem_but_the_status_goes_on(agent: Agent) -> None:
    agent.journal.broken = True
    assert_problem(*await agent.get("/api/v1/incidents"), expected=503)
    assert_problem(*await agent.get("/api/v1/events"), expected=503)
    assert (await agent.json("/api/v1/status"))["summary"]["state"] == "outage"


async def unfinished(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection whose request never ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n")
    await writer.drain()
    return reader, writer


async def test_connections_are_limited_and_those_on_top_closed_at_once(agent: Agent) -> None:
    site = Site(application(agent.view()), bind("127.0.0.1", 0), connections=3)
    await site.start()
    port = site.port
    try:
        held = [await unfinished(port) for _ in range(3)]
        for _ in range(5):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            assert await asyncio.wait_for(reader.read(), 10) == b""
            writer.close()
        held[0][1].write(b"\r\n")
        assert await asyncio.wait_for(held[0][0].readline(), 10) == b"HTTP/1.1 200 OK\r\n", "who is in is served"
        for _, writer in held:
            writer.close()
        assert await served_again(agent.client, f"http://127.0.0.1:{port}/healthz")
    finally:
        await site.stop()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def served_again(client: aiohttp.ClientSession, url: str) -> bool:
    """The server learns a moment later that connections have gone."""
    give_up = asyncio.get_running_loop().time() + 10
    while asyncio.get_running_loop().time() < give_up:
        try:
            async with client.get(url) as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            continue
    return False


async def test_a_fault_of_ours_shows_no_traceback(serve: Serve) -> None:
    def broken() -> Health:
        raise RuntimeError("secret inside")

    status, headers, text = await (await serve(health=broken)).get("/healthz")
    assert_problem(status, headers, text, expected=500)
    assert "secret inside" not in text


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", 200),
        ("127.0.0.1:9788", 200),
        ("localhost:1", 200),
        ("LOCALHOST.", 200),
        ("[::1]:80", 200),
        ("status.example.com", 200),
        ("evil.example.net", 421),
        ("evil.example.net:9788", 421),
        ("127.0.0.1.evil.example.net", 421),
        ("10.0.0.7", 421),
        ("localhost@evil.example.net", 421),
        ("[::1", 421),
    ],
)
async def test_on_loopback_only_known_names_are_answered(serve: Serve, host: str, expected: int) -> None:
    agent = await serve(public_url="https://status.example.com/brownout/")
    status, headers, text = await agent.get("/api/v1/status", headers={"Host": host})
    assert status == expected, text
    if expected == 421:
        assert_problem(status, headers, text, expected=421)
        assert "example.net" not in text


async def test_a_health_check_without_any_host_is_answered(agent: Agent) -> None:
    port = int(agent.base.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /healthz HTTP/1.0\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.0 200")
    writer.close()
    await writer.wait_closed()


def test_names() -> None:
    assert hostname("https://Status.Example.com:8443/x") == "status.example.com"
    assert hostname("//") is None
    assert is_loopback_name("127.8.9.10")
    assert is_loopback_name("agent.localhost")
    assert not is_loopback_name("localhost.example.com")


@pytest.mark.parametrize(
    ("remote", "expected"),
    [("192.0.2.7", "192.0.2.7"), ("2001:db8::7", "2001:db8::/64"), ("fe80::1%eth0", "fe80::/64"), ("::1", "::1")],
)
def test_one_customer_is_one_network(remote: str, expected: str) -> None:
    assert network(remote) == expected


async def test_metrics_in_the_format_that_is_asked_for(agent: Agent) -> None:
    _, _, text = await agent.get("/metrics")
    plain = {family.name for family in parse_text(text)}
    status, headers, text = await agent.get("/metrics", headers={"Accept": "application/openmetrics-text"})
    assert status == 200
    assert headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    families = {family.name: family for family in parse_openmetrics(text)}
    assert families["brownout_check_state"].type == "stateset"
    assert families["brownout_check"].type == "info"
    assert {"brownout_check_state", "brownout_check_info", "brownout_agent_info"} <= plain


async def test_assets_are_asked_for_again_only_when_they_changed(agent: Agent) -> None:
    _, headers, _ = await agent.get("/static/page.css")
    status, _, text = await agent.get("/static/page.css", headers={"If-None-Match": headers["ETag"]})
    assert (status, text) == (304, "")


async def test_the_page_asks_nobody_else_and_writes_no_markup(agent: Agent) -> None:
    _, _, html = await agent.get("/")
    names = ("basics", "chart", "detail", "page")
    script = "".join([(await agent.get(f"/static/{name}.js"))[2] for name in names])
    _, _, style = await agent.get("/static/page.css")
    assert "//" not in html, "an address of somebody else"
    assert "url(" not in style
    assert "style=" not in html
    for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert way not in script
    for name in (*(f"static/{name}.js" for name in names), "static/page.css", "static/icon-unknown.svg"):
        assert name in html
    assert html.count('role="status"') == html.count('role="alert"') == 1


async def test_after_the_stop_nobody_listens(agent: Agent) -> None:
    site = Site(application(agent.view()), bind("127.0.0.1", 0))
    await site.start()
    address = f"http://127.0.0.1:{site.port}/readyz"
    async with agent.client.get(address) as answer:
        assert answer.status == 200
    await site.stop()
    with pytest.raises(aiohttp.ClientConnectorError):
        await agent.client.get(address)


async def test_a_client_that_leaves_in_the_middle_troubles_nobody(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    agent = await serve(shop(*(page(f"page-{number}") for number in range(3000))))
    for path in (b"/metrics", b"/api/v1/status?limit=10000"):
        reader, writer = await asyncio.open_connection("127.0.0.1", int(agent.base.rpartition(":")[2]))
        writer.write(b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        writer.transport.abort()
    status, _, text = await agent.get("/metrics")
    assert status == 200
    assert text.count('result="ok"') == 3004
    assert caplog.records == []


async def test_whoever_listens_to_the_world_is_asked_by_any_name(agent: Agent) -> None:
    site = Site(application(agent.view()), bind("0.0.0.0", 0))
    await site.start()
    address = f"http://127.0.0.1:{site.port}/readyz"
    async with agent.client.get(address, headers={"Host": "status.example.com"}) as answer:
        assert answer.status == 200
    await site.stop()


async def test_what_is_no_http_is_refused_and_leaves_no_trace_in_the_log(
    agent: Agent, caplog: pytest.LogCaptureFixture
) -> None:
    for nonsense in (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: \x00\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00"):
        reader, writer = await asyncio.open_connection("127.0.0.1", int(agent.base.rpartition(":")[2]))
        writer.write(nonsense)
        assert b" 400 " in await asyncio.wait_for(reader.readline(), 10)
        writer.close()
    assert caplog.records == []
