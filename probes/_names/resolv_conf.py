"""What this machine's files say of names: /etc/resolv.conf (resolv.conf(5)) and /etc/hosts (hosts(5)), as they are
now.

They are small local files: looked at once a second at most, and opened only when they have changed; no thread is
worth it.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from time import monotonic
from typing import Generic, TypeVar

RESOLV_CONF, HOSTS = "/etc/resolv.conf", "/etc/hosts"

_NOBODY = "127.0.0.1"
"""Who is asked by a machine that names nobody."""
_MOST_SERVERS = 3
_MOST_DOMAINS = 32
"""That are searched; each is a question of its own, and the C library has had limits of 6 and of none."""
_MOST_ADDRESSES = 250
"""Of one name; as many as are read of an answer."""
_MOST_NDOTS, _MOST_TIMEOUT, _MOST_ATTEMPTS = 15, 30, 5
"""As the C library has them."""
_SOON = 1.0
"""Seconds for which a file is believed to be as it was."""
_READ = 4 << 20
"""Bytes of a file that are read; block lists of 100,000 names have about 3 MB."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ResolvConf:
    """Whom to ask, and how."""

    servers: tuple[str, ...] = (_NOBODY,)
    """Addresses, those of link-local servers with their zone."""
    search: tuple[str, ...] = ()
    """Domains that short names are tried in."""
    ndots: int = 1
    """A name with fewer dots is tried in the domains first."""
    timeout: float = 5.0
    """Seconds that a server has, each time it is asked."""
    attempts: int = 2
    rotate: bool = False
    """Whether the servers take turns to be asked first."""
    by_tcp: bool = False
    no_aaaa: bool = False

    @property
    def patience(self) -> float:
        """Seconds after which a question is given up, as by the C library."""
        return self.timeout * self.attempts * len(self.servers)


def read_resolv_conf(text: str, host: str = "") -> ResolvConf:
    """`host` is this machine's own name: where no domain is written, its domain is searched."""
    servers: list[str] = []
    search: tuple[str, ...] = tuple(filter(None, (host.partition(".")[2],)))
    options: list[str] = []
    for line in text.splitlines():
        words = line.split()
        if len(words) < 2 or line[0] in "#;":
            continue
        match words[0]:
            case "nameserver" if _is_address(words[1]):
                servers.append(words[1])
            case "domain":
                search = (words[1].rstrip("."),)
            case "search":
                search = tuple(word.rstrip(".") for word in words[1:])
            case "options":
                options += words[1:]
    numbers = dict(option.split(":", 1) for option in options if ":" in option)
    return ResolvConf(
        servers=tuple(servers[:_MOST_SERVERS]) or (_NOBODY,),
        search=tuple(filter(None, search))[:_MOST_DOMAINS],
        ndots=_whole(numbers.get("ndots"), 1, 0, _MOST_NDOTS),
        timeout=_whole(numbers.get("timeout"), 5, 1, _MOST_TIMEOUT),
        attempts=_whole(numbers.get("attempts"), 2, 1, _MOST_ATTEMPTS),
        rotate="rotate" in options,
        by_tcp="use-vc" in options,
        no_aaaa="no-aaaa" in options,
    )


def _whole(text: str | None, otherwise: int, least: int, most: int) -> int:
    if text is None or not text.isascii() or not text.isdigit():
        return otherwise
    return min(max(int(text[:9]), least), most)


@lru_cache(maxsize=1024)
def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def read_hosts(text: str) -> Mapping[str, tuple[str, ...]]:
    """Addresses by name, in lower case; those of a name in the order of the file."""
    found: dict[str, dict[str, None]] = {}
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if len(words) < 2 or not _is_address(words[0]):
            continue
        for name in words[1:]:
            addresses = found.setdefault(name.lower().rstrip("."), {})
            if len(addresses) < _MOST_ADDRESSES:
                addresses[words[0]] = None
    return {name: tuple(addresses) for name, addresses in found.items()}


class Watched(Generic[T]):
    """What a file says, read anew when it has changed; an unreadable one says as much as an empty one."""

    __slots__ = ("_as_it_was", "_path", "_read", "_seen", "_until")

    def __init__(self, path: str, read: Callable[[str], T]) -> None:
        self._path = path
        self._read = read
        self._as_it_was: T | None = None
        self._seen: tuple[int, int, int] | None = None
        self._until = 0.0

    def now(self) -> T:
        if self._as_it_was is not None and monotonic() < self._until:
            return self._as_it_was
        self._until = monotonic() + _SOON
        try:
            found = os.stat(self._path)  # noqa: PTH116  (once a second)
            seen = (found.st_mtime_ns, found.st_ino, found.st_size)
            if self._as_it_was is None or seen != self._seen:
                with open(self._path, "rb") as file:  # noqa: PTH123
                    # A buffer of all that may be read would be made even for a file of one line.
                    text = file.read(min(found.st_size, _READ)).decode("utf-8", "replace")
                self._as_it_was, self._seen = self._read(text), seen
        except OSError:
            self._as_it_was, self._seen = self._read(""), None
        return self._as_it_was


def resolv_conf(path: str = RESOLV_CONF) -> Watched[ResolvConf]:
    return Watched(path, lambda text: read_resolv_conf(text, socket.gethostname()))


def hosts(path: str = HOSTS) -> Watched[Mapping[str, tuple[str, ...]]]:
    return Watched(path, read_hosts)
