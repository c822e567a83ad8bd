"""The probe `dns`: what is asked by which way, what is measured, and what of an answer is checked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import dns.flags
import dns.message
import pytest

from probes._dns import talk
from probes._dns.expect import Expect
from probes.contract import Context, Observation, Reason
from probes.dns import Dns
from tests.probes.conftest import Authority
from tests.probes.judged import Judged
from tests.probes.judged import prompt_look as look
from tests.probes.test_net import FixedResolver
from tests.servers.name_server import (
    HANG,
    NAME,
    NameServer,
    Step,
    answering,
    answering_framed,
    name_server,
    reply,
    silent,
)

pytestmark = pytest.mark.both_loops

A = f"{NAME} 300 A 203.0.113.7"
B = f"{NAME} 300 A 203.0.113.8"
SHOP = "shop.example.com"


@pytest.fixture
def shop() -> Iterator[NameServer]:
    with name_server(answering(A, B), answering_framed(A, B)) as server:
        yield server


async def test_by_udp(shop: NameServer, context: Context) -> None:
    seen = await look(Dns(SHOP, server=shop.address), context)
    assert seen.ok, seen
    assert list(seen.phases) == ["resolve", "query"]
    assert seen.measurements.keys() == {"response_time", "resolve_time", "query_time", "answers", "ttl"}
    assert seen.measurements["response_time"] == seen.phases["query"] > 0
    assert (seen.measurements["answers"], seen.measurements["ttl"]) == (2, 300)
    assert set(seen.evidence["answer"].split(", ")) == {"203.0.113.7", "203.0.113.8"}
    assert (seen.evidence["rcode"], seen.evidence["flags"]) == ("NOERROR", "qr ra rd")
    assert seen.evidence["address"] == shop.address
    assert not shop.by_tcp


async def test_by_tcp(shop: NameServer, context: Context) -> None:
    seen = await look(Dns(SHOP, server=shop.address, transport="tcp"), context)
    assert seen.ok, seen
    assert list(seen.phases) == ["resolve", "connect", "query"]
    figures = seen.measurements
    assert figures["response_time"] == pytest.approx(figures["connect_time"] + figures["query_time"])
    assert not shop.by_udp


async def test_by_tls(authority: Authority, context: Context) -> None:
    with name_server(silent, answering_framed(A), tls=authority.server()) as server:
        here = {"server": server.address, "transport": "tls"}
        seen = await look(Dns(SHOP, **here, ca_file=authority.file), context)
        named = await look(Dns(SHOP, **here, ca_file=authority.file, server_name="localhost"), context)
        wrong = await look(Dns(SHOP, **here, ca_file=authority.file, server_name="other.example"), context)
        untrusted = await look(Dns(SHOP, **here), context)
    assert seen.ok, seen
    assert named.ok, named
    assert list(seen.phases) == ["resolve", "connect", "tls", "query"]
    assert seen.measurements["certificate_expires_in"] > 0
    assert seen.measurements["tls_time"] > 0
    assert (wrong.reason, untrusted.reason) == (Reason.TLS_NAME, Reason.TLS_UNTRUSTED)


async def test_what_is_asked(shop: NameServer, context: Context) -> None:
    def asked() -> dns.message.Message:
        return dns.message.from_wire(shop.by_udp[-1])

    await look(Dns("Bücher.example", server=shop.address), context)
    plain = asked()
    assert str(plain.question[0]) == "xn--bcher-kva.example. IN A"
    assert plain.flags == dns.flags.RD
    assert (plain.edns, plain.payload, plain.ednsflags) == (0, 1232, 0)
    expect = Expect(authenticated=True)
    odd_probe = Dns("_sip._tcp.example.com.", "type65", shop.address, recursion=False, dnssec=True, expect=expect)
    await look(odd_probe, context)
    odd = asked()
    assert str(odd.question[0]) == "_sip._tcp.example.com. IN HTTPS"
    assert odd.flags == dns.flags.AD
    assert odd.ednsflags == dns.flags.DO


async def test_what_does_not_fit_is_asked_for_by_tcp(context: Context) -> None:
    many = [f"{NAME} 60 A 203.0.113.{number}" for number in range(1, 101)]
    with name_server(answering(flags="QR TC RD RA"), answering_framed(*many)) as server:
        seen = await look(Dns(SHOP, server=server.address), context)
    assert seen.ok, seen
    assert list(seen.phases) == ["resolve", "query", "connect"]
    assert seen.measurements["answers"] == 100
    assert seen.evidence["truncated"] == "by UDP: asked again by TCP"
    assert seen.measurements["response_time"] == pytest.approx(sum(seen.phases.values()) - seen.phases["resolve"])
    assert server.by_udp[0][2:] == server.by_tcp[0][2:]
    assert server.by_udp[0][:2] != server.by_tcp[0][:2] or len(server.by_udp) > 1


async def test_a_lost_question_is_asked_again(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(talk, "ASK_AGAIN", 0.05)
    lost = iter((True, True, False))

    def third(question: bytes) -> list[Step]:
        return [] if next(lost, False) else [reply(question, A)]

    with name_server(third) as server:
        seen = await look(Dns(SHOP, server=server.address), context)
    assert seen.ok, seen
    assert seen.evidence["asked"] == "3 times"
    # Not to the last: a timer of uvloop counts from when the turn of the loop began.
    assert seen.measurements["response_time"] >= 0.14, "0.05 s, and twice as long again"
    assert len(set(server.by_udp)) == 1, "under the same id"


async def test_late_answers_are_timed_by_their_arrival(context: Context) -> None:
    """The loop is held up while the answer arrives: what counts is the kernel's stamp."""

    def after_a_while(question: bytes) -> list[Step]:
        return [0.05, reply(question, A)]

    with name_server(after_a_while) as server:
        probe = Dns(SHOP, server=server.address)
        assert (await look(probe, context)).ok, "the first stamps of a machine may be missing"
        for _ in range(10):
            under_way = asyncio.ensure_future(probe.look(context))
            await asyncio.sleep(0.01)
            time.sleep(0.3)  # noqa: ASYNC251  (the loop stands still)
            seen = await under_way
            if seen.ok:
                break
    assert seen.ok, seen
    assert 0.04 < seen.measurements["response_time"] < 0.2


