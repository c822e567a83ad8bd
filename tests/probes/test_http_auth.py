"""How the http probe proves who it is: basic, bearer, and tokens that it fetches (OAuth2, client credentials)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from time import monotonic
from typing import Any
from urllib.parse import parse_qs

import pytest

from probes._http.auth import Auth
from probes._http.expect import Expect
from probes.contract import BadField, Context, Reason, Secret
from probes.http import Http
from tests.probes.answers import answer
from tests.probes.judged import sure_look as look
from tests.probes.judged import unless_void

pytestmark = pytest.mark.both_loops

SECRET = Secret("kQ7v:Z2m/w9")


def given(token: str, **more: Any) -> list[bytes]:
    """A token endpoint's answer."""
    return [answer(200, json.dumps({"access_token": token, "token_type": "Bearer", **more}).encode())]


def client(server: Any, **more: Any) -> Auth:
    return Auth(token_url=server.url("/token"), client_id="brown out", client_secret=SECRET, **more)


def authorizations(server: Any) -> list[str]:
    """What each request was authorized by; empty where it was not."""
    found = []
    for request in server.requests:
        lines = request.decode().split("\r\n")
        found.append(next((line.partition(": ")[2] for line in lines if line.startswith("Authorization")), ""))
    return found


@pytest.mark.parametrize(
    ("auth", "sent"),
    [
        (Auth(user="me", password=Secret("hush!")), "Basic bWU6aHVzaCE="),
        (Auth(user="mé", password=Secret("hüsh")), "Basic bcOpOmjDvHNo"),
        (Auth(bearer=Secret("abc.def")), "Bearer abc.def"),
    ],
)
@unless_void
async def test_what_is_written_is_sent(serve: Any, context: Context, auth: Auth, sent: str) -> None:
    other = await serve([answer()])
    server = await serve(
        [answer(302, b"", "Location: /two")], [answer(302, b"", f"Location: http://localhost:{other.port}/")]
    )
    assert (await look(Http(url=server.url(), auth=auth), context)).ok
    assert authorizations(server) == [sent, sent]
    assert authorizations(other) == [""]


@unless_void
async def test_a_token_is_fetched_once_and_kept(serve: Any, context: Context) -> None:
    endpoint = await serve(given("t-one", expires_in=3600))
    server = await serve([answer()])
    probe = Http(url=server.url(), auth=client(endpoint, scope="read write", parameters={"audience": Secret("shop")}))
    first, second = await look(probe, context), await look(probe, context)
    assert first.ok, first
    assert second.ok, second
    assert set(authorizations(server)) == {"Bearer t-one"}
    assert len(endpoint.requests) == 1
    head, _, body = endpoint.requests[0].decode().partition("\r\n\r\n")
    assert head.startswith("POST /token HTTP/1.1")
    assert "Authorization: Basic YnJvd24rb3V0OmtRN3YlM0FaMm0lMkZ3OQ==" in head, "both are form-urlencoded"
    assert parse_qs(body) == {
        "grant_type": ["client_credentials"],
        "scope": ["read write"],
        "audience": ["shop"],
    }
    assert "login" in first.phases
    assert "login" not in second.phases
    assert first.measurements["response_time"] == pytest.approx(
        sum(first.phases.values()) - first.phases["resolve"] - first.phases["login"]
    )


@unless_void
async def test_the_client_may_prove_itself_in_the_body(serve: Any, context: Context) -> None:
    endpoint, server = await serve(given("t")), await serve([answer()])
    assert (await look(Http(url=server.url(), auth=client(endpoint, client_auth="body")), context)).ok
    head, _, body = endpoint.requests[0].decode().partition("\r\n\r\n")
    assert "Authorization" not in head
    assert parse_qs(body)["client_secret"] == [SECRET.reveal()]


