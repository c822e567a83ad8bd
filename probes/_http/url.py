"""URLs of http and https, taken apart once; what is shown of one never holds a secret."""

from __future__ import annotations

import base64
import ipaddress
import re
import sys
from dataclasses import dataclass
from urllib.parse import quote, unquote, urljoin, urlsplit

from probes.contract import Secret

_KEEP = "%/:?#[]@!$&'()*+,;=~-._|"
_PORTS = {"http": 80, "https": 443}
_CONTROL = re.compile(r"[\x00-\x20\x7f]")
_PLAIN_HOST = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")
"""A host that needs no IDNA, as nearly all: encoding it costs more than all the rest of a URL."""

_LONGEST_HOST = 254
_HOST = re.compile(rf"[a-z0-9._-]{{1,{_LONGEST_HOST}}}")
_BARE_HOST = re.compile(r"([A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+(?::[0-9]{1,5})?)(?=[/?#]|$)")


@dataclass(frozen=True, slots=True)
class Url:
    """Where to ask, and for what. `host` is ASCII and lower case, without brackets; `target` is path and query."""

    scheme: str
    host: str
    port: int
    target: str
    authorization: Secret | None
    """The value of the Authorization header that the URL's user and password make."""
    password: Secret | None

    def __repr__(self) -> str:
        return f"Url({self.shown})"

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def shown(self) -> str:
        """For people: no user, no password, and no query, where tokens live."""
        path, question, _ = self.target.partition("?")
        return f"{self.scheme}://{self.authority}{path}{'?…' if question else ''}"

    @property
    def secrets(self) -> list[str]:
        """What a target could echo of the user and the password: as they are sent, and the password by itself."""
        if self.authorization is None or self.password is None:
            return []
        basic = self.authorization.reveal()
        return [basic, basic.removeprefix("Basic "), self.password.reveal()]

    def trusts(self, other: Url) -> bool:
        """Whether what was written for this URL may be sent to `other`: the same origin, or its move to https."""
        if self.host != other.host:
            return False
        same = (self.scheme, self.port) == (other.scheme, other.port)
        return same or ((self.scheme, self.port) == ("http", 80) and (other.scheme, other.port) == ("https", 443))


def parse(text: str) -> Url:
    """Raises ValueError saying what is wrong, without showing the URL: it may hold a password."""
    if _CONTROL.search(text):
        raise ValueError("the URL has a space or control character")
    try:
        parts = urlsplit(text)
    except ValueError:  # its words may show the user and the password
        raise ValueError("the URL cannot be read: its host has brackets or signs that cannot be there") from None
    if parts.scheme not in _PORTS:
        bare = _BARE_HOST.match(text)  # without what follows: a path or a query may hold a token
        advice = f": write https://{bare[1]}" if bare else ""
        raise ValueError(f"the URL begins with neither http:// nor https://{advice}")
    host = ascii_host(parts.hostname or "")
    try:
        port = parts.port
    except ValueError:
        raise ValueError("the port is not a number from 1 to 65535") from None
    if port == 0:
        raise ValueError("the port is not a number from 1 to 65535")
    target = quote(parts.path or "/", safe=_KEEP)
    if parts.query:
        target += "?" + quote(parts.query, safe=_KEEP)
    authorization = password = None
    if parts.username is not None or parts.password is not None:
        user, word = unquote(parts.username or ""), unquote(parts.password or "")
        authorization = Secret("Basic " + base64.b64encode(f"{user}:{word}".encode()).decode())
        password = Secret(word)
    return Url(sys.intern(parts.scheme), host, port or _PORTS[parts.scheme], target, authorization, password)


def join(base: Url, location: str) -> Url:
    """Where a Location header leads. Raises ValueError. A user or password in it is dropped: nobody here wrote it."""
    where = quote(location.strip(), safe=_KEEP, encoding="latin-1")
    found = parse(urljoin(f"{base.scheme}://{base.authority}{base.target}", where))
    return Url(found.scheme, found.host, found.port, found.target, None, None)


def ascii_host(host: str) -> str:
    """A host as it goes over the wire: lower case, without brackets. Raises ValueError."""
    if not host:
        raise ValueError("the URL has no host")
    if _PLAIN_HOST.fullmatch(host) and len(host) <= 253:
        return host
    if ":" in host:
        return str(ipaddress.IPv6Address(host))
    try:
        # A Location may have it in UTF-8, which is quoted by now.
        name = unquote(host, errors="strict")
        # Python's own takes 4 s for 5,000 signs before it says that they are too many.
        found = name.encode("idna").decode("ascii").lower() if len(name) <= _LONGEST_HOST else ""
    except UnicodeError:
        found = ""
    if not _HOST.fullmatch(found):
        raise ValueError("the host of the URL cannot be a host name")
    return found
