"""URLs of Redis, taken apart once; what is shown of one never holds a secret."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from probes.contract import Secret

_TCP = {"redis": False, "valkey": False, "rediss": True, "valkeys": True}
_UNIX = ("unix", "redis+unix", "redis+socket")
_CONTROL = re.compile(r"[\x00-\x20\x7f]")
_PORT = 6379


@dataclass(frozen=True, slots=True)
class RedisUrl:
    """Where to connect, as whom, and which database. Either `host` or `path` (of a socket file) is None."""

    host: str | None
    port: int
    path: str | None
    tls: bool
    db: int
    username: str | None
    password: Secret | None

    @property
    def shown(self) -> str:
        """For people: without user and password."""
        database = f"/{self.db}" if self.db else ""
        if self.path is not None:
            return f"{self.path}{' db ' + str(self.db) if self.db else ''}"
        host = f"[{self.host}]" if ":" in (self.host or "") else self.host
        return f"{'rediss' if self.tls else 'redis'}://{host}:{self.port}{database}"


def parse(text: str) -> RedisUrl:
    """Raises ValueError saying what is wrong, without showing the URL: it may hold a password."""
    if _CONTROL.search(text):
        raise ValueError("the URL has a space or control character: write it as %20 and the like")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError(
            "the URL cannot be read: a port from 1 to 65535, and %2F %3A %40 %23 in a password"
        ) from None
    if parts.scheme not in _TCP and parts.scheme not in _UNIX:
        raise ValueError("the URL begins with none of redis://, rediss:// (TLS) and unix://")
    given = _query(parts)
    username = unquote(parts.username or "") or given.get("username")
    password = unquote(parts.password or "") or given.get("password")
    secret = Secret(password) if password else None
    if parts.scheme in _UNIX:
        if not parts.path.startswith("/") or parts.hostname:
            raise ValueError("a socket is written as unix:///run/redis/redis.sock?db=0")
        path, db = unquote(parts.path), _database(given.get("db", "0"))
        return RedisUrl(None, 0, path, tls=False, db=db, username=username, password=secret)
    if port == 0:
        raise ValueError("the port is not a number from 1 to 65535")
    if not parts.hostname:
        raise ValueError("the URL has no host: redis://cache.example.com:6379/0")
    db = _database(given.get("db") or parts.path.strip("/") or "0")
    return RedisUrl(parts.hostname, port or _PORT, None, _TCP[parts.scheme], db, username, secret)


def _query(parts: SplitResult) -> dict[str, str]:
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    unknown = sorted(given.keys() - {"db", "username", "password"})
    if unknown:
        advice = ": write verify: false instead" if unknown[0].startswith("ssl_") else ""
        name = unknown[0] if unknown[0].replace("_", "").isalpha() else "such a name"
        raise ValueError(f"the URL may have db, username and password behind its ?, not {name[:40]}{advice}")
    return given


def _database(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,6}", text):
        raise ValueError("the database behind the port is a number: redis://host:6379/0")
    return int(text)
