"""Names that hang: they hold up no other name, are asked once, and do not keep the process alive."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from probes._names import system_resolver
from probes._names.system_resolver import DOUBTFUL_THREADS, KEPT_HANGING, THREADS, SystemResolver
from probes.contract import Address, Context, LookFailed, Reason
from probes.tcp import Tcp
from tests.probes.judged import look

pytestmark = pytest.mark.both_loops


class Names:
    """A getaddrinfo that answers at once, but holds the names that are in `hung` until `release`."""

    def __init__(self) -> None:
        self.hung: set[str] = set()
        self.asked: list[str] = []
        self.inside = self.most = 0
        self._lock = threading.Lock()
        self._release = threading.Event()

    def __call__(self, host: str, port: int, **_: object) -> Any:
        with self._lock:
            self.asked.append(host)
            self.inside += 1
            self.most = max(self.most, self.inside)
        if host in self.hung:
            self._release.wait(20)
        with self._lock:
            self.inside -= 1
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    def release(self) -> None:
        self._release.set()


@pytest.fixture
def names() -> Iterator[Names]:
    made = Names()
    yield made
    made.release()


@pytest.fixture
def resolver(names: Names) -> Iterator[SystemResolver]:
    made = SystemResolver(names)
    yield made
    made.close()


async def reason_of(resolver: SystemResolver, host: str, timeout: float = 0.05) -> Reason | None:
    try:
        await resolver.resolve(host, 80, timeout)
    except LookFailed as failure:
        return failure.reason
    return None


def forget(resolver: SystemResolver, host: str, *, age: float = 0.0) -> None:
    """As if the answer of a name had come `age` seconds ago and were no longer fresh."""
    _, came, found = resolver._answers[host, 80]
    resolver._answers[host, 80] = (0.0, came - age, found)


async def test_names_that_hang_do_not_hold_up_those_that_answer(names: Names, resolver: SystemResolver) -> None:
    good = [f"good-{number}.example" for number in range(50)]
    assert {await reason_of(resolver, host, 5) for host in good} == {None}
    hung = [f"hung-{number}.example" for number in range(3 * THREADS)]
    names.hung.update(hung)
    told = await asyncio.gather(*(reason_of(resolver, host) for host in hung))
    assert set(told) == {Reason.DNS_TIMEOUT}
    assert names.inside == DOUBTFUL_THREADS
    for host in good:
        forget(resolver, host, age=KEPT_HANGING)
    fresh = await asyncio.gather(*(resolver.resolve(host, 80, 5) for host in good))
    assert {addresses[0].age for addresses in fresh} == {0.0}
    assert names.most <= THREADS


async def test_never_more_than_so_many_at_once(names: Names, resolver: SystemResolver) -> None:
    hosts = [f"n-{number}.example" for number in range(2 * THREADS)]
    assert {await reason_of(resolver, host, 5) for host in hosts} == {None}
    names.hung.update(hosts)
    for host in hosts:
        forget(resolver, host, age=KEPT_HANGING)
    told = await asyncio.gather(*(reason_of(resolver, host, 0.2) for host in hosts))
    assert set(told) == {Reason.DNS_TIMEOUT}
    assert names.most == THREADS
    names.release()
    assert {await reason_of(resolver, host, 5) for host in hosts} <= {None, Reason.DNS_TIMEOUT}
    assert names.most == THREADS


async def test_those_never_asked_come_before_those_that_hung(names: Names, resolver: SystemResolver) -> None:
    hung = [f"hung-{number}.example" for number in range(DOUBTFUL_THREADS + 1)]
    names.hung.update(hung)
    resolver._prompt.update(dict.fromkeys(((host, 80) for host in hung), False))
    await asyncio.gather(*(reason_of(resolver, host) for host in hung))
    newcomer = asyncio.create_task(resolver.resolve("new.example", 80, 10))
    await asyncio.wait((newcomer,), timeout=0.01)
    names.release()
    await newcomer
    assert names.asked.index("new.example") == DOUBTFUL_THREADS


async def test_while_a_lookup_hangs_nobody_waits_for_it_again(names: Names, resolver: SystemResolver) -> None:
    names.hung.add("slow.example")
    assert await reason_of(resolver, "slow.example", 0.1) is Reason.DNS_TIMEOUT
    began = monotonic()
    assert {await reason_of(resolver, "slow.example", 0.1) for _ in range(50)} == {Reason.DNS_TIMEOUT}
    assert monotonic() - began < 4, "they are told at once, not each after its time limit"
    assert names.asked == ["slow.example"]


async def test_the_last_good_answer_serves_while_the_new_one_hangs(
    names: Names, resolver: SystemResolver, serve: Any, context: Context
) -> None:
    server = await serve([], ask=False)
    probe = Tcp(address=f"moved.example:{server.port}")
    here = replace(context, resolver=resolver, timeout=1.0)
    assert (await look(probe, here)).ok
    names.hung.add("moved.example")
    key = ("moved.example", server.port)
    _, came, found = resolver._answers[key]
    resolver._answers[key] = (0.0, came - 42, found)
    for _ in range(3):
        seen = await look(probe, here)
        assert seen.ok, seen
        assert seen.evidence["resolved"].startswith("from 4")
        assert seen.evidence["resolved"].endswith(" s ago")
    assert names.asked == ["moved.example"] * 2
    resolver._answers[key] = (0.0, came - KEPT_HANGING, found)
    assert (await look(probe, here)).reason is Reason.DNS_TIMEOUT


async def test_a_lookup_that_ends_late_is_used(names: Names, resolver: SystemResolver) -> None:
    names.hung.add("slow.example")
    assert await reason_of(resolver, "slow.example", 0.01) is Reason.DNS_TIMEOUT
    pending = resolver._pending["slow.example", 80].answer
    names.release()
    await asyncio.wait_for(pending, 10)
    assert await resolver.resolve("slow.example", 80, 1) == (Address("127.0.0.1", 80, socket.AF_INET),)
    assert names.asked == ["slow.example"]


async def test_the_books_do_not_grow_without_bound(names: Names) -> None:
    books: dict[tuple[str, int], Any] = {}
    for number in range(system_resolver._ENTRIES + 10):
        system_resolver.put(books, (str(number), 80), number)
    assert len(books) == system_resolver._ENTRIES
    assert ("0", 80) not in books


HANGING_MAIN = """
import asyncio, threading
from probes._names.system_resolver import SystemResolver
from probes.contract import LookFailed

async def main():
    resolver = SystemResolver(lambda *_, **__: threading.Event().wait())
    try:
        await resolver.resolve("hangs.example", 80, 0.05)
    except LookFailed as failure:
        print(failure.reason.value, flush=True)
    resolver.close()

asyncio.run(main())
"""


def test_a_process_ends_although_a_lookup_hangs() -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", HANGING_MAIN], cwd=root, capture_output=True, text=True, timeout=20, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "dns_timeout\n", "")
