"""URLs of Redis, taken apart once; what is shown of one never holds a secret."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

from probes._wire.endpoint import host_in, joined, port_in, refuse_control_characters
from probes.contract import Secret

_TCP = {"redis": False, "valkey": False, "rediss": True, "valkeys": True}
_UNIX = ("unix", "redis+unix", "redis+socket")
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
        return f"{'rediss' if self.tls else 'redis'}://{joined(self.host or '', self.port)}{database}"


def parse(text: str) -> RedisUrl:
    """Raises ValueError saying what is wrong, without showing the URL: it may hold a password.

    A password may hold what a URL does not allow (``/ # ?``), as it often comes out of a variable of its own.
    """
    refuse_control_characters(text)
    scheme, _, rest = text.partition("://")
    if scheme not in _TCP and scheme not in _UNIX:
        raise ValueError("it begins with none of redis://, rediss:// (TLS) and unix://")
    login, _, place = rest.rpartition("@")
    front, _, behind = place.partition("?")
    name, colon, word = login.partition(":")
    given = _query(behind)
    username = unquote(name) or given.get("username")
    password = unquote(word) if colon else given.get("password", "")
    secret = Secret(password) if password else None
    if scheme in _UNIX:
        if not front.startswith("/"):
            raise ValueError("a socket is written as unix:///run/redis/redis.sock?db=0")
        path, db = unquote(front), _database(given.get("db", "0"))
        return RedisUrl(None, 0, path, tls=False, db=db, username=username, password=secret)
    where, _, database = front.partition("/")
    host, port = host_in(where, "redis://:password@cache.example.com:6379/0")
    db = _database(given.get("db") or database.strip("/") or "0")
    return RedisUrl(host, port_in(port or str(_PORT)), None, _TCP[scheme], db, username, secret)


def _query(behind: str) -> dict[str, str]:
    given = dict(parse_qsl(behind, keep_blank_values=True))
    unknown = sorted(given.keys() - {"db", "username", "password"})
    if unknown:
        advice = ": write verify: false instead" if unknown[0].startswith("ssl_") else ""
        name = unknown[0] if unknown[0].replace("_", "").isalpha() else "such a name"
        raise ValueError(f"it may have db, username and password behind its ?, not {name[:40]}{advice}")
    return given


def _database(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,6}", text):
        raise ValueError("the database behind the port is a number: redis://host:6379/0")
    return int(text)
