"""What `brownout look --trace` shows of the wire: all of it that can be read, and no secret, however it was cut."""

from __future__ import annotations

import base64
import gzip
from time import process_time
from typing import cast

import pytest

from monitor.commands._looked import Looked, waterfall
from monitor.commands._overheard import BYTES_LIMIT, ITEMS_LIMIT, Overheard
from monitor.commands._readable import LINES_LIMIT, Block, readable, secrets_of
from monitor.core.model import Check, Look
from probes.http import Http
from tests.commands.called import PASSWORD

PEER = "192.0.2.1:80"


def heard(*chunks: bytes, sent: bool = False) -> Overheard:
    overheard = Overheard(0.0)
    for number, data in enumerate(chunks):
        (overheard.sent if sent else overheard.received)(PEER, data, number / 1000)
    return overheard


def text(blocks: list[Block]) -> str:
    return "\n".join(line for block in blocks for line in block.lines)


def test_chunks_are_joined_and_shown_in_order_with_what_happened_in_between() -> None:
    overheard = Overheard(10.0)
    overheard.noted("example.com is at 192.0.2.1", 10.001)
    overheard.sent(PEER, b"GET / HTTP/1.1\r\nHost: exam", 10.002)
    overheard.sent(PEER, b"ple.com\r\n\r\n", 10.003)
    overheard.received(PEER, b"HTTP/1.1 200 OK\r\n\r\n\x1b[31mred", 10.020)
    overheard.received(PEER, b"", 10.021)
    note, asked, answer, end = readable(overheard, ())
    assert note.lines == ("example.com is at 192.0.2.1",)
    assert asked.lines == ("GET / HTTP/1.1", "Host: example.com", "")
    assert (asked.sent, asked.size, round(asked.at, 6)) == (True, 37, 0.002)
    assert answer.lines == ("HTTP/1.1 200 OK", "", "\\x1b[31mred"), "a terminal is told nothing"
    assert end.lines == ("(the end)",)


@pytest.mark.parametrize("form", [PASSWORD.encode(), base64.b64encode(PASSWORD.encode())])
def test_a_secret_is_found_wherever_a_chunk_ends(form: bytes) -> None:
    data = b"you said " + form + b", did you?"
    for place in range(len(data) + 1):
        overheard = heard(data[:place])
        overheard.noted("between them", 0.0005)
        overheard.received(PEER, data[place:], 0.001)
        shown = readable(overheard, [PASSWORD])
        joined = "".join(line for block in shown if block.peer for line in block.lines).replace("(the end)", "")
        assert joined == "you said ***, did you?"


def test_a_secret_is_found_across_the_chunks_of_a_body() -> None:
    for place in range(1, len(PASSWORD)):
        one, other = PASSWORD[:place].encode(), PASSWORD[place:].encode()
        body = b"%x\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(one), one, len(other), other)
        shown = text(readable(heard(b"HTTP/1.1 200 OK\r\n\r\n" + body), [PASSWORD]))
        assert "***" in shown
        assert "hunter" not in shown


def test_the_head_of_a_secret_at_the_end_is_taken_out() -> None:
    for size in range(4, len(PASSWORD)):
        assert text(readable(heard(b"you said " + PASSWORD[:size].encode()), [PASSWORD])) == "you said ***"


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (b"Authorization: Bearer abcdef", "Authorization: ***"),
        (b"Proxy-Authorization: Basic abcdef==", "Proxy-Authorization: ***"),
        (b"Set-Cookie: session=abcdef; Path=/", "Set-Cookie: ***"),
        (b"cookie: a=b", "cookie: ***"),
        (b"PASS abcdef", "PASS ***"),
        (b"AUTH PLAIN abcdef", "AUTH PLAIN ***"),
        (b'{"access_token": "abcdef", "expires_in": 60}', '{"access_token": "***", "expires_in": 60}'),
        (b"grant_type=client_credentials&client_secret=abcdef", "grant_type=client_credentials&client_secret=***"),
    ],
)
def test_what_stands_where_secrets_do_is_not_shown(line: bytes, shown: str) -> None:
    assert text(readable(heard(b"GET / HTTP/1.1\r\n" + line, sent=True), ())) == f"GET / HTTP/1.1\n{shown}"


