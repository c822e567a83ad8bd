"""Where a redirect leads, by which method (RFC 9110, 15.4; the Fetch standard), and what is told of it."""

from __future__ import annotations

import re
from time import perf_counter

from probes._http import url as _url
from probes._http.ask import Ask, Hop
from probes._http.cookies import Cookies
from probes._http.http1 import ResponseReader
from probes._http.url import Url
from probes._look import Look, visible
from probes.contract import LookFailed, Reason

_FOLLOWED = (301, 302, 303, 307, 308)
_MOST_TOLD = 6
"""Redirects that the evidence names; of more the first and the last ones."""


def location_of(reader: ResponseReader, final: frozenset[int]) -> str | None:
    """Where to go on to; None when this is the final answer."""
    if reader.status not in _FOLLOWED or reader.status in final:
        return None
    return next((value for name, value in reader.headers if name == "location"), None)


class Trail:
    """Redirects are followed as browsers do it: 303 goes on with GET (a HEAD stays one), 301 and 302 make a GET of a
    POST, 307 and 308 keep method and body. A body that is not sent on leaves its `Content-` headers behind. Cookies
    that are set on the way go along, and are forgotten at the end of the look.

    What was written for the URL (headers, passwords, tokens, a body, `server_name`, the agent's certificate) goes to
    its own host, scheme and port only, and from http on port 80 to https on 443 of the same host. A redirect that
    would carry the body elsewhere fails (`redirect`), as do more than `follow` of them, a circle (the same request
    with the same cookies), and one to another scheme than http and https.

    The evidence has the way (`redirects`, each with its time), the `final_url`, and a `downgrade` from https to http.
    """

    __slots__ = ("_ask", "_hop", "_hops", "_look", "_seen")

    def __init__(self, ask: Ask, look: Look) -> None:
        self._ask = ask
        self._look = look
        self._hop = ask.start
        self._hops: list[str] = []
        self._seen = {_key(ask.start, "")}

    def follow(self, status: int, location: str, seconds: float, cookies: Cookies | None) -> tuple[Hop, str]:
        """The next request, and the cookies to send along. `seconds` is how long the one before took.

        Raises `LookFailed` (redirect).
        """
        look, hop = self._look, self._hop
        self._hops.append(f"{shown_url(look, hop.url, 100)} {status} in {seconds * 1000:.0f} ms")
        if look.trace is not None:
            look.trace.noted(f"{status}: on to {shown_location(look, location)}", perf_counter())
        self._tell()
        if len(self._hops) > self._ask.follow:
            raise LookFailed(
                Reason.REDIRECT,
                f"more than {self._ask.follow} redirects, the last to {shown_location(look, location)}",
            )
        to = self._next(status, location)
        look.evidence["final_url"] = shown_url(look, to.url)
        if hop.url.scheme == "https" and to.url.scheme == "http":
            look.evidence["downgrade"] = f"the redirect {len(self._hops)} leads from https to http"
        sent = cookies.header(to.url) if cookies is not None else ""
        key = _key(to, sent)
        if key in self._seen:
            raise LookFailed(Reason.REDIRECT, f"the redirects go round in a circle at {shown_url(look, to.url)}")
        self._seen.add(key)
        self._hop = to
        return to, sent

    def _next(self, status: int, location: str) -> Hop:
        look, hop = self._look, self._hop
        try:
            to = _url.join(hop.url, location)
        except ValueError as error:
            raise LookFailed(
                Reason.REDIRECT, f"to {shown_location(look, location)}: {look.show(str(error), 120)}"
            ) from error
        if status == 303:
            return Hop(to, "HEAD" if hop.method == "HEAD" else "GET", None)
        if status in (301, 302) and hop.method == "POST":
            return Hop(to, "GET", None)
        if hop.body is not None and not self._ask.url.trusts(to):
            raise LookFailed(Reason.REDIRECT, f"the body would go to another host: {shown_url(look, to)}")
        return Hop(to, hop.method, hop.body)

    def _tell(self) -> None:
        told = self._hops
        if len(told) > _MOST_TOLD:
            half = _MOST_TOLD // 2
            told = [*told[:half], f"({len(told) - _MOST_TOLD} more)", *told[-half:]]
        self._look.evidence["redirects"] = visible(", ".join(told))


def _key(hop: Hop, cookies: str) -> tuple[str, ...]:
    """A page that sets a cookie and leads back to itself is no circle."""
    return hop.method, hop.url.scheme, hop.url.authority, hop.url.target, cookies


def shown_location(look: Look, location: str) -> str:
    """A Location for people: bounded, and without the query, where tokens live; cleaned before it is taken apart."""
    path = re.split(r"[?#]", look.clean(location), maxsplit=1)[0]
    return visible(path.rpartition("@")[2], 120)


def shown_url(look: Look, url: Url, limit: int = 200) -> str:
    """`Url.shown` for a URL that the target has named."""
    path, question, _ = look.clean(f"{url.scheme}://{url.authority}{url.target}").partition("?")
    return visible(path, limit) + ("?…" if question else "")
