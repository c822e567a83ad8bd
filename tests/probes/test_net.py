"""Names, connections and errors at the border."""

from __future__ import annotations

import asyncio
import errno
import socket
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from probes._look import Look, failed
from probes._names.system_resolver import SystemResolver
from probes._wire.errnos import translated
from probes.contract import Address, BadField, Blame, Context, LookFailed, Reason
from probes.http import Http
from probes.tcp import Tcp
from tests.probes.judged import look

pytestmark = pytest.mark.both_loops


class FixedResolver:
    def __init__(self, *addresses: tuple[str, int]) -> None:
        self._addresses = tuple(
            Address(host, port, socket.AF_INET6 if ":" in host else socket.AF_INET) for host, port in addresses
        )

    async def resolve(self, host: str, port: int, timeout: float) -> tuple[Address, ...]:
        return self._addresses


async def test_tcp_connects(serve: Any, context: Context) -> None:
    server = await serve([], ask=False)
    seen = await look(Tcp(address=f"127.0.0.1:{server.port}"), context)
    assert seen.ok
    assert seen.measurements["connect_time"] == seen.measurements["response_time"] == seen.phases["connect"] > 0


async def test_tcp_is_refused(closed_port: int, context: Context) -> None:
    seen = await look(Tcp(address=f"127.0.0.1:{closed_port}"), context)
    assert (seen.reason, seen.detail) == (Reason.REFUSED, f"127.0.0.1:{closed_port}: ECONNREFUSED")


@pytest.mark.parametrize(
    "address", ["host", "host:0", "host:70000", "::1:25", "[::1]", "http://host:80", "u@h:1", ""]
)
def test_bad_addresses(address: str) -> None:
    with pytest.raises(BadField):
        Tcp(address=address)


def test_an_ipv6_address_is_unwrapped() -> None:
    assert Tcp(address="[::1]:25").host == "::1"


async def test_a_swallowed_connection_attempt(make_context: Callable[..., Context]) -> None:
    # Linux drops the attempt when a listener's queue is full; one of length 0 holds a single connection.
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        seen = await look(Tcp(address=f"127.0.0.1:{listener.getsockname()[1]}"), make_context(0.3))
    assert seen.reason is Reason.CONNECT_TIMEOUT
    assert seen.measurements["response_time"] >= 0.3


async def test_the_next_address_is_tried(serve: Any, closed_port: int, context: Context) -> None:
    server = await serve([b"HTTP/1.1 204 No\r\n\r\n"])
    resolver = FixedResolver(("127.0.0.1", closed_port), ("127.0.0.1", server.port))
    seen = await look(Http(url="http://twice.example/"), replace(context, resolver=resolver))
    assert seen.ok, seen
    assert seen.evidence["tried"] == f"127.0.0.1:{closed_port}: ECONNREFUSED"
    assert seen.evidence["address"] == f"127.0.0.1:{server.port}"


async def test_all_addresses_refuse(closed_port: int, context: Context) -> None:
    resolver = FixedResolver(("127.0.0.1", closed_port), ("127.0.0.2", closed_port))
    seen = await look(Tcp(address="twice.example:1"), replace(context, resolver=resolver))
    assert seen.reason is Reason.REFUSED
    assert seen.evidence["tried"].count("ECONNREFUSED") == 2


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (errno.ECONNREFUSED, Reason.REFUSED),
        (errno.EHOSTUNREACH, Reason.UNREACHABLE),
        (errno.ENETUNREACH, Reason.NO_ROUTE),
        (errno.ECONNRESET, Reason.RESET),
        (errno.EPIPE, Reason.RESET),
        (errno.EMFILE, Reason.NO_DESCRIPTORS),
        (errno.ENFILE, Reason.NO_DESCRIPTORS),
        (errno.ENOBUFS, Reason.NO_DESCRIPTORS),
        (errno.ENOMEM, Reason.NO_DESCRIPTORS),
        (errno.EADDRNOTAVAIL, Reason.NO_DESCRIPTORS),
        (errno.EACCES, Reason.DENIED),
        (errno.EINVAL, Reason.UNREACHABLE),
    ],
)
def test_errors_at_the_border(code: int, reason: Reason) -> None:
    failure = translated(code, "192.0.2.1:80", Reason.UNREACHABLE)
    assert failure.reason is reason
    assert errno.errorcode[code] in failure.detail


def _gai(code: int) -> Callable[..., Any]:
    def fail(*_: object, **__: object) -> Any:
        raise socket.gaierror(code, "made up")

    return fail


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (socket.EAI_NONAME, Reason.DNS_NXDOMAIN),
        (socket.EAI_AGAIN, Reason.DNS_SERVFAIL),
        (socket.EAI_FAIL, Reason.DNS_SERVFAIL),
    ],
)
async def test_names_that_do_not_resolve(context: Context, code: int, reason: Reason) -> None:
    resolver = SystemResolver(_gai(code))
    seen = await look(Http(url="http://nowhere.example/"), replace(context, resolver=resolver))
    resolver.close()
    assert seen.reason is reason
    assert "response_time" not in seen.measurements


async def test_a_resolver_that_hangs_is_asked_once_a_name(make_context: Callable[..., Context]) -> None:
    release, asked = threading.Event(), []

    def hang(host: str, *_: object, **__: object) -> Any:
        asked.append(host)
        release.wait(10)
        return []

    resolver = SystemResolver(hang)
    context = replace(make_context(0.2), resolver=resolver)
    seen = await asyncio.gather(*(Tcp(address="slow.example:1").look(context) for _ in range(20)))
    release.set()
    resolver.close()
    assert {each.reason for each in seen} == {Reason.DNS_TIMEOUT}
    assert Reason.DNS_TIMEOUT.blame is not Blame.TARGET
    assert asked == ["slow.example"]


async def test_answers_are_kept_for_a_moment_and_literals_need_no_thread() -> None:
    asked = []

    def answer(host: str, port: int, **_: object) -> Any:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", port))] * 2

    resolver = SystemResolver(answer)
    for _ in range(3):
        assert await resolver.resolve("a.example", 80, 1) == (Address("192.0.2.1", 80, socket.AF_INET),)
    assert await resolver.resolve("192.0.2.7", 80, 1) == (Address("192.0.2.7", 80, socket.AF_INET),)
    assert (await resolver.resolve("::1", 80, 1))[0].family == socket.AF_INET6
    resolver.close()
    assert asked == ["a.example"]


async def test_a_name_that_cannot_be_one() -> None:
    resolver = SystemResolver()
    with pytest.raises(LookFailed) as raised:
        await resolver.resolve("x" * 64 + ".example", 80, 5)
    resolver.close()
    assert raised.value.reason is Reason.DNS_NXDOMAIN


async def test_a_look_across_a_clock_step_is_void() -> None:
    look = Look(5.0)
    look.check_clocks()
    look._wall -= 10  # as after a pause: the wall clock went on, the monotonic clock stood still
    with pytest.raises(LookFailed) as raised:
        look.check_clocks()
    look.phases["connect"] = 1.0
    seen = failed(look, LookFailed(Reason.RESET, "reset"), {"connect_time": 1.0})
    look.close()
    assert raised.value.reason is seen.reason is Reason.LATE
    assert seen.measurements == {}