def test_what_was_learnt_on_the_way_is_not_shown_either() -> None:
    overheard = heard(b"your token is tkn-0123456789")
    overheard.learnt("tkn-0123456789")
    assert text(readable(overheard, ())) == "your token is ***"


def test_a_compressed_body_is_only_counted() -> None:
    body = gzip.compress(PASSWORD.encode())
    overheard = heard(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + body[:10])
    overheard.noted("something", 0.0005)
    overheard.received(PEER, body[10:], 0.001)
    head, _, rest = readable(overheard, [PASSWORD])
    assert head.lines[-1] == "(10 bytes of compressed body)"
    assert rest.lines == (f"({len(body) - 10} bytes of compressed body)",)


def test_bytes_that_are_no_text_are_shown_as_such() -> None:
    (block,) = readable(heard(bytes(range(32)) + PASSWORD.encode()), [PASSWORD])
    assert block.lines[0].startswith("0000  00 01 02 03")
    assert block.lines[2] == "0020  2a 2a 2a                                         ***"


def test_what_is_kept_and_shown_is_bounded() -> None:
    overheard = heard(b"line\r\n" * 1000, b"x" * (2 * BYTES_LIMIT))
    shown = readable(overheard, [PASSWORD])
    assert overheard.unheard == BYTES_LIMIT + 6000
    assert sum(len(block.lines) for block in shown) <= LINES_LIMIT + 2
    for number in range(2 * ITEMS_LIMIT):
        overheard.noted("again", number)
        overheard.received(PEER, b"x", number)
    assert len(overheard.notes) == ITEMS_LIMIT
    assert len(overheard.chunks) <= ITEMS_LIMIT


def test_what_was_cut_for_want_of_room_may_end_in_a_secret() -> None:
    data = b"x\n" * ((BYTES_LIMIT - 10) // 2) + PASSWORD.encode() + b"\n" * 100
    assert PASSWORD[:4] not in text(readable(heard(data), [PASSWORD]))


def test_the_secrets_of_a_check_are_all_found() -> None:
    probe = Http(url=f"http://me:{PASSWORD}@192.0.2.1/")
    found = set(secrets_of(probe))
    assert {PASSWORD, base64.b64encode(f"me:{PASSWORD}".encode()).decode()} <= found


def test_sizes_of_chunks_that_look_like_secrets() -> None:
    """A token of hexadecimal digits, a line by itself up to where the chunk ends."""
    secret = "deadbeef01234567"
    for body in (
        b"\r\n10\r\nnow:deadbeef0123\r\n4\r\n4567\r\n0\r\n\r\n",
        b"\r\na\r\n\r\ndeadbeef\r\n8\r\n01234567\r\n0\r\n\r\n",
        b"\r\n2\r\n\r\n\r\n4\r\ndead\r\n4\r\nbeef\r\n8\r\n01234567\r\n0\r\n\r\n",
    ):
        shown = text(readable(heard(b"HTTP/1.1 200 OK\r\n" + body), [secret]))
        assert "***" in shown
        assert "dead" not in shown
        assert "4567" not in shown


def test_a_target_cannot_make_it_long() -> None:
    """It has chosen the cookies and the text: each begins at each place."""
    overheard = heard(b"HTTP/1.1 200 OK\r\n\r\n" + b"a" * 250_000)
    for number in range(16):
        overheard.learnt("a" * 2000 + str(number))
    began = process_time()
    readable(overheard, [PASSWORD])
    assert process_time() - began < 2.0


def test_what_is_asked_and_answered_at_once_is_one_step_of_the_waterfall() -> None:
    overheard = Overheard(10.0)
    for phase, began, ended in (("proxy", 10.001, 10.002), ("proxy", 10.002, 10.03), ("send", 10.03, 10.031)):
        overheard.spent(phase, began, ended)
    overheard.spent("send", 10.05, 10.051)
    spans = waterfall(Looked(cast("Check", None), cast("Look", None), overheard, ()))
    assert [(span.what, round(span.began, 3), round(span.ended, 3)) for span in spans] == [
        ("proxy", 0.001, 0.03), ("send", 0.03, 0.031), ("send", 0.05, 0.051),
    ]  # fmt: skip
