"""The http probe and redirects: followed and summed, and no secret or body goes to another host."""

from __future__ import annotations

from typing import Any

import pytest

from probes.contract import Context, Reason, Secret
from probes.http import Http
from tests.probes.answers import answer
from tests.probes.judged import look

pytestmark = pytest.mark.both_loops


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


async def test_307_keeps_method_and_body(serve: Any, context: Context) -> None:
    server = await serve([answer(307, b"", "Location: /two")], [answer()])
    assert (await look(Http(url=server.url("/one"), method="POST", body="data"), context)).ok
    assert server.requests[1].startswith(b"POST /two")
    assert server.requests[1].endswith(b"data")


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


async def test_a_body_is_not_sent_to_another_host(serve: Any, context: Context) -> None:
    other = await serve([answer()])
    server = await serve([answer(307, b"", f"Location: http://localhost:{other.port}/")])
    seen = await look(Http(url=server.url(), method="POST", body="password"), context)
    assert seen.reason is Reason.REDIRECT
    assert other.requests == []


@pytest.mark.parametrize("location", ["/", "ftp://127.0.0.1/", "http://[::1", "gopher:x", "http://h:99999/"])
async def test_redirects_that_lead_nowhere(serve: Any, context: Context, location: str) -> None:
    server = await serve([answer(302, b"", f"Location: {location}")])
    assert (await look(Http(url=server.url("/")), context)).reason is Reason.REDIRECT


async def test_too_many_redirects(serve: Any, context: Context) -> None:
    server = await serve(*([answer(302, b"", f"Location: /{number}")] for number in range(9)))
    seen = await look(Http(url=server.url("/start"), follow=3), context)
    assert seen.reason is Reason.REDIRECT
    assert len(server.requests) == 4


async def test_follow_0_judges_the_redirect(serve: Any, context: Context) -> None:
    server = await serve([answer(302, b"", "Location: /two")])
    seen = await look(Http(url=server.url(), follow=0), context)
    assert (seen.reason, seen.detail) == (Reason.STATUS, "status 302")
