"""Where a PostgreSQL is, as applications write it (`DATABASE_URL`); what is shown of it holds no secret."""

from __future__ import annotations

import getpass
import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from probes.contract import Secret

Tls = Literal["disable", "prefer", "require", "verify-ca", "verify-full"]

_CONTROL = re.compile(r"[\x00-\x20\x7f]")
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
        host = f"[{self.host}]" if ":" in (self.host or "") else self.host
        return f"{host}:{self.port}/{self.database}"


def parse(text: str) -> Dsn:
    """Raises ValueError saying what is wrong, without showing the DSN: it may hold a password.

    Parameters behind the ``?`` that are not known are left alone: they are the application's own.
    """
    if _CONTROL.search(text):
        raise ValueError("it has a space or control character: write it as a URL, with %20 and the like")
    scheme, colon, _ = text.partition("://")
    if not colon or not _SCHEME.fullmatch(scheme):
        raise ValueError("it does not begin with postgresql://, as in postgresql://user:password@host:5432/database")
    if "," in text.partition("://")[2].rpartition("@")[2].partition("/")[0]:
        raise ValueError(
            "it names several hosts: write a check for each, or for_each, so that each is told by itself"
        )
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError("it cannot be read: a port from 1 to 65535, and %2F %3A %40 %23 in a password") from None
    given = dict(parse_qsl(parts.query))
    host, port = _place(unquote(parts.hostname or ""), port, given)
    user = unquote(parts.username or "") or given.get("user") or getpass.getuser()
    password = unquote(parts.password or "") or given.get("password")
    ca_file = given.get("sslrootcert")
    ca_file = None if ca_file == "system" else ca_file
    certificate = given.get("sslcert")
    return Dsn(
        host=None if host.startswith("/") else host,
        port=port,
        folder=host if host.startswith("/") else None,
        database=unquote(parts.path.strip("/")) or given.get("dbname") or user,
        user=user,
        password=Secret(password) if password else None,
        tls=_mode(given.get("sslmode", "prefer"), ca_file),
        ca_file=ca_file,
        certificate=certificate,
        key=given.get("sslkey", certificate),
    )


def _place(host: str, port: int | None, given: dict[str, str]) -> tuple[str, int]:
    host = host or given.get("host", "")
    if not host:
        raise ValueError("it has no host: postgresql://user:password@host:5432/database, or ?host=/run/postgresql")
    written = given.get("port", "")
    if port is None and written.isdigit():
        port = int(written)
    port = _PORT if port is None else port
    if not 0 < port < 65_536:
        raise ValueError("the port is not a number from 1 to 65535")
    return host.rstrip("/") if host.startswith("/") else host, port


def _mode(written: str, ca_file: str | None) -> Tls:
    mode = _MODES.get(written)
    if mode is None:
        raise ValueError("sslmode is one of disable, prefer, require, verify-ca, verify-full")
    # As libpq has it: whoever names an authority wants it asked.
    return "verify-ca" if mode == "require" and ca_file is not None else mode
