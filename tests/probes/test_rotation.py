"""A name with several addresses: each extra look begins with another one, by the other family first."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from monitor.clock import SystemClock
from monitor.core.judge import Judge
from monitor.core.model import Check, Look
from monitor.runner import Order, Runner
from probes._tls.contexts import SharedTls
from probes.contract import Address, Observation, Reason
from probes.http import Http
from probes.tcp import Tcp
from tests.core.builders import check, moment
from tests.probes.judged import PATIENCE

LIMIT = 0.1


@dataclass
class Name:
    """A name and its addresses; the real ones, on this machine."""

    addresses: list[tuple[str, int]] = field(default_factory=list)

    async def resolve(self, host: str, port: int, timeout: float) -> tuple[Address, ...]:
        return tuple(
            Address(host, port, socket.AF_INET6 if ":" in host else socket.AF_INET) for host, port in self.addresses
        )


@dataclass
class Door:
    """An address of this machine."""

    where: tuple[str, int]

    @property
    def shown(self) -> str:
        host, port = self.where
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@pytest.fixture
async def doors() -> AsyncIterator[list[Door]]:
    """127.0.0.1, 127.0.0.2, ::1: three that are taken, in the order in which a resolver would have them."""
    async with AsyncExitStack() as stack:
        hosts = "127.0.0.1", "127.0.0.2", "::1"
        yield [await stack.enter_async_context(_open(host)) for host in hosts]


@asynccontextmanager
async def _open(host: str) -> AsyncIterator[Door]:
    try:
        server = await asyncio.start_server(lambda _reader, writer: writer.close(), host, 0)
    except OSError:
        pytest.skip(f"this machine has no {host}")
    async with server:
        yield Door(server.sockets[0].getsockname()[:2])


@pytest.fixture
def silent() -> Iterator[list[Door]]:
    """Two addresses that swallow whoever comes, as their queues are full."""
    with ExitStack() as stack:
        made = []
        for host in ("127.0.0.2", "127.0.0.3"):
            listener = stack.enter_context(socket.socket())
            listener.bind((host, 0))
            listener.listen(0)
            for _ in range(2):
                filler = stack.enter_context(socket.socket())
                filler.setblocking(False)
                filler.connect_ex(listener.getsockname())
            made.append(Door(listener.getsockname()))
        yield made


async def taken(name: Name, turn: int, watched: Check) -> Look:
    """A look that was not late, as far as a busy machine lets it."""
    order = Order(watched, 0.0, LIMIT, not turn, turn)
    for _ in range(PATIENCE):
        look = await Runner(SystemClock(), name, SharedTls()).look(order, {})
        if look.observation.reason is not Reason.LATE:
            break
    return look


def without_times(seen: Observation) -> str:
    """The addresses that were tried, and what each did, however long it took."""
    return re.sub(r" (in|after) [\d.]+ s", "", seen.evidence["tried"])


def home(kind: type[Http] | type[Tcp] = Tcp) -> Check:
    probe = Http(url="http://shop.example/") if kind is Http else Tcp(address="shop.example:80")
    return check("home", probe=probe, timeout=timedelta(seconds=10))


async def test_each_extra_look_goes_to_the_next_address_and_the_second_to_the_other_family(doors: list[Door]) -> None:
    name = Name([door.where for door in doors])
    went = [(await taken(name, turn, home())).observation.evidence["address"] for turn in range(7)]
    four, other, six = (door.shown for door in doors)
    assert went == [four, six, other, four, six, other, four]


async def test_a_dead_address_is_not_taken_for_the_whole_name(doors: list[Door], silent: list[Door]) -> None:
    """The scheduled look meets the dead one and hangs there; the extra looks find the others."""
    name = Name([silent[0].where, doors[0].where])
    seen = [(await taken(name, turn, home())).observation for turn in range(3)]
    assert [item.reason for item in seen] == [Reason.CONNECT_TIMEOUT, None, Reason.CONNECT_TIMEOUT]
    assert seen[0].evidence["address"] == silent[0].shown
    assert without_times(seen[0]) == f"{silent[0].shown}: no answer (1 more not tried)"
    assert "tried" not in seen[1].evidence


@pytest.mark.parametrize("kind", [Http, Tcp])
async def test_what_is_told_names_the_addresses_that_were_tried(
    kind: type[Http] | type[Tcp], silent: list[Door]
) -> None:
    """Two dead addresses and one that refuses: the looks of the run name them, and so does what is told of it."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        refusing = Door(closed.getsockname())
    name, watched = Name([door.where for door in (*silent, refusing)]), home(kind)
    judge = Judge(watched, None, moment(0))
    tried = []
    for turn in range(4):
        seen = (await taken(name, turn, watched)).observation
        assert seen.reason is Reason.CONNECT_TIMEOUT
        tried.append(without_times(seen))
        judge.observe(Look("home", seen, moment(turn), moment(turn + 0.2), limit=2.0, scheduled=not turn))
    first, second = (f"{door.shown}: no answer" for door in silent)
    assert tried == [
        f"{first} (2 more not tried)",
        f"{second} (2 more not tried)",
        f"{refusing.shown}: ECONNREFUSED, {first} (1 more not tried)",
        f"{first} (2 more not tried)",
    ]
    assert judge.state == "down"
    assert judge.facts["addresses"] == f"{silent[0].shown}, {silent[1].shown}"
    judge.observe(Look("home", Observation(evidence={"address": silent[0].shown}), moment(5), moment(5.1)))
    assert "addresses" not in judge.facts, "it answers: what failed before is no evidence any more"


async def test_a_name_without_addresses_has_none_to_begin_with() -> None:
    assert (await taken(Name(), 1, home())).observation.reason is Reason.DNS_NXDOMAIN
