"""PgBouncer: Debian's, with its defaults but for what says where it is."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from tests.servers import daemon, find, free_port, listens, not_as_root
from tests.servers.postgres import SUPERUSER, Postgres


@dataclass(frozen=True)
class PgBouncer:
    """A pooler that runs: its port, and the process to be paused or killed."""

    port: int
    process: subprocess.Popen[bytes]

    def dsn(self, database: str = "postgres", user: str = SUPERUSER, password: str | None = None) -> str:
        word = f":{password}" if password else ""
        return f"postgresql://{user}{word}@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str = "postgres", user: str = SUPERUSER) -> psycopg.Connection[Any]:
        """A connection of the test's own, in autocommit mode, without prepared statements."""
        return psycopg.connect(self.dsn(database, user), autocommit=True, prepare_threshold=None)


@contextmanager
def pgbouncer(
    behind: Postgres, folder: Path, *, users: tuple[str, ...] = (), settings: Mapping[str, str] | None = None
) -> Iterator[PgBouncer]:
    """A pooler before `behind`, for the superuser and `users`, whom it trusts; `settings` as in pgbouncer.ini."""
    program = find("pgbouncer", "pgbouncer")
    folder.mkdir(exist_ok=True)
    port = free_port()
    names = folder / "users.txt"
    names.write_text("".join(f'"{name}" ""\n' for name in (SUPERUSER, *users)))
    given = {
        "listen_addr": "127.0.0.1",
        "listen_port": str(port),
        "unix_socket_dir": "",
        "auth_type": "trust",
        "auth_file": str(names),
        "admin_users": SUPERUSER,
        **(settings or {}),
    }
    lines = "\n".join(f"{name} = {value}" for name, value in given.items())
    file = folder / "pgbouncer.ini"
    file.write_text(f"[databases]\n* = host=127.0.0.1 port={behind.port}\n[pgbouncer]\n{lines}\n")
    with daemon(not_as_root([program, str(file)]), folder, lambda: listens(port)) as process:
        yield PgBouncer(port, process)
