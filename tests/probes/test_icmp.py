"""The probe `icmp` against a host that loses, delays, repeats and forges, and a network that says so."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes._wire import echo
from probes.contract import BadField, Blame, Context, Observation, Reason
from probes.icmp import Icmp
from tests.probes.judged import look
from tests.probes.test_look_garbage import left_behind
from tests.servers.far_host import FAR_4, FAR_6, ROUTER, FarHost, Ping, Script, Step, far_host, namespaces_allowed

Make = Callable[..., Context]
Reach = Callable[[Script], FarHost]

there = pytest.mark.skipif(not namespaces_allowed(), reason="this user may make no network namespace (root may)")
FAST = timedelta(milliseconds=10)


@pytest.fixture(params=["ping sockets", "raw sockets"])
def reach(request: pytest.FixtureRequest) -> Iterator[Reach]:
    """Makes the host; by either kind of socket."""
    with ExitStack() as stack:
        yield lambda script: stack.enter_context(far_host(script, ping_sockets=request.param == "ping sockets"))


@pytest.fixture
def by_ping_socket() -> Iterator[Reach]:
    with ExitStack() as stack:
        yield lambda script: stack.enter_context(far_host(script, ping_sockets=True))


def probe(host: str = FAR_4, **fields: Any) -> Icmp:
    return Icmp(host, **{"interval": FAST, **fields})


def answered(ping: Ping) -> list[Step]:
    return [ping.reply()]


def losing(*numbers: int) -> Script:
    return lambda ping: [] if ping.number in numbers else [ping.reply()]


def loss(seen: Observation) -> tuple[float, float]:
    return seen.measurements["packets_lost"], seen.measurements["packets_sent"]


@there
@pytest.mark.parametrize("host", [FAR_4, FAR_6, f"[{FAR_6}]"])
async def test_all_come_back(reach: Reach, make_context: Make, host: str) -> None:
    far = reach(lambda ping: [0.003, ping.reply()])
    seen = await look(probe(host, size=100), make_context())
    assert seen.ok, seen
    assert loss(seen) == (0, 5)
    figures = seen.measurements
    assert 0.003 <= figures["rtt_min"] <= figures["rtt_mean"] <= figures["rtt_max"] < 1
    assert figures["response_time"] == figures["rtt_mean"]
    assert figures["jitter"] <= figures["rtt_max"] - figures["rtt_min"] + 1e-9
    assert {len(ping.icmp) for ping in far.pings} == {108}
    assert seen.evidence["address"] == host.strip("[]")
    assert list(seen.phases) == ["resolve", "ping"]


@there
async def test_some_are_lost(by_ping_socket: Reach, make_context: Make) -> None:
    by_ping_socket(losing(1, 3))
    seen = await look(probe(), make_context())
    assert (seen.ok, loss(seen), seen.measurements["packet_loss"]) == (True, (2, 5), 0.4)
    assert [trip == "lost" for trip in seen.evidence["round_trips"].split(", ")] == [False, True, False, True, False]
    assert 1.0 < seen.phases["ping"] < 2.0, "a second behind the last one, and not the whole timeout"


@there
async def test_none_comes_back(by_ping_socket: Reach, make_context: Make) -> None:
    by_ping_socket(lambda ping: [])
    began = time.perf_counter()
    seen = await look(probe(), make_context(0.2))
    assert time.perf_counter() - began < 1
    assert (seen.reason, seen.detail) == (Reason.REPLY_TIMEOUT, "none of 5 packets came back")
    assert (loss(seen), seen.measurements["response_time"] >= 0.2) == ((5, 5), True)
    assert seen.reason is not None
    assert seen.reason.blame is Blame.TARGET


@there
async def test_the_timeout_ends_the_sending(by_ping_socket: Reach, make_context: Make) -> None:
    by_ping_socket(answered)
    seen = await look(probe(interval=timedelta(milliseconds=60), count=100), make_context(0.2))
    lost, sent = loss(seen)
    assert (seen.ok, lost <= 1, sent <= 4) == (True, True, True), seen


@there
async def test_replies_out_of_order_and_twice(reach: Reach, make_context: Make) -> None:
    held: list[Ping] = []

    def script(ping: Ping) -> list[Step]:
        held.append(ping)
        return [item.reply() for item in reversed(held) for _ in range(2)] if ping.number == 4 else []

    reach(script)
    seen = await look(probe(), make_context())
    assert (seen.ok, loss(seen)) == (True, (0, 5))
    trips = [float(trip.removesuffix(" ms")) for trip in seen.evidence["round_trips"].split(", ")]
    assert trips == sorted(trips, reverse=True), "the first one was on its way for longest"
    assert int(seen.evidence.get("duplicates", 0)) >= 4


@there
async def test_what_others_send_is_no_reply(reach: Reach, make_context: Make) -> None:
    """Forged payloads, other numbers, other types, pieces: nothing of it counts."""

    def script(ping: Ping) -> list[Step]:
        icmp = ping.icmp
        other = icmp[:6] + bytes((icmp[6] ^ 0x80,)) + icmp[7:]
        return [
            ping.reply(payload=b"x" * len(icmp[8:])),
            ping.reply(payload=b""),
            ping.said(b"\0\0\0\0" + other[4:]),
            ping.said(b"\x0e\0\0\0" + icmp[4:]),
            ping.said(b"\0\x05\0\0" + icmp[4:]),
            b"\x45\0",
        ]

    reach(script)
    seen = await look(probe(), make_context(0.2))
    assert (seen.reason, loss(seen)) == (Reason.REPLY_TIMEOUT, (5, 5)), seen


@there
@pytest.mark.parametrize(
    ("kind", "code", "what"), [(3, 1, "host unreachable"), (3, 13, "prohibited by a filter"), (11, 0, "in a circle")]
)
async def test_what_a_router_says(reach: Reach, make_context: Make, kind: int, code: int, what: str) -> None:
    reach(lambda ping: [ping.refused(kind, code)])
    seen = await look(probe(), make_context())
    assert (seen.reason, loss(seen)) == (Reason.UNREACHABLE, (5, 5))
    assert seen.detail.startswith(f"{ROUTER} says: ")
    assert seen.detail.endswith(what)
    assert seen.phases["ping"] < 1, "nothing more is waited for"


@there
@pytest.mark.parametrize("kind", [4, 5])
async def test_a_router_that_knows_a_better_way_says_nothing_of_the_host(
    reach: Reach, make_context: Make, kind: int
) -> None:
    """It passes the packet on (RFC 792: redirect), and the kernel tells ping sockets of it as of an error."""
    reach(lambda ping: [ping.refused(kind, 1), 0.05, ping.reply()])
    seen = await look(probe(count=1), make_context())
    assert (seen.ok, loss(seen)) == (True, (0, 1)), seen


@there
async def test_what_a_router_says_by_ipv6(reach: Reach, make_context: Make) -> None:
    reach(lambda ping: [ping.refused(1, 3)])
    seen = await look(probe(FAR_6), make_context())
    assert (seen.reason, seen.detail) == (Reason.UNREACHABLE, f"{FAR_6} says: host unreachable")


@there
async def test_trouble_of_one_host_is_not_that_of_another(reach: Reach, make_context: Make) -> None:
    """All are on one socket."""
    reach(lambda ping: [ping.refused(3, 1)] if ping.packet[19] % 2 else [ping.reply()])
    probes = [probe(f"192.0.2.{number}", count=3) for number in range(10, 30)]
    seen = await asyncio.gather(*(item.look(make_context()) for item in probes))
    told = [item.reason for item in seen if item.reason is not Reason.LATE]
    assert set(told) == {None, Reason.UNREACHABLE}
    for item, one in zip(probes, seen, strict=True):
        odd = int(item.target.rpartition(".")[2]) % 2
        assert one.reason in (Reason.UNREACHABLE if odd else None, Reason.LATE), one


@there
async def test_a_busy_agent_does_not_make_a_host_slow(reach: Reach, make_context: Make) -> None:
    """The replies lie unread while the loop stands still; the kernel knows when they came."""
    reach(answered)
    loop = asyncio.get_running_loop()
    for _ in range(5):
        loop.call_later(0.015, time.sleep, 0.2)
        seen = await probe().look(make_context())
        if seen.ok:
            break
    assert seen.ok, seen
    assert seen.measurements["rtt_max"] < 0.1, seen


@there
async def test_replies_that_there_was_no_room_for_are_our_loss(reach: Reach, make_context: Make) -> None:
    """The loop stands still while more comes than the socket holds; the last of it was the reply."""
    reach(lambda ping: [*[ping.reply(payload=b"x" * 1000)] * 3000, ping.reply()])
    loop = asyncio.get_running_loop()
    loop.call_later(0.01, time.sleep, 0.6)
    seen = await probe(count=1).look(make_context(1.0))
    assert seen.reason is Reason.LATE, seen
    assert seen.detail == "the agent had no room for replies that came"


@there
async def test_no_way_there(by_ping_socket: Reach, make_context: Make) -> None:
    by_ping_socket(answered)
    seen = await look(probe("198.51.100.1"), make_context())
    assert (seen.reason, seen.detail) == (Reason.NO_ROUTE, "198.51.100.1: ENETUNREACH")
    subprocess.run(["ip", "route", "add", "unreachable", "198.51.100.0/24"], check=True)  # noqa: ASYNC221
    seen = await look(probe("198.51.100.1"), make_context())
    assert (seen.reason, seen.detail) == (Reason.UNREACHABLE, "198.51.100.1: EHOSTUNREACH")


class Heard:
    """Who listens to the wire."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def sent(self, peer: str, data: bytes, at: float) -> None: ...

    def received(self, peer: str, data: bytes, at: float) -> None: ...

    def spent(self, phase: str, since: float, until: float) -> None: ...

    def stopped(self, step: str, since: float, until: float) -> None: ...

    def noted(self, what: str, at: float) -> None:
        self.told.append(what)


