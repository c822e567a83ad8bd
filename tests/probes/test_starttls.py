"""STARTTLS in each protocol: agreed upon, not offered, cut off, nonsense; and nothing said before TLS is kept."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probes._tls.starttls import LONGEST_LINE, MOST_BYTES, PROTOCOLS, SSL_REQUEST, talk
from probes.contract import Context, LookFailed, Reason
from probes.tcp import Tcp
from probes.tls import Tls
from tests.probes.judged import prompt_look
from tests.servers.authority import Authority
from tests.servers.talker import HANG, HEAR, TLS, Turn, talker

Make = Callable[..., Context]

LDAP = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037"
LDAP_FINE = b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00"

GOOD: dict[str, list[bytes]] = {
    # What the server says; between two of them it has heard something.
    "smtp": [
        b"220-mx.example.com\r\n220 ESMTP\r\n",
        b"250-mx.example.com Hello\r\n250-SIZE 1000\r\n250-starttls\r\n250 HELP\r\n",
        b"220 2.0.0 Ready\r\n",
    ],
    "imap": [b"* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n", b"* 1 untagged\r\nb1 OK Begin TLS\r\n"],
    "pop3": [b"+OK ready <1@host>\r\n", b"+OK Begin TLS\r\n"],
    "ftp": [b"220-Welcome\r\n to the 220 jungle\r\n220 ready\r\n", b"234 AUTH TLS successful\r\n"],
    "postgres": [b"S"],
    "ldap": [LDAP_FINE],
}
WANTED = {
    "smtp": [b"", b"EHLO brownout.invalid\r\n", b"STARTTLS\r\n"],
    "imap": [b"", b"b1 STARTTLS\r\n"],
    "pop3": [b"", b"STLS\r\n"],
    "ftp": [b"", b"AUTH TLS\r\n"],
    "postgres": [SSL_REQUEST],
    "ldap": [LDAP],
}


def hold(
    protocol: str, said: list[bytes], pieces: Callable[[bytes], list[bytes]] = lambda whole: [whole]
) -> list[bytes]:
    """The conversation; what was sent. b"" for an end that comes too soon is said behind it all."""
    heard: list[bytes] = []
    talking = talk(protocol)
    asked = next(talking)
    try:
        for answer in said:
            heard.append(asked)
            for piece in pieces(answer):
                asked = talking.send(piece)
        while True:
            talking.send(b"")
    except StopIteration:
        return heard


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_agreed_upon_however_it_is_split(protocol: str) -> None:
    said = GOOD[protocol]
    assert hold(protocol, said) == WANTED[protocol]
    assert hold(protocol, said, lambda whole: [whole[at : at + 1] for at in range(len(whole))]) == WANTED[protocol]
    for at in range(max(map(len, said))):
        assert (
            hold(protocol, said, lambda whole, at=at: [p for p in (whole[:at], whole[at:]) if p]) == WANTED[protocol]
        )  # type: ignore[misc]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_end_at_every_byte(protocol: str) -> None:
    for number, answer in enumerate(GOOD[protocol]):
        for at in range(len(answer)):
            said = [*GOOD[protocol][:number], *([answer[:at]] if at else [])]
            with pytest.raises(LookFailed) as failed:
                hold(protocol, said)
            wanted = Reason.TRUNCATED if number or at else Reason.EMPTY_REPLY
            assert failed.value.reason is wanted, (protocol, said)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_comes_along_with_the_answer_is_refused(protocol: str) -> None:
    """CVE-2011-0411: read by a client later on, as if it had been said in secret."""
    for injected in (b"250 Fine\r\n", b"\x16\x03\x03", b"\0"):
        said = [*GOOD[protocol][:-1], GOOD[protocol][-1] + injected]
        with pytest.raises(LookFailed) as failed:
            hold(protocol, said)
        assert failed.value.reason is Reason.PROTOCOL
        assert "before TLS" in failed.value.detail


@pytest.mark.parametrize("protocol", [name for name in PROTOCOLS if len(GOOD[name]) > 1])
def test_what_comes_before_it_is_asked_for_is_refused(protocol: str) -> None:
    with pytest.raises(LookFailed) as failed:
        hold(protocol, [b"".join(GOOD[protocol])])
    assert failed.value.reason is Reason.PROTOCOL


@pytest.mark.parametrize(
    ("protocol", "said", "reason"),
    [
        ("smtp", [b"554 No SMTP service here\r\n"], Reason.NOT_SERVING),
        ("smtp", [b"421-Too busy\r\n421 Try later\r\n"], Reason.NOT_SERVING),
        ("smtp", [b"SSH-2.0-OpenSSH_9.2\r\n"], Reason.PROTOCOL),
        ("smtp", [b"220 mx\r\n", b"250 mx\r\n"], Reason.TLS_PLAINTEXT),
        ("smtp", [b"220 mx\r\n", b"502 What?\r\n"], Reason.TLS_PLAINTEXT),
        ("smtp", [b"220 mx\r\n", b"250-mx\r\n250 STARTTLS\r\n", b"454 No certificate\r\n"], Reason.TLS_PLAINTEXT),
        ("imap", [b"* BYE overloaded\r\n"], Reason.NOT_SERVING),
        ("imap", [b"* PREAUTH you are in\r\n"], Reason.PROTOCOL),
        ("imap", [b"* OK hi\r\n", b"b1 BAD unknown\r\n"], Reason.TLS_PLAINTEXT),
        ("pop3", [b"-ERR down\r\n"], Reason.NOT_SERVING),
        ("pop3", [b"220 mx\r\n"], Reason.PROTOCOL),
        ("pop3", [b"+OK\r\n", b"-ERR no\r\n"], Reason.TLS_PLAINTEXT),
        ("ftp", [b"421 Too many users\r\n"], Reason.NOT_SERVING),
        ("ftp", [b"220 hi\r\n", b"530 Please log in\r\n"], Reason.TLS_PLAINTEXT),
        ("postgres", [b"N"], Reason.TLS_PLAINTEXT),
        ("postgres", [b"E"], Reason.NOT_SERVING),
        ("postgres", [b"H"], Reason.PROTOCOL),
        ("ldap", [LDAP_FINE.replace(b"\x0a\x01\x00", b"\x0a\x01\x34")], Reason.TLS_PLAINTEXT),
        ("ldap", [LDAP_FINE.replace(b"\x78", b"\x61")], Reason.PROTOCOL),
        ("ldap", [b"\x30\x84\x7f\xff\xff\xff"], Reason.TOO_LARGE),
        ("ldap", [b"\x30\x80"], Reason.PROTOCOL),
        ("ldap", [b"HTTP/1.1 400"], Reason.PROTOCOL),
        ("smtp", [b"x" * (LONGEST_LINE + 1)], Reason.TOO_LARGE),
        ("smtp", [b"220-x\r\n" * (MOST_BYTES // 7 + 1)], Reason.TOO_LARGE),
    ],
)  # fmt: skip
def test_not_agreed_upon(protocol: str, said: list[bytes], reason: Reason) -> None:
    with pytest.raises(LookFailed) as failed:
        hold(protocol, said)
    assert failed.value.reason is reason, failed.value


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(PROTOCOLS)), st.lists(st.binary(min_size=1, max_size=40), max_size=6))
def test_anything_is_understood_or_refused(protocol: str, said: list[bytes]) -> None:
    with contextlib.suppress(LookFailed):
        hold(protocol, said)


def turns(protocol: str, *rest: Turn) -> list[Turn]:
    spoken: list[Turn] = [HEAR] if WANTED[protocol][0] else []
    for answer in GOOD[protocol]:
        spoken += [answer, HEAR]
    return [*spoken[:-1], *rest]


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_for_real(protocol: str, context: Context, authority: Authority) -> None:
    where = {"starttls": protocol, "ca_file": authority.file}
    with talker(*turns(protocol, TLS), tls=authority.server()) as (port, heard):
        seen = await prompt_look(Tls(f"localhost:{port}", **where), context)  # type: ignore[arg-type]
        assert seen.ok, seen
        phases = [name for name in seen.phases if name != "send"]
        assert phases == ["resolve", "connect", "starttls", "tls"]
        assert seen.measurements["starttls_time"] > 0
        assert [each for each in WANTED[protocol] if each] == heard[: len(WANTED[protocol])]
        assert (await prompt_look(Tcp(f"localhost:{port}", **where), context)).ok  # type: ignore[arg-type]
    with talker(*turns(protocol, TLS), tls=authority.server("no_chain")) as (port, _):
        seen = await prompt_look(Tls(f"localhost:{port}", **where), context)  # type: ignore[arg-type]
        assert seen.reason is Reason.TLS_CHAIN, seen
    injected = turns(protocol)
    assert isinstance(injected[-1], bytes)
    injected[-1] += b"250 injected\r\n"
    with talker(*injected, TLS, tls=authority.server()) as (port, _):
        seen = await prompt_look(Tls(f"localhost:{port}", **where), context)  # type: ignore[arg-type]
        assert seen.reason is Reason.PROTOCOL, seen


async def test_a_server_that_hangs_before_tls(make_context: Make) -> None:
    for said, seconds, reasons in (
        ([HANG], 0.3, {Reason.FIRST_BYTE_TIMEOUT}),
        ([b"220-mx\r\n", HANG], 0.3, {Reason.TRANSFER_TIMEOUT}),
        ([b"220 mx\r\n", HEAR, HANG], 0.3, {Reason.FIRST_BYTE_TIMEOUT}),
        (turns("smtp", HANG), 0.3, {Reason.TLS_TIMEOUT}),
        (turns("smtp"), 5.0, {Reason.TLS_CLOSED}),
        (turns("smtp", b"oops\r\n", HANG), 5.0, {Reason.PROTOCOL, Reason.TLS_PLAINTEXT}),
    ):
        with talker(*said) as (port, _):
            seen = await prompt_look(Tls(f"localhost:{port}", starttls="smtp"), make_context(seconds))
        assert seen.reason in reasons, (said, seen)
        if seen.reason is not None and seen.reason.timed_out:
            assert seen.measurements["response_time"] >= 0.3
