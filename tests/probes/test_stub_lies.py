"""Our own resolver before name servers that lie, fail and are silent, one, several, or for one family."""

from __future__ import annotations

import asyncio
import socket
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import perf_counter

import pytest

from probes._names.lookup import GRACE
from probes._names.query import PAUSE
from probes._names.resolv_conf import ResolvConf, Watched, read_hosts
from probes._names.stub_resolver import StubResolver
from probes.contract import Blame, Reason
from tests.probes.resolving import AAAA, SHOP, A, Rig, failure_of, good, hosts_of, rig
from tests.servers.name_server import Script, Step, framed, patched, reply, silent
from tests.servers.zone import kind_of, zone

__all__ = ["rig"]

# --- what is believed ---------------------------------------------------------------------------------------------


def other_id(message: bytes) -> bytes:
    return patched(message, 0, bytes((message[0] ^ 1,)))


def other_question(message: bytes) -> bytes:
    return patched(message, 13, b"h0p")


LOOP = [f"{SHOP}. 60 CNAME www.example.com.", f"www.example.com. 60 CNAME {SHOP}."]


@dataclass(frozen=True)
class Case:
    name: str
    script: Script
    reason: str
    detail: str
    tcp: Script | None = None
    patience: float = 5.0
    """Seconds until the question is given up; those that end by it have less."""


