"""Cookies of one look, kept from answer to request as a browser does (RFC 6265, section 5), and bounded.

Nothing of them outlives the look. A list of public suffixes is not asked: a cookie goes to hosts that this very look
is led to, and to none that its own site did not name.
"""

from __future__ import annotations

import ipaddress
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import mktime_tz, parsedate_tz

from probes._http.url import Url

MOST = 50
"""Cookies of one answer, and of a site (domain); what comes beyond is ignored, as browsers do."""
LONGEST = 4096
"""Characters of a cookie's name and value together (RFC 6265, 6.1)."""

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_MOST_ATTRIBUTES = 20


@dataclass(frozen=True, slots=True, repr=False)
class _Cookie:
    name: str
    value: str
    domain: str
    path: str
    host_only: bool
    secure: bool

    def goes_to(self, url: Url) -> bool:
        if self.secure and url.scheme != "https":
            return False
        mine = url.host == self.domain if self.host_only else _belongs(url.host, self.domain)
        return mine and _within(url, self.path)


class Cookies:
    """What the answers to earlier requests have asked to be sent along."""

    __slots__ = ("_kept", "last")

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str, str], _Cookie] = {}
        self.last: Url | None = None
        """Where the last answer came from."""

    def header(self, url: Url) -> str:
        """The value of the Cookie header of a request to `url`; empty without cookies."""
        found = [cookie for cookie in self._kept.values() if cookie.goes_to(url)]
        found.sort(key=lambda cookie: -len(cookie.path))  # stable: those of one length as they were made
        return "; ".join(f"{cookie.name}={cookie.value}" if cookie.name else cookie.value for cookie in found)

    def take(self, url: Url, headers: list[tuple[str, str]]) -> list[str]:
        """Remember what an answer from `url` sets. The values that are new, which nobody is to be shown."""
        self.last = url
        lines = [value for name, value in headers if name == "set-cookie"][:MOST]
        return [value for line in lines if (value := self._set(url, line))]

    def _set(self, url: Url, line: str) -> str | None:
        """One Set-Cookie line; what cannot be understood is ignored, as RFC 6265, 5.2 asks."""
        pair, _, rest = line.partition(";")
        name, equals, value = pair.partition("=")
        if not equals:
            name, value = "", pair
        name, value = name.strip(" \t"), value.strip(" \t")
        if not (name or value) or len(name) + len(value) > LONGEST or _CONTROL.search(name + value):
            return None
        told = dict(_attributes(rest))
        domain = told.get("domain", "").lower().removeprefix(".")
        if domain and not _may_set(url.host, domain):
            return None
        if "secure" in told and url.scheme != "https":
            return None  # a plain connection cannot vouch for it (RFC 6265bis, 5.7)
        path = told.get("path", "")
        if not path.startswith("/"):
            path = _default_path(url)
        # A host that names itself as the domain means the domains below it as well.
        cookie = _Cookie(name, value, domain or url.host, path, not domain, "secure" in told)
        key = (cookie.domain, path, name)
        if _over(told):
            self._kept.pop(key, None)
            return None
        if key not in self._kept and sum(known[0] == cookie.domain for known in self._kept) >= MOST:
            return None
        self._kept[key] = cookie
        return value


def _attributes(text: str) -> Iterator[tuple[str, str]]:
    """By name; where one is written twice, the last counts."""
    for part in text.split(";", _MOST_ATTRIBUTES)[:_MOST_ATTRIBUTES]:
        name, _, value = part.partition("=")
        yield name.strip().lower(), value.strip()


def _over(told: dict[str, str]) -> bool:
    """Whether the cookie has ended already: Max-Age wins over Expires, and what cannot be read counts for nothing."""
    age = told.get("max-age")
    if age is not None and re.fullmatch(r"-?[0-9]{1,18}", age):
        return int(age) <= 0
    try:
        date = parsedate_tz(told.get("expires", "")[:100])
        return date is not None and mktime_tz(date) <= time.time()
    except (ValueError, OverflowError, TypeError):
        return False


def _may_set(host: str, domain: str) -> bool:
    """Whether a host may set cookies for this domain: its own, or one above it that is not at the top."""
    return host == domain or ("." in domain and _belongs(host, domain))


def _belongs(host: str, domain: str) -> bool:
    """RFC 6265, 5.1.3: domain-match. An address has no domains above it."""
    return host == domain or (host.endswith("." + domain) and not _is_address(host))


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _default_path(url: Url) -> str:
    """RFC 6265, 5.1.4: the folder of the request's path."""
    return url.target.partition("?")[0].rpartition("/")[0] or "/"


def _within(url: Url, path: str) -> bool:
    """RFC 6265, 5.1.4: path-match."""
    asked = url.target.partition("?")[0]
    if not asked.startswith(path):
        return False
    return len(asked) == len(path) or path.endswith("/") or asked[len(path)] == "/"
