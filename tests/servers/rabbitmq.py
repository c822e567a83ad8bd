"""RabbitMQ with its management plug-in, from Debian."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.servers import Absent, daemon, find, free_port, listens

_PROGRAMS = Path("/usr/lib/rabbitmq/bin")
"""Not the wrappers in sbin, which change to another user, whose home is the machine's."""


@dataclass(frozen=True)
class RabbitMQ:
    """A node that runs: its ports, and the process of its virtual machine."""

    amqp: int
    management: int
    process: subprocess.Popen[bytes]
    env: Mapping[str, str]

    @property
    def url(self) -> str:
        """The management API's, with the user that every node has."""
        return f"http://guest:guest@127.0.0.1:{self.management}"

    @property
    def broker(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.amqp}/%2F"

    def api(self, method: str, path: str, body: object = None) -> Any:
        """Ask the management API; the decoded answer, None when it is empty."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.management}/api/{path}", method=method)
        request.add_header("Authorization", "Basic " + base64.b64encode(b"guest:guest").decode())
        data = None if body is None else json.dumps(body).encode()
        if data is not None:
            request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, data, 10) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def ctl(self, *arguments: str) -> str:
        """Run rabbitmqctl on the node; costs more than a second."""
        command = [str(_PROGRAMS / "rabbitmqctl"), "-q", *arguments]
        return subprocess.run(command, env=_env(self.env), check=True, capture_output=True, text=True).stdout

    def signal_vm(self, number: signal.Signals) -> None:
        """Pause the Erlang machine, or let it go on; the process started is but the shell around it."""
        os.killpg(self.process.pid, number)


@contextmanager
def rabbitmq(folder: Path, settings: Mapping[str, str] | None = None) -> Iterator[RabbitMQ]:
    """A node with an epmd, home and cookie of its own; `settings` as in rabbitmq.conf. Takes some 10 seconds."""
    server = _PROGRAMS / "rabbitmq-server"
    if not server.exists():
        raise Absent("needs rabbitmq-server: apt-get install rabbitmq-server")
    amqp, management, distribution, mapper = (free_port() for _ in range(4))
    given = {
        "listeners.tcp.1": f"127.0.0.1:{amqp}",
        "management.tcp.ip": "127.0.0.1",
        "management.tcp.port": str(management),
        # Figures half a second old instead of five: tests wait for them.
        "collect_statistics_interval": "500",
        **{f"management.sample_retention_policies.{kind}.minute": "1" for kind in ("global", "basic", "detailed")},
        **(settings or {}),
    }
    (folder / "rabbitmq.conf").write_text("".join(f"{name} = {value}\n" for name, value in given.items()))
    (folder / "enabled_plugins").write_text("[rabbitmq_management].\n")
    env = {
        "HOME": str(folder),
        "ERL_EPMD_PORT": str(mapper),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODENAME": f"brownout{amqp}@localhost",
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none",
    }
    # An epmd of ours: the one that Erlang starts by itself outlives everybody.
    with daemon([find("epmd", "erlang-base"), "-port", str(mapper)], folder, lambda: listens(mapper), env=env):

        def ready() -> bool:
            try:
                node.api("GET", "overview")
            except (OSError, urllib.error.URLError, ValueError):
                return False
            return listens(amqp)

        node = RabbitMQ(amqp, management, None, env)  # type: ignore[arg-type]  # known once it is started
        with daemon([str(server)], folder, ready, env=env, stop=signal.SIGKILL) as process:
            yield RabbitMQ(amqp, management, process, env)


def _env(given: Mapping[str, str]) -> dict[str, str]:
    return {**os.environ, **given}
