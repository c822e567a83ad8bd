"""The words that are said to proxies, without I/O: whole, in pieces, cut off, and wrong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from probes._http.proxy import Connect, Dialogue, NotSpoken, Proxy, Socks, dialogue, parse, refusal
from probes.contract import LookFailed, Reason

SOCKS = parse("socks5h://127.0.0.1")
WITH_PASSWORD = parse("socks5h://me:hu%3Ash@127.0.0.1")
HTTP = parse("http://me:hush@127.0.0.1:8080")

REPLY = b"\5\0\0\1\x7f\0\0\1\x1f\x90"
OK = b"HTTP/1.1 200 Connection established\r\nVia: 1.1 proxy\r\n\r\n"


def talk(dialogue: Dialogue, *pieces: bytes) -> tuple[list[bytes], bool]:
    """What is said to a proxy that says these pieces, one after the other; whether the way is open at the end."""
    said = [dialogue.begin()]
    for piece in pieces:
        answer = dialogue.feed(piece)
        if answer is None:
            return said, True
        if answer:
            said.append(answer)
    return said, False


def failure_of(dialogue: Dialogue, *pieces: bytes) -> LookFailed:
    with pytest.raises(LookFailed) as raised:
        talk(dialogue, *pieces)
    return raised.value


def bytewise(answers: list[bytes]) -> list[bytes]:
    return [bytes((byte,)) for answer in answers for byte in answer]


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("shop.example.com", b"\3\x10shop.example.com"),
        ("192.0.2.7", b"\1\xc0\0\2\7"),
        ("2001:db8::7", b"\4\x20\x01\x0d\xb8" + bytes(11) + b"\7"),
    ],
)
def test_socks(host: str, address: bytes) -> None:
    asked = [b"\5\1\0", b"\5\1\0" + address + b"\x01\xbb"]
    assert talk(Socks(SOCKS, host, 443), b"\5\0", REPLY) == (asked, True)
    assert talk(Socks(SOCKS, host, 443), *bytewise([b"\5\0", REPLY])) == (asked, True)


def test_socks_with_user_and_password() -> None:
    said, opened = talk(Socks(WITH_PASSWORD, "h", 80), b"\5\2", b"\1\0", REPLY)
    assert opened
    assert said == [b"\5\2\0\2", b"\1\2me\5hu:sh", b"\5\1\0\3\1h\0\x50"]
    assert talk(Socks(WITH_PASSWORD, "h", 80), *bytewise([b"\5\2", b"\1\0", REPLY])) == (said, True)


@pytest.mark.parametrize("reply", [REPLY, b"\5\0\0\3\4host\0\x50", b"\5\0\0\4" + bytes(18)])
def test_what_comes_behind_a_socks_reply_is_handed_on(reply: bytes) -> None:
    for cut in range(1, len(reply)):
        socks = Socks(SOCKS, "h", 80)
        assert not talk(socks, b"\5\0", reply[:cut])[1]
        assert socks.feed(reply[cut:] + b"220 mail") is None
        assert socks.rest == b"220 mail"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (1, Reason.PROXY),
        (2, Reason.PROXY),
        (3, Reason.UNREACHABLE),
        (4, Reason.UNREACHABLE),
        (5, Reason.REFUSED),
        (6, Reason.UNREACHABLE),
        (7, Reason.PROXY),
        (8, Reason.PROXY),
        (99, Reason.PROXY),
    ],
)
def test_socks_failures(code: int, reason: Reason) -> None:
    """Some proxies end their reply behind the code."""
    assert failure_of(Socks(SOCKS, "h", 80), b"\5\0", bytes((5, code))).reason is reason


@pytest.mark.parametrize(
    ("proxy", "answers", "words"),
    [
        (SOCKS, [b"\5\xff"], "wants a user and a password"),
        (WITH_PASSWORD, [b"\5\xff"], "wants another way to log in"),
        (SOCKS, [b"\5\2"], "wants a user and a password"),
        (SOCKS, [b"\5\1"], "was not offered"),
        (WITH_PASSWORD, [b"\5\2", b"\1\1"], "refuses the user or the password"),
        (SOCKS, [b"HTTP/1.1 400 Bad Request\r\n"], "does not speak SOCKS"),
        (SOCKS, [b"\4\x5a"], "does not speak SOCKS"),
        (SOCKS, [b"\5\0\5\0"], "does not speak SOCKS"),
        (SOCKS, [b"\5\0", b"H"], "does not speak SOCKS"),
        (SOCKS, [b"\5\0", b"\5\0\0\7\0\0\0\0"], "does not speak SOCKS"),
    ],
)
def test_socks_proxies_that_let_nobody_through(proxy: Proxy, answers: list[bytes], words: str) -> None:
    failure = failure_of(Socks(proxy, "h", 80), *answers)
    assert failure.reason is Reason.PROXY
    assert words in failure.detail


def test_connect() -> None:
    said, opened = talk(Connect(HTTP, "shop.example.com", 443), OK)
    assert opened
    where = b"shop.example.com:443"
    head = b"CONNECT " + where + b" HTTP/1.1\r\nHost: " + where + b"\r\nUser-Agent: brownout/0.1\r\n"
    assert said == [head + b"Proxy-Authorization: Basic bWU6aHVzaA==\r\n\r\n"]
    assert b"CONNECT [::1]:80 " in Connect(HTTP, "::1", 80).begin()


@pytest.mark.parametrize(
    "answer",
    [
        OK,
        OK.replace(b"\r\n", b"\n"),
        b"HTTP/1.0 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
        b"HTTP/1.1 204 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
    ],
)
def test_connect_cut_at_every_byte(answer: bytes) -> None:
    for cut in range(1, len(answer)):
        connect = Connect(HTTP, "h", 80)
        assert not talk(connect, answer[:cut])[1]
        assert connect.feed(answer[cut:] + b"220 mail") is None
        assert connect.rest == b"220 mail"


@pytest.mark.parametrize(
    ("answer", "reason", "words"),
    [
        (b"HTTP/1.1 407 X\r\nProxy-Authenticate: Basic\r\n\r\n", Reason.PROXY, "wants a user and a password"),
        (b"HTTP/1.1 403 X\r\n\r\n", Reason.PROXY, "status 403"),
        (b"HTTP/1.1 502 X\r\nContent-Length: 3\r\n\r\nabc", Reason.PROXY, "status 502"),
        (b"HTTP/1.1 302 X\r\nLocation: http://portal/\r\n\r\n", Reason.PROXY, "status 302"),
        (b"HTTP/1.1 101 X\r\n\r\n", Reason.PROXY, ""),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", Reason.PROXY, "does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000, Reason.PROXY, "KiB of headers"),
        (b"HTTP/1.1 102 X\r\n\r\n" * 51, Reason.PROXY, "more than 50 interim answers"),
    ],
)
def test_http_proxies_that_let_nobody_through(answer: bytes, reason: Reason, words: str) -> None:
    failure = failure_of(Connect(HTTP, "h", 80), answer)
    assert failure.reason is reason
    assert words in failure.detail


@pytest.mark.parametrize(
    ("proxy_status", "squid", "reason"),
    [
        ("proxy.example; error=connection_refused", None, Reason.REFUSED),
        ('proxy.example; error="destination_ip_unroutable"; details="x"', None, Reason.UNREACHABLE),
        ("proxy.example; error=dns_error", None, Reason.PROXY),
        ("proxy.example; error=connection_timeout", None, Reason.PROXY),
        (None, "ERR_CONNECT_FAIL 111", Reason.REFUSED),
        (None, "ERR_CONNECT_FAIL 113", Reason.UNREACHABLE),
        (None, "ERR_ACCESS_DENIED 0", Reason.PROXY),
        (None, None, Reason.PROXY),
    ],
)
def test_a_proxy_that_says_what_the_target_did(proxy_status: str | None, squid: str | None, reason: Reason) -> None:
    assert refusal(503, proxy_status, squid).reason is reason


@given(some.sampled_from([SOCKS, WITH_PASSWORD, HTTP]), some.lists(some.binary(min_size=1, max_size=40), max_size=8))
def test_nonsense_opens_no_way_by_an_error_of_ours(proxy: Proxy, pieces: list[bytes]) -> None:
    told = Reason.PROXY
    try:
        talk(dialogue(proxy, "h", 80), *pieces)
    except LookFailed as failure:
        told = failure.reason
    assert told in (Reason.PROXY, Reason.REFUSED, Reason.UNREACHABLE)


@pytest.mark.parametrize(
    ("text", "shown", "remote"),
    [
        ("http://Proxy.example.com:3128", "http://proxy.example.com:3128", True),
        ("http://me:hush@[::1]:8080/", "http://[::1]:8080", True),
        ("socks5://10.0.0.1", "socks5://10.0.0.1:1080", False),
        ("socks5h://p:9050", "socks5h://p:9050", True),
    ],
)
def test_proxies_as_they_are_written(text: str, shown: str, remote: bool) -> None:
    proxy = parse(text)
    assert (proxy.shown, proxy.remote) == (shown, remote)
    assert "hush" not in repr(proxy)


@pytest.mark.parametrize(
    "text",
    [
        "proxy:3128",
        "https://proxy:3128",
        "http://proxy",
        "socks4://proxy",
        "http://",
        "http://proxy:0",
        "http://proxy:99999",
        "http://proxy/path",
        "http://proxy?x=hush",
        "http://me:hush@pro xy",
        "socks5://me@proxy",
        "socks5://me:" + "hush" * 64 + "@proxy",
        "http://[::1",
    ],
)
def test_proxies_that_cannot_be(text: str) -> None:
    with pytest.raises(ValueError, match=r".") as raised:
        parse(text)
    assert "hush" not in str(raised.value)


def test_what_is_no_proxy_shows_how_it_begins() -> None:
    failure = failure_of(Socks(SOCKS, "h", 80), b"HTTP/1.1 400 Bad Request\r\n")
    assert isinstance(failure, NotSpoken)
    assert failure.start.startswith("HTTP/1.1 400")
