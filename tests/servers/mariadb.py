"""MariaDB, as Debian has it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql

from tests.servers import daemon, find, free_port

_PACKAGE = "mariadb-server"


@dataclass(frozen=True)
class MariaDb:
    """A server that runs: its port, its socket file, and the process to be paused or killed."""

    port: int
    socket: Path
    process: subprocess.Popen[bytes]

    def dsn(self, user: str = "root", password: str = "", database: str = "mysql", query: str = "") -> str:
        word = f":{password}" if password else ""
        return f"mysql://{user}{word}@127.0.0.1:{self.port}/{database}{query}"

    def connect(self, user: str = "root", **given: Any) -> pymysql.Connection[Any]:
        """A connection of the test's own, in autocommit mode unless it says otherwise."""
        return pymysql.connect(
            host="127.0.0.1", port=self.port, user=user, **{"autocommit": True, "connect_timeout": 5, **given}
        )

    def execute(self, *statements: str) -> list[Any]:
        """Run SQL as root; the rows of the last statement."""
        with closing(self.connect()) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall())


@contextmanager
def mariadb(folder: Path, settings: Mapping[str, str] | None = None) -> Iterator[MariaDb]:
    """A new server in `folder`, where `root` needs no password; `settings` as in my.cnf. Raises `Absent`."""
    server = find("mariadbd", _PACKAGE)
    port, data = free_port(), folder / "data"
    _install(data)
    socket = folder / "m.sock"
    given = {
        "port": str(port),
        "bind-address": "127.0.0.1",
        "socket": str(socket),
        "pid-file": str(folder / "m.pid"),
        "innodb-buffer-pool-size": "16M",
        "innodb-flush-log-at-trx-commit": "0",
        "innodb-fast-shutdown": "2",
        "skip-name-resolve": "1",
        **(settings or {}),
    }
    command = [
        server,
        "--no-defaults",
        f"--datadir={data}",
        *_user(),
        *(f"--{key}={word}" for key, word in given.items()),
    ]
    with daemon(command, folder, lambda: _answers(port)) as process:
        yield MariaDb(port, socket, process)


def _install(data: Path) -> None:
    """The system tables, which takes a second or two: so a server is made once for a module of tests."""
    install = find("mariadb-install-db", _PACKAGE)
    options = ["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"]
    command = [install, *options, f"--datadir={data}", *_user()]
    subprocess.run(command, check=True, capture_output=True)


def _user() -> list[str]:
    return ["--user=root"] if os.geteuid() == 0 else []


def _answers(port: int) -> bool:
    try:
        pymysql.connect(host="127.0.0.1", port=port, user="root", connect_timeout=2).close()
    except pymysql.MySQLError:
        return False
    return True
