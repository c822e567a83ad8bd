"""`reuse: true`: a connection that is kept from look to look, and each way in which it turns out not to be one."""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from probes.contract import Context, Observation, Reason
from probes.http import Http
from tests.probes.answers import answer
from tests.probes.judged import sure_look as look
from tests.probes.judged import unless_void
from tests.servers.authority import Authority
from tests.servers.misbehaving.serving import Serving, serving
from tests.servers.misbehaving.steps import ASKED, HANG, RESET, Step
from tests.servers.proxies import microsocks

pytestmark = pytest.mark.both_loops

HI = answer()
TALK = (ASKED, HI) * 20

Served = Callable[..., Serving]


@pytest.fixture
def served() -> Iterator[Served]:
    """`served(step, ...)`: a server that takes these steps on each connection."""
    with ExitStack() as stack:

        def start(*steps: Step, tls: Any = None) -> Serving:
            return stack.enter_context(serving(steps, tls))

        yield start


Keep = Callable[..., Http]


@pytest.fixture
def kept() -> Iterator[Keep]:
    """`kept(server, ...)`: a check of it that keeps its connection, until the end of the test."""
    made: list[Http] = []

    def make(server: Serving, **fields: Any) -> Http:
        url = f"http://127.0.0.1:{server.port}/"
        made.append(Http(**{"url": url, "reuse": True, **fields}))
        return made[-1]

    yield make
    for probe in made:
        assert probe._reuse is not None
        probe._reuse.close()


def connections(server: Serving) -> int:
    return len(server._threads)


def something_came(probe: Http) -> bool:
    """Waits until the kept connection has something to read: bytes, or its end."""
    assert probe._reuse is not None
    idle = probe._reuse._idle
    return idle is not None and bool(select.select([idle._sock], [], [], 5.0)[0])


async def looks(probe: Http, context: Context, count: int = 2) -> list[Observation]:
    return [await look(probe, context) for _ in range(count)]


@unless_void
async def test_the_second_look_needs_no_connection(served: Served, kept: Keep, context: Context) -> None:
    server = served(*TALK)
    first, second = await looks(kept(server), context)
    assert first.ok, first
    assert second.ok, second
    assert connections(server) == 1
    assert list(first.phases) == ["resolve", "connect", "send", "first_byte", "transfer"]
    assert list(second.phases) == ["send", "first_byte", "transfer"]
    assert second.measurements["response_time"] == pytest.approx(sum(second.phases.values()))
    assert "connect_time" not in second.measurements
    assert (first.evidence["connection"], second.evidence["connection"]) == ("new", "kept")
    assert second.evidence["address"] == f"127.0.0.1:{server.port}"
    assert all(b"Connection:" not in request for request in server.requests)


@unless_void
async def test_tls(served: Served, kept: Keep, context: Context, authority: Authority) -> None:
    """A ticket for a next session, which comes when nobody asks, is no reason to close."""
    server = served(*TALK, tls=authority.server())
    probe = kept(server, url=f"https://127.0.0.1:{server.port}/", ca_file=authority.file)
    seen = await looks(probe, context, 3)
    assert all(each.ok for each in seen), seen
    assert connections(server) == 1
    assert seen[2].measurements["certificate_expires_in"] > 1e9
    assert "tls" not in seen[2].phases
    assert seen[2].evidence["tls"] == "TLSv1.3"


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param((ASKED, answer(200, b"x", "Connection: close"), HANG), id="it says close"),
        pytest.param((ASKED, b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", HANG), id="HTTP/1.0"),
        pytest.param((ASKED, b"HTTP/1.1 200 OK\r\n\r\nuntil close"), id="until close"),
    ],
)
@unless_void
async def test_what_ends_a_connection(served: Served, kept: Keep, context: Context, steps: tuple[Step, ...]) -> None:
    server = served(*steps)
    seen = await looks(kept(server), context)
    assert all(each.ok for each in seen), seen
    assert [each.evidence["connection"] for each in seen] == ["new", "new"]
    assert connections(server) == 2


