"""The http probe and redirects: followed and summed, and no secret or body goes to another host."""

from __future__ import annotations

from typing import Any

import pytest

from probes.contract import Context, Reason, Secret
from probes.http import Http
from tests.probes.answers import answer
from tests.probes.judged import sure_look as look
from tests.probes.judged import unless_void

pytestmark = pytest.mark.both_loops


@unless_void
async def test_redirects_are_followed_and_summed(serve: Any, context: Context) -> None:
    server = await serve(
        [answer(302, b"", "Location: /two")], [answer(301, b"", "Location: three?token=t")], [answer()]
    )
    seen = await look(Http(url=server.url("/one"), method="POST", body="data"), context)
    assert seen.ok, seen
    assert [request.split(b" HTTP")[0] for request in server.requests] == [
        b"POST /one",
        b"GET /two",
        b"GET /three?token=t",
    ]
    assert seen.evidence["final_url"] == server.url("/three?…")


@pytest.mark.parametrize(
    "broken",
    [
        answer(302, b"moved", "Location: /two", "Content-Encoding: gzip"),
        answer(302, b"", "Location: /two") + b"moved",
        b"HTTP/1.1 302 Found\r\nLocation: /two\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
@pytest.mark.parametrize("reuse", [False, True])
@unless_void
async def test_the_body_of_a_redirect_is_for_nobody(serve: Any, context: Context, broken: bytes, reuse: bool) -> None:
    server = await serve([broken], [answer()])
    seen = await look(Http(url=server.url("/one"), reuse=reuse), context)
    assert seen.ok, seen
    assert len(server.requests) == 2


@unless_void
async def test_the_head_of_a_redirect_is_not(serve: Any, context: Context) -> None:
    server = await serve([b"HTTP/1.1 302 Found\r\nLocation: /two\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"])
    seen = await look(Http(url=server.url("/one")), context)
    assert seen.reason is Reason.PROTOCOL


@unless_void
async def test_307_keeps_method_and_body(serve: Any, context: Context) -> None:
    server = await serve([answer(307, b"", "Location: /two")], [answer()])
    assert (await look(Http(url=server.url("/one"), method="POST", body="data"), context)).ok
    assert server.requests[1].startswith(b"POST /two")
    assert server.requests[1].endswith(b"data")


@unless_void
async def test_secrets_stay_with_their_host(serve: Any, context: Context) -> None:
    other = await serve([answer()])
    server = await serve([answer(302, b"", f"Location: http://localhost:{other.port}/")])
    url = f"http://me:hush%21@127.0.0.1:{server.port}/"
    probe = Http(url=url, headers={"X-Key": Secret("tell-no-one")})
    assert (await look(probe, context)).ok
    assert b"X-Key: tell-no-one" in server.requests[0]
    assert b"Authorization: Basic bWU6aHVzaCE=" in server.requests[0]
    assert b"tell-no-one" not in other.requests[0]
    assert b"Authorization" not in other.requests[0]
    assert "hush" not in probe.target + repr(probe)


@unless_void
async def test_a_body_is_not_sent_to_another_host(serve: Any, context: Context) -> None:
    other = await serve([answer()])
    server = await serve([answer(307, b"", f"Location: http://localhost:{other.port}/")])
    seen = await look(Http(url=server.url(), method="POST", body="password"), context)
    assert seen.reason is Reason.REDIRECT
    assert other.requests == []


@pytest.mark.parametrize("location", ["/", "ftp://127.0.0.1/", "http://[::1", "gopher:x", "http://h:99999/"])
@unless_void
async def test_redirects_that_lead_nowhere(serve: Any, context: Context, location: str) -> None:
    server = await serve([answer(302, b"", f"Location: {location}")])
    assert (await look(Http(url=server.url("/")), context)).reason is Reason.REDIRECT


@unless_void
async def test_too_many_redirects(serve: Any, context: Context) -> None:
    server = await serve(*([answer(302, b"", f"Location: /{number}")] for number in range(9)))
    seen = await look(Http(url=server.url("/start"), follow=3), context)
    assert seen.reason is Reason.REDIRECT
    assert len(server.requests) == 4


@unless_void
async def test_follow_0_judges_the_redirect(serve: Any, context: Context) -> None:
    server = await serve([answer(302, b"", "Location: /two")])
    seen = await look(Http(url=server.url(), follow=0), context)
    assert (seen.reason, seen.detail) == (Reason.STATUS, "status 302")


EVERY_RULE = [
    (status, method, {("POST", 301): "GET", ("POST", 302): "GET"}.get((method, status), method))
    for status in (301, 302, 307, 308)
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
] + [
    (303, method, "HEAD" if method == "HEAD" else "GET")
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
]


@pytest.mark.parametrize(("status", "method", "then"), EVERY_RULE)
@unless_void
async def test_the_method_behind_a_redirect(
    serve: Any, context: Context, status: int, method: str, then: str
) -> None:
    """RFC 9110, 15.4, as the Fetch standard has it: a body goes along with its method, and its headers with it."""
    server = await serve([answer(status, b"", "Location: /two")], [answer(204, b"")])
    has_body = method in ("POST", "PUT", "PATCH", "DELETE")
    headers = {"Content-Type": Secret("text/csv"), "X-Key": Secret("k")} if has_body else {"X-Key": Secret("k")}
    probe = Http(url=server.url("/one"), method=method, headers=headers, body="a,b" if has_body else None)
    seen = await look(probe, context)
    assert seen.ok, seen
    asked = server.requests[1]
    assert asked.startswith(f"{then} /two ".encode())
    assert b"X-Key: k" in asked
    kept = has_body and then == method
    assert (b"Content-Type" in asked, b"Content-Length" in asked, asked.endswith(b"a,b")) == (kept,) * 3


@pytest.mark.parametrize("status", [300, 304, 305, 306])
@unless_void
async def test_other_statuses_of_300_lead_nowhere(serve: Any, context: Context, status: int) -> None:
    server = await serve([answer(status, b"", "Location: /two")])
    seen = await look(Http(url=server.url()), context)
    assert (seen.reason, len(server.requests)) == (Reason.STATUS, 1)


@unless_void
async def test_a_redirect_without_a_location_is_the_answer(serve: Any, context: Context) -> None:
    server = await serve([answer(302, b"")])
    assert (await look(Http(url=server.url()), context)).reason is Reason.STATUS


@unless_void
async def test_the_way_is_told(serve: Any, context: Context) -> None:
    server = await serve(*([answer(302, b"", f"Location: /{number}?key=hush")] for number in range(8)), [answer()])
    seen = await look(Http(url=server.url("/start?key=hush"), follow=9), context)
    assert seen.ok, seen
    told = seen.evidence["redirects"]
    assert told.startswith(f"{server.url('/start?…')} 302 in ")
    assert "(2 more)" in told
    assert told.count(" 302 in ") == 6
    assert "hush" not in repr(seen)
    assert seen.evidence["final_url"] == server.url("/7?…")


@unless_void
async def test_a_way_down_to_http_is_told(serve: Any, context: Context, authority: Any) -> None:
    plain = await serve([answer()])
    server = await serve([answer(302, b"", f"Location: {plain.url()}")], tls=authority.server())
    url = f"https://me:hush@127.0.0.1:{server.port}/"
    probe = Http(url=url, ca_file=authority.file, headers={"X-Key": Secret("tell-no-one")})
    seen = await look(probe, context)
    assert seen.ok, seen
    assert "https to http" in seen.evidence["downgrade"]
    assert b"Authorization" not in plain.requests[0]
    assert b"tell-no-one" not in plain.requests[0]


@unless_void
async def test_another_port_is_another_host(serve: Any, context: Context) -> None:
    other = await serve([answer()])
    server = await serve([answer(302, b"", f"Location: {other.url()}")])
    probe = Http(url=server.url(), headers={"X-Key": Secret("tell-no-one"), "Host": Secret("shop.example.com")})
    assert (await look(probe, context)).ok
    assert b"Host: shop.example.com\r\n" in server.requests[0]
    assert b"tell-no-one" not in other.requests[0]
    assert f"Host: 127.0.0.1:{other.port}\r\n".encode() in other.requests[0]


@unless_void
async def test_a_user_in_a_location_is_dropped(serve: Any, context: Context) -> None:
    other = await serve([answer()])
    server = await serve([answer(302, b"", f"Location: http://root:toor@127.0.0.1:{other.port}/")])
    seen = await look(Http(url=server.url()), context)
    assert seen.ok, seen
    assert b"Authorization" not in other.requests[0]
    assert "toor" not in repr(seen)
