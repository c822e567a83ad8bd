"""Cookies of one look, kept from answer to request as a browser does: by the library's jar, for each host its own."""

from __future__ import annotations

from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING

from probes._exchange import Headers
from probes._url import Url

if TYPE_CHECKING:
    from aiohttp import CookieJar
    from yarl import URL

MOST = 50
"""Cookies taken from one answer."""


class Cookies:
    """A `CookieJar` of `probes._exchange`. Make it on the loop; nothing of it outlives the look."""

    __slots__ = ("_jar", "last")

    def __init__(self) -> None:
        from aiohttp import CookieJar  # a heavy import, and only for those who need it

        # unsafe: hosts may be IP addresses, as in a test or a private network.
        self._jar: CookieJar = CookieJar(unsafe=True)
        self.last: Url | None = None
        """Where the last answer came from."""

    def header(self, url: Url) -> str:
        found = self._jar.filter_cookies(_yarl(url))
        return "; ".join(f"{name}={morsel.coded_value}" for name, morsel in found.items())

    def take(self, url: Url, headers: Headers) -> None:
        self.last = url
        for value in [value for name, value in headers if name == "set-cookie"][:MOST]:
            cookie: SimpleCookie = SimpleCookie()
            try:
                cookie.load(value)
            except CookieError:
                continue  # a name that no browser would send back either
            self._jar.update_cookies(cookie, _yarl(url))


def _yarl(url: Url) -> URL:
    from yarl import URL

    return URL(f"{url.scheme}://{url.authority}{url.target}", encoded=True)