@unless_void
async def test_http_1_0_that_says_keep_alive(served: Served, kept: Keep, context: Context) -> None:
    server = served(*(ASKED, b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 0\r\n\r\n") * 2)
    assert [each.evidence["connection"] for each in await looks(kept(server), context)] == ["new", "kept"]


@pytest.mark.parametrize(
    "end",
    [
        pytest.param((), id="closed"),
        pytest.param((RESET,), id="reset"),
        pytest.param((b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n", HANG), id="408"),
        pytest.param((b"x", HANG), id="bytes that nobody asked for"),
    ],
)
@unless_void
async def test_a_kept_connection_that_has_ended_meanwhile(
    served: Served, kept: Keep, context: Context, end: tuple[Step, ...]
) -> None:
    server = served(ASKED, HI, 0.05, *end)
    probe = kept(server, method="POST", body="x")
    assert (await look(probe, context)).ok
    assert something_came(probe)
    seen = await look(probe, context)
    assert seen.ok, seen
    assert seen.evidence["connection"] == "new, as the server had closed the kept one"
    assert len(server.requests) == 2, "nothing was sent on the old one"


@pytest.mark.parametrize("end", [(), (RESET,)])
@unless_void
async def test_a_server_that_closes_just_then(
    served: Served, kept: Keep, context: Context, end: tuple[Step, ...]
) -> None:
    server = served(ASKED, HI, ASKED, *end)
    seen = await looks(kept(server), context)
    assert all(each.ok for each in seen), seen
    assert [request[:4] for request in server.requests] == [b"GET "] * 3, "the second one was sent once more"
    assert "connect" in seen[1].phases
    again = served(ASKED, HI, ASKED, *end)
    seen = await looks(kept(again, method="POST", body="x"), context)
    assert seen[1].reason in (Reason.EMPTY_REPLY, Reason.RESET), seen
    assert len(again.requests) == 2


@unless_void
async def test_a_server_that_has_waited_for_too_long_just_then(served: Served, kept: Keep, context: Context) -> None:
    """Its 408 crosses the request on the way."""
    waited = answer(408, b"", "Connection: close")
    server = served(ASKED, HI, ASKED, waited)
    seen = await looks(kept(server), context)
    assert all(each.ok for each in seen), seen
    assert len(server.requests) == 3
    again = served(ASKED, HI, ASKED, waited)
    seen = await looks(kept(again, method="POST", body="x"), context)
    assert seen[1].detail == "status 408"
    assert (await look(kept(served(ASKED, waited)), context)).detail == "status 408"


@unless_void
async def test_an_answer_that_has_begun_is_not_asked_for_again(served: Served, kept: Keep, context: Context) -> None:
    server = served(ASKED, HI, ASKED, HI[:-2])
    seen = await looks(kept(server), context)
    assert seen[1].reason is Reason.TRUNCATED
    assert len(server.requests) == 2
    assert (await look(kept(server), context)).ok


@unless_void
async def test_a_new_connection_that_fails_is_no_second_try(served: Served, kept: Keep, context: Context) -> None:
    server = served(ASKED)
    assert (await look(kept(server), context)).reason is Reason.EMPTY_REPLY
    assert len(server.requests) == 1


@unless_void
async def test_extra_looks_make_their_own(served: Served, kept: Keep, context: Context) -> None:
    server = served(*TALK)
    probe = kept(server)
    assert (await look(probe, context)).ok
    extra = await look(probe, replace(context, scheduled=False))
    assert "connect" in extra.phases
    assert (await look(probe, context)).evidence["connection"] == "kept"
    assert connections(server) == 2


@unless_void
async def test_a_kept_connection_grows_old(served: Served, kept: Keep, context: Context) -> None:
    server = served(*TALK)
    probe = kept(server)
    await look(probe, context)
    assert probe._reuse is not None
    assert probe._reuse._idle is not None
    probe._reuse._idle.connected -= 601
    seen = await looks(probe, context)
    assert [each.evidence["connection"] for each in seen] == ["new", "kept"]
    assert connections(server) == 2


@unless_void
async def test_looks_that_overlap_have_one_each(served: Served, kept: Keep, context: Context) -> None:
    server = served(*TALK)
    probe = kept(server)
    seen = await asyncio.gather(*(look(probe, context) for _ in range(3)))
    assert all(each.ok for each in seen), seen
    assert connections(server) == 3
    await looks(probe, context, 3)
    assert connections(server) == 3


@unless_void
async def test_whatever_is_led_to_elsewhere_is_asked_anew(served: Served, kept: Keep, context: Context) -> None:
    other = served(*TALK)
    server = served(*(ASKED, answer(302, b"gone", f"Location: http://127.0.0.1:{other.port}/")) * 4)
    seen = await looks(kept(server), context)
    assert all(each.ok for each in seen), seen
    assert (connections(server), connections(other)) == (1, 2)


@unless_void
async def test_a_redirect_within_the_host(served: Served, kept: Keep, context: Context) -> None:
    server = served(ASKED, answer(302, b"", "Location: /in"), ASKED, HI, ASKED, HI)
    seen = await looks(kept(server), context, 1)
    assert seen[0].ok, seen
    assert seen[0].evidence["connection"] == "new"
    assert connections(server) == 1, "a redirect without a body is read to its end"


@unless_void
async def test_it_is_let_go_with_the_check(served: Served, kept: Keep, context: Context) -> None:
    server = served(*TALK)
    probe = kept(server)
    assert (await look(probe, context)).ok
    assert probe._reuse is not None
    connection = probe._reuse._idle
    assert connection is not None
    await probe.close()
    assert connection._sock.fileno() == -1
    assert (await look(probe, context)).ok
    assert probe._reuse._idle is None


@unless_void
async def test_through_a_proxy(
    served: Served, kept: Keep, context: Context, authority: Authority, tmp_path: Path
) -> None:
    server = served(*TALK, tls=authority.server())
    with microsocks(tmp_path) as port:
        url, proxy = f"https://localhost:{server.port}/", f"socks5h://127.0.0.1:{port}"
        seen = await looks(kept(server, url=url, proxy=proxy, ca_file=authority.file), context)
    assert all(each.ok for each in seen), seen
    assert list(seen[1].phases) == ["send", "first_byte", "transfer"]
    assert seen[1].evidence["proxy"] == f"127.0.0.1:{port}"
    assert "address" not in seen[1].evidence
