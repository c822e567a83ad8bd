"""No look lasts longer than its limit and 50 ms, whatever it speaks: before servers that say nothing, or dribble."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from time import perf_counter

import pytest

from monitor.config.load import load
from monitor.kinds import installed_kinds
from probes._look import Look
from probes.contract import Context, LookFailed, Probe, Reason
from tests.probes.judged import PATIENCE

LIMIT, SPARE = 0.15, 0.05

CHECKS = """\
  - {probe: http, name: a, url: "http://127.0.0.1:PORT/"}
  - {probe: http, name: b, url: "https://127.0.0.1:PORT/"}
  - {probe: http, name: c, url: "http://h.example/", proxy: "http://127.0.0.1:PORT"}
  - {probe: http, name: d, url: "http://h.example/", proxy: "socks5h://127.0.0.1:PORT"}
  - {probe: tls, name: e, address: "127.0.0.1:PORT"}
  - {probe: dns, name: f, query: example.com, server: "127.0.0.1:PORT", transport: tcp}
  - {probe: dns, name: g, query: example.com, server: "127.0.0.1:PORT", transport: tls}
  - {probe: dns, name: h, query: example.com, server: "127.0.0.1:PORT"}
  - {probe: websocket, name: i, url: "ws://127.0.0.1:PORT/"}
  - {probe: grpc, name: j, address: "127.0.0.1:PORT"}
  - {probe: redis, name: k, url: "redis://127.0.0.1:PORT/0"}
  - {probe: redis, name: l, url: "rediss://127.0.0.1:PORT/0"}
  - {probe: postgres, name: m, dsn: "postgresql://me@127.0.0.1:PORT/d?sslmode=require"}
  - {probe: postgres, name: n, dsn: "postgresql://me@127.0.0.1:PORT/d?sslmode=disable"}
  - {probe: mysql, name: o, dsn: "mysql://me@127.0.0.1:PORT/d"}
  - {probe: queue, name: p, backend: nats, url: "nats://127.0.0.1:PORT", stream: s, consumer: c}
  - {probe: queue, name: q, backend: kafka, brokers: "127.0.0.1:PORT", group: g}
  - {probe: queue, name: r, backend: rabbitmq, url: "http://127.0.0.1:PORT", queues: [a]}
  - {probe: prometheus, name: s, url: "http://127.0.0.1:PORT", query: up, unit: ratio}
"""


@contextmanager
def server(say: Callable[[socket.socket, threading.Event], None]) -> Iterator[int]:
    """A port whose every connection `say` has for itself, in a thread, until the event."""
    over = threading.Event()
    threads: list[threading.Thread] = []
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        port = int(listener.getsockname()[1])

        def talk(peer: socket.socket) -> None:
            with peer, suppress(OSError):
                peer.settimeout(5)
                say(peer, over)

        def accept() -> None:
            while not over.is_set():
                with suppress(OSError):
                    threads.append(threading.Thread(target=talk, args=(listener.accept()[0],)))
                    threads[-1].start()

        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield port
        finally:
            over.set()
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", port)).close()
            accepting.join()
            for thread in threads:
                thread.join()


def silent(_: socket.socket, over: threading.Event) -> None:
    over.wait()


def dribbling(peer: socket.socket, over: threading.Event) -> None:
    while not over.wait(0.02):
        peer.sendall(b"H")


def probes_at(port: int, folder: Path) -> list[Probe]:
    file = folder / "checks.yaml"
    file.write_text("checks:\n" + CHECKS.replace("PORT", str(port)))
    return [check.probe for check in load(file, kinds=installed_kinds(), env=os.environ).checks.values()]


@pytest.mark.parametrize("say", [silent, dribbling], ids=lambda say: str(say.__name__))
async def test_no_look_lasts_longer(
    say: Callable[[socket.socket, threading.Event], None], make_context: Callable[..., Context], tmp_path: Path
) -> None:
    context = make_context(LIMIT)
    with server(say) as port:
        for probe in probes_at(port, tmp_path):
            for _ in range(PATIENCE):
                began = perf_counter()
                seen = await probe.look(context)
                took = perf_counter() - began
                if took < LIMIT + SPARE and seen.reason is not Reason.LATE:
                    break  # a busy machine may be late; who never ends is late each time
            assert took < LIMIT + SPARE, (probe, seen)
            assert seen.reason is not None
            await probe.close()


async def test_what_has_come_as_the_deadline_strikes_has_its_turn() -> None:
    look = Look(0.01)
    try:
        waiter = look.waiter()
        look.wake()
        look.expire()
        await waiter
        assert not look.struck
        with pytest.raises(LookFailed) as raised:
            await look.waiter()  # the second time counts
        assert raised.value.reason is Reason.CONNECT_TIMEOUT
        assert look.struck
    finally:
        look.close()
