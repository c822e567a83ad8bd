"""A target sends back what it was sent: nothing of a secret is shown, wherever the text is cut."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from probes._clean import Cleaner
from probes._http.auth import Auth
from probes._http.expect import Expect
from probes._look import Look
from probes.contract import DETAIL_LIMIT, TEXT_LIMIT, Context, LookFailed, Observation, Reason, Secret
from probes.http import Http
from tests.probes.answers import answer
from tests.probes.judged import look, prompt_look
from tests.servers.misbehaving.serving import serving
from tests.servers.misbehaving.steps import ASKED

pytestmark = pytest.mark.both_loops

TOKEN = "kQ7vZ2mXw9LrT4bNc8HsJ5dFg3Py6AeU1oWi"
WINDOW = 4


def assert_hidden(seen: Observation, *secrets: str) -> None:
    """No piece of `WINDOW` characters of a secret is in what a person may see: neither its head nor its tail."""
    shown = "\n".join((seen.detail, *seen.evidence, *seen.evidence.values()))
    for secret in secrets:
        for at in range(len(secret) - WINDOW + 1):
            assert secret[at : at + WINDOW] not in shown, (secret[at : at + WINDOW], shown)


Echo = Callable[[str], list[bytes]]
ECHOES: dict[str, tuple[Echo, Expect, int]] = {
    "excerpt": (lambda text: [answer(500, text.encode())], Expect(), 200),
    "raw body": (lambda text: [answer(500, b"%s, and so on" % text.encode())], Expect(), TEXT_LIMIT),
    "answer": (lambda text: [b"400 not HTTP " + text.encode() + b"\r\n"], Expect(), 200 - 13),
    "header": (lambda text: [answer(200, b"", f"X: {text}")], Expect(headers={"X": "^$"}), 100),
    "server": (lambda text: [answer(200, b"", f"Server: {text}")], Expect(), 80),
    "location": (lambda text: [answer(302, b"", f"Location: ftp:{text}")], Expect(), 120 - 4),
    "challenge": (lambda text: [answer(403, b"", f"cf-mitigated: {text}")], Expect(), 40),
    "json": (lambda text: [answer(200, b'{"a": "%s"}' % text.encode())], Expect(json=("$.a = b",)), 80),
}


@pytest.mark.parametrize("name", ECHOES)
async def test_a_token_that_crosses_the_cut(serve: Any, context: Context, name: str) -> None:
    echo, expect, limit = ECHOES[name]
    offsets = range(max(5, limit - len("Bearer ") - len(TOKEN) - 3), limit + 3)
    server = await serve(*(echo("-" * offset + f"Bearer {TOKEN}") for offset in offsets))
    probe = Http(url=server.url(), headers={"Authorization": Secret(f"Bearer {TOKEN}")}, expect=expect)
    for _ in offsets:
        seen = await look(probe, context)
        echoed = "-----" in seen.detail + "".join(seen.evidence.values())
        assert echoed, seen
        assert_hidden(seen, TOKEN)


async def test_masks_that_shorten_the_text_do_not_bring_the_raw_cut_into_sight(serve: Any, context: Context) -> None:
    long = TOKEN * 30
    server = await serve([answer(500, long.encode() * 8)])
    assert_hidden(await look(Http(url=server.url(), headers={"X": Secret(long)}), context), TOKEN)


async def test_an_answer_that_arrives_in_pieces(serve: Any, context: Context) -> None:
    for cut in range(1, len(TOKEN)):
        head = b"HTTP/1.1 200 OK\r\nX: Bearer " + TOKEN[:cut].encode()
        server = await serve([head, TOKEN[cut:].encode() + b"\r\nno header\r\n\r\n"])
        seen = await look(Http(url=server.url(), headers={"Authorization": Secret(f"Bearer {TOKEN}")}), context)
        assert seen.reason is Reason.PROTOCOL
        assert_hidden(seen, TOKEN)


async def test_basic_auth_as_it_went_over_the_wire(serve: Any, context: Context) -> None:
    basic = base64.b64encode(f"me:{TOKEN}".encode()).decode()
    scripts = [[answer(500, b"-" * offset + f"Basic {basic} is {TOKEN}".encode())] for offset in range(100, 205)]
    server = await serve(*scripts)
    for _ in scripts:
        seen = await look(Http(url=f"http://me:{TOKEN}@127.0.0.1:{server.port}/"), context)
        assert_hidden(seen, TOKEN, basic)


async def test_what_only_the_agent_knows_is_taken_out_before_the_cut(serve: Any, context: Context) -> None:
    offsets = range(150, 205)
    server = await serve(*([answer(500, b"-" * offset + TOKEN.encode())] for offset in offsets))

    def redact(text: str) -> str:
        return text.replace(TOKEN, "***")

    for _ in offsets:
        seen = await look(Http(url=server.url(f"/?key={TOKEN}")), replace(context, redact=redact))
        # What is whole is left to the gate that all observations pass.
        gated = {name: redact(text) for name, text in seen.evidence.items()}
        assert_hidden(replace(seen, evidence=gated), TOKEN)


async def test_a_redirect_that_carries_the_token(serve: Any, context: Context) -> None:
    server = await serve([answer(302, b"", f"Location: /{'a' * 180}/{TOKEN}#x")], [answer(200, b"")])
    seen = await look(Http(url=server.url(), headers={"X": Secret(TOKEN)}), context)
    assert seen.ok, seen
    assert_hidden(seen, TOKEN)


ONCE = {
    "bearer": Auth(bearer=Secret(TOKEN)),
    "password": Auth(user="me", password=Secret(TOKEN)),
    "client_secret": Auth(token_url="http://127.0.0.1:1/", client_id="me", client_secret=Secret(TOKEN)),
    "parameters": Auth(
        token_url="http://127.0.0.1:1/", client_id="me", client_secret=Secret("x"), parameters={"a": Secret(TOKEN)}
    ),
}


@pytest.mark.parametrize("name", ONCE)
async def test_whatever_proves_who_we_are(serve: Any, context: Context, name: str) -> None:
    """Echoed by the target (which has never seen some of it), by the token endpoint, and in our own words."""
    auth = ONCE[name]
    basic = base64.b64encode(f"me:{TOKEN}".encode()).decode() if name in ("password", "client_secret") else TOKEN
    said = f"you are {TOKEN} or Basic {basic} or me:{TOKEN}"
    server = await serve([answer(401, said.encode(), f"Server: {said}", f"Via: {said}")])
    if auth.token_url is not None:
        error = json.dumps({"error": "invalid_client", "error_description": said})
        endpoint = await serve([answer(400, error.encode())])
        auth = replace(auth, token_url=endpoint.url())
    probe = Http(url=server.url(), auth=auth)
    seen = await prompt_look(probe, context)
    assert seen.reason is not None
    assert_hidden(seen, TOKEN, basic)
    assert TOKEN[:WINDOW] not in repr(probe) + repr(auth) + repr(probe._ask) + probe.target


async def test_a_token_that_was_fetched(serve: Any, context: Context) -> None:
    given = json.dumps({"access_token": TOKEN}).encode()
    offsets = range(150, 205)
    endpoint = await serve([answer(200, given)])
    server = await serve(*([answer(500, b"-" * offset + TOKEN.encode())] for offset in offsets))
    auth = Auth(token_url=endpoint.url(), client_id="me", client_secret=Secret("s3cret-s3cret"))
    probe = Http(url=server.url(), auth=auth)
    for _ in offsets:
        seen = await prompt_look(probe, context)
        assert seen.reason is Reason.STATUS
        assert_hidden(seen, TOKEN)
    assert TOKEN[:WINDOW] not in repr(probe) + repr(probe._prepared) + str(context.memory)


async def test_the_password_of_a_proxy(serve: Any, context: Context) -> None:
    basic = base64.b64encode(f"me:{TOKEN}".encode()).decode()
    said = f"Basic {basic} is {TOKEN}"
    for reply in (answer(500, said.encode()), f"{said}\r\n\r\n".encode(), answer(407, said.encode())):
        proxy = await serve([reply])
        for url in ("http://shop.example.invalid/", "https://shop.example.invalid/"):
            probe = Http(url=url, proxy=f"http://me:{TOKEN}@127.0.0.1:{proxy.port}")
            seen = await prompt_look(probe, context)
            assert seen.reason is not None
            assert_hidden(seen, TOKEN, basic)
    assert TOKEN[:WINDOW] not in repr(probe) + repr(probe._proxy) + probe.target


async def test_a_cookie_of_the_first_hop(context: Context) -> None:
    def says(request: bytes) -> bytes:
        path = request.split(b" ")[1].decode()
        if path.startswith("/begin"):
            return answer(302, b"", f"Location: /{TOKEN}/{path[6:]}", f"Set-Cookie: s={TOKEN}")
        return answer(500, b"-" * int(path.rpartition("/")[2]) + TOKEN.encode())

    with serving((ASKED, says)) as server:
        for offset in range(150, 205):
            seen = await prompt_look(Http(url=f"http://127.0.0.1:{server.port}/begin{offset}"), context)
            assert seen.reason is Reason.STATUS
            assert_hidden(seen, TOKEN)


FORMS = 'a"b\\c d&\t<é%?@f'


@pytest.mark.parametrize(
    "echoed",
    [
        FORMS,
        "a%22b%5Cc%20d%26%09%3C%C3%A9%25%3F%40f",
        "a%22b%5Cc+d%26%09%3C%C3%A9%25%3F%40f",
        'a\\"b\\\\c d&\\t<\\u00e9%?@f',
        'a\\"b\\\\c d&\\t<é%?@f',
        "a&quot;b\\c d&amp;\t&lt;é%?@f",
        FORMS.encode().decode("latin-1"),
        FORMS.encode("latin-1").decode("utf-8", "replace"),
        base64.b64encode(FORMS.encode()).decode(),
    ],
)
def test_forms(echoed: str) -> None:
    assert Cleaner((FORMS,))(f"<{echoed}>") == "<***>"


def test_a_text_that_ends_within_a_secret() -> None:
    clean = Cleaner((TOKEN, "abcabcabd"))
    assert clean(f"x {TOKEN[:4]}") == clean(f"x {TOKEN[:-1]}") == "x ***"
    assert clean(f"x {TOKEN[:3]}") == f"x {TOKEN[:3]}"
    assert clean("x abcabcabcab") == "x abc***"


def test_a_check_without_secrets_has_nothing_to_clean() -> None:
    assert not Cleaner(())
    assert not Cleaner(("ab",))


async def test_show_is_bounded_and_visible() -> None:
    look = Look(1.0)
    assert look.show("plain", 5) == "plain"
    assert look.show("plainer", 5) == "plai…"
    assert look.show("a\x1b\u202e", 20) == "a\\x1b\\u202e"
    assert len(look.clean("x" * 100_000)) <= TEXT_LIMIT
    look.close()


def test_a_detail_reaches_the_agents_redactor_whole() -> None:
    detail = LookFailed(Reason.BODY, "x" * 100_000).detail
    assert DETAIL_LIMIT < len(detail) == TEXT_LIMIT