@pytest.mark.parametrize("life", [0, -5, "0", 0.0001])
@unless_void
async def test_a_token_that_has_ended_is_fetched_anew(serve: Any, context: Context, life: Any) -> None:
    endpoint, server = await serve(given("t-one", expires_in=life), given("t-two")), await serve([answer()])
    probe = Http(url=server.url(), auth=client(endpoint))
    assert (await look(probe, context)).ok
    assert (await look(probe, context)).ok
    assert authorizations(server)[-1] == "Bearer t-two"


@pytest.mark.parametrize("life", [None, "soon", True, float("inf"), [1], 10**400], ids=lambda life: str(life)[:8])
@unless_void
async def test_a_life_that_cannot_be_read(serve: Any, context: Context, life: Any) -> None:
    endpoint, server = await serve(given("t-one", expires_in=life)), await serve([answer()])
    probe = Http(url=server.url(), auth=client(endpoint))
    assert (await look(probe, context)).ok
    assert probe._prepared is not None
    assert probe._prepared._tokens is not None
    kept = probe._prepared._tokens._kept
    assert kept is not None
    assert 60 < kept.until - monotonic() < 100_000


@unless_void
async def test_a_token_that_the_target_refuses_is_fetched_anew_once(serve: Any, context: Context) -> None:
    endpoint = await serve(given("t-one"), given("t-two"), given("t-three"))
    server = await serve([answer()], [answer(401)], [answer()], [answer(401)])
    probe = Http(url=server.url(), auth=client(endpoint))
    assert (await look(probe, context)).ok
    seen = await look(probe, context)
    assert seen.ok, seen
    assert authorizations(server) == ["Bearer t-one", "Bearer t-one", "Bearer t-two"]
    assert "login" in seen.evidence
    refused = await look(probe, context)
    assert (refused.reason, refused.detail) == (Reason.STATUS, "status 401")
    assert len(server.requests) == 5, "the new token is refused, too: no third one in a look"
    assert len(endpoint.requests) == 3


@unless_void
async def test_a_401_that_is_expected_is_an_answer(serve: Any, context: Context) -> None:
    endpoint, server = await serve(given("t-one"), given("t-two")), await serve([answer(401)])
    probe = Http(url=server.url(), auth=client(endpoint), expect=Expect(status=("401",)))
    for _ in range(2):
        assert (await look(probe, context)).ok
    assert len(endpoint.requests) == 1


@unless_void
async def test_looks_that_overlap_fetch_it_once(serve: Any, context: Context) -> None:
    endpoint, server = await serve(given("t-one")), await serve([answer()])
    probe = Http(url=server.url(), auth=client(endpoint))
    seen = await asyncio.gather(*(look(probe, context) for _ in range(5)))
    assert all(each.ok for each in seen), seen
    assert len(endpoint.requests) == 1


@unless_void
async def test_checks_of_one_client_share_its_token(serve: Any, context: Context) -> None:
    endpoint = await serve(given("t-one"), given("t-two"))
    server = await serve([answer()])
    auth = client(endpoint, parameters={"b": Secret("2"), "a": Secret("1")})
    same = client(endpoint, parameters={"a": Secret("1"), "b": Secret("2")})
    checks = [Http(url=server.url(f"/{number}"), auth=auth if number else same) for number in range(5)]
    seen = await asyncio.gather(*(look(check, context) for check in checks))
    assert all(each.ok for each in seen), seen
    assert len(endpoint.requests) == 1
    other = Http(url=server.url(), auth=client(endpoint, scope="write"))
    assert (await look(other, context)).ok
    assert authorizations(server)[-1] == "Bearer t-two"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (answer(401, b'{"error": "invalid_client", "error_description": "no \\u001b such"}'), "no \\x1b such"),
        (answer(500, b"<html>"), "status 500"),
        (answer(302, b"", "Location: /login"), "status 302"),
        (answer(200, b"<html>"), "no access_token"),
        (answer(200, b"[" * 10_000), "no access_token"),
        (answer(200, b'{"access_token": ""}'), "no access_token"),
        (answer(200, b'{"access_token": 5}'), "no access_token"),
        (answer(200, b'{"access_token": "a\\nb"}'), "cannot be sent"),
        (answer(200, b'{"access_token": "a", "token_type": "mac"}'), "of the type mac"),
        (b"nonsense\r\n\r\n", "protocol: "),
        (answer(200, b"x" * 100_000), "too_large: "),
    ],
)
@unless_void
async def test_an_endpoint_that_gives_no_token(serve: Any, context: Context, said: bytes, words: str) -> None:
    endpoint, server = await serve([said]), await serve([answer()])
    seen = await look(Http(url=server.url(), auth=client(endpoint)), context)
    assert seen.reason is Reason.LOGIN
    assert seen.detail.startswith(endpoint.url("/token"))
    assert words in seen.detail
    assert server.requests == []
    assert "response_time" not in seen.measurements


