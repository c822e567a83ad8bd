"""The probe `dns` against servers that are silent, lie, forge or break: each with its reason, and who is to blame."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from probes._dns.server import PORT
from probes._dns.talk import MOST_IGNORED
from probes._names.resolv_conf import ResolvConf, Watched, resolv_conf
from probes.contract import Blame, Context, Observation, Reason
from probes.dns import Dns
from tests.probes.judged import prompt_look as look
from tests.probes.test_look_garbage import left_behind
from tests.servers.name_server import (
    HANG,
    NAME,
    RESET,
    NameServer,
    Script,
    Step,
    answering,
    framed,
    name_server,
    patched,
    reply,
    silent,
)

Make = Callable[..., Context]

SHOP = "shop.example.com"
A = f"{NAME} 300 A 203.0.113.7"
SHORT, LONG = 0.15, 5.0
"""Seconds for looks that are not answered, and for those that are."""
OPT = 11
"""Bytes at the end of a question: the record that says that it has EDNS."""
LOOP = [f"{NAME} 60 CNAME www.example.com.", f"www.example.com. 60 CNAME {NAME}"]


def limit(reason: str) -> float:
    return SHORT if Reason(reason).timed_out else LONG


def good(question: bytes) -> bytes:
    return reply(question, A)


def other_id(message: bytes) -> bytes:
    return patched(message, 0, bytes((message[0] ^ 1,)))


def counting(message: bytes, answers: int) -> bytes:
    """The message, saying that it has so many answers."""
    return patched(message, 6, answers.to_bytes(2, "big"))


def pointing(question: bytes, offset: int) -> bytes:
    """An answer whose name is a pointer to that offset."""
    head = question[:2] + bytes.fromhex("8180 0001 0001 0000 0000")
    record = (0xC000 | offset).to_bytes(2, "big") + bytes.fromhex("0001 0001 0000012c 0004 cb007107")
    return head + question[len(head) : -OPT] + record


# --- by UDP, where anybody can send -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """What a server does, and what is told of it: the detail, or a piece of evidence."""

    name: str
    script: Script
    reason: str
    detail: str = ""
    ours: str = "dns_servfail"
    """The reason where it is our own resolver that does so."""
    ignored: str = ""


def _then_good(first: Callable[[bytes], bytes]) -> Script:
    return lambda question: [first(question), good(question)]


BY_UDP = [
    Case("silence", silent, "query_timeout", "the query was not answered within", "dns_timeout"),
    Case("wrong id", lambda q: [other_id(good(q))], "query_timeout", ours="dns_timeout", ignored="1 with another id"),
    Case(
        "wrong question",
        lambda q: [patched(good(q), 13, b"h0p")],
        "query_timeout",
        ours="dns_timeout",
        ignored="1 to another question",
    ),
    Case(
        "wrong type",
        lambda q: [patched(good(q), 12 + len(SHOP) + 2, b"\0\x1c")],
        "query_timeout",
        ours="dns_timeout",
        ignored="1 to another question",
    ),
    Case(
        "our question",
        lambda q: [q, q],
        "query_timeout",
        ours="dns_timeout",
        ignored="2 our own question, sent back",
    ),
    Case(
        "a question of its own",
        lambda q: [patched(q, 13, b"other")],
        "query_timeout",
        ours="dns_timeout",
        ignored="1 a question",
    ),
    Case(
        "no header", lambda q: [q[:11], b""], "query_timeout", ours="dns_timeout", ignored="2 shorter than a header"
    ),
    Case(
        "an answer to an update",
        lambda q: [patched(good(q), 2, b"\xa8")],
        "query_timeout",
        ours="dns_timeout",
        ignored="1 to no query",
    ),
    Case("NXDOMAIN", answering(rcode="NXDOMAIN"), "dns_nxdomain", "shop.example.com does not exist", "dns_nxdomain"),
    Case("NODATA", answering(), "answer", "shop.example.com has no A record", "answer"),
    Case("SERVFAIL", answering(rcode="SERVFAIL"), "rcode", "the answer is SERVFAIL, not NOERROR"),
    Case(
        "SERVFAIL, and why",
        answering(rcode="SERVFAIL", error=(7, "signature expired\n")),
        "rcode",
        "the answer is SERVFAIL, not NOERROR: EDE 7",
    ),
    Case("REFUSED", answering(rcode="REFUSED"), "rcode", "the answer is REFUSED, not NOERROR", "dns_refused"),
    Case("a header and no more", lambda q: [q[:2] + b"\x81\x81" + bytes(8)], "rcode", "the answer is FORMERR"),
    Case("a loop of aliases", answering(*LOOP), "answer", "the aliases (CNAME) go in a circle", "answer"),
    Case("NXDOMAIN with records", answering(A, rcode="NXDOMAIN"), "protocol", "it says NXDOMAIN, and has records"),
    Case("cut off within", lambda q: [good(q)[:-20]], "protocol", "the answer cannot be read", "dns_protocol"),
    Case("more behind", lambda q: [good(q) + b"more"], "protocol", "the answer cannot be read"),
    Case("fewer than it says", lambda q: [counting(good(q), 9)], "protocol", "the answer cannot be read"),
    Case("far more than is read", lambda q: [counting(good(q), 65_535)], "too_large", "records; read are up to 250"),
    Case("a pointer to itself", lambda q: [pointing(q, len(q) - 11)], "protocol", "the answer cannot be read"),
    Case("a pointer ahead", lambda q: [pointing(q, 400)], "protocol", "the answer cannot be read"),
]


def check(case: Case, seen: Observation, reason: str) -> None:
    assert seen.reason is not None
    assert (seen.reason, case.detail in seen.detail) == (reason, True), seen
    assert seen.evidence.get("ignored", "") == case.ignored
    assert "\n" not in str(seen.evidence) + seen.detail
    if seen.reason is Reason.QUERY_TIMEOUT:
        assert seen.measurements["response_time"] >= SHORT


@pytest.mark.parametrize("case", BY_UDP, ids=lambda case: case.name)
async def test_a_server_that_is_looked_at(make_context: Make, case: Case) -> None:
    with name_server(case.script) as server:
        seen = await look(Dns(SHOP, server=server.address), make_context(limit(case.reason)))
    check(case, seen, case.reason)
    assert seen.reason is not None
    assert seen.reason.blame is Blame.TARGET


@pytest.mark.parametrize(
    "bad",
    [other_id, lambda message: b"", lambda message: message[:5], lambda message: patched(message, 14, b"x")],
    ids=["another id", "nothing", "a piece", "another question"],
)
async def test_what_anybody_could_have_sent_hides_no_answer(
    make_context: Make, bad: Callable[[bytes], bytes]
) -> None:
    with name_server(_then_good(lambda question: bad(good(question)))) as server:
        seen = await look(Dns(SHOP, server=server.address), make_context())
    assert seen.ok, seen
    assert seen.evidence["ignored"].startswith("1 ")


async def test_a_flood_is_not_read_to_its_end(make_context: Make) -> None:
    with name_server(lambda question: [other_id(good(question))] * (MOST_IGNORED + 10)) as server:
        seen = await look(Dns(SHOP, server=server.address), make_context())
    assert seen.reason is Reason.PROTOCOL, seen
    assert seen.evidence["ignored"] == f"{MOST_IGNORED} with another id"


async def test_nobody_listens(make_context: Make, closed_port: int) -> None:
    seen = await look(Dns(SHOP, server=f"127.0.0.1:{closed_port}"), make_context())
    assert (seen.reason, seen.detail) == (Reason.REFUSED, f"127.0.0.1:{closed_port}: ECONNREFUSED")


# --- on a connection ----------------------------------------------------------------------------------------------

ON_CONNECTION = [
    pytest.param(lambda q: [HANG], "query_timeout", "the query was not answered", id="silence"),
    pytest.param(lambda q: [b"\0", HANG], "query_timeout", "the query was not answered", id="half of a length"),
    pytest.param(lambda q: [framed(good(q))[:30]], "truncated", "closed after 30 bytes", id="half of an answer"),
    pytest.param(lambda q: [], "empty_reply", "closed without an answer", id="nothing"),
    pytest.param(lambda q: [b"\0\x20abc", RESET], "reset", "ECONNRESET", id="a reset"),
    pytest.param(
        lambda q: [framed(other_id(good(q)))],
        "protocol",
        "no answer to the question: with another id",
        id="another id",
    ),
    pytest.param(lambda q: [framed(q)], "protocol", "our own question, sent back", id="our question"),
    pytest.param(lambda q: [framed(b"")], "protocol", "shorter than a header", id="no message"),
    pytest.param(lambda q: [b"HTTP/1.1 400 Bad Request\r\n\r\n"], "truncated", "closed after 28 bytes", id="HTTP"),
    pytest.param(
        lambda q: [framed(reply(q, flags="QR TC"))], "protocol", "it came on a connection", id="cut off again"
    ),
    pytest.param(lambda q: [framed(good(q)[:-3])], "protocol", "cannot be read", id="garbage"),
]


@pytest.mark.parametrize(("script", "reason", "detail"), ON_CONNECTION)
async def test_connections_that_lie(make_context: Make, script: Script, reason: str, detail: str) -> None:
    with name_server(silent, script) as server:
        seen = await look(Dns(SHOP, server=server.address, transport="tcp"), make_context(limit(reason)))
    assert (seen.reason, detail in seen.detail) == (reason, True), seen
    assert "send" not in seen.phases


async def test_an_answer_in_pieces_is_one(make_context: Make) -> None:
    def by_bytes(question: bytes) -> Iterator[Step]:
        for byte in framed(good(question)):
            yield bytes((byte,))
            yield 0.0005

    with name_server(silent, by_bytes) as server:
        seen = await look(Dns(SHOP, server=server.address, transport="tcp"), make_context())
    assert seen.ok, seen


async def test_cut_off_and_nobody_listens_by_tcp(make_context: Make) -> None:
    with name_server(answering(flags="QR TC")) as server:
        seen = await look(Dns(SHOP, server=server.address), make_context())
    assert (seen.reason, seen.detail) == (Reason.REFUSED, f"{server.address}: ECONNREFUSED"), seen
    assert "truncated" in seen.evidence


async def test_no_tls_there(make_context: Make) -> None:
    with name_server(silent, lambda question: [HANG]) as server:
        seen = await look(Dns(SHOP, server=server.address, transport="tls"), make_context(SHORT))
    assert seen.reason in (Reason.TLS_TIMEOUT, Reason.TLS_PROTOCOL), seen


# --- our own resolver ---------------------------------------------------------------------------------------------

OURS = {"silence", "wrong id", "NXDOMAIN", "NODATA", "SERVFAIL", "REFUSED", "a loop of aliases", "cut off within"}
HERE = f"127.53.{os.getpid() // 256 % 256}.{os.getpid() % 254 + 1}"


@contextmanager
def our_resolver(script: Script, folder: Path, first: str = "") -> Iterator[tuple[NameServer, Watched[ResolvConf]]]:
    """On the one port where a resolver is asked, behind the `first` one; skips where that is not for us."""
    conf = folder / "resolv.conf"
    named = f"nameserver {first}\n" if first else ""
    conf.write_text(f"# ours\nsearch example.com\n{named}nameserver\t{HERE}\n")
    try:
        with name_server(script, where=(HERE, PORT)) as server:
            yield server, resolv_conf(str(conf))
    except PermissionError:
        pytest.skip("port 53 is not for us")


@pytest.mark.parametrize("case", [case for case in BY_UDP if case.name in OURS], ids=lambda case: case.name)
async def test_our_own_resolver_cannot_tell(tmp_path: Path, make_context: Make, case: Case) -> None:
    with our_resolver(case.script, tmp_path) as (_, conf):
        seen = await look(Dns(SHOP, _resolver=conf), make_context(limit(case.ours)))
    check(case, seen, case.ours)
    assert seen.reason is not None
    says_something = seen.reason in (Reason.DNS_NXDOMAIN, Reason.ANSWER)
    assert seen.reason.blame is (Blame.TARGET if says_something else Blame.CANNOT_TELL)


async def test_our_own_resolver_answers(tmp_path: Path, make_context: Make) -> None:
    with our_resolver(answering(A), tmp_path) as (server, conf):
        probe = Dns(SHOP, _resolver=conf)
        seen = await look(probe, make_context())
        assert (probe.target, probe.host) == ("A shop.example.com", None)
    assert seen.ok, seen
    assert seen.evidence["address"] == f"{HERE}:53"
    assert len(server.by_udp) == 1
    gone = await look(probe, make_context(SHORT))
    assert gone.reason is Reason.DNS_SERVFAIL, "nobody listens there any more"


OTHER = f"127.54.{os.getpid() // 256 % 256}.{os.getpid() % 254 + 1}"


@pytest.mark.parametrize(
    ("first", "passed"),
    [
        (answering(rcode="SERVFAIL"), "SERVFAIL"),
        (answering(rcode="REFUSED"), "REFUSED"),
        (silent, "no answer while it was its turn"),
        (None, "127.54"),
    ],
    ids=["fails", "refuses", "silent", "nobody"],
)
async def test_the_next_server_of_resolv_conf(
    tmp_path: Path, make_context: Make, first: Script | None, passed: str
) -> None:
    with our_resolver(answering(A), tmp_path, OTHER) as (server, conf), ExitStack() as stack:
        if first is not None:
            stack.enter_context(name_server(first, where=(OTHER, PORT)))
        seen = await look(Dns(SHOP, _resolver=conf), make_context(0.6))
    assert seen.ok, seen
    assert (seen.evidence["address"], len(server.by_udp)) == (f"{HERE}:53", 1)
    assert seen.evidence["passed_over"].startswith(f"{OTHER}: ")
    assert passed in seen.evidence["passed_over"]


async def test_both_servers_of_resolv_conf_fail(tmp_path: Path, make_context: Make) -> None:
    with our_resolver(answering(rcode="SERVFAIL"), tmp_path, OTHER) as (_, conf):
        seen = await look(Dns(SHOP, _resolver=conf), make_context())
    assert (seen.reason, "ECONNREFUSED" in seen.evidence["passed_over"]) == (Reason.DNS_SERVFAIL, True), seen


def only_without_edns(question: bytes) -> list[Step]:
    if question[10:12] != b"\0\0":
        return [question[:2] + b"\x81\x81" + question[4:10] + b"\0\0" + question[12:-OPT]]
    return [good(question)]


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_server_that_does_not_know_edns(make_context: Make, transport: Any) -> None:
    framing = lambda q: [framed(step) for step in only_without_edns(q) if isinstance(step, bytes)]  # noqa: E731
    with name_server(only_without_edns, framing) as server:
        seen = await look(Dns(SHOP, server=server.address, transport=transport), make_context())
        assert seen.ok, seen
        assert seen.evidence["edns"] == "the server does not know it: asked again without"
        wanted = Dns(SHOP, server=server.address, transport=transport, dnssec=True)
        seen = await look(wanted, make_context())
    assert (seen.reason, "FORMERR" in seen.detail) == (Reason.RCODE, True), "there is no DNSSEC without it"


# --- what a look leaves behind ------------------------------------------------------------------------------------


@dataclass
class _Turn:
    """One script after the other."""

    scripts: list[Script]
    asked: int = field(default=0)

    def __call__(self, question: bytes) -> list[Step]:
        script = self.scripts[self.asked % len(self.scripts)]
        self.asked += 1
        return list(script(question))


async def test_a_look_leaves_nothing_for_the_collector(tmp_path: Path, make_context: Make) -> None:
    cases = [case.script for case in BY_UDP if case.reason != "query_timeout"]
    turn = _Turn([answering(A), *cases, answering(flags="QR TC")])
    with name_server(turn) as server, left_behind() as found:
        for _ in turn.scripts:
            await Dns(SHOP, server=server.address).look(make_context())
    assert found == {}
    with name_server(silent) as server, left_behind() as found:
        await Dns(SHOP, server=server.address).look(make_context(0.05))
    assert found == {}
    with our_resolver(_Turn([answering(rcode="SERVFAIL"), silent]), tmp_path) as (_, conf), left_behind() as found:
        for _ in range(2):
            await Dns(SHOP, _resolver=conf).look(make_context(0.05))
    assert found == {}
