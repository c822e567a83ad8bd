"""Times are the target's, whatever the agent does meanwhile: stands still, is stopped, is told of something else."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from probes.contract import Context, Reason
from probes.http import Http
from tests.probes.conftest import Authority
from tests.probes.judged import look

HEAD, BODY = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", b"ok"
STOPPED = 0.6
"""Seconds for which the agent is stopped."""

Talk = Callable[[socket.socket], None]


@contextmanager
def answering(talk: Talk) -> Iterator[int]:
    """A port whose one connection `talk` answers in a thread, once it has been asked something."""

    def serve() -> None:
        peer, _ = listener.accept()
        with peer:
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            talk(peer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(20)
        thread = threading.Thread(target=serve)
        thread.start()
        yield int(listener.getsockname()[1])
        thread.join(20)


CHILD = """
import asyncio, json, sys, uvloop
from probes._wire import stamps as _stamps
from probes._names.system_resolver import SystemResolver
from probes._tls.contexts import SharedTls
from probes.contract import Context
from probes.http import Http

async def main():
    _stamps.keep_on()
    context = Context(5.0, SystemResolver(), SharedTls(), {})
    await asyncio.sleep(0.3)
    seen = await Http(url=sys.argv[1]).look(context)
    print(json.dumps({"reason": seen.reason, **seen.phases}))

uvloop.run(main())
"""


def _stopped(parts: list[bytes], *, every: float) -> dict[str, Any]:
    """What a process tells of its look, that was stopped when its request had come; `parts` came meanwhile."""
    child: list[subprocess.Popen[str]] = []
    ready = threading.Event()

    def talk(peer: socket.socket) -> None:
        peer.recv(65_536)
        ready.wait(20)
        os.kill(child[0].pid, signal.SIGSTOP)
        for part in parts:
            time.sleep(every)
            peer.sendall(part)
        time.sleep(STOPPED)
        os.kill(child[0].pid, signal.SIGCONT)
        peer.recv(65_536)

    with answering(talk) as port:
        command = [sys.executable, "-c", CHILD, f"http://127.0.0.1:{port}/"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            child.append(process)
            ready.set()
            assert process.stdout is not None
            told: dict[str, Any] = json.loads(process.stdout.read())
    return told


def test_an_agent_that_was_stopped_knows_when_the_answer_came() -> None:
    told = _stopped([HEAD + BODY], every=0.1)
    assert told["reason"] is None
    assert 0.1 <= told["first_byte"] < 0.1 + STOPPED / 2
    assert told["connect"] + told["send"] + told["transfer"] < STOPPED / 2


def test_or_knows_that_it_does_not() -> None:
    assert _stopped([HEAD, BODY], every=0.1)["reason"] == Reason.LATE


async def test_tickets_are_no_answer(authority: Authority, context: Context) -> None:
    """With TLS 1.3 they come behind the handshake, long before the first byte of the answer."""
    server = authority.server()
    assert server.num_tickets == 2

    def talk(peer: socket.socket) -> None:
        with server.wrap_socket(peer, server_side=True) as secured:
            assert secured.version() == "TLSv1.3"
            secured.recv(65_536)
            time.sleep(0.2)
            secured.sendall(HEAD + BODY)

    with answering(talk) as port:
        seen = await look(Http(url=f"https://127.0.0.1:{port}/", ca_file=authority.file), context)
    assert seen.ok, seen
    assert 0.19 <= seen.measurements["first_byte_time"] < 0.3
    assert 0.15 <= seen.measurements["server_time"] <= seen.measurements["first_byte_time"]
    assert seen.measurements["round_trip_time"] < 0.05


async def test_an_answer_in_time_is_no_time_out(make_context: Callable[..., Context]) -> None:
    """The agent stands still beyond its own deadline, and then finds that the answer has long been there."""
    context = make_context(0.3)

    def talk(peer: socket.socket) -> None:
        peer.recv(65_536)
        standing.set()
        time.sleep(0.1)
        peer.sendall(HEAD + BODY)
        peer.recv(65_536)

    def stand_still() -> None:
        standing.wait(5)
        time.sleep(0.4)

    standing = threading.Event()
    with answering(talk) as port:
        taken = asyncio.create_task(Http(url=f"http://127.0.0.1:{port}/").look(context))
        for _ in range(20):
            await asyncio.sleep(0.001)
            if standing.is_set():
                break
        stand_still()
        seen = await taken
    assert seen.ok, seen
    assert 0.1 <= seen.measurements["response_time"] < 0.2
