"""Where a PostgreSQL is, as applications write it (`DATABASE_URL`); what is shown of it holds no secret."""

from __future__ import annotations

import getpass
import re
from dataclasses import dataclass
from typing import Literal

from probes._wire.endpoint import dsn_parts, host_in, joined, port_in
from probes.contract import Secret

Tls = Literal["disable", "prefer", "require", "verify-ca", "verify-full"]

_EXAMPLE = "postgresql://user:password@host:5432/database"
_SCHEME = re.compile(r"postgres(?:ql)?(?:\+[a-z0-9_]+)?")
"""SQLAlchemy writes its driver into the scheme: postgresql+asyncpg."""
_PORT = 5432
_MODES: dict[str, Tls] = {
    "disable": "disable",
    "allow": "prefer",
    "prefer": "prefer",
    "require": "require",
    "no-verify": "require",  # node-postgres
    "verify-ca": "verify-ca",
    "verify-full": "verify-full",
}


@dataclass(frozen=True, slots=True)
class Dsn:
    """Where to connect, as whom, to which database. Either `host` or `folder` (of the socket file) is None."""

    host: str | None
    port: int
    folder: str | None
    database: str
    user: str
    password: Secret | None
    tls: Tls
    ca_file: str | None
    certificate: str | None
    """A file with the client's own certificate, and `key` its key, if the server wants one."""
    key: str | None

    @property
    def path(self) -> str:
        """The socket file in `folder`."""
        return f"{self.folder}/.s.PGSQL.{self.port}"

    @property
    def shown(self) -> str:
        """For people: without user and password."""
        if self.folder is not None:
            return f"{self.path} {self.database}"
        return f"{joined(self.host or '', self.port)}/{self.database}"


def parse(text: str) -> Dsn:
    """Raises ValueError saying what is wrong, without showing the DSN: it may hold a password.

    Parameters behind the ``?`` that are not known are left alone: they are the application's own.
    """
    parts = dsn_parts(text, _SCHEME, _EXAMPLE)
    given = parts.given
    host, port = _place(parts.where, given)
    user = parts.user or given.get("user") or getpass.getuser()
    password = parts.password or given.get("password")
    ca_file = given.get("sslrootcert")
    ca_file = None if ca_file == "system" else ca_file
    certificate = given.get("sslcert")
    return Dsn(
        host=None if host.startswith("/") else host,
        port=port,
        folder=host if host.startswith("/") else None,
        database=parts.database or given.get("dbname") or user,
        user=user,
        password=Secret(password) if password else None,
        tls=_mode(given.get("sslmode", "prefer"), ca_file),
        ca_file=ca_file,
        certificate=certificate,
        key=given.get("sslkey", certificate),
    )


def _place(where: str, given: dict[str, str]) -> tuple[str, int]:
    where = where or given.get("host", "")
    if "," in where:
        raise ValueError("it names several hosts: write a check for each (for_each), so that each is told by itself")
    if where.startswith("/"):
        host, port = where.rstrip("/"), ""
    else:
        host, port = host_in(where, "postgresql://user:password@host:5432/database, or ?host=/run/postgresql")
    return host, port_in(port or given.get("port", "") or str(_PORT))


def _mode(written: str, ca_file: str | None) -> Tls:
    mode = _MODES.get(written)
    if mode is None:
        raise ValueError("sslmode is one of disable, prefer, require, verify-ca, verify-full")
    # As libpq has it: whoever names an authority wants it asked.
    return "verify-ca" if mode == "require" and ca_file is not None else mode
