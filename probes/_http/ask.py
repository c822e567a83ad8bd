"""What a look asks for over HTTP, made once a check, and the bytes of each request that this leads to."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from probes._http.codings import ACCEPTED, asked
from probes._http.http1 import check_header, request
from probes._http.proxy import Proxy
from probes._http.url import Url
from probes._quick import quick
from probes._wire.reach import Endpoint
from probes.contract import BadField, Secret, TlsWanted

AGENT = "brownout/0.1"

Headers = list[tuple[str, str]]

_OURS = frozenset({"content-length", "transfer-encoding", "connection", "proxy-authorization"})
_OF_THE_BODY = frozenset({"content-type", "content-encoding", "content-language", "content-location"})
"""Headers that say something of a body, and go with it (Fetch standard, "request-body-header name")."""


@quick(frozen=True, slots=True)
class Hop:
    """One request on the way to the final answer."""

    url: Url
    method: str
    body: bytes | None

    def __repr__(self) -> str:
        return f"Hop({self.method} {self.url.shown})"  # the body may hold secrets


@dataclass(frozen=True, slots=True, repr=False)
class Ask:
    """What to ask for, and how to take the answer. No repr, as `written` and `first` hold secrets.

    `written` are the user's own headers; `first` is the request to `url`, as bytes.
    """

    url: Url
    method: str
    written: Headers
    body: bytes | None
    follow: int
    final: frozenset[int]
    """Statuses that are an answer even if they redirect."""
    max_bytes: int
    keep: int
    server_name: str | None
    tls: TlsWanted
    proxy: Proxy | None = None
    authorization: Secret | None = None
    """The value of the Authorization header, where it is not that of the URL's user and password."""
    keep_alive: bool = False
    """Whether the server is asked to keep the connection for the next look."""
    compression: bool = False
    """Whether an answer may come compressed, unless `written` says what may."""
    start: Hop = field(init=False)
    first: bytes = field(init=False)
    first_codings: frozenset[str] = field(init=False)
    first_endpoint: Endpoint = field(init=False)
    foreign_tls: TlsWanted = field(init=False)
    """What of `tls` other hosts than the written one are shown: no certificate of the agent's."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", Hop(self.url, self.method, self.body))
        object.__setattr__(self, "first", self.request(self.start))
        object.__setattr__(self, "first_codings", self._codings(self.start))
        tls = self.tls
        if tls.certificate is not None:
            tls = replace(tls, certificate=None, key=None, key_password=None)
        object.__setattr__(self, "foreign_tls", tls)
        object.__setattr__(self, "first_endpoint", self._endpoint(self.url))

    def request(self, hop: Hop, cookies: str = "") -> bytes:
        """The bytes to send. What was written for `url` goes nowhere else. Raises ValueError."""
        url, target = hop.url, hop.url.target
        headers = self._headers(hop, cookies)
        if self.proxy is not None and self.proxy.is_http and url.scheme == "http":
            target = f"http://{url.authority}{target}"
            basic = self.proxy.authorization
            if basic is not None:
                headers.append(("Proxy-Authorization", basic.reveal()))
        return request(hop.method, target, headers, hop.body)

    def tunnelled(self, url: Url) -> bool:
        """Whether a proxy only passes bytes on, and does not read the request."""
        return self.proxy is not None and not (self.proxy.is_http and url.scheme == "http")

    def endpoint(self, hop: Hop) -> Endpoint:
        """Where the request goes to, and what is shown and asked for there."""
        return self.first_endpoint if hop is self.start else self._endpoint(hop.url)

    def _endpoint(self, url: Url) -> Endpoint:
        trusted = url is self.url or self.url.trusts(url)
        name = None
        if url.scheme == "https":
            name = self.server_name if self.server_name and trusted else url.host
        return Endpoint(url.host, url.port, name, self.tls if trusted else self.foreign_tls)

    def codings(self, hop: Hop) -> frozenset[str]:
        """The codings in which the answer to a request may come: those that it asks for."""
        return self.first_codings if hop is self.start else self._codings(hop)

    def _codings(self, hop: Hop) -> frozenset[str]:
        trusted = hop.url is self.url or self.url.trusts(hop.url)
        written = self.written if trusted else []
        usual = ACCEPTED if self.compression else None
        return asked(next((value for name, value in written if name.lower() == "accept-encoding"), usual))

    def _headers(self, hop: Hop, cookies: str) -> Headers:
        """What is written wins over what is usual."""
        trusted = hop.url is self.url or self.url.trusts(hop.url)
        written = self.written if trusted else []
        if hop.body is None and self.body is not None:
            written = [pair for pair in written if pair[0].lower() not in _OF_THE_BODY]
        names = {name.lower() for name, _ in written}
        usual = [("Host", hop.url.authority), ("User-Agent", AGENT), ("Accept", "*/*")]
        if not self.keep_alive:
            usual.append(("Connection", "close"))
        if self.compression:
            usual.append(("Accept-Encoding", ACCEPTED))
        authorization = self.authorization or self.url.authorization
        if trusted and authorization is not None:
            usual.append(("Authorization", authorization.reveal()))
        if cookies:
            # One Cookie header (RFC 6265, 5.4): with those that the user has written.
            own = [value for name, value in written if name.lower() == "cookie"]
            written = [pair for pair in written if pair[0].lower() != "cookie"]
            written = [*written, ("Cookie", "; ".join([*own, cookies]))]
        return [pair for pair in usual if pair[0].lower() not in names] + written


def check_written(name: str, value: str) -> None:
    """A header that a user has written. Raises `BadField` for `headers.NAME`; the text never shows the value."""
    if name.lower() in _OURS:
        raise BadField(f"headers.{name}", "this header is written by the probe itself")
    try:
        check_header(name, value)
    except ValueError as error:
        raise BadField(f"headers.{name}", str(error)) from None
