"""The tcp probe's scripts: lines sent, lines expected, values captured; and every way in which a server spoils it."""

from __future__ import annotations

import contextlib
import select
import socket
import tracemalloc
from collections.abc import Callable
from time import perf_counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probes._look import Look
from probes._script import LONGEST_LINE, MOST_BYTES, Script, Step
from probes._wire.dial import dial
from probes._wire.dialogue import conduct
from probes.contract import Address, BadField, Context, LookFailed, Observation, Reason, Secret
from probes.tcp import Tcp
from tests.probes.judged import prompt_look
from tests.servers.authority import Authority
from tests.servers.talker import HANG, HEAR, TLS, Turn, talker

Make = Callable[..., Context]


def step(send: str | None = None, expect: str | None = None, fail: str | None = None) -> Step:
    return Step(Secret(send) if send is not None else None, expect, fail)


MAIL = (
    step(expect=r"^220 (?P<host>\S+)"),
    step("EHLO %{host}", "^250 ", "^[45]"),
    step("QUIT", "^221"),
)
SPOKEN: list[Turn] = [b"220 mx1 ESMTP\r\n", HEAR, b"250-mx1\r\n250 HELP\r\n", HEAR, b"221 Bye\r\n"]


async def seen_at(turns: list[Turn], context: Context, **fields: Any) -> tuple[Observation, list[bytes]]:
    tls = fields.pop("server", None)
    with talker(*turns, tls=tls) as (port, heard):
        return await prompt_look(Tcp(f"localhost:{port}", **fields), context), heard


async def test_a_conversation(context: Context) -> None:
    seen, heard = await seen_at(SPOKEN, context, script=MAIL)
    assert seen.ok, seen
    assert heard == [b"EHLO mx1\r\n", b"QUIT\r\n"]
    assert seen.evidence["captured"] == "host=mx1"
    assert "step" not in seen.evidence
    figures = seen.measurements
    assert 0 < figures["script_time"] < figures["response_time"]
    assert figures["response_time"] == pytest.approx(sum(seen.phases.values()) - seen.phases["resolve"])


@pytest.mark.parametrize("within", ["\r", "\0"])
async def test_what_is_captured_cannot_become_another_order(context: Context, within: str) -> None:
    script = (step(expect="^220 (?P<id>.+)"), step("GET %{id}", "^250 "))
    seen, heard = await seen_at([f"220 a{within}DELETE\r\n".encode(), HEAR], context, script=script)
    assert seen.reason is Reason.ANSWER
    assert seen.detail == "step 2: %{id} has a line break or a NUL in it, and is not sent"
    assert b"DELETE" not in b"".join(heard)


async def test_a_greeting_counts_from_when_it_was_connected_however_late_it_is_read() -> None:
    with talker(b"220 mx1 ESMTP\r\n") as (port, _):
        look = Look(5.0)
        try:
            connection = await dial(look, (Address("127.0.0.1", port, socket.AF_INET),))
            with connection:
                assert select.select([connection._sock], [], [], 5.0)[0], "the loop stands still until it is there"
                await conduct(look, connection, Script((step(expect="^220"),), "crlf").run(look), "script")
                assert look.phases["script"] == pytest.approx(connection.arrived - connection.connected)
        finally:
            look.close()
    assert look.phases["script"] > 0


async def test_by_tls(context: Context, authority: Authority) -> None:
    smtp: list[Turn] = [b"220 mx1\r\n", HEAR, b"250-mx1\r\n250 STARTTLS\r\n", HEAR, b"220 go\r\n", TLS]
    for before, fields in (([TLS], {"tls": True, "script": MAIL}), (smtp, {"starttls": "smtp", "script": MAIL[1:]})):
        if len(before) > 1:
            fields["script"] = (step("EHLO me", "^250 "), MAIL[2])
        turns = [*before, *(SPOKEN if len(before) == 1 else SPOKEN[1:])]
        seen, heard = await seen_at(turns, context, server=authority.server(), ca_file=authority.file, **fields)
        assert seen.ok, seen
        assert heard[-1] == b"QUIT\r\n"
        assert seen.evidence["tls"] == "TLSv1.3"
        assert seen.measurements["certificate_expires_in"] > 0


