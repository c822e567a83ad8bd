"""resolv.conf(5), hosts(5), the order of addresses, and bytes of name servers, as values: no I/O."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes._names.address_question import AAAA, A, NameQuestion, Told, wire_name
from probes._names.resolv_conf import ResolvConf, read_hosts, read_resolv_conf
from probes._wire.address_order import in_order, source_for
from tests.servers.name_server import NAME, reply

LONG = "search " + " ".join(f"d{number}.example" for number in range(9))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", ResolvConf()),
        ("nameserver 192.0.2.1\n", ResolvConf(("192.0.2.1",))),
        ("nameserver 192.0.2.1 # the first\nnameserver\t::1\n", ResolvConf(("192.0.2.1", "::1"))),
        ("nameserver fe80::1%eth0\n", ResolvConf(("fe80::1%eth0",))),
        ("nameserver 1.1.1.1\n" * 5, ResolvConf(("1.1.1.1",) * 3)),
        ("nameserver nonsense\n#nameserver 192.0.2.1\n;nameserver 192.0.2.1\nnameserver\n", ResolvConf()),
        ("search a.example b.example.\n", ResolvConf(search=("a.example", "b.example"))),
        ("search a.example\ndomain b.example\n", ResolvConf(search=("b.example",))),
        ("domain b.example\nsearch .\n", ResolvConf(search=())),
        (LONG, ResolvConf(search=tuple(LONG.split()[1:]))),
        (
            "options ndots:2 timeout:3 attempts:1 rotate\noptions use-vc no-aaaa edns0 unheard-of:7\n",
            ResolvConf(ndots=2, timeout=3, attempts=1, rotate=True, by_tcp=True, no_aaaa=True),
        ),
        ("options ndots:99 timeout:0 attempts:99\n", ResolvConf(ndots=15, timeout=1, attempts=5)),
        ("options ndots: timeout:x attempts:-1\n", ResolvConf()),
    ],
)
def test_resolv_conf(text: str, found: ResolvConf) -> None:
    assert read_resolv_conf(text) == found


def test_the_domain_of_this_machine_is_searched_where_none_is_written() -> None:
    assert read_resolv_conf("", "agent.corp.example").search == ("corp.example",)
    assert read_resolv_conf("", "agent").search == ()
    assert read_resolv_conf("search a.example\n", "agent.corp.example").search == ("a.example",)


def test_files_of_any_length_are_bounded() -> None:
    """Each domain is a question; and 60,000 addresses of one name took 23 seconds to be told apart."""
    assert len(read_resolv_conf("search " + "a.example " * 1000).search) == 32
    file = "".join(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255} a\n" for number in range(60_000))
    began = process_time()
    assert len(read_hosts(file)["a"]) == 250
    assert process_time() - began < 3.0


def test_patience() -> None:
    assert ResolvConf(("a", "b"), timeout=3, attempts=2).patience == 12


@given(st.text())
def test_any_text_is_some_file(text: str) -> None:
    assert read_resolv_conf(text).servers
    read_hosts(text)


@pytest.mark.parametrize(
    ("hosts", "sources", "found"),
    [
        pytest.param("192.0.2.1 192.0.2.2", "192.0.2.9", "192.0.2.1 192.0.2.2", id="as the server has them"),
        pytest.param("192.0.2.1 2001:db8::1", "192.0.2.9 2001:db8::9", "2001:db8::1 192.0.2.1", id="IPv6 first"),
        pytest.param("2001:db8::1 192.0.2.1", "192.0.2.9", "192.0.2.1 2001:db8::1", id="no way by IPv6"),
        pytest.param("2001:db8::1 192.0.2.1", "", "2001:db8::1 192.0.2.1", id="no way at all"),
        pytest.param("127.0.0.1 ::1", "127.0.0.1 ::1", "::1 127.0.0.1", id="localhost"),
        pytest.param(
            "2001:db8::1 192.0.2.1", "fd00::9 192.0.2.9", "192.0.2.1 2001:db8::1", id="IPv6 of a private network only"
        ),
        pytest.param("2001:db8::1 fd00::1", "fd00::9", "fd00::1 2001:db8::1", id="within a private network"),
        pytest.param("2002:c000:201::1 192.0.2.1", "2001:db8::9 192.0.2.9", "192.0.2.1 2002:c000:201::1", id="6to4"),
        pytest.param("2001:db8::1 fe80::1", "fe80::9", "fe80::1 2001:db8::1", id="the same link"),
    ],
)
def test_the_order_of_addresses(hosts: str, sources: str, found: str) -> None:
    """RFC 6724, 10.2, has some of these."""
    by_family = {":" in text: text for text in sources.split()}
    assert in_order(hosts.split(), lambda host: by_family.get(":" in host)) == tuple(found.split())


def test_the_way_to_an_address() -> None:
    assert source_for("127.0.0.2") == "127.0.0.1"
    assert source_for("nonsense") is None


# --- bytes --------------------------------------------------------------------------------------------------------

QUESTION = NameQuestion(wire_name("shop.example.com"), A)


def answer(*records: str, **said: str) -> bytes:
    return reply(QUESTION.ask().wire, *records, **said)  # type: ignore[arg-type]


def words(read: Callable[[], object]) -> str | None:
    """With which it is refused; None where it is not."""
    try:
        read()
    except ValueError as error:
        return str(error)
    return None


def test_an_answer() -> None:
    told = QUESTION.read(answer(f"{NAME} 300 A 203.0.113.7", f"{NAME} 300 A 203.0.113.8"))
    assert set(told.addresses) == {"203.0.113.7", "203.0.113.8"}
    assert (told.ttl, told.exists) == (300, True)


def test_records_of_others_are_nobodys() -> None:
    """Nothing is believed but what was asked for."""
    told = QUESTION.read(answer("bank.example. 300 A 203.0.113.66", f"{NAME} 300 TXT hello"))
    assert told == Told((), 0, exists=True)


@pytest.mark.parametrize(("rdtype", "size"), [(A, 16), (AAAA, 4)])
def test_an_address_of_another_length(rdtype: int, size: int) -> None:
    question = NameQuestion(wire_name("shop.example.com"), rdtype)
    head = question.ask().wire[:2] + bytes.fromhex("8180 0001 0001 0000 0000")
    record = b"\xc0\x0c" + bytes((0, rdtype, 0, 1)) + bytes(4) + bytes((0, size)) + bytes(size)
    with pytest.raises(ValueError, match=f"has {size} bytes"):
        question.read(head + question.ask().wire[12:] + record)


def test_every_end_of_an_answer_is_told() -> None:
    records = ("shop.example.com. 60 CNAME www.example.com.", "www.example.com. 60 A 203.0.113.7")
    whole = answer(*records)
    start = len(QUESTION.ask().wire)
    assert QUESTION.read(whole).addresses == ("203.0.113.7",)
    for end in range(start, len(whole)):
        with pytest.raises(ValueError, match=r"ends within|no known kind"):
            QUESTION.read(whole[:end])


@given(st.binary(max_size=600))
def test_any_bytes_behind_the_question(data: bytes) -> None:
    """Read, or refused with words: nothing else."""
    wire = QUESTION.ask().wire
    for counts in (bytes.fromhex("0001 0002 0001 0001"), data[:8].ljust(8, b"\0")):
        assert words(partial(QUESTION.read, wire[:2] + b"\x81\x80" + counts + wire[12:] + data)) != ""


@given(st.integers(0, 200), st.binary(min_size=1, max_size=4))
def test_an_answer_with_other_bytes_in_it(at: int, new: bytes) -> None:
    whole = answer("shop.example.com. 60 CNAME www.example.com.", "www.example.com. 60 A 203.0.113.7")
    at = max(at % len(whole), 4)
    broken = whole[:at] + new + whole[at + len(new) :]
    if QUESTION.ask().stranger(broken) is None:
        assert words(lambda: QUESTION.read(broken)) != ""


@given(st.text(min_size=1, max_size=80))
def test_any_text_is_a_name_or_is_refused(text: str) -> None:
    told = words(lambda: wire_name(text))
    assert told is None or "cannot be a host name" in told
    assert told is not None or 2 < len(wire_name(text)) <= 255
