"""Looks at a URL: HTTP and HTTPS, with expectations on status, headers, body and JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Annotated, ClassVar, Literal

from probes._clean import Cleaner, sent
from probes._http import proxy as _proxy
from probes._http import url as _url
from probes._http.auth import Auth, tokens
from probes._http.exchange import Ask, check_written, fetch, note_excerpt, note_headers
from probes._http.expect import Expect, Expectation, compiled, kept_of, shared
from probes._http.figures import MEASUREMENTS
from probes._http.http1 import ResponseReader, check_method
from probes._http.prepared import BEFOREHAND, Prepared
from probes._http.redirects import Trail
from probes._http.reuse import Reuse
from probes._look import Look, failed
from probes._tls.contexts import check_files
from probes.contract import (
    BadField,
    ByteSize,
    Context,
    FilePath,
    LookFailed,
    Measurement,
    Observation,
    Probe,
    Secret,
    TlsWanted,
    check_fields,
)

_NO_HEADERS: Mapping[str, Secret] = {}
"""Of all checks that write none; most do."""
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"})
_MAX_BYTES = ByteSize(2_000_000)
_TOLD = {phase: f"{phase}_time" for phase in ("resolve", "connect", "proxy", "tls", "first_byte", "transfer")}
"""Phases that are measurements, too, and their names there."""
_wanted = lru_cache(maxsize=1024)(TlsWanted)
"""Most checks want the same: one object for all of them."""


@dataclass(frozen=True, slots=True, repr=False)
class Http(Probe):
    """Asks a URL and checks the answer: what a browser or an API client would meet.

    Every look is a fresh connection, unless `reuse: true` is written, so that it also sees what new visitors see: the
    resolver, the listen queue, the handshake, the certificate. A status of 429, or a bot challenge (`cf-mitigated`,
    `x-amzn-waf-action`), says nothing about the site: the look cannot tell, and never makes an outage, unless that
    status is expected.

    ```yaml
    checks:
      - name: checkout
        probe: http
        url: https://shop.example.com/checkout/health
        method: POST
        headers: {Authorization: "Bearer ${CHECKOUT_TOKEN}"}
        body: '{"dry_run": true}'
        expect:
          status: [200, 202]
          json: ["$.status = pass", "$.queue < 100"]
          headers: {Content-Type: "^application/json"}
        degraded: p95(response_time, 5m) > 800ms, clear < 600ms
    ```

    To look at one server of many: `url: https://10.0.0.7/` with `headers: {Host: shop.example.com}` and
    `server_name: shop.example.com`.

    Times: `response_time` is everything after name resolution, up to the last byte of the final answer, redirects
    included (less their name resolution, and less what it took to fetch a token or to read `body_file`). The others
    are its parts, each summed over redirects. A look that timed out reports a `response_time` of at least its
    timeout, and in the phase where it hung what it waited there; one that failed before an answer was complete
    reports none, as a fast refusal is not a fast answer.

    They are the target's, not the agent's: each ends when something arrived, by the kernel's own clock, and not when
    a busy agent came to read it. Where that cannot be known to 5 ms or 2 % the look is void (`late`), never slow.
    `round_trip_time` is what the network takes, `server_time` what is left of `first_byte_time`. Segments that had to
    be sent again are in the evidence (`sent_again`): then it was the way that was slow.

    A name's addresses are tried as browsers do (RFC 8305): the families in turns, the next one after 250 ms without
    an answer, or at once when one refuses. `connect_time` counts from the first attempt, and what the others did is
    in the evidence (`tried`), also of a look that went well.

    Default thresholds: `certificate_expires_in < 14d` is degraded. Automatic renewal is tried 30 days before the end
    by common clients, so at 14 days it has been failing for two weeks, and there is time to mend it by daylight;
    a certificate that has expired makes the look fail by itself (`tls_expired`). A `response_time` well above what
    it has been at this hour of the week is degraded, too (`usual: off` leaves that out). No default makes a check
    down: how slow is too slow is yours to say.

    An answer must be whole, and nothing may follow it: bytes beyond the announced length, or a second answer, fail
    the look (`protocol`), as the next request on a kept connection would get them. What is there when the end is
    read is judged; what comes later is not waited for. Lines that end in LF alone, a length that is sent twice, or
    beside chunks, are let pass, as browsers do, with a `note` in the evidence.

    It asks for compressed bodies (gzip, deflate, br, zstd; not with `compression: off`), unpacks them in small parts,
    and fails when one is broken, cut, or in a coding that was not asked for (`encoding`).

    Limits: HTTP/1.0 and 1.1. At most `max_bytes` of body are read, packed or unpacked; more is `too_large`, as are
    more than 200 headers or 64 KiB of them. A body is held once, and only if an expectation reads it; while br or
    zstd is unpacked, as much again. JSON may be nested 500 deep, and take a second to read. Evidence shows at most
    200 characters of the body, only of failed looks, with the written secrets taken out; what comes back of tokens
    and cookies is hidden as well. Of a `body_file` 16 MiB, of an answer of `token_url` 64 KiB, of an answer 50
    cookies are the most.
    """

    kind: ClassVar[str] = "http"
    measurements: ClassVar[tuple[Measurement, ...]] = MEASUREMENTS
    thresholds: ClassVar[Mapping[str, tuple[str, ...]]] = {"degraded": ("certificate_expires_in < 14d",)}
    usual: ClassVar[str | None] = "response_time"
    chapters: ClassVar[Mapping[str, str]] = {
        "Redirects and cookies": Trail.__doc__ or "",
        "Auth": Auth.__doc__ or "",
        "Proxies": _proxy.Proxy.__doc__ or "",
        "Reuse": Reuse.__doc__ or "",
    }

    url: Annotated[str, "What to ask for: http:// or https://; a user and password in it become basic auth."]
    method: Annotated[str, "The request's method."] = "GET"
    headers: Annotated[Mapping[str, Secret], "Headers to send; never shown, and never sent to another host."] = field(
        default_factory=dict
    )
    body: Annotated[str | None, "The request's body; set a Content-Type header to go with it."] = None
    body_file: Annotated[FilePath | None, "A file that is the request's body; read anew when it changes."] = None
    auth: Annotated[Auth | None, "How the agent proves who it is."] = None
    expect: Annotated[Expect, "What the answer must be."] = field(default_factory=Expect)
    follow: Annotated[int, "How many redirects to follow; 0: the redirect itself is the answer."] = 5
    max_bytes: Annotated[ByteSize, "The largest body to read; more makes the look fail."] = _MAX_BYTES
    compression: Annotated[Literal["on", "off"], "Whether to ask for a compressed body, as browsers do."] = "on"
    verify: Annotated[bool, "Whether the certificate must be trusted and for this name."] = True
    ca_file: Annotated[FilePath | None, "A file of PEM certificates to trust instead of the system's."] = None
    server_name: Annotated[str | None, "The name to ask for by SNI and to verify, when it is not the URL's host."] = (
        None
    )
    certificate: Annotated[FilePath | None, "A PEM file of the certificate that the agent shows, and its chain."] = (
        None
    )
    key: Annotated[FilePath | None, "A PEM file of its key, unless that stands in the same file."] = None
    key_password: Annotated[Secret | None, "What the key is encrypted with."] = None
    minimum_version: Annotated[
        Literal["1.0", "1.1", "1.2", "1.3"] | None, "The lowest version of TLS to speak; none: 1.2."
    ] = None
    reuse: Annotated[bool, "Whether to keep the connection from look to look; see below."] = False
    proxy: Annotated[
        str | None, "How to get there: `http://host:3128`, `socks5://host:1080`, `socks5h://` (it resolves names)."
    ] = None
    _url: _url.Url = field(init=False, compare=False)
    _expectation: Expectation = field(init=False, compare=False)
    _ask: Ask | None = field(init=False, compare=False, default=None)
    _own: Cleaner | None = field(init=False, compare=False)
    _prepared: Prepared | None = field(init=False, compare=False, default=None)
    _proxy: _proxy.Proxy | None = field(init=False, compare=False, default=None)
    _reuse: Reuse | None = field(init=False, compare=False, default=None)

    def __post_init__(self) -> None:
        check_fields(
            self._check_url,
            *(partial(check_written, name, value.reveal()) for name, value in self.headers.items()),
            self._check_method,
            self._check_body,
            self._check_auth,
            self._check_limits,
            lambda: check_files(self.certificate, self.key, self.key_password),
            self._check_proxy,
        )
        object.__setattr__(self, "_expectation", compiled(self.expect))
        object.__setattr__(self, "expect", shared(self.expect))
        if not self.headers:
            object.__setattr__(self, "headers", _NO_HEADERS)
        object.__setattr__(self, "_own", Cleaner(self._secrets()) or None)
        self._prepare()
        if self.reuse:
            object.__setattr__(self, "_reuse", Reuse())

    def _prepare(self) -> None:
        fetched = None
        if self.auth is not None:
            tls = _wanted(self.verify, self.ca_file, minimum=self.minimum_version)
            fetched = tokens(self.auth, tls, self._proxy)
        if self.body_file is not None or fetched is not None:
            object.__setattr__(self, "_prepared", Prepared(self.body_file, fetched))

    def _secrets(self) -> list[str]:
        """What must not come back in evidence."""
        known = sent(value.reveal() for value in self.headers.values()) + self._url.secrets
        if self.auth is not None:
            known += self.auth.secrets
        if self._proxy is not None:
            known += self._proxy.secrets
        return known

    def _check_url(self) -> None:
        try:
            object.__setattr__(self, "_url", _url.parse(self.url))
        except ValueError as error:
            raise BadField("url", str(error)) from None

    def _check_method(self) -> None:
        try:
            check_method(self.method)
        except ValueError as error:
            raise BadField("method", str(error)) from None
        if self.method.upper() in _METHODS:  # methods are case-sensitive, and nobody means another one by `get`
            object.__setattr__(self, "method", self.method.upper())

    def _check_body(self) -> None:
        if self.body_file is None:
            return
        if self.body is not None:
            raise BadField("body_file", "write either body or body_file")
        if not self.body_file.startswith("/"):
            raise BadField("body_file", "write the whole path, from the root: the agent may run in any folder")

    def _check_auth(self) -> None:
        if self.auth is None:
            return
        written = next((name for name in self.headers if name.lower() == "authorization"), None)
        if written is not None:
            raise BadField("auth", f"write either auth or headers.{written}")
        if self.url.partition("://")[2].partition("/")[0].count("@"):
            raise BadField("auth", "write either auth or a user and a password in the URL")

    def _check_proxy(self) -> None:
        if self.proxy is None:
            return
        try:
            proxy = _proxy.parse(self.proxy)
        except ValueError as error:
            raise BadField("proxy", str(error)) from None
        object.__setattr__(self, "_proxy", proxy)
        if proxy.is_http and self.url.startswith("http:") and any(name.lower() == "host" for name in self.headers):
            told = "an HTTP proxy goes by the URL alone: write the host there, or take a socks5 proxy"
            raise BadField("headers.Host", told)

    def _check_limits(self) -> None:
        if self.follow < 0:
            raise BadField("follow", "write 0 to follow no redirects, or how many")
        if self.max_bytes < 1:
            raise BadField("max_bytes", "write at least 1B")

    def __repr__(self) -> str:
        # The URL may hold a password; a repr ends in tracebacks and logs.
        return f"Http({self.target})"

    @property
    def target(self) -> str:
        return self._url.shown if self.method == "GET" else f"{self.method} {self._url.shown}"

    @property
    def host(self) -> str | None:
        return self._url.host

    async def look(self, context: Context) -> Observation:
        look = Look(context.timeout, self._own, context.redact)
        look.trace = context.trace
        figures: dict[str, float] = {}
        answer = None
        try:
            if self._prepared is None:
                ask, kept = self._ask or self._make_ask(), self._reuse if context.scheduled else None
                answer = await fetch(look, context, ask, figures, kept=kept)
            else:
                answer = await self._fetch_prepared(self._prepared, look, context, figures)
            note_headers(look, answer, few=context.trace is None)
            look.check_clocks()
            await self._expectation.check(answer, look)
        except LookFailed as failure:
            self._measure(look, answer, figures)
            return self._failed(look, failure, answer, figures)
        finally:
            look.close()
        self._measure(look, answer, figures)
        return Observation(figures, None, "", look.phases, look.evidence)

    async def _fetch_prepared(
        self, prepared: Prepared, look: Look, context: Context, figures: dict[str, float]
    ) -> ResponseReader:
        ask = self._ask or self._make_ask()
        kept = self._reuse if context.scheduled else None
        whole = await prepared.ask(look, context, ask)
        answer = await fetch(look, context, whole, figures, kept=kept)
        may_be_old = prepared.has_token and "login" not in look.phases
        if answer.status != 401 or not may_be_old or 401 in self._expectation.statuses:
            return answer
        look.phases.clear()
        look.evidence["login"] = "a new token, as the target refused the one that was kept"
        whole = await prepared.ask(look, context, ask, refused=whole)
        return await fetch(look, context, whole, figures, kept=kept)

    async def close(self) -> None:
        if self._reuse is not None:
            self._reuse.close()

    def _make_ask(self) -> Ask:
        """Made at the first look, and kept: a start with 10,000 checks need not wait for them all."""
        ask = Ask(
            url=self._url,
            method=self.method,
            written=[(name, value.reveal()) for name, value in self.headers.items()],
            body=self.body.encode() if self.body is not None else None,
            follow=self.follow,
            final=self._expectation.statuses,
            max_bytes=self.max_bytes,
            keep=kept_of(self._expectation, self.max_bytes),
            server_name=self.server_name,
            tls=_wanted(
                self.verify, self.ca_file, self.certificate, self.key, self.key_password, self.minimum_version
            ),
            proxy=self._proxy,
            authorization=self.auth.written if self.auth is not None else None,
            keep_alive=self.reuse,
            compression=self.compression == "on",
        )
        object.__setattr__(self, "_ask", ask)
        return ask

    @staticmethod
    def _measure(look: Look, answer: ResponseReader | None, figures: dict[str, float]) -> None:
        after_resolving = 0.0
        for phase, seconds in look.phases.items():
            if phase not in BEFOREHAND:
                after_resolving += seconds
            if (name := _TOLD.get(phase)) is not None:
                figures[name] = seconds
        if look.round_trip is not None and "proxy" not in look.evidence:  # else it is that of the proxy
            figures["round_trip_time"], figures["server_time"] = look.round_trip, look.server
        if answer is not None:
            figures["response_time"] = after_resolving
            figures["body_size"] = float(answer.body_size)
            if answer.packed:
                figures["transfer_size"] = float(answer.transfer_size)

    def _failed(
        self, look: Look, failure: LookFailed, answer: ResponseReader | None, figures: dict[str, float]
    ) -> Observation:
        if answer is not None:
            note_headers(look, answer)
            note_excerpt(look, answer)
        own = look.own
        if own is not None:
            for name, text in look.evidence.items():
                look.evidence[name] = own(text)
        seen = failed(look, failure, figures)
        return seen if own is None else replace(seen, detail=own(seen.detail))