async def test_the_next_address_of_a_server_is_asked(shop: NameServer, context: Context) -> None:
    resolver = FixedResolver(("127.0.0.2", 1), ("127.0.0.1", shop.port))
    seen = await look(Dns(SHOP, server="ns.example"), replace(context, resolver=resolver))
    assert seen.ok, seen
    assert seen.evidence["address"] == shop.address
    nobody = await look(Dns(SHOP, server="ns.example"), replace(context, resolver=FixedResolver(("127.0.0.2", 1))))
    assert (nobody.reason, nobody.detail) == (Reason.REFUSED, "127.0.0.2:1: ECONNREFUSED")
    assert "response_time" not in nobody.measurements
    none = await look(Dns(SHOP, server="ns.example"), replace(context, resolver=FixedResolver()))
    assert none.reason is Reason.DNS_NXDOMAIN


# --- what is checked ----------------------------------------------------------------------------------------------

CNAME = f"{NAME} 60 CNAME Shop.CDN.example."
ALIASED = "shop.cdn.example. 300 A 203.0.113.7"
MX = ["example.com. 300 MX 10 Mail.example.com.", "example.com. 300 MX 20 mail2.example.com."]
TXT = ['example.com. 300 TXT "v=spf1 include:" "_spf.example.com -all"', 'example.com. 300 TXT "caf\\195\\169"']
SVCB = "example.com. 300 HTTPS 1 . alpn=h2"
UNKNOWN = "example.com. 300 TYPE65280 \\# 2 abcd"
SOA_TEXT = "ns1.example.com. hostmaster.example.com. {} 7200 3600 1209600 300"
SOA = "example.com. 300 SOA " + SOA_TEXT.format(2026112201)


@pytest.mark.parametrize(
    ("query", "kind", "records", "expect"),
    [
        (SHOP, "A", [A, B], {"answers": ("203.0.113.8", "203.0.113.7"), "exact": True, "count": "2"}),
        (SHOP, "a", [CNAME, ALIASED], {"answers": ("203.0.113.7",), "count": "1-"}),
        (SHOP, "CNAME", [CNAME], {"answers": ("shop.cdn.example",), "matching": ("(?i)cdn",)}),
        ("SHOP.example.com", "A", [A], {"matching": (r"^203\.0\.113\.",), "absent": (r"^198\.",)}),
        (SHOP, "AAAA", [f"{NAME} 1 AAAA 2001:db8::7"], {"answers": ("2001:DB8:0:0::7",)}),
        ("example.com", "MX", MX, {"answers": ("10 mail.example.com", "20 MAIL2.example.com."), "exact": True}),
        ("example.com", "TXT", TXT, {"answers": ("v=spf1 include:_spf.example.com -all", "café")}),
        ("example.com", "HTTPS", [SVCB], {"matching": ("alpn=",), "answers": ("1 . alpn=h2",)}),
        ("example.com", "TYPE65280", [UNKNOWN], {"answers": ("\\# 2 ABCD",)}),
        (SHOP, "AAAA", [A], {"count": "0"}),
        ("example.com", "SOA", [SOA], {"matching": ("2026112201",)}),
    ],
)
async def test_answers_that_are_as_expected(
    context: Context, query: str, kind: str, records: list[str], expect: dict[str, Any]
) -> None:
    with name_server(answering(*records)) as server:
        seen = await look(Dns(query, kind, server.address, expect=Expect(**expect)), context)
    assert seen.ok, seen