CASES = [
    Case("NXDOMAIN", lambda q: [reply(q, rcode="NXDOMAIN")], "dns_nxdomain", "shop.example.com does not exist"),
    Case("NODATA", lambda q: [reply(q)], "dns_no_data", "exists, but does not have an address"),
    Case("SERVFAIL", lambda q: [reply(q, rcode="SERVFAIL")], "dns_servfail", "answers SERVFAIL"),
    Case("REFUSED", lambda q: [reply(q, rcode="REFUSED")], "dns_refused", "answers REFUSED"),
    Case("FORMERR", lambda q: [q[:2] + b"\x81\x81" + bytes(8)], "dns_servfail", "answers FORMERR"),
    Case("a code of nobody", lambda q: [patched(good(q), 3, b"\x8b")], "dns_servfail", "answers the code 11"),
    Case("silence", silent, "dns_timeout", "no answer from 127.0.0.1:", patience=0.1),
    Case("wrong id", lambda q: [other_id(good(q))], "dns_timeout", " with another id", patience=0.5),
    Case(
        "wrong question",
        lambda q: [other_question(good(q))],
        "dns_timeout",
        " to another question",
        patience=0.5,
    ),
    Case("the question sent back", lambda q: [q], "dns_protocol", "it sends our own question back", patience=0.5),
    Case("a flood", lambda q: [other_id(good(q))] * 110, "dns_protocol", "100 datagrams came, and none"),
    Case("a loop of aliases", lambda q: [reply(q, *LOOP)], "dns_protocol", "the aliases (CNAME) go in a circle"),
    Case("cut off within", lambda q: [reply(q, A)[:-9]], "dns_protocol", "cannot be read: it ends within a record"),
    Case("more behind", lambda q: [good(q) + b"more"], "dns_protocol", "4 bytes follow its last record"),
    Case("too many", lambda q: [patched(good(q), 6, b"\xff\xff")], "dns_protocol", "read are up to 250"),
    Case("NXDOMAIN, with addresses", lambda q: [reply(q, A, rcode="NXDOMAIN")], "dns_protocol", "no such name, and"),
    Case(
        "a pointer to itself",
        lambda q: [
            q[:2] + bytes.fromhex("8180 0001 0001 0000 0000") + q[12:] + b"\xc0" + bytes((len(q),)) + bytes(14)
        ],
        "dns_protocol",
        "a pointer in a name does not lead back",
    ),
    Case("TC, and no TCP", zone(cut=True), "dns_servfail", "cannot be asked by TCP: ECONNREFUSED"),
    Case("TC, then closed", zone(cut=True), "dns_servfail", "nothing that can be read", lambda q: []),
    Case(
        "TC, then half", zone(cut=True), "dns_servfail", "nothing that can be read", lambda q: [framed(good(q))[:9]]
    ),
    Case(
        "TC, then TC",
        zone(cut=True),
        "dns_protocol",
        "cut off (TC) again",
        lambda q: [framed(reply(q, flags="QR TC"))],
    ),
    Case("TC, then a lie", zone(cut=True), "dns_protocol", "with another id", lambda q: [framed(other_id(good(q)))]),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_servers_that_fail_or_lie(rig: Rig, case: Case) -> None:
    rig.serve(case.script, case.tcp)
    failure = await failure_of(rig.resolver(ResolvConf(timeout=case.patience, attempts=1)), timeout=10)
    assert (failure.reason, case.detail in failure.detail) == (case.reason, True), failure
    theirs = failure.reason in (Reason.DNS_NXDOMAIN, Reason.DNS_NO_DATA)
    assert failure.reason.blame is (Blame.TARGET if theirs else Blame.CANNOT_TELL)


@pytest.mark.parametrize("lie", [other_id, other_question, lambda m: m[:9], lambda m: b""])
async def test_what_anybody_could_have_sent_hides_no_answer(rig: Rig, lie: Callable[[bytes], bytes]) -> None:
    rig.serve(lambda q: [lie(good(q)), good(q)])
    assert await hosts_of(rig.resolver()) == ["203.0.113.7"]


async def test_what_is_cut_off_comes_by_tcp(rig: Rig) -> None:
    many = [f"{SHOP}. 60 A 203.0.113.{number}" for number in range(1, 101)]
    server = rig.serve(zone(cut=True), zone(*many, on_connection=True))
    assert len(await hosts_of(rig.resolver())) == 100
    assert len(server.by_tcp) == 2


async def test_a_flood_while_tcp_is_spoken_is_not_kept(rig: Rig) -> None:
    """Nobody takes datagrams then: in two seconds they came to 300 MB."""

    def flood(question: bytes) -> Iterator[Step]:
        yield reply(question, flags="QR TC")
        for _ in range(500):
            yield bytes(60_000)
            yield 0.0002

    rig.serve(flood, lambda _: [1.0])
    tracemalloc.start()
    try:
        await failure_of(rig.resolver(), timeout=0.5)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


async def test_an_answer_by_tcp_in_pieces(rig: Rig) -> None:
    def by_bytes(question: bytes) -> Iterator[Step]:
        for byte in framed(good(question)):
            yield bytes((byte,))
            yield 0.0002

    rig.serve(zone(cut=True), by_bytes)
    assert await hosts_of(rig.resolver()) == ["203.0.113.7"]


async def test_by_tcp_only(rig: Rig) -> None:
    server = rig.serve(silent, zone(A, on_connection=True))
    assert await hosts_of(rig.resolver(ResolvConf(by_tcp=True))) == ["203.0.113.7"]
    assert server.by_udp == []


async def test_nobody_listens(rig: Rig, closed_port: int) -> None:
    resolver = StubResolver((("127.0.0.1", closed_port),), known_hosts=Watched("/nowhere", read_hosts))
    began = perf_counter()
    failure = await failure_of(resolver)
    assert (failure.reason, "ECONNREFUSED" in failure.detail) == (Reason.DNS_SERVFAIL, True)
    assert perf_counter() - began < PAUSE, "told at once"


# --- several servers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [lambda q: [reply(q, rcode="SERVFAIL")], lambda q: [reply(q, rcode="REFUSED")]])
async def test_a_server_that_fails_is_passed_over(rig: Rig, first: Script) -> None:
    rig.serve(first)
    rig.serve(zone(A))
    assert await hosts_of(rig.resolver()) == ["203.0.113.7"]


async def test_a_server_that_is_silent_is_asked_last_from_then_on(rig: Rig) -> None:
    dead = rig.serve(silent)
    rig.serve(zone(A, "b.example. 60 A 203.0.113.8"))
    resolver = rig.resolver(ResolvConf(timeout=0.05, attempts=100))
    assert await hosts_of(resolver) == ["203.0.113.7"]
    asked = len(dead.by_udp)
    assert asked >= 2, "it had its turn"
    assert await hosts_of(resolver, "b.example") == ["203.0.113.8"]
    assert len(dead.by_udp) == asked


async def test_the_answer_of_one_that_was_given_up_counts(rig: Rig) -> None:
    def slow(question: bytes) -> list[Step]:
        return [0.1, good(question)]

    rig.serve(slow)
    rig.serve(silent)
    assert await hosts_of(rig.resolver(ResolvConf(timeout=0.05, attempts=40))) == ["203.0.113.7"]


async def test_a_lost_question_is_asked_again(rig: Rig) -> None:
    heard: list[bytes] = []

    def second_time(question: bytes) -> list[Step]:
        heard.append(question)
        return [good(question)] if len(heard) > 2 else []

    rig.serve(second_time)
    assert await hosts_of(rig.resolver(ResolvConf(timeout=0.05, attempts=40))) == ["203.0.113.7"]


async def test_servers_take_turns(rig: Rig) -> None:
    for _ in range(2):
        rig.serve(zone(A, "b.example. 60 A 203.0.113.8"))
    resolver = rig.resolver(ResolvConf(rotate=True))
    for host in (SHOP, "b.example"):
        await hosts_of(resolver, host, family=socket.AF_INET)
    assert [len(server.by_udp) for server in rig.servers] == [1, 1]


# --- one family and the other -------------------------------------------------------------------------------------


def by_kind(a: Script, aaaa: Script) -> Script:
    return lambda question: (a if kind_of(question) == "A" else aaaa)(question)


async def test_a_family_that_is_silent_holds_nobody_up(rig: Rig) -> None:
    rig.serve(by_kind(zone(A), silent))
    resolver = rig.resolver(grace=GRACE)
    began = perf_counter()
    assert await hosts_of(resolver) == ["203.0.113.7"]
    first = perf_counter() - began
    rig.clock.now += 100
    began = perf_counter()
    assert await hosts_of(resolver) == ["203.0.113.7"]
    assert first < PAUSE, "the grace"
    assert perf_counter() - began < first, "and none the next time"


async def test_a_family_that_comes_late_is_there_the_next_time(rig: Rig) -> None:
    rig.serve(by_kind(zone(A), lambda q: [0.15, *zone(AAAA)(q)]))
    resolver = rig.resolver(grace=GRACE)
    assert await hosts_of(resolver) == ["203.0.113.7"]
    async with asyncio.timeout(5):
        while len(await hosts_of(resolver)) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("a", "aaaa", "reason"),
    [
        pytest.param("NXDOMAIN", "SERVFAIL", "dns_nxdomain", id="A says that there is none"),
        pytest.param("SERVFAIL", "NXDOMAIN", "dns_servfail", id="who fails may have had some"),
        pytest.param("NOERROR", "SERVFAIL", "dns_servfail", id="none by one, and the other fails"),
        pytest.param("NOERROR", "NXDOMAIN", "dns_no_data", id="balancers that know nothing of AAAA"),
    ],
)
async def test_families_that_differ(rig: Rig, a: str, aaaa: str, reason: str) -> None:
    rig.serve(by_kind(lambda q: [reply(q, rcode=a)], lambda q: [reply(q, rcode=aaaa)]))
    assert (await failure_of(rig.resolver())).reason == reason


@pytest.mark.parametrize("code", ["SERVFAIL", "NXDOMAIN", "REFUSED"])
async def test_addresses_of_one_family_are_enough(rig: Rig, code: str) -> None:
    rig.serve(by_kind(zone(A), lambda q: [reply(q, rcode=code)]))
    assert await hosts_of(rig.resolver()) == ["203.0.113.7"]


async def test_the_other_family_is_missing(rig: Rig) -> None:
    rig.serve(zone(A))
    failure = await failure_of(rig.resolver(), family=socket.AF_INET6)
    assert (failure.reason, failure.detail) == (
        Reason.DNS_NO_DATA,
        f"{SHOP} exists, but does not have an IPv6 address",
    )
