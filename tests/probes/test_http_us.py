"""The http probe where it is the agent that has trouble: that is told of us, and not of the target."""

from __future__ import annotations

import asyncio
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any

import pytest

from probes.contract import Context, Reason
from probes.http import Http
from tests.probes.answers import answer
from tests.probes.judged import look

pytestmark = pytest.mark.both_loops


@contextmanager
def no_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_out_of_descriptors(closed_port: int, context: Context) -> None:
    with no_descriptors():
        seen = await look(Http(url=f"http://127.0.0.1:{closed_port}/"), context)
    assert seen.reason is Reason.NO_DESCRIPTORS


async def _look_while_the_loop_stands_still(parts: list[bytes], context: Context) -> tuple[Any, float]:
    """A server in a thread answers while the loop is held for 0.3 s from when the request has arrived."""
    loop = asyncio.get_running_loop()
    held, answered = threading.Event(), threading.Event()

    def hold() -> None:
        held.set()
        answered.wait(5)
        until = perf_counter() + 0.3
        while perf_counter() < until:
            pass

    def talk(listener: socket.socket) -> None:
        peer, _ = listener.accept()
        with peer:
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            peer.recv(65536)
            loop.call_soon_threadsafe(hold)
            held.wait(5)
            for number, part in enumerate(parts):
                threading.Event().wait(0.1 if number else 0.0)  # the loop still stands
                peer.sendall(part)
            answered.set()
            peer.recv(65536)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=talk, args=(listener,))
        thread.start()
        seen = await Http(url=f"http://127.0.0.1:{listener.getsockname()[1]}/").look(context)
        thread.join(5)
    return seen, 0.3


async def test_a_busy_agent_does_not_make_a_target_look_slow(context: Context) -> None:
    seen, stall = await _look_while_the_loop_stands_still([answer()], context)
    assert seen.ok, seen
    assert seen.measurements["first_byte_time"] < stall / 2


async def test_a_figure_nobody_can_know_is_void(context: Context) -> None:
    seen, _ = await _look_while_the_loop_stands_still([b"HTTP/1.1 200 OK\r\n", b"Content-Length: 0\r\n\r\n"], context)
    assert seen.reason is Reason.LATE
    assert "response_time" not in seen.measurements


async def test_a_deadline_noticed_late_is_our_fault(serve: Any, make_context: Callable[..., Context]) -> None:
    server = await serve([], end="hang")
    look = asyncio.create_task(Http(url=server.url()).look(make_context(0.2)))
    await server.asked.wait()
    until = perf_counter() + 0.5
    while perf_counter() < until:
        pass
    assert (await look).reason is Reason.LATE
