"""From addresses to a connection: the race of RFC 8305, what it costs, what it tells, and that nothing stays open."""

from __future__ import annotations

import asyncio
import gc
import resource
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from probes._look import Look
from probes._wire.connection import Connection
from probes._wire.dial import STAGGER, dial, interleaved
from probes.contract import Address, Context, LookFailed, Reason
from probes.tcp import Tcp
from tests.probes.judged import look
from tests.probes.test_net import FixedResolver

pytestmark = pytest.mark.both_loops

NOTHING = "127.0.0.9"


def _address(host: str, port: int = 80) -> Address:
    return Address(host, port, socket.AF_INET6 if ":" in host else socket.AF_INET)


@pytest.fixture
def swallowing() -> Iterator[int]:
    """A port at 127.0.0.3 whose queue is full: Linux drops further attempts to connect."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.3", 0))
        listener.listen(0)
        for _ in range(2):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


@pytest.fixture
def listening() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_families_take_turns() -> None:
    four, six = [_address(f"192.0.2.{n}") for n in range(3)], [_address(f"2001:db8::{n}") for n in range(2)]
    assert interleaved((*six, *four)) == (six[0], four[0], six[1], four[1], four[2])
    assert interleaved((*four, *six)) == (four[0], six[0], four[1], six[1], four[2])
    assert interleaved((four[0],)) == (four[0],)


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_an_address_that_swallows_costs_a_quarter_of_a_second(
    swallowing: int, listening: int, context: Context
) -> None:
    resolver = FixedResolver(("127.0.0.3", swallowing), ("127.0.0.1", listening))
    seen = await look(Tcp(address="twice.example:1"), replace(context, resolver=resolver))
    assert seen.ok, seen
    assert STAGGER - 0.005 <= seen.phases["connect"] < 2 * STAGGER
    assert seen.evidence["address"] == f"127.0.0.1:{listening}"
    assert seen.evidence["tried"].startswith(f"127.0.0.3:{swallowing}: no answer in 0.")


async def test_the_first_one_wins_without_a_race(swallowing: int, listening: int, context: Context) -> None:
    resolver = FixedResolver(("127.0.0.1", listening), ("127.0.0.3", swallowing))
    seen = await look(Tcp(address="twice.example:1"), replace(context, resolver=resolver))
    assert seen.ok, seen
    assert seen.phases["connect"] < STAGGER
    assert "tried" not in seen.evidence


async def test_one_that_refuses_is_left_at_once(
    swallowing: int, listening: int, closed_port: int, context: Context
) -> None:
    """The one that swallows is given its quarter; the closed port behind it none."""
    resolver = FixedResolver(("127.0.0.3", swallowing), (NOTHING, closed_port), ("127.0.0.1", listening))
    seen = await look(Tcp(address="thrice.example:1"), replace(context, resolver=resolver))
    assert seen.ok, seen
    assert STAGGER - 0.005 <= seen.phases["connect"] < 2 * STAGGER
    first, second = seen.evidence["tried"].split(", ")
    assert first == f"{NOTHING}:{closed_port}: ECONNREFUSED"
    assert second.startswith(f"127.0.0.3:{swallowing}: no answer in")


async def test_all_swallow(swallowing: int, make_context: Callable[..., Context]) -> None:
    resolver = FixedResolver(*(("127.0.0.3", swallowing),) * 4)
    seen = await look(Tcp(address="many.example:1"), replace(make_context(0.6), resolver=resolver))
    assert seen.reason is Reason.CONNECT_TIMEOUT
    assert seen.evidence["tried"].count("no answer in") == 3
    assert seen.evidence["tried"].endswith("(1 more not tried)")
    assert seen.measurements["response_time"] >= 0.6


async def test_a_look_tells_what_was_lost_on_the_way(swallowing: int, make_context: Callable[..., Context]) -> None:
    """After a second without an answer the kernel sends its SYN again."""
    seen = await look(Tcp(address=f"127.0.0.3:{swallowing}"), make_context(1.3))
    assert seen.reason is Reason.CONNECT_TIMEOUT
    assert seen.evidence["sent_again"].startswith("1 segment")
    assert "tried" not in seen.evidence, "there was no choice"


async def test_what_the_target_did_says_more_than_what_we_lack(closed_port: int, context: Context) -> None:
    no_route = ("224.0.0.1", 80)  # TCP has no way to many at once: ENETUNREACH
    for addresses in ((no_route, (NOTHING, closed_port)), ((NOTHING, closed_port), no_route)):
        seen = await look(Tcp(address="mixed.example:1"), replace(context, resolver=FixedResolver(*addresses)))
        assert seen.reason is Reason.REFUSED, seen
        assert seen.evidence["address"] == f"{NOTHING}:{closed_port}"
        assert "224.0.0.1:80: ENETUNREACH" in seen.evidence["tried"]


async def test_no_address_at_all() -> None:
    ours = Look(1.0)
    with pytest.raises(LookFailed) as raised:
        await dial(ours, ())
    ours.close()
    assert raised.value.reason is Reason.DNS_NXDOMAIN


async def test_nothing_stays_open(swallowing: int, listening: int, closed_port: int) -> None:
    """Of a race that was won, lost, or given up while three attempts were under way."""
    swallow = _address("127.0.0.3", swallowing)
    first = Look(1.0)
    (await dial(first, (_address("127.0.0.1", listening),))).close()
    first.close()  # what is the loop's stays
    gc.collect()  # what tests before have left would go meanwhile
    before = _descriptors()
    for addresses in (
        (swallow, swallow, _address("127.0.0.1", listening)),
        (_address(NOTHING, closed_port), _address(NOTHING, closed_port)),
    ):
        ours = Look(5.0)
        try:
            (await dial(ours, addresses)).close()
        except LookFailed as failure:
            assert failure.reason is Reason.REFUSED  # noqa: PT017  (one of the two)
        ours.close()
    ours = Look(5.0)
    task = asyncio.create_task(dial(ours, (swallow,) * 3))
    while _descriptors() < before + 3 and not task.done():  # noqa: ASYNC110  (the kernel has no event for it)
        await asyncio.sleep(0.01)
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    ours.close()
    assert _descriptors() == before


async def test_no_descriptors_left() -> None:
    ours = Look(1.0)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
        with pytest.raises(LookFailed) as raised:
            await dial(ours, (_address("127.0.0.1"), _address("127.0.0.2")))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        ours.close()
    assert raised.value.reason is Reason.NO_DESCRIPTORS
    assert ours.evidence["tried"].count("EMFILE") == 2


async def test_connecting_takes_what_the_kernel_says(listening: int, context: Context) -> None:
    """However late we hear of it: the loop stands still while the connection is there already."""
    ours = Look(5.0)
    task = asyncio.create_task(dial(ours, (_address("127.0.0.1", listening),)))
    await asyncio.sleep(0)
    ours.loop.call_soon(_stand_still, 0.3)
    (await task).close()
    ours.close()
    assert 0 < ours.phases["connect"] < 0.1


def _stand_still(seconds: float) -> None:
    time.sleep(seconds)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_a_socket_that_is_connected_with_itself_is_no_server(host: str) -> None:
    """Nobody listens there, and the kernel happened to give us the port that we connect to."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    under_way = Look(2.0)
    try:
        connection = Connection(under_way, Address(host, 0, family))
        with connection:
            connection._sock.bind((host, 0))
            port = connection._sock.getsockname()[1]
            connection.address = Address(host, port, family)
            connection.start()
            await under_way.waiter()
            with pytest.raises(LookFailed) as raised:
                connection.settled()
            assert raised.value.reason is Reason.REFUSED
    finally:
        under_way.close()
