"""The webhook sink: what each answer means, and what never gets into an error."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
import respx

from monitor.sinks import _http
from monitor.sinks.contract import SendFailed
from monitor.sinks.webhook import Webhook
from probes.contract import BadField, Secret
from tests.sinks.made import NOW, context, delivery

URL = "https://user:pw@hooks.example.com/T0KEN?key=K3Y"


async def failure(client: httpx.AsyncClient, sink: Webhook | None = None) -> SendFailed:
    with pytest.raises(SendFailed) as raised:
        await (sink or Webhook(URL)).send(delivery(), context(client))
    for secret in ("T0KEN", "K3Y", "pw", "hooks.example.com/"):
        assert secret not in str(raised.value)
    return raised.value


@respx.mock
async def test_it_posts_the_stored_bytes(client: httpx.AsyncClient) -> None:
    route = respx.post("https://hooks.example.com/T0KEN").respond(204)
    sink = Webhook(URL, secret=(Secret("s3cret"),), headers={"X-Token": Secret("t")})
    await sink.send(delivery(b'{"a": "\xc3\xa9"}'), context(client))
    [call] = route.calls
    assert call.request.content == b'{"a": "\xc3\xa9"}'
    sent = call.request.headers
    assert (sent["content-type"], sent["webhook-id"]) == ("application/json", "evt_1")
    assert sent["webhook-timestamp"] == str(int(NOW.timestamp()))
    assert sent["webhook-signature"].startswith("v1,")
    assert sent["x-token"] == "t"
    assert sent["user-agent"].startswith("brownout/")
    assert sent["accept-encoding"] == "identity", "an answer that is packed could not be read"


@respx.mock
@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_2xx_accepts(client: httpx.AsyncClient, status: int) -> None:
    respx.post(URL).respond(status, text="whatever")
    await Webhook(URL).send(delivery(), context(client))


@respx.mock
@pytest.mark.parametrize("status", [408, 425, 429, 500, 501, 502, 503, 504, 599])
async def test_these_are_tried_again(client: httpx.AsyncClient, status: int) -> None:
    respx.post(URL).respond(status)
    error = await failure(client)
    assert (error.permanent, error.retry_after) == (False, None)
    assert str(status) in str(error)


@respx.mock
@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 410, 413, 422, 451])
async def test_these_are_not(client: httpx.AsyncClient, status: int) -> None:
    respx.post(URL).respond(status, headers={"retry-after": "5"})
    error = await failure(client)
    assert (error.permanent, error.retry_after) == (True, None)


@respx.mock
@pytest.mark.parametrize(
    ("ahead", "permanent"), [(0, True), (120, True), (-120, True), (3600, False), (-86400, False)]
)
async def test_a_refusal_from_another_hour_is_tried_again(
    client: httpx.AsyncClient, ahead: float, *, permanent: bool
) -> None:
    """Our clock may be the wrong one, and with it every signature: no page may be given up for that."""
    theirs = context(client).now + timedelta(seconds=ahead)
    respx.post(URL).respond(401, headers={"date": format_datetime(theirs, usegmt=True)})
    error = await failure(client)
    assert error.permanent is permanent
    assert ("set the wrong one" in str(error)) is not permanent


@respx.mock
async def test_a_date_that_is_none_changes_nothing(client: httpx.AsyncClient) -> None:
    respx.post(URL).respond(401, headers={"date": "yesterday"})
    assert (await failure(client)).permanent


@respx.mock
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 304])
async def test_no_redirect_is_followed(client: httpx.AsyncClient, status: int) -> None:
    respx.post(URL).respond(status, headers={"location": "http://169.254.169.254/"})
    error = await failure(client)
    assert error.permanent
    assert "write the final URL" in str(error)
    assert len(respx.calls) == 1


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("0", 0),
        ("120", 120),
        (" 7 ", 7),
        ("1.5", 1.5),
        ("99999999", 3600),
        ("9" * 400, None),
        ("-5", None),
        ("soon", None),
        ("", None),
        ("\u0665", None),
        ("inf", None),
        ("Fri, 02 Jan 2026 03:05:05 GMT", 59.321099),
        ("Friday, 02-Jan-26 03:05:05 GMT", 59.321099),
        ("Fri Jan  2 03:05:05 2026", 59.321099),
        ("Fri, 02 Jan 2026 03:00:00 GMT", 0),
        ("Fri, 02 Jan 2099 03:00:00 GMT", 3600),
        ("Fri, 99 Jan 2026 99:00:00 GMT", None),
    ],
)
def test_retry_after_in_both_forms(value: str | None, seconds: float | None) -> None:
    assert _http.retry_after(value, NOW) == (None if seconds is None else pytest.approx(seconds))


@respx.mock
async def test_retry_after_is_handed_on(client: httpx.AsyncClient) -> None:
    respx.post(URL).respond(429, headers={"retry-after": "30"})
    assert (await failure(client)).retry_after == 30


@respx.mock
@pytest.mark.parametrize(
    "error",
    [
        httpx.ConnectError("https://user:pw@hooks.example.com/T0KEN failed"),
        httpx.ConnectTimeout(""),
        httpx.ReadTimeout(""),
        httpx.WriteError("broken pipe"),
        httpx.RemoteProtocolError("nonsense"),
        httpx.ReadError(""),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_trouble_on_the_way_is_tried_again(client: httpx.AsyncClient, error: Exception) -> None:
    respx.post(URL).mock(side_effect=error)
    assert not (await failure(client)).permanent


@respx.mock
async def test_its_time_is_limited(client: httpx.AsyncClient) -> None:
    async def never(request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    respx.post(URL).mock(side_effect=never)
    error = await failure(client, Webhook(URL, timeout=timedelta(milliseconds=20)))
    assert str(error) == "no answer within 0.02 s"


class Endless(httpx.AsyncByteStream):
    """A body without end, that counts what was taken of it."""

    def __init__(self) -> None:
        self.sent = 0
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            self.sent += 4096
            yield b"x" * 4096

    async def aclose(self) -> None:
        self.closed = True


@respx.mock
@pytest.mark.parametrize("status", [200, 500])
async def test_an_endless_answer_is_cut(client: httpx.AsyncClient, status: int) -> None:
    stream = Endless()
    respx.post(URL).mock(return_value=httpx.Response(status, stream=stream))
    if status == 200:
        await Webhook(URL).send(delivery(), context(client))
    else:
        await failure(client)
    assert stream.sent <= _http.BODY_LIMIT + 4096
    assert stream.closed


@pytest.mark.parametrize(
    ("field", "facts"),
    [
        ("url", {"url": "ftp://x/"}),
        ("url", {"url": "hooks.example.com"}),
        ("url", {"url": "http://"}),
        ("url", {"url": "http://[::1/"}),
        ("url", {"url": "http://x:99999/"}),
        ("url", {"url": "http://x/\r\nHost: y"}),
        ("secret", {"secret": (Secret("whsec_AAAA"),)}),
        ("headers", {"headers": {"webhook-id": Secret("x")}}),
        ("headers", {"headers": {"Content-Length": Secret("1")}}),
        ("headers", {"headers": {"a b": Secret("x")}}),
        ("headers", {"headers": {"a": Secret("x\r\nb: y")}}),
        ("timeout", {"timeout": timedelta(0)}),
        ("timeout", {"timeout": timedelta(seconds=21)}),
    ],
)
def test_what_cannot_be_used_is_refused(field: str, facts: dict[str, Any]) -> None:
    with pytest.raises(BadField) as raised:
        Webhook(**({"url": "https://x/"} | facts))
    assert raised.value.field == field


def test_its_repr_shows_no_secret() -> None:
    shown = repr(Webhook(URL, secret=(Secret("s3cret"),), headers={"x": Secret("h3ader")}))
    for secret in ("T0KEN", "K3Y", "s3cret", "h3ader", "pw"):
        assert secret not in shown
