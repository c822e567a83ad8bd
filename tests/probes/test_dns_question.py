"""What can be written of a DNS question, and what becomes of bytes that answer it, whatever they are."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Callable
from typing import Any

import dns.name
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probes._dns.asked import Asked
from probes._dns.expect import Expect
from probes._dns.name import name_of, type_of
from probes._dns.question import MOST_RECORDS, Answer, Question
from probes._dns.server import server_of
from probes.contract import BadField, LookFailed
from probes.dns import Dns
from tests.servers.name_server import NAME, reply

SHOP = "shop.example.com"


# --- as people write it -------------------------------------------------------------------------------------------


def _made(fields: dict[str, Any]) -> Dns:
    expect = Expect(**fields.get("expect", {}))
    return Dns(**{"query": SHOP, **fields, "expect": expect})


@pytest.mark.parametrize(
    ("fields", "field", "says"),
    [
        ({"query": ""}, "query", "the root is a dot"),
        ({"query": "https://shop.example.com/"}, "query", "without scheme or port"),
        ({"query": "shop.example.com:53"}, "query", "without scheme or port"),
        ({"query": "me@example.com"}, "query", "is no name"),
        ({"query": "shop example.com"}, "query", "is no name"),
        ({"query": "shop..example.com"}, "query", "two dots in a row"),
        ({"query": ".example.com"}, "query", "begins with one"),
        ({"query": "a" * 64 + ".example.com"}, "query", "longer than 63 bytes"),
        ({"query": "ü" * 60 + ".example.com"}, "query", "63"),
        ({"query": "abcdefg." * 32}, "query", "longer than 255 bytes"),
        ({"query": "\N{SNOWMAN}.example"}, "query", "cannot be a name"),
        ({"query": "192.0.2.1"}, "query", "type: PTR and query: 1.2.0.192.in-addr.arpa"),
        ({"query": "2001:db8::1"}, "query", "ip6.arpa"),
        ({"type": "ADDRESS"}, "type", "no type of record"),
        ({"type": "TYPE65536"}, "type", "no type of record"),
        ({"type": "ANY"}, "type", "name one type"),
        ({"type": "axfr"}, "type", "name one type"),
        ({"type": "OPT"}, "type", "name one type"),
        ({"server": "https://dns.example/dns-query"}, "server", "write host, host:port or [IPv6 address]:port"),
        ({"server": "ns.example:0"}, "server", "1 to 65535"),
        ({"server": ""}, "server", "write host"),
        ({"type": "AAAA", "expect": {"answers": ("203.0.113.7",)}}, "expect.answers", "no AAAA record, such as"),
        ({"type": "MX", "expect": {"answers": ("mail.example.com",)}}, "expect.answers", "such as 10 mail"),
        ({"type": "CAA", "expect": {"answers": ("x",)}}, "expect.answers", "no CAA record: "),
        ({"expect": {"rcode": ("OK",)}}, "rcode", "write NOERROR, NXDOMAIN"),
        ({"expect": {"rcode": ()}}, "rcode", "no code is named"),
        ({"expect": {"count": "some"}}, "count", "write 2, 2-4, or 2-"),
        ({"expect": {"count": "4-2"}}, "count", "the wrong way round"),
        ({"expect": {"exact": True}}, "exact", "needs answers"),
        ({"expect": {"matching": ("(",)}}, "matching", "not a regular expression (RE2)"),
        ({"expect": {"absent": ("a", "[")}}, "absent", "not a regular expression (RE2)"),
        ({"expect": {"authority": ("*",)}}, "authority", "not a regular expression (RE2)"),
    ],
)
def test_what_cannot_be_asked(fields: dict[str, Any], field: str, says: str) -> None:
    with pytest.raises(BadField) as caught:
        _made(fields)
    assert (caught.value.field, says in str(caught.value)) == (field, True), str(caught.value)


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(BadField) as caught:
        Dns("a..b", "WHAT", "x:y:z")
    assert [fault.field for fault in caught.value.all] == ["query", "type", "server"]


@pytest.mark.parametrize(
    ("written", "asked"),
    [
        ("shop.example.com", "shop.example.com."),
        ("shop.example.com.", "shop.example.com."),
        ("BüCHER.example", "xn--bcher-kva.example."),
        ("straße.example", "xn--strae-oqa.example."),
        ("_dmarc.example.com", "_dmarc.example.com."),
        ("0/25.2.0.192.in-addr.arpa", "0/25.2.0.192.in-addr.arpa."),
        ("*.example.com", "*.example.com."),
        (".", "."),
        ("a" * 63 + ".example", "a" * 63 + ".example."),
    ],
)
def test_names(written: str, asked: str) -> None:
    assert name_of(written).to_text() == asked


@pytest.mark.parametrize(
    ("written", "port", "host"),
    [
        ("ns1.example.com", 53, "ns1.example.com"),
        ("NS1.example.com.", 53, "ns1.example.com"),
        ("ns1.example.com:5353", 5353, "ns1.example.com"),
        ("192.0.2.1", 53, "192.0.2.1"),
        ("2001:DB8::1", 53, "2001:db8::1"),
        ("[2001:db8::1]", 53, "2001:db8::1"),
        ("[2001:db8::1]:853", 853, "2001:db8::1"),
    ],
)
def test_servers(written: str, port: int, host: str) -> None:
    assert server_of(written, 53) == (host, port)


def test_who_is_looked_at() -> None:
    assert Dns(SHOP, "mx", "ns1.example.com", transport="tls").target == "MX shop.example.com at ns1.example.com"
    assert Dns(SHOP, server="[::1]:5353").host == "::1"
    assert Dns(SHOP).target == "A shop.example.com"
    assert Dns(SHOP).host is None
    assert Dns(SHOP, server="ns1", transport="tls")._where == ("ns1", 853)


# --- whatever comes -----------------------------------------------------------------------------------------------

RECORDS = {
    "A": [f"{NAME} 60 CNAME a.example.", "a.example. 60 A 192.0.2.1", "a.example. 60 A 192.0.2.2"],
    "MX": [f"{NAME} 60 MX 10 mail.example."],
    "TXT": [f'{NAME} 60 TXT "one" "two"'],
    "SOA": [f"{NAME} 60 SOA ns.example. me.example. 1 2 3 4 5"],
    "HTTPS": [f"{NAME} 60 HTTPS 1 . alpn=h2 ipv4hint=192.0.2.1"],
    "NSEC": [f"{NAME} 60 NSEC a.example. A MX TYPE1234"],
    "LOC": [f"{NAME} 60 LOC 52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m"],
    "CAA": [f'{NAME} 60 CAA 0 issue "ca.example"'],
    "RRSIG": [f"{NAME} 60 RRSIG A 8 3 60 20300101000000 20200101000000 1 example. c2ln"],
    "TYPE65280": [f"{NAME} 60 TYPE65280 \\# 4 0a000001"],
}


def read(question: Question, data: bytes) -> Answer:
    return asyncio.run(question.read(data, lambda: 1.0))


def _asked(kind: str) -> tuple[Question, Asked]:
    question = Question(name_of(SHOP), type_of(kind), recursion=True, dnssec=False, ad=False)
    return question, question.ask()


@pytest.mark.parametrize("kind", RECORDS)
def test_every_type_is_read(kind: str) -> None:
    question, asked = _asked(kind)
    answer = read(question, reply(asked.wire, *RECORDS[kind]))
    assert len(answer.records) == len([record for record in RECORDS[kind] if "CNAME" not in record])
    assert answer.ttl == 60


def test_ids_are_not_guessed() -> None:
    question, _ = _asked("A")
    assert len({question.ask().wire[:2] for _ in range(100)}) > 90


@settings(max_examples=100)
@given(
    st.sampled_from(sorted(RECORDS)),
    st.lists(st.tuples(st.integers(0, 400), st.binary(min_size=1, max_size=4)), max_size=4),
    st.integers(0, 200),
    st.booleans(),
)
def test_an_answer_that_was_tampered_with(kind: str, changes: list[tuple[int, bytes]], cut: int, error: bool) -> None:
    """Read or refused, but never a bug: bytes changed behind the question, and cut off."""
    question, asked = _asked(kind)
    authority = [f"{NAME} 60 NS ns.example."]
    data = reply(asked.wire, *RECORDS[kind], authority=authority, error=(7, "old") if error else None)
    for at, new in changes:
        at = 3 + at % (len(data) - 3)
        data = data[:at] + new + data[at + len(new) :]
    data = data[: max(12, len(data) - cut)] if cut % 3 == 0 else data
    _read(question, asked, data)


@settings(max_examples=60)
@given(st.binary(max_size=300), st.sampled_from(sorted(RECORDS)))
def test_garbage_behind_a_header(garbage: bytes, kind: str) -> None:
    question, asked = _asked(kind)
    for data in (garbage, asked.wire[:2] + garbage, reply(asked.wire)[: len(asked.wire) - 11] + garbage):
        _read(question, asked, data)


def _read(question: Question, asked: Asked, data: bytes) -> None:
    if asked.stranger(data) is not None:
        return
    try:
        answer, told = read(question, data), ""
    except LookFailed as failure:
        answer, told = Answer("", frozenset()), failure.detail
    assert told.isprintable()
    assert len(answer.records) + len(answer.authority) <= MOST_RECORDS


def _worst(kind: str, data: Callable[[int, bytes], bytes]) -> tuple[Question, bytes]:
    """As many records as are read; owners, and names in their data, are pointers to a name of the most labels."""
    name = b"\1a" * 127 + b"\0"
    question = Question(dns.name.from_wire(name, 0)[0], type_of(kind), recursion=True, dnssec=False, ad=False)
    asked = question.ask()
    found = bytearray(asked.wire[:2] + b"\x81\x80\0\1" + struct.pack("!3H", MOST_RECORDS, 0, 0) + asked.wire[12:-11])
    for number in range(MOST_RECORDS):
        body = data(number, b"\xc0\x0c")
        found += b"\xc0\x0c" + struct.pack("!HHIH", int(type_of(kind)), 1, 60, len(body)) + body
    return question, bytes(found)


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("MX", lambda number, name: struct.pack("!H", number) + name),
        ("SOA", lambda number, name: name + name + struct.pack("!5I", number, 1, 2, 3, 4)),
        ("TXT", lambda number, name: struct.pack("!BH", 2, number) + b"\0" * 100),
        ("NSEC", lambda number, name: b"\1a\0" + (bytes((number % 256, 32)) + b"\xff" * 32) * 3),
    ],
)
async def test_the_worst_answer_holds_nobody_up(kind: str, data: Callable[[int, bytes], bytes]) -> None:
    question, wire = _worst(kind, data)
    pauses, over = [], asyncio.Event()

    async def beat() -> None:
        last = time.thread_time()
        while not over.is_set():
            await asyncio.sleep(0)
            pauses.append(time.thread_time() - last)
            last = time.thread_time()

    beating = asyncio.create_task(beat())
    answer = await question.read(wire, lambda: 1.0)
    over.set()
    await beating
    assert len(answer.records) in (1, MOST_RECORDS)
    assert max(pauses) < 0.05, "of computing, at a stretch"
    left = iter((1.0, 1.0, 0.0))
    with pytest.raises(LookFailed, match="in the time that was left"):
        await question.read(wire, lambda: next(left, 0.0))
