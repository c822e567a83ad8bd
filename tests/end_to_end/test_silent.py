"""A host that falls silent, with real sockets: extra looks overlap the one that hangs."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from tests.end_to_end.rig import agent, check_status, until_state

CHECKS = """\
agent: {{listen: "127.0.0.1:0", state_dir: state}}
defaults: {{every: 4s, timeout: 4s, confirm: {{looks: 5, span: 500ms}}, usual: off}}
checks:
  - {{name: home, probe: tcp, address: "127.0.0.1:{port}"}}
  - {{name: shop, probe: tcp, address: "127.0.0.1:{port}"}}
"""


class Host:
    """Accepts connections, until it does not even answer the first packet of one."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=0)
        self.port = self._listener.getsockname()[1]
        self._accepting = True
        self._waiting: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while self._accepting:
            self._listener.accept()[0].close()

    def fall_silent(self) -> None:
        """Accept no more; with its queue full, the kernel drops what else asks for a connection."""
        self._accepting = False
        socket.create_connection(("127.0.0.1", self.port)).close()
        self._thread.join()
        for _ in range(3):
            waiting = socket.socket()
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.1", self.port))
            self._waiting.append(waiting)

    def close(self) -> None:
        for each in (self._listener, *self._waiting):
            each.close()


@contextmanager
def host() -> Iterator[Host]:
    made = Host()
    try:
        yield made
    finally:
        made.close()


async def test_a_host_that_swallows_packets_is_called_down_long_before_the_look_has_ended(tmp_path: Path) -> None:
    with host() as target:
        file = tmp_path / "checks.yaml"
        file.write_text(CHECKS.format(port=target.port))
        with agent(tmp_path, "run", file) as running:
            url = await running.started()
            await until_state(url, "home", "up")
            await until_state(url, "shop", "up")
            target.fall_silent()
            await until_state(url, "home", "down")
            await until_state(url, "shop", "down")
            for down in (line for line in running.lines("transition") if line["new"] == "down"):
                assert down["reason"] == "connect_timeout"
                began = (await check_status(url, down["check"]))["since"]
                taken = datetime.fromisoformat(down["timestamp"]) - datetime.fromisoformat(began)
                assert taken < timedelta(seconds=4), "the look that hangs takes as long by itself"
            assert await running.stop() == 0
