"""Cookies as browsers keep them: from whom, for whom, and for how long; and through redirects."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from probes._http.cookies import LONGEST, MOST, Cookies
from probes._http.expect import Expect
from probes._http.url import parse
from probes.contract import Context, Reason, Secret
from probes.http import Http
from tests.probes.answers import answer
from tests.probes.judged import sure_look as look
from tests.probes.judged import unless_void

SHOP = "https://shop.example.com/a/b?x=/y/z"


def kept(*lines: str, at: str = SHOP, to: str = "https://shop.example.com/a/c") -> str:
    cookies = Cookies()
    cookies.take(parse(at), [("set-cookie", line) for line in lines])
    return cookies.header(parse(to))


@pytest.mark.parametrize(
    ("line", "sent"),
    [
        ("a=1", "a=1"),
        (" a = 1 ; Path=/", "a=1"),
        ("a=", "a="),
        ("a=b=c", "a=b=c"),
        ('a={"x": [1, 2]}', 'a={"x": [1, 2]}'),
        ('a="1"', 'a="1"'),
        ("a b=1", "a b=1"),
        ("alone", "alone"),
        ("=alone", "alone"),
        ("", ""),
        ("=", ""),
        (";", ""),
        ("a=1\x01", ""),
        ("a=1; Max-Age=60", "a=1"),
        ("a=1; Max-Age=0", ""),
        ("a=1; max-age=-1", ""),
        ("a=1; Max-Age=x", "a=1"),
        ("a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT", ""),
        ("a=1; Expires=Thu, 01-Jan-1970 00:00:00 GMT", ""),
        ("a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=60", "a=1"),
        ("a=1; Expires=Fri, 01 Jan 2100 00:00:00 GMT", "a=1"),
        ("a=1; Expires=whenever", "a=1"),
        ("a=1; Expires=Thu, 99 Jan 99999999 00:00:00 GMT", "a=1"),
        ("a=1; Secure; HttpOnly; SameSite=None", "a=1"),
        ("a=1; Domain=example.com", "a=1"),
        ("a=1; Domain=.SHOP.example.com", "a=1"),
        ("a=1; Domain=other.example.com", ""),
        ("a=1; Domain=ample.com", ""),
        ("a=1; Domain=com", ""),
        ("a=1; Domain=", "a=1"),
        ("a=1; Path=/a", "a=1"),
        ("a=1; Path=/a/", "a=1"),
        ("a=1; Path=/a/c", "a=1"),
        ("a=1; Path=/a/c/", ""),
        ("a=1; Path=/b", ""),
        ("a=1; Path=", "a=1"),
        ("a=1; Path=relative", "a=1"),
        ("a=" + "x" * LONGEST, ""),
    ],
)
def test_one_cookie(line: str, sent: str) -> None:
    assert kept(line) == sent


@pytest.mark.parametrize(
    ("line", "to", "sent"),
    [
        ("a=1", "https://shop.example.com/", ""),
        ("a=1", "https://shop.example.com/a", "a=1"),
        ("a=1", "https://shop.example.com/ab/c", ""),
        ("a=1; Path=/", "http://shop.example.com/", "a=1"),
        ("a=1; Path=/; Secure", "http://shop.example.com/", ""),
        ("a=1; Path=/", "https://www.shop.example.com/", ""),
        ("a=1; Path=/; Domain=shop.example.com", "https://www.shop.example.com/", "a=1"),
        ("a=1; Path=/; Domain=example.com", "https://example.com/", "a=1"),
        ("a=1; Path=/; Domain=example.com", "https://badexample.com/", ""),
        ("a=1; Path=/", "https://shop.example.com:8443/", "a=1"),
    ],
)
def test_where_it_goes(line: str, to: str, sent: str) -> None:
    assert kept(line, to=to) == sent


def test_a_plain_connection_sets_no_secure_cookie() -> None:
    assert kept("a=1; Secure", at="http://shop.example.com/a/b") == ""


def test_addresses_have_no_domains_above_them() -> None:
    assert kept("a=1; Path=/; Domain=0.0.1", at="http://127.0.0.1/", to="http://127.0.0.1/") == ""
    assert kept("a=1; Path=/; Domain=127.0.0.1", at="http://127.0.0.1/", to="http://127.0.0.1/") == "a=1"


def test_the_longest_path_comes_first_and_the_last_value_counts() -> None:
    assert kept("a=1; Path=/", "b=2; Path=/a", "c=3; Path=/", "a=4; Path=/") == "b=2; a=4; c=3"
    assert kept("a=1", "a=; Max-Age=0") == ""


def test_nothing_grows_without_end() -> None:
    cookies = Cookies()
    for number in range(20):
        lines = [("set-cookie", f"c{number}_{index}={index}") for index in range(MOST * 2)]
        cookies.take(parse(SHOP), lines)
    assert cookies.header(parse(SHOP)).count("=") == MOST


@given(some.lists(some.text(alphabet=some.characters(max_codepoint=255), max_size=80), max_size=5))
def test_whatever_is_set_can_be_sent(lines: list[str]) -> None:
    sent = kept(*lines)
    assert not any(sign in sent for sign in "\r\n\0")
    sent.encode("latin-1")


@pytest.mark.both_loops
@unless_void
async def test_cookies_are_kept_across_redirects(serve: Any, context: Context) -> None:
    server = await serve(
        [answer(302, b"", "Location: /in", "Set-Cookie: session=s3cret-s3ssion; Path=/", "Set-Cookie: b=2")],
        [answer(303, b"", "Location: /home", "Set-Cookie: b=; Max-Age=0")],
        [answer()],
    )
    probe = Http(url=server.url("/login"), headers={"Cookie": Secret("lang=en")})
    assert (await look(probe, context)).ok
    assert b"Cookie: lang=en\r\n" in server.requests[0]
    assert b"Cookie: lang=en; session=s3cret-s3ssion; b=2\r\n" in server.requests[1]
    assert b"Cookie: lang=en; session=s3cret-s3ssion\r\n" in server.requests[2]
    assert all(request.count(b"Cookie:") == 1 for request in server.requests)
    assert (await look(Http(url=server.url("/home")), context)).ok
    assert b"Cookie" not in server.requests[3], "the next look begins anew"


@unless_void
async def test_a_page_that_leads_back_to_itself_with_a_cookie(serve: Any, context: Context) -> None:
    server = await serve([answer(302, b"", "Location: /", "Set-Cookie: seen=1")], [answer()])
    assert (await look(Http(url=server.url("/")), context)).ok
    again = await serve([answer(302, b"", "Location: /", "Set-Cookie: seen=1")])
    seen = await look(Http(url=again.url("/")), context)
    assert (seen.reason, len(again.requests)) == (Reason.REDIRECT, 2)


@unless_void
async def test_cookies_go_to_no_other_host(serve: Any, context: Context) -> None:
    other = await serve([answer()])
    server = await serve(
        [answer(302, b"", f"Location: http://localhost:{other.port}/", "Set-Cookie: a=hush; Path=/")]
    )
    assert (await look(Http(url=server.url("/")), context)).ok
    assert b"Cookie" not in other.requests[0]


@unless_void
async def test_a_cookie_that_is_echoed_is_not_shown(serve: Any, context: Context) -> None:
    session = "kQ7vZ2mXw9LrT4bNc8HsJ5dFg3Py6AeU1oWi"
    first = answer(302, b"", f"Location: /{session}", f"Set-Cookie: s={session}")
    server = await serve([first], [answer(500, f"no session {session}".encode(), f"Server: {session}")])
    seen = await look(Http(url=server.url("/"), expect=Expect(body="x")), context)
    assert seen.reason is Reason.STATUS
    assert session[:8] not in repr(seen)
