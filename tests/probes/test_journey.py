"""The probe `journey` through a small shop of aiohttp's, and through pages that lie."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web

from probes._capture import Capture
from probes._http.expect import Expect
from probes.contract import BadField, Context, Reason, Secret
from probes.journey import Journey, Step
from tests.probes.conftest import Serve
from tests.probes.judged import look

pytestmark = pytest.mark.both_loops

PASSWORD = "tell-no-one"


class Shop:
    """A login form with a token, a session by cookie, and orders; `trouble` breaks one of them."""

    def __init__(self) -> None:
        self.trouble = ""
        self.gate = asyncio.Event()

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/login", self.form)
        app.router.add_post("/login", self.submit)
        app.router.add_get("/home", self.home)
        app.router.add_get("/api/orders", self.orders)
        app.router.add_get("/orders/{id}", self.order)
        return app

    async def form(self, _request: web.Request) -> web.Response:
        page = '<form><input name="csrf" value="t&amp;7 x"><a href="/home?from=form">home</a></form>'
        response = web.Response(text=page, content_type="text/html")
        response.set_cookie("session", "new")
        return response

    async def submit(self, request: web.Request) -> web.Response:
        fields = await request.post()
        if (fields.get("user"), fields.get("password"), fields.get("csrf")) != ("probe", PASSWORD, "t&7 x"):
            return web.Response(status=403, text=f"wrong: {fields.get('password')} {fields.get('csrf')}")
        if self.trouble == "slow":
            await self.gate.wait()
        response = web.Response(status=303, headers={"Location": "/home"})
        response.set_cookie("session", "in")
        return response

    async def home(self, request: web.Request) -> web.Response:
        known = request.cookies.get("session") == "in"
        return web.Response(text="Welcome back" if known else "Please log in")

    async def orders(self, request: web.Request) -> web.Response:
        if request.cookies.get("session") != "in":
            return web.json_response({"error": "who are you?"}, status=401)
        if self.trouble == "half":
            return web.json_response({"orders": [{"id": "\ud800"}]})
        return web.json_response({"orders": [] if self.trouble == "empty" else [{"id": 4711}]})

    async def order(self, request: web.Request) -> web.Response:
        wanted = request.match_info["id"] == "4711" and request.headers.get("X-Token") == "t&7 x"
        return web.json_response({"state": "paid"} if wanted else {}, headers={"X-Next": "//evil.example/"})


@pytest.fixture
async def shop() -> AsyncIterator[tuple[Shop, str]]:
    shop = Shop()
    runner = web.AppRunner(shop.app())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    yield shop, f"http://127.0.0.1:{port}"
    shop.gate.set()
    await runner.cleanup()


def _journey(base: str, password: str = PASSWORD, **last: Any) -> Journey:
    form = {"user": Secret("probe"), "password": Secret(password), "csrf": Secret("%{token}")}
    return Journey(
        (
            Step("form", f"{base}/login", capture={"token": Capture(body='name="csrf" value="([^"]+)"')}),
            Step("submit", f"{base}/login", form=form, expect=Expect(body="Welcome back")),
            Step("orders", f"{base}/api/orders", capture={"id": Capture(json="$.orders[0].id")}),
            Step(
                "order",
                base + "/orders/%{id}",
                headers={"X-Token": Secret("%{token}")},
                expect=Expect(json=("$.state = paid",)),
                **last,
            ),
        )
    )


async def test_a_customer_gets_through(shop: tuple[Shop, str], context: Context) -> None:
    journey = _journey(shop[1])
    seen = await look(journey, context)
    assert seen.ok, seen
    assert seen.measurements["steps_done"] == 4
    assert list(seen.phases) == ["form", "submit", "orders", "order"]
    times = [seen.measurements[f"{name}_time"] for name in seen.phases]
    assert seen.measurements["response_time"] == pytest.approx(sum(times))
    assert seen.measurements.keys() <= {measurement.name for measurement in journey.measured}


async def test_the_step_that_fails_is_named_and_the_secrets_are_not(shop: tuple[Shop, str], context: Context) -> None:
    seen = await look(_journey(shop[1], password="tell-anyone-else"), context)
    assert (seen.reason, seen.detail) == (Reason.STATUS, "step submit: status 403")
    assert seen.evidence["excerpt"] == "wrong: *** ***"
    assert list(seen.phases) == ["form", "submit"]
    assert "submit_time" not in seen.measurements
    assert seen.measurements["steps_done"] == 1


async def test_a_step_that_hangs_ends_the_look(
    shop: tuple[Shop, str], make_context: Callable[[float], Context]
) -> None:
    shop[0].trouble = "slow"
    seen = await look(_journey(shop[1]), make_context(0.5))
    assert seen.reason is Reason.FIRST_BYTE_TIMEOUT
    assert seen.detail.startswith("step submit: ")
    assert seen.measurements["response_time"] >= 0.5
    shop[0].gate.set()
    shop[0].trouble = ""
    assert (await look(_journey(shop[1]), make_context(5.0))).ok


async def test_half_a_character_is_not_captured(shop: tuple[Shop, str], context: Context) -> None:
    """JSON can have it, and nothing can be sent that has it in it."""
    shop[0].trouble = "half"
    seen = await look(_journey(shop[1]), context)
    assert seen.reason is Reason.BODY
    assert seen.detail == "step orders: what would be captured as id has half a character in it"


async def test_nothing_to_capture_is_a_failure(shop: tuple[Shop, str], context: Context) -> None:
    shop[0].trouble = "empty"
    seen = await look(_journey(shop[1]), context)
    assert seen.reason is Reason.BODY
    assert seen.detail == "step orders: there is nothing to capture as id in the body"


async def test_a_captured_link_is_followed_on_the_same_host_only(shop: tuple[Shop, str], context: Context) -> None:
    base = shop[1]
    first = Step("form", f"{base}/login", capture={"link": Capture(body='href="([^"]+)"')})
    assert (await look(Journey((first, Step("home", "%{link}"))), context)).ok
    away = Step("order", f"{base}/orders/1", capture={"link": Capture(header="X-Next")})
    seen = await look(Journey((away, Step("home", "%{link}"))), context)
    assert seen.reason is Reason.REDIRECT
    assert seen.detail == "step home: the captured link leads to a host that no step names"


async def test_cookies_of_one_look_are_not_those_of_the_next(shop: tuple[Shop, str], context: Context) -> None:
    assert (await look(_journey(shop[1]), context)).ok
    seen = await look(Journey((Step("orders", f"{shop[1]}/api/orders"),)), context)
    assert seen.detail == "step orders: status 401"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 200 OK\r\nX-Id: " + b"x" * 5000 + b"\r\nContent-Length: 0\r\n\r\n", Reason.TOO_LARGE),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Reason.HEADER),
        (b"HTTP/1.1 200 OK\r\nSet-Cookie: \0=;;=\r\nContent-Length: 0\r\n\r\n", Reason.PROTOCOL),
        (b"HTTP/1.1 200 OK\r\nSet-Cookie: \x01=;;=\r\nContent-Length: 0\r\n\r\n", Reason.HEADER),
        (b"HTTP/1.1 200 OK\r\nSet-Cookie: a b=c\r\nContent-Length: 0\r\n\r\n", Reason.HEADER),
    ],
)
async def test_what_cannot_be_captured(serve: Serve, context: Context, answer: bytes, reason: Reason) -> None:
    server = await serve([answer])
    seen = await look(Journey((Step("one", server.url(), capture={"id": Capture(header="X-Id")}),)), context)
    assert seen.reason is reason, seen


async def test_a_captured_value_cannot_smuggle_a_header(serve: Serve, context: Context) -> None:
    server = await serve([b'HTTP/1.1 200 OK\r\nContent-Length: 26\r\n\r\n{"id": "a\\r\\nX-Evil: yes"}'])
    steps = (
        Step("one", server.url(), capture={"id": Capture(json="$.id")}),
        Step("two", server.url(), headers={"X-Id": Secret("%{id}")}),
    )
    seen = await look(Journey(steps), context)
    assert seen.reason is Reason.BODY
    assert "cannot be sent" in seen.detail
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("steps", "field"),
    [
        (lambda: (), "steps"),
        (lambda: (Step("a", "%{link}"),), "steps.0.url"),
        (lambda: (Step("a", "http://a/"), Step("a", "http://a/")), "steps.1.name"),
        (lambda: (Step("a", "http://a/?id=%{id}"),), "steps.0"),
        (lambda: tuple(Step(f"s{n}", "http://a/") for n in range(21)), "steps"),
    ],
)
def test_bad_journeys(steps: Callable[[], tuple[Step, ...]], field: str) -> None:
    with pytest.raises(BadField) as caught:
        Journey(steps())
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": "Log in", "url": "http://a/"}, "name"),
        ({"name": "response", "url": "http://a/"}, "name"),
        ({"name": "a", "url": "http://%{host}/"}, "url"),
        ({"name": "a", "url": "a/b"}, "url"),
        ({"name": "a", "url": "http://a/", "method": "GE T"}, "method"),
        ({"name": "a", "url": "http://a/", "body": "x", "form": {"a": Secret("b")}}, "form"),
        ({"name": "a", "url": "http://a/", "headers": {"Connection": Secret("x")}}, "headers.Connection"),
        ({"name": "a", "url": "http://a/", "capture": {"Id": Capture(header="x")}}, "capture.Id"),
    ],
)
def test_bad_steps(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(BadField) as caught:
        Step(**fields)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("fields", "field"),
    [({}, "body"), ({"body": "a", "header": "b"}, "header"), ({"body": "("}, "body"), ({"json": "$.a = 1"}, "json")],
)
def test_bad_captures(fields: dict[str, str], field: str) -> None:
    with pytest.raises(BadField) as caught:
        Capture(**fields)
    assert caught.value.field == field