@there
async def test_whoever_listens_hears_of_each_packet(by_ping_socket: Reach, make_context: Make) -> None:
    by_ping_socket(losing(1))
    heard = Heard()
    await probe(count=2).look(replace(make_context(0.3), trace=heard))
    assert heard.told == [f"echo request 1 to {FAR_4}", "reply to 1", f"echo request 2 to {FAR_4}"]


@there
async def test_nothing_is_left(by_ping_socket: Reach, make_context: Make) -> None:
    by_ping_socket(losing(0, 1, 2, 3, 4))
    context = make_context(0.1)
    with left_behind() as found:
        await probe().look(context)
    assert found == {}


async def test_here(make_context: Make) -> None:
    """As this machine is: it may ping, or says what it lacks."""
    seen = await look(probe("127.0.0.1", count=1), make_context())
    if seen.reason is Reason.DENIED:
        assert "net.ipv4.ping_group_range" in seen.detail
    else:
        assert (seen.ok, "jitter" in seen.measurements) == (True, False), seen


_NOBODY = """
import asyncio, os, sys
from probes.contract import Context
from probes.icmp import Icmp
from tests.probes.test_net import FixedResolver
from probes._tls.contexts import SharedTls
os.setgroups([]); os.setgid(65534); os.setuid(65534)
seen = asyncio.run(Icmp("127.0.0.1").look(Context(1, FixedResolver(("127.0.0.1", 0)), SharedTls(), {})))
print(seen.reason, seen.detail)
"""


