"""Hosts and ports as people write them, alone or in a URL."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import parse_qsl, unquote

from probes.contract import BadField

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s:/?#\[\]@,]+))(?::(\d*))?")
_ADDRESS = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s:\[\]/@]+)):(\d{1,5})")


def host_and_port(text: str, field: str = "address") -> tuple[str, int]:
    """The host, lower case and without brackets, and the port. Raises `BadField` for `field`."""
    match = _ADDRESS.fullmatch(text)
    if match is not None and not 0 < int(match[3]) < 65_536:
        raise BadField(field, f"the port of {text!r} is out of range: write one from 1 to 65535")
    if match is None:
        raise BadField(field, f"{text!r} is not host:port, such as mail.example.com:25 or [::1]:25")
    return (match[1] or match[2]).lower(), int(match[3])


def refuse_control_characters(text: str) -> None:
    """Raises ValueError when a URL holds one: it would split a line of a log, or of a protocol."""
    if _CONTROL.search(text):
        raise ValueError("it has a control character, such as the end of a line")


@dataclass(frozen=True, slots=True, repr=False)
class DsnParts:
    """What stands where in a database's URL, percent signs read but in `where`; no repr, as it holds the password."""

    where: str
    database: str
    user: str
    password: str
    given: dict[str, str]
    """The parameters behind the ``?``."""


def dsn_parts(text: str, scheme: re.Pattern[str], example: str) -> DsnParts:
    """Raises ValueError saying what is wrong, without showing the DSN. A password may hold what a URL does not allow
    (``/ # @``), as it often comes out of a variable of its own."""
    refuse_control_characters(text)
    found, colon, rest = text.partition("://")
    if not colon or not scheme.fullmatch(found):
        raise ValueError(f"it does not begin with {example.partition('://')[0]}://, as in {example}")
    front, _, behind = rest.partition("?")
    login, _, place = front.rpartition("@")
    where, _, database = place.partition("/")
    name, _, word = login.partition(":")
    return DsnParts(where, unquote(database.strip("/")), unquote(name), unquote(word), dict(parse_qsl(behind)))


def host_in(where: str, example: str) -> tuple[str, str]:
    """The host of a URL, lower case and without brackets, and its port as written or "". Raises ValueError."""
    found = _HOST.fullmatch(where)
    if found is None:
        raise ValueError(f"its host cannot be read: {example}")
    return unquote(found[1] or found[2]).lower(), found[3] or ""


def port_in(text: str) -> int:
    """Raises ValueError for what is no port."""
    if not text.isascii() or not text.isdigit() or not 0 < int(text[:6]) < 65_536:
        raise ValueError("the port is not a number from 1 to 65535")
    return int(text)


@lru_cache(maxsize=1024)
def joined(host: str, port: int) -> str:
    """As it is written in a URL: with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
