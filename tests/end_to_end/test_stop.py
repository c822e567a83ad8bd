"""A stop while others talk to the agent: who follows events, reads slowly or sends slowly does not hold it up."""

from __future__ import annotations

import asyncio
import signal
import socket
from pathlib import Path

from tests.end_to_end.rig import agent

WITHIN = 5.0
"""Seconds from SIGTERM to the end of the process (docs/design.md)."""
TOKEN = "backup-0123456789-0123456789"

CONFIG = """\
agent:
  listen: "127.0.0.1:0"
  public: {{listen: "127.0.0.1:0"}}
  state_dir: {state}
checks:
  - {{name: home, probe: tcp, address: "127.0.0.1:1", every: 250ms, timeout: 200ms}}
  - {{name: backup, probe: heartbeat, token: {token}, period: 1h}}
"""


def saying(url: str, text: bytes) -> socket.socket:
    """A client that says this, or as much of it as is taken, and then nothing more: it reads nothing either."""
    host, _, port = url.removeprefix("http://").strip("/").partition(":")
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect((host, int(port)))
    client.setblocking(False)
    client.send(text)
    return client


def get(path: str, *headers: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: localhost", *headers, "", ""]).encode()


def slow(url: str) -> list[socket.socket]:
    endless = f"POST /ping/{TOKEN} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nand then"
    return [
        saying(url, get("/static/page.css") * 1000),  # more than the kernel's buffers hold
        saying(url, get("/healthz")[:-2]),
        saying(url, endless.encode()),
    ]


async def test_streams_and_slow_clients_do_not_hold_up_the_stop(tmp_path: Path) -> None:
    file = tmp_path / "checks.yaml"
    file.write_text(CONFIG.format(state=tmp_path / "state", token=TOKEN))
    with agent(tmp_path, "run", file) as running:
        inner = await running.started()
        public = str(running.lines("started")[0]["public_page"])
        clients = [client for url in (inner, public) for client in slow(url)]
        host, _, port = inner.removeprefix("http://").partition(":")
        told, follower = await asyncio.open_connection(host, int(port))
        follower.write(get("/api/v1/events", "Accept: text/event-stream"))
        await asyncio.wait_for(told.readuntil(b"retry: 2000"), 10)
        loop = asyncio.get_running_loop()
        began = loop.time()
        running.process.send_signal(signal.SIGTERM)
        rest = await asyncio.wait_for(told.read(-1), WITHIN)
        assert rest.endswith(b"0\r\n\r\n"), "a stream ends as a whole answer does"
        assert await running.ended() == 0
        took = loop.time() - began
        for client in (*clients, follower):
            client.close()
    assert took < WITHIN, f"the stop took {took:.1f} s"
    assert running.lines("stopped")
    assert not (tmp_path / "state" / "agent.url").exists(), "nobody answers there any more"
    assert not running.lines("request_failed")