@there
def test_a_user_that_may_not(by_ping_socket: Reach) -> None:
    """In a network where nobody may: the detail says how to change that."""
    command = ["unshare", "--net", sys.executable, "-c", _NOBODY]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.startswith("denied the agent may not ping: its group is not in net.ipv4.ping_group_range")
    assert "brownout install --with icmp" in done.stdout


@pytest.mark.parametrize(
    ("fields", "field", "told"),
    [
        ({"host_": "https://a.example"}, "host", "write a name or an address, without scheme and port"),
        ({"host_": "a.example:80"}, "host", "has a port, and pings have none: write a.example"),
        ({"host_": ""}, "host", "is no host"),
        ({"count": 0}, "count", "must be 1 to 100"),
        ({"count": 101}, "count", "must be 1 to 100"),
        ({"interval": timedelta(milliseconds=1)}, "interval", "must be 10ms to 60s"),
        ({"interval": timedelta(minutes=2)}, "interval", "must be 10ms to 60s"),
        ({"size": 7}, "size", "must be 8 to 65000"),
        ({"size": 70_000}, "size", "must be 8 to 65000"),
    ],
)
def test_what_is_refused(fields: dict[str, Any], field: str, told: str) -> None:
    with pytest.raises(BadField) as raised:
        Icmp(**{"host_": "a.example", **fields})
    assert (raised.value.field, told in str(raised.value)) == (field, True), raised.value


def test_several_faults_at_once() -> None:
    with pytest.raises(BadField) as raised:
        Icmp("", count=0, size=0)
    assert [fault.field for fault in raised.value.all] == ["host", "count", "size"]


@given(st.binary(max_size=80), st.binary(max_size=60), st.sampled_from([socket.AF_INET, socket.AF_INET6]))
def test_any_bytes(data: bytes, control: bytes, family: int) -> None:
    echo.reply(family, data)
    echo.reply(family, echo.without_ip_header(data))
    echo.said(family, None, data, control)
    echo.said(family, 7, b"\x08" + data, control)


@given(st.binary(max_size=40))
def test_a_checksum_makes_the_sum_zero(data: bytes) -> None:
    packet = echo.request(socket.AF_INET, 7, 9, data)
    assert echo.checksum(packet) == 0