@unless_void
async def test_an_endpoint_that_is_dead_or_hangs(
    serve: Any, make_context: Callable[..., Context], closed_port: int
) -> None:
    server = await serve([answer()])
    dead = Auth(token_url=f"http://127.0.0.1:{closed_port}/", client_id="a", client_secret=SECRET)
    seen = await look(Http(url=server.url(), auth=dead), make_context())
    assert seen.reason is Reason.LOGIN
    assert "refused" in seen.detail
    silent = await serve([], end="hang")
    probe = Http(url=server.url(), auth=client(silent))
    both = await asyncio.gather(*(look(probe, make_context(0.3)) for _ in range(2)))
    assert {each.reason for each in both} == {Reason.LOGIN}
    assert all("response_time" not in each.measurements for each in both)


@unless_void
async def test_an_endpoint_that_is_the_target_itself(context: Context, closed_port: int) -> None:
    url = f"http://127.0.0.1:{closed_port}"
    auth = Auth(token_url=f"{url}/token", client_id="a", client_secret=SECRET)
    assert (await look(Http(url=f"{url}/"), context)).reason is Reason.REFUSED
    assert (await look(Http(url=f"{url}/", auth=auth), context)).reason is Reason.REFUSED


@pytest.mark.parametrize(
    ("fields", "at"),
    [
        ({}, "user"),
        ({"user": "me"}, "password"),
        ({"password": SECRET}, "user"),
        ({"user": "m:e", "password": SECRET}, "user"),
        ({"user": "me", "password": SECRET, "bearer": SECRET}, "bearer"),
        ({"bearer": SECRET, "client_id": "me"}, "token_url"),
        ({"bearer": Secret("hush\nhush")}, "bearer"),
        ({"bearer": SECRET, "scope": "read"}, "scope"),
        ({"bearer": SECRET, "parameters": {"a": SECRET}}, "parameters"),
        ({"token_url": "https://id/"}, "client_id"),
        ({"token_url": "https://id/", "client_id": "me"}, "client_secret"),
        ({"token_url": "id", "client_id": "me", "client_secret": SECRET}, "token_url"),
        ({"token_url": "https://me:hush@id/", "client_id": "me", "client_secret": SECRET}, "token_url"),
    ],
)
def test_bad_fields(fields: dict[str, Any], at: str) -> None:
    with pytest.raises(BadField) as raised:
        Auth(**fields)
    assert raised.value.field == at
    assert "hush" not in str(raised.value)
    assert SECRET.reveal() not in str(raised.value)


@pytest.mark.parametrize(
    "fields", [{"url": "http://me:pw@h/"}, {"url": "http://h/", "headers": {"authorization": Secret("x")}}]
)
def test_one_way_to_prove_it_is_enough(fields: dict[str, Any]) -> None:
    with pytest.raises(BadField) as raised:
        Http(auth=Auth(bearer=SECRET), **fields)
    assert raised.value.field == "auth"
