"""Which resolver a look gets: the agent's, that of its check, and what an extra look takes from it."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from monitor.clock import SystemClock
from monitor.core.model import Check
from monitor.runner import Order, Runner
from probes._names.stub_resolver import StubResolver
from probes._names.system_resolver import SystemResolver
from probes._names.wanted import Resolvers, fitted
from probes._tls.contexts import SharedTls
from probes.contract import Address, Context, Ip, LookFailed, Observation, Reason, ResolverWanted
from probes.tcp import Tcp
from tests.core.builders import check
from tests.probes.judged import PATIENCE
from tests.servers.name_server import NameServer, name_server
from tests.servers.zone import zone

SHOP = "shop.example.com"


@pytest.fixture
def listener() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def inside() -> Iterator[NameServer]:
    with name_server(zone(f"{SHOP}. 60 A 127.0.0.1", f"{SHOP}. 60 AAAA ::1", negative=60)) as server:
        yield server


@pytest.fixture
def outside() -> Iterator[NameServer]:
    with name_server(zone(negative=60)) as server:
        yield server


def asking(server: NameServer, cache: float | None = None) -> ResolverWanted:
    return ResolverWanted(servers=(("127.0.0.1", server.port),), cache=cache)


async def looked(runner: Runner, watched: Check, *, turn: int = 0) -> Observation:
    for _ in range(PATIENCE):
        seen = (await runner.look(Order(watched, 0.0, 5.0, not turn, turn), {})).observation
        if seen.reason is not Reason.LATE:
            break
    return seen


async def test_a_check_has_a_resolver_of_its_own(listener: int, inside: NameServer, outside: NameServer) -> None:
    resolvers = Resolvers(asking(outside))
    runner = Runner(SystemClock(), resolvers.default, SharedTls(), wanted=resolvers.of)
    home = check("home", probe=Tcp(address=f"{SHOP}:{listener}"))
    assert (await looked(runner, home)).reason is Reason.DNS_NXDOMAIN
    asked = len(outside.by_udp)
    assert (await looked(runner, home)).reason is Reason.DNS_NXDOMAIN
    assert len(outside.by_udp) == asked, "kept for a moment"
    assert (await looked(runner, home, turn=1)).reason is Reason.DNS_NXDOMAIN
    assert len(outside.by_udp) == asked * 2, "an extra look asks whether it is true"
    own = replace(home, resolver=asking(inside), ip=Ip.ONLY_4)
    for told in (None, "from the cache, 0 s old"):
        seen = await looked(runner, own)
        assert seen.ok, seen
        assert seen.evidence.get("resolved") == told
    resolvers.close()


async def test_each_look_asks(listener: int, inside: NameServer) -> None:
    resolvers = Resolvers(asking(inside, cache=0.0))
    runner = Runner(SystemClock(), resolvers.default, SharedTls(), wanted=resolvers.of)
    for number in range(1, 4):
        seen = await looked(runner, check("home", probe=Tcp(address=f"{SHOP}:{listener}"), ip=Ip.ONLY_4))
        assert (seen.ok, "resolved" in seen.evidence) == (True, False), seen
        assert len(inside.by_udp) >= number
    resolvers.close()


async def test_those_that_want_the_same_share_one() -> None:
    resolvers = Resolvers()
    assert isinstance(resolvers.default, StubResolver)
    assert resolvers.of(ResolverWanted()) is resolvers.default
    system = resolvers.of(ResolverWanted(system=True))
    assert isinstance(system, SystemResolver)
    assert resolvers.of(ResolverWanted(system=True)) is system
    resolvers.close()


class Both:
    """A name with addresses of both families, as getaddrinfo has them."""

    async def resolve(self, host: str, port: int, timeout: float) -> tuple[Address, ...]:
        six, four = socket.AF_INET6, socket.AF_INET
        return tuple(Address(*item) for item in (("::1", port, six), ("127.0.0.1", port, four)))


@pytest.mark.parametrize(
    ("ip", "hosts"),
    [
        (None, ["::1", "127.0.0.1"]),
        (Ip.ONLY_4, ["127.0.0.1"]),
        (Ip.ONLY_6, ["::1"]),
        (Ip.PREFER_4, ["127.0.0.1", "::1"]),
        (Ip.PREFER_6, ["::1", "127.0.0.1"]),
    ],
)
async def test_ip(ip: Ip | None, hosts: list[str]) -> None:
    found = await fitted(Both(), ip, again=False, turn=0).resolve(SHOP, 80, 1)
    assert [address.host for address in found] == hosts
    second = await fitted(Both(), ip, again=True, turn=1).resolve(SHOP, 80, 1)
    assert [address.host for address in second] == hosts[::-1], "the next one first"


async def test_no_address_of_that_family() -> None:
    class Four(Both):
        async def resolve(self, host: str, port: int, timeout: float) -> tuple[Address, ...]:
            return (await super().resolve(host, port, timeout))[1:]

    with pytest.raises(LookFailed) as raised:
        await fitted(Four(), Ip.ONLY_6, again=False, turn=0).resolve(SHOP, 80, 1)
    assert raised.value.reason is Reason.DNS_NO_DATA


async def test_a_name_that_came_while_the_agent_was_busy_is_not_slow(inside: NameServer, listener: int) -> None:
    """The answer lies unread while the loop stands still: nobody knows how long it took."""
    resolver = StubResolver((("127.0.0.1", inside.port),), keep=0)
    loop = asyncio.get_running_loop()
    loop.call_soon(time.sleep, 0.3)
    seen = await Tcp(address=f"{SHOP}:{listener}").look(Context(5, resolver, SharedTls(), {}))
    assert seen.reason is Reason.LATE, seen
