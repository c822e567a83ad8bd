"""Where a MySQL or MariaDB is, as applications write it (`DATABASE_URL`); what is shown of it holds no secret."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from probes._wire.endpoint import dsn_parts, host_in, joined, port_in
from probes.contract import Secret

Tls = Literal["disabled", "preferred", "required", "verify_identity"]

_EXAMPLE = "mysql://user:password@host:3306/database"
_SCHEME = re.compile(r"(?:mysql|mariadb)(?:\+[a-z0-9_]+)?|mysql2")
"""SQLAlchemy writes its driver into the scheme: mysql+pymysql; Rails has mysql2."""
_PORT = 3306
_MODES: dict[str, Tls] = {
    "disabled": "disabled",
    "disable": "disabled",
    "preferred": "preferred",
    "prefer": "preferred",
    "required": "required",
    "require": "required",
    "verify_identity": "verify_identity",
    "verify_full": "verify_identity",
}
_MODE_KEYS = ("ssl-mode", "sslmode", "ssl_mode")
_CA_KEYS = ("ssl-ca", "ssl_ca", "sslrootcert")
_SOCKET_KEYS = ("socket", "unix_socket")


@dataclass(frozen=True, slots=True)
class Dsn:
    """Where to connect, as whom, to which database. Either `host` or `path` (of a socket file) is None."""

    host: str | None
    port: int
    path: str | None
    database: str | None
    user: str
    password: Secret | None
    tls: Tls
    ca_file: str | None

    @property
    def shown(self) -> str:
        """For people: without user and password."""
        if self.path is not None:
            return f"{self.path} {self.database or ''}".rstrip()
        return joined(self.host or "", self.port) + (f"/{self.database}" if self.database else "")


def parse(text: str) -> Dsn:
    """Raises ValueError saying what is wrong, without showing the DSN: it may hold a password.

    Parameters behind the ``?`` that are not known are left alone: they are the application's own.
    """
    parts = dsn_parts(text, _SCHEME, _EXAMPLE)
    given = parts.given
    path = _first(given, _SOCKET_KEYS)
    host, port = (None, 0) if path is not None else _place(parts.where)
    if path is not None and not path.startswith("/"):
        raise ValueError("its socket is no absolute path: ?socket=/run/mysqld/mysqld.sock")
    user = parts.user or given.get("user", "")
    if not user:
        raise ValueError(f"it names no user, as in {_EXAMPLE}")
    password = parts.password or given.get("password")
    ca_file = _first(given, _CA_KEYS)
    return Dsn(
        host=host,
        port=port,
        path=path,
        database=parts.database or None,
        user=user,
        password=Secret(password) if password else None,
        tls=_mode(_first(given, _MODE_KEYS), ca_file),
        ca_file=ca_file,
    )


def _place(where: str) -> tuple[str, int]:
    host, port = host_in(where, f"{_EXAMPLE}, or ?socket=/run/...")
    return host, port_in(port or str(_PORT))


def _mode(written: str | None, ca_file: str | None) -> Tls:
    if written is None:
        # Whoever names an authority wants it asked.
        return "verify_identity" if ca_file is not None else "preferred"
    mode = _MODES.get(written.lower().replace("-", "_"))
    if mode is None:
        raise ValueError("ssl-mode is one of DISABLED, PREFERRED, REQUIRED, VERIFY_IDENTITY")
    return mode


def _first(given: dict[str, str], keys: tuple[str, ...]) -> str | None:
    return next((given[key] for key in keys if given.get(key)), None)
