"""Name servers that are silent, lie, forge or break, and what is told of each."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from probes._dns.server import PORT
from probes._names.resolv_conf import ResolvConf, Watched, resolv_conf
from probes.contract import Context, Observation, Reason
from tests.servers.name_server import NAME, NameServer, Script, answering, name_server, patched, reply, silent

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


def then_good(first: Callable[[bytes], bytes]) -> Script:
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