@pytest.mark.parametrize(
    ("turns", "reason", "step", "why"),
    [
        ([], Reason.EMPTY_REPLY, 1, "without a word"),
        ([HANG], Reason.FIRST_BYTE_TIMEOUT, 1, "no answer"),
        ([b"hello\r\n", HANG], Reason.TRANSFER_TIMEOUT, 1, "did not end"),
        ([b"hello\r\n"], Reason.ANSWER, 1, "was not found before the server closed"),
        ([b"220 mx1\r\n", HEAR], Reason.TRUNCATED, 2, "closed the connection instead of answering"),
        ([b"220 mx1\r\n", HEAR, HANG], Reason.FIRST_BYTE_TIMEOUT, 2, "no answer"),
        ([b"220 mx1\r\n", HEAR, b"550 go away\r\n", HANG], Reason.ANSWER, 2, "'^[45]' was found"),
        ([b"220 " + b"x" * LONGEST_LINE, HANG], Reason.TOO_LARGE, 1, "a line is longer"),
        ([(b"x" * 8000 + b"\r\n") * (MOST_BYTES // 8000 + 1), HANG], Reason.TOO_LARGE, 1, "larger than 256 KiB"),
        ([b"\n" * 60_000, HANG], Reason.TOO_LARGE, 1, "more than 2000 lines"),
        ([b"220 " + b"x" * 2000 + b"\r\n", HANG], Reason.TOO_LARGE, 1, "%{host} is longer"),
    ],
)
async def test_servers_that_spoil_it(
    make_context: Make, turns: list[Turn], reason: Reason, step: int, why: str
) -> None:
    began = perf_counter()
    seen, _ = await seen_at(turns, make_context(0.4), script=MAIL)
    assert (seen.reason, why in seen.detail) == (reason, True), seen
    assert seen.evidence["step"] == f"{step} of 3"
    assert perf_counter() - began < 5
    if reason.timed_out:
        assert seen.measurements["response_time"] >= 0.4
        assert seen.measurements["script_time"] > 0.2


async def test_what_came_last_is_told_without_what_was_sent(context: Context) -> None:
    script = (step(expect="^220"), step("AUTH PLAIN tell-no-one", "^235"))
    turns: list[Turn] = [b"220 mx\r\n", HEAR, b"535 not tell-no-one\r\nand\r\nmore: "]
    seen, heard = await seen_at(turns, context, script=script)
    assert heard == [b"AUTH PLAIN tell-no-one\r\n"]
    assert seen.evidence["answer"] == "220 mx\\n535 not ***\\nand\\nmore: "
    assert "tell-no-one" not in repr(seen) + repr(Tcp("localhost:1", script=script))


async def test_line_ends(context: Context) -> None:
    for line_end, sent in (("crlf", b"a\r\nb\n"), ("lf", b"a\nb\n"), ("none", b"ab\n")):
        script = (step("a"), step("b\n", "ok"))
        seen, heard = await seen_at([HEAR, b"ok"], context, script=script, line_end=line_end)
        assert seen.ok, seen
        assert b"".join(heard) == sent


async def test_a_last_line_is_sent_though_nothing_is_expected(context: Context) -> None:
    seen, heard = await seen_at([b"hi\n", HEAR, HANG], context, script=(step(expect="hi"), step("bye")))
    assert seen.ok
    assert heard in ([b"bye\r\n"], [])


async def test_an_endless_answer_takes_no_memory(make_context: Make) -> None:
    with talker(*[b"x" * 100 + b"\n"] * 100_000) as (port, _):
        tracemalloc.start()
        seen = await prompt_look(Tcp(f"localhost:{port}", script=MAIL), make_context(5))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert seen.reason is Reason.TOO_LARGE
    assert peak < 2_000_000


ANSWERS = [b"220 mx1 ESMTP\r\n", b"250-mx1\r\n250 HELP\r\n", b"221 Bye\r\n"]


def hold(look: Look, answers: list[list[bytes]]) -> list[bytes]:
    """What is sent when these come, each in its pieces, one after the other."""
    heard: list[bytes] = []
    talking = Script(MAIL, "crlf").run(look)
    try:
        asked = next(talking)
        for pieces in answers:
            for piece in pieces:
                heard.append(asked)
                asked = talking.send(piece)
        for _ in range(2):
            heard.append(asked)
            asked = talking.send(b"")
    except StopIteration as end:
        return [each for each in (*heard, end.value) if each]
    raise AssertionError("it never ends")


async def test_split_at_every_byte() -> None:
    look = Look(5)
    for number, answer in enumerate(ANSWERS):
        for at in range(len(answer)):
            for pieces in ([answer[:at], answer[at:]], [answer[n : n + 1] for n in range(len(answer))]):
                said = [[each] for each in ANSWERS]
                said[number] = [piece for piece in pieces if piece]
                assert hold(look, said) == [b"EHLO mx1\r\n", b"QUIT\r\n"]
    look.close()


async def test_an_end_at_every_byte() -> None:
    """A last line without its end is a line; what is cut off before it is none that was expected."""
    look = Look(5)
    enough = (len(b"220 m"), ANSWERS[1].rindex(b"250") + len(b"250 "), len(b"221"))
    for number, answer in enumerate(ANSWERS):
        for at in range(enough[number]):
            with pytest.raises(LookFailed):
                hold(look, [*([each] for each in ANSWERS[:number]), *([[answer[:at]]] if at else [])])
    look.close()


async def test_what_came_before_it_was_asked_for_is_no_answer() -> None:
    look = Look(5)
    with pytest.raises(LookFailed) as failed:
        hold(look, [[b"".join(ANSWERS)]])
    assert failed.value.reason is Reason.TRUNCATED
    look.close()


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=60), max_size=8))
def test_anything_is_understood_or_refused(came: list[bytes]) -> None:
    class Shown:
        evidence: dict[str, str] = {}  # noqa: RUF012

        def show(self, text: str, limit: int = 300, *, cut: bool = False) -> str:
            return text[:limit]

        def clean(self, text: str) -> str:
            return text

    shown: Any = Shown()
    with contextlib.suppress(LookFailed):
        hold(shown, [came])


@pytest.mark.parametrize(
    ("fields", "field", "why"),
    [
        ({"script": (step("%{id}", "x"),)}, "script", "no step before it captures"),
        ({"script": (step(expect="(?P<id>.)"), step("%{ID}"))}, "script", "no step before it captures"),
        ({"script": (step("x"),) * 51}, "script", "50 are the most"),
        ({"tls": True, "starttls": "smtp"}, "starttls", "either from the first byte"),
        ({"certificate": "/a.pem"}, "certificate", "needs tls: true"),
        ({"tls": True, "key": "/a.pem"}, "key", "needs certificate"),
    ],
)
def test_fields(fields: dict[str, Any], field: str, why: str) -> None:
    with pytest.raises(BadField, match=why) as bad:
        Tcp("localhost:25", **fields)
    assert bad.value.field == field


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "expect"),
        ({"expect": "("}, "expect"),
        ({"expect": "x", "fail": "["}, "fail"),
        ({"send": Secret("x"), "fail": "x"}, "fail"),
    ],
)
def test_steps(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(BadField) as bad:
        Step(**fields)
    assert bad.value.field == field