@pytest.mark.parametrize(
    ("said", "expect", "reason", "detail"),
    [
        ([A], {"answers": ("203.0.113.7", "203.0.113.9")}, "answer", "203.0.113.9 is not among the records"),
        (
            [A, B],
            {"answers": ("203.0.113.7",), "exact": True},
            "answer",
            "203.0.113.8 is among the records, and was not expected",
        ),
        ([A], {"matching": ("^198",)}, "answer", "'^198' was not found in any record"),
        ([A], {"absent": ("113",)}, "answer", "'113' was found in 203.0.113.7"),
        ([A], {"count": "2-4"}, "answer", "shop.example.com has 1 A record, not 2-4"),
        ([A], {"count": "0"}, "answer", "shop.example.com has 1 A record, not 0"),
        ([], {}, "answer", "shop.example.com has no A record"),
        ([CNAME], {}, "answer", "shop.cdn.example has no A record"),
        ([A], {"authoritative": True}, "answer", "the answer is not the zone's own (AA)"),
        ([A], {"authenticated": True}, "answer", "the answer is not validated by DNSSEC (AD)"),
        ([A], {"authority": ("NS ns1",)}, "answer", "'NS ns1' was not found in the authority section"),
        ([A], {"rcode": ("NXDOMAIN", "REFUSED")}, "rcode", "the answer is NOERROR, not NXDOMAIN or REFUSED"),
    ],
)
async def test_answers_that_are_not(
    context: Context, said: list[str], expect: dict[str, Any], reason: str, detail: str
) -> None:
    with name_server(answering(*said)) as server:
        seen = await look(Dns(SHOP, server=server.address, expect=Expect(**expect)), context)
    assert (seen.reason, seen.detail) == (reason, detail), seen
    assert seen.measurements["response_time"] > 0, "it has answered"
    assert seen.measurements["answers"] == len([record for record in said if record != CNAME])


async def test_flags_and_the_authority_section(context: Context) -> None:
    expect = Expect(authoritative=True, authenticated=True, authority=(r"example\.com\..* NS ns1\.example\.com\.",))
    said = answering(A, flags="QR AA AD", authority=["example.com. 60 NS ns1.example.com."])
    with name_server(said) as server:
        seen = await look(Dns(SHOP, server=server.address, expect=expect), context)
        refused = await look(Dns(SHOP, server=server.address, expect=Expect(authoritative=False)), context)
    assert seen.ok, seen
    assert refused.detail == "the answer is the zone's own (AA)"


async def test_a_name_that_must_not_exist(context: Context) -> None:
    expect = Expect(rcode=("nxdomain",))
    with name_server(answering(rcode="NXDOMAIN", authority=[SOA])) as server:
        seen = await look(Dns(SHOP, server=server.address, expect=expect), context)
        assert seen.ok, seen
        assert seen.measurements["answers"] == 0
        assert "ttl" not in seen.measurements
        assert seen.evidence["authority"].startswith("example.com. 300 IN SOA ns1")
        seen = await look(Dns(SHOP, server=server.address), context)
    assert (seen.reason, seen.detail) == (Reason.DNS_NXDOMAIN, "shop.example.com does not exist")


async def test_aliases_count_for_the_ttl(context: Context) -> None:
    with name_server(answering(CNAME, ALIASED)) as server:
        seen = await look(Dns(SHOP, server=server.address), context)
    assert seen.measurements["ttl"] == 60
    assert seen.evidence["alias_of"] == "shop.cdn.example"


async def test_how_old_a_serial_is(context: Context) -> None:
    serials = iter((7, 7, 8))
    last = 8

    def zone(question: bytes) -> list[Step]:
        return [reply(question, f"example.com. 300 SOA {SOA_TEXT.format(next(serials, last))}")]

    with name_server(zone) as server:
        probe = Dns("example.com", "SOA", server.address)

        async def seen() -> Observation:
            return await look(probe, context)

        assert (await seen()).measurements["serial_age"] == 0
        context.memory["serial_since"] = time.time() - 3600
        again = await seen()
        assert again.measurements["serial_age"] == pytest.approx(3600, abs=5)
        assert again.evidence["serial"] == "7"
        assert (await seen()).measurements["serial_age"] == 0, "it has changed"
        context.memory["serial_since"] = time.time() + 3600
        assert (await seen()).measurements["serial_age"] == 0, "the clock was set back"


async def test_from_a_look_to_a_state(context: Context) -> None:
    broken = False

    def turned(question: bytes) -> list[Step]:
        return [reply(question, rcode="SERVFAIL")] if broken else [reply(question, A)]

    with name_server(turned) as server:
        judged = Judged(Dns(SHOP, server=server.address))
        await judged.see(context, 0)
        assert judged.state == "up"
        broken = True
        for second in (30, 31, 32, 33):
            await judged.see(context, second)
    assert (judged.state, judged.because) == ("down", "rcode")


async def test_a_deadline_is_kept(make_context: Callable[..., Context]) -> None:
    with name_server(silent, lambda _: [HANG]) as server:
        for transport in ("udp", "tcp"):
            probe = Dns(SHOP, server=server.address, transport=transport)
            for _ in range(10):
                began = time.perf_counter()
                seen = await probe.look(make_context(0.2))
                took = time.perf_counter() - began
                if took < 0.25:
                    break
            assert 0.199 <= took < 0.25, "uvloop counts in milliseconds"
            assert seen.reason is Reason.QUERY_TIMEOUT, seen
            assert seen.measurements["response_time"] >= 0.2
