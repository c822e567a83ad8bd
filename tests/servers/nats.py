"""NATS with JetStream, from Debian."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers import daemon, find, free_port, listens


@dataclass(frozen=True)
class Nats:
    """A server that runs: its port, and the process to be paused or killed."""

    port: int
    process: subprocess.Popen[bytes]

    def url(self, login: str = "shop:word") -> str:
        return f"nats://{login}@127.0.0.1:{self.port}"


CONFIG = """
jetstream {{ store_dir: "{folder}" }}
accounts {{
  SHOP {{
    jetstream: enabled
    users: [
      {{user: shop, password: word}}
      {{user: low, password: word, permissions: {{publish: ["no.where"]}}}}
    ]
  }}
  PLAIN {{ users: [{{user: plain, password: word}}] }}
}}
"""
"""An account with JetStream and one without; in the first a user who may ask for nothing."""


@contextmanager
def nats_server(folder: Path) -> Iterator[Nats]:
    """An empty server of `CONFIG`."""
    port = free_port()
    (folder / "nats.conf").write_text(CONFIG.format(folder=folder / "jetstream"))
    command = [
        find("nats-server", "nats-server"),
        "-a",
        "127.0.0.1",
        "-p",
        str(port),
        "-c",
        str(folder / "nats.conf"),
    ]
    with daemon(command, folder, lambda: listens(port)) as process:
        yield Nats(port, process)
