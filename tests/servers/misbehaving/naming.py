"""Name servers that fail, lie, or say nothing: as the resolver of an agent, and as what is looked at."""

from __future__ import annotations

from dataclasses import dataclass

import dns.message
import dns.rdatatype

from tests.servers.misbehaving.case import UP, Case, Names, verdict_of
from tests.servers.name_server import MORE, NAME, Script, framed, patched, reply, silent

SHOP = NAME.rstrip(".")
"""The name that is asked for; its address is 127.0.0.1."""


def good(question: bytes) -> bytes:
    """The address of `SHOP`; of other types, that there is none."""
    wanted = dns.message.from_wire(question).question[0].rdtype
    return _found(question) if wanted == dns.rdatatype.A else reply(question)


def _found(question: bytes) -> bytes:
    return reply(question, f"{NAME} 300 A 127.0.0.1")


def _cut_within(question: bytes) -> bytes:
    """The address without its end; no record comes after it that could be what is missing."""
    message = dns.message.from_wire(_found(question))
    message.use_edns(False)
    return message.to_wire()[:-2]


def _cut(question: bytes) -> bytes:
    return reply(question, flags="QR RD RA TC")


def _circle(question: bytes) -> bytes:
    return reply(question, f"{NAME} 60 CNAME www.example.com.", f"www.example.com. 60 CNAME {NAME}")


def _pointing_at_itself(question: bytes) -> bytes:
    """An answer whose record has a name that is a pointer to itself."""
    end = question.index(b"\0", 12) + 5
    head = question[:2] + bytes.fromhex("8180 0001 0001 0000 0000") + question[12:end]
    record = (0xC000 | len(head)).to_bytes(2, "big") + bytes.fromhex("0001 0001 0000012c 0004 7f000001")
    return head + record


@dataclass(frozen=True, slots=True)
class _Row:
    """What a name server does, and what is to be said of it: as the resolver of an agent that looks at a URL, and
    where the server itself is looked at."""

    does: str
    ours: str
    theirs: str
    by_udp: Script
    why: str
    by_tcp: Script | None = None
    waits: bool = False
    """Whether a resolver is waited for to the end, though its silence is not what is said."""
    blackbox: str = ""
    """Why blackbox_exporter says something else of the server itself."""


_FORGED = "Anybody can send such a packet, to lead customers astray: it is counted, and never believed."

_ROWS: tuple[_Row, ...] = (
    _Row("that answers", UP, UP, lambda q: [good(q)], "Nothing is wrong with it."),
    _Row(
        "that says NXDOMAIN", "dns_nxdomain", "dns_nxdomain", lambda q: [reply(q, rcode="NXDOMAIN")],
        "Nobody finds a name that does not exist: mostly its domain has expired, or there is a typing error.",
    ),
    _Row(
        "that knows the name and no address", "dns_no_data", "answer", lambda q: [reply(q)],
        "Nobody comes to a name without an address.",
    ),
    _Row(
        "that says SERVFAIL", "dns_servfail", "rcode", lambda q: [reply(q, rcode="SERVFAIL")],
        "It may be the agent's resolver or the zone: who cannot know pages nobody; the zone can have its own check.",
    ),
    _Row(
        "that says REFUSED", "dns_refused", "rcode", lambda q: [reply(q, rcode="REFUSED")],
        "The agent's resolver does not serve the agent: that says nothing about the site.",
    ),
    _Row(
        "that says nothing", "dns_timeout", "query_timeout", silent,
        "The agent's resolver is silent: that says nothing about the site.",
    ),
    _Row(
        "whose answers have a wrong id", "dns_timeout", "query_timeout",
        lambda q: [patched(good(q), 0, bytes((q[0] ^ 1,)))], _FORGED,
    ),
    _Row(
        "whose answers are to another question", "dns_timeout", "query_timeout",
        lambda q: [patched(good(q), 13, b"h0p")], _FORGED,
        blackbox="blackbox_exporter compares the id alone, and believes it.",
    ),
    _Row(
        "that sends the question back", "dns_protocol", "query_timeout", lambda q: [q],
        "A question is no answer, whoever sent it: it is counted, and never believed.", waits=True,
    ),
    _Row(
        "that cuts off by UDP and answers by TCP", UP, UP, lambda q: [_cut(q)],
        "This is what TC is for (RFC 7766).", lambda q: [framed(good(q)), MORE],
        blackbox="blackbox_exporter asks by UDP or by TCP, as it is told, and does not change over.",
    ),
    _Row(
        "that cuts off by UDP and closes by TCP", "dns_servfail", "empty_reply", lambda q: [_cut(q)],
        "It has an answer and gives it to nobody.", lambda q: [],
    ),
    _Row(
        "whose aliases go in a circle", "dns_protocol", "answer", lambda q: [_circle(q)],
        "There is no address at the end of it.",
    ),
    _Row(
        "whose answers point at themselves", "dns_protocol", "protocol", lambda q: [_pointing_at_itself(q)],
        "Such a name has no end, and has brought down resolvers.",
    ),
    _Row(
        "whose answers end too early", "dns_protocol", "protocol", lambda q: [_cut_within(q)],
        "What is left cannot be read.",
    ),
)  # fmt: skip

_LOOKED_AT = {
    "rcode": "It is this server that is looked at, and it does not serve its zone.",
    "query_timeout": "It is this server that is looked at, and it has not answered the question.",
}
"""What is to be said where the server itself is looked at, and not a site by it."""


def _resolver(row: _Row) -> Case:
    others = "Both call the site down, though nobody has asked it." if verdict_of(row.ours) == "unknown" else ""
    names = Names(row.by_udp, row.by_tcp)
    return Case(f"a resolver {row.does}", row.ours, row.why, names, others, row.waits)


def _name_server(row: _Row) -> Case:
    why = row.why if row.theirs == row.ours else _LOOKED_AT.get(row.theirs, row.why)
    return Case(
        f"a name server {row.does}", row.theirs, why, Names(row.by_udp, row.by_tcp, itself=True), row.blackbox
    )


RESOLVERS: tuple[Case, ...] = tuple(map(_resolver, _ROWS))
NAME_SERVERS: tuple[Case, ...] = tuple(map(_name_server, _ROWS))
