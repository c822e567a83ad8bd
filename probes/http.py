"""Looks at a URL: HTTP and HTTPS, with expectations on status, headers, body and JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Annotated, ClassVar

from probes import _url
from probes._clean import Cleaner, sent
from probes._exchange import Ask, check_written, fetch, note_excerpt
from probes._expect import Expect, Expectation, compiled, kept_of
from probes._http1 import ResponseReader, check_method
from probes._look import Look, failed
from probes.contract import (
    BadField,
    ByteSize,
    Context,
    LookFailed,
    Measurement,
    Observation,
    Probe,
    Reason,
    Secret,
    Unit,
    check_fields,
)

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"})
_MAX_BYTES = ByteSize(2_000_000)


@dataclass(frozen=True, slots=True, repr=False)
class Http(Probe):
    """Asks a URL and checks the answer: what a browser or an API client would meet.

    Every look is a fresh connection, so that a look also sees what new visitors see: the resolver, the listen queue,
    the handshake, the certificate. It follows redirects, but sends the headers and the password that were written
    to the written host only. A status of 429, or a bot challenge (`cf-mitigated`, `x-amzn-waf-action`), says nothing
    about the site: the look cannot tell, and never makes an outage, unless that status is expected.

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

    Times: `response_time` is everything after name resolution, up to the last byte of the final answer, redirects
    included (less their name resolution). The others are its parts, each summed over redirects. A look that timed out
    reports a `response_time` of at least its timeout, and in the phase where it hung what it waited there; one that
    failed before an answer was complete reports none, as a fast refusal is not a fast answer.

    Default thresholds: `certificate_expires_in < 14d` is degraded. Automatic renewal is tried 30 days before the end
    by common clients, so at 14 days it has been failing for two weeks, and there is time to mend it by daylight;
    a certificate that has expired makes the look fail by itself (`tls_expired`). A `response_time` well above what
    it has been at this hour of the week is degraded, too (`usual: off` leaves that out). No default makes a check
    down: how slow is too slow is yours to say.

    Limits: HTTP/1.1 without compression. At most `max_bytes` of body are read; JSON is read up to 256 KiB. Answers
    may have 200 headers, 64 KiB. Evidence shows at most 200 characters of the body, only of failed looks, with the
    written secrets taken out.
    """

    kind: ClassVar[str] = "http"
    measurements: ClassVar[tuple[Measurement, ...]] = (
        Measurement(
            "response_time",
            Unit.SECONDS,
            "From after name resolution to the last byte of the final answer.",
            cut_by=Reason.TRANSFER_TIMEOUT,
        ),
        Measurement("resolve_time", Unit.SECONDS, "Name resolution."),
        Measurement(
            "connect_time",
            Unit.SECONDS,
            "TCP connection, over all addresses that were tried.",
            cut_by=Reason.CONNECT_TIMEOUT,
        ),
        Measurement("tls_time", Unit.SECONDS, "TLS handshake; only with https.", cut_by=Reason.TLS_TIMEOUT),
        Measurement(
            "first_byte_time",
            Unit.SECONDS,
            "From the request sent to the first byte of the answer.",
            cut_by=Reason.FIRST_BYTE_TIMEOUT,
        ),
        Measurement(
            "transfer_time",
            Unit.SECONDS,
            "From the first byte of the answer to its last.",
            cut_by=Reason.TRANSFER_TIMEOUT,
        ),
        Measurement("certificate_expires_in", Unit.SECONDS, "Until the certificate ends; only with https."),
        Measurement("body_size", Unit.BYTES, "Body of the final answer."),
    )
    thresholds: ClassVar[Mapping[str, tuple[str, ...]]] = {"degraded": ("certificate_expires_in < 14d",)}
    usual: ClassVar[str | None] = "response_time"

    url: Annotated[str, "What to ask for: http:// or https://; a user and password in it become basic auth."]
    method: Annotated[str, "The request's method."] = "GET"
    headers: Annotated[Mapping[str, Secret], "Headers to send; never shown, and never sent to another host."] = field(
        default_factory=dict
    )
    body: Annotated[str | None, "The request's body; set a Content-Type header to go with it."] = None
    expect: Annotated[Expect, "What the answer must be."] = field(default_factory=Expect)
    follow: Annotated[int, "How many redirects to follow; 0: the redirect itself is the answer."] = 5
    max_bytes: Annotated[ByteSize, "The largest body to read; more makes the look fail."] = _MAX_BYTES
    verify: Annotated[bool, "Whether the certificate must be trusted and for this name."] = True
    ca_file: Annotated[str | None, "A file of PEM certificates to trust instead of the system's."] = None
    server_name: Annotated[str | None, "The name to ask for by SNI and to verify, when it is not the URL's host."] = (
        None
    )
    _url: _url.Url = field(init=False, compare=False)
    _expectation: Expectation = field(init=False, compare=False)
    _ask: Ask | None = field(init=False, compare=False, default=None)
    _own: Cleaner | None = field(init=False, compare=False)

    def __post_init__(self) -> None:
        check_fields(
            self._check_url,
            *(partial(check_written, name, value.reveal()) for name, value in self.headers.items()),
            self._check_method,
            self._check_limits,
        )
        object.__setattr__(self, "_expectation", compiled(self.expect))
        known = sent(value.reveal() for value in self.headers.values()) + self._url.secrets
        object.__setattr__(self, "_own", Cleaner(known) or None)

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
        figures: dict[str, float] = {}
        answer = None
        try:
            answer = await fetch(look, context, self._ask or self._make_ask(), figures)
            self._note_server(answer, look)
            look.check_clocks()
            self._expectation.check(answer, look)
        except LookFailed as failure:
            self._measure(look, answer, figures)
            return self._failed(look, failure, answer, figures)
        finally:
            look.close()
        self._measure(look, answer, figures)
        return Observation(figures, None, "", look.phases, look.evidence)

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
            verify=self.verify,
            ca_file=self.ca_file,
        )
        object.__setattr__(self, "_ask", ask)
        return ask

    @staticmethod
    def _note_server(answer: ResponseReader, look: Look) -> None:
        server = answer.header("server")
        if server:
            look.evidence["server"] = look.show(server, 80)

    @staticmethod
    def _measure(look: Look, answer: ResponseReader | None, figures: dict[str, float]) -> None:
        phases = look.phases
        for phase in ("resolve", "connect", "tls", "first_byte", "transfer"):
            if phase in phases:
                figures[f"{phase}_time"] = phases[phase]
        if answer is not None:
            figures["response_time"] = sum(phases.values()) - phases["resolve"]
            figures["body_size"] = float(answer.body_size)

    def _failed(
        self, look: Look, failure: LookFailed, answer: ResponseReader | None, figures: dict[str, float]
    ) -> Observation:
        if answer is not None:
            note_excerpt(look, answer)
        if self._own is not None:
            for name, text in look.evidence.items():
                look.evidence[name] = self._own(text)
        seen = failed(look, failure, figures)
        return seen if self._own is None else replace(seen, detail=self._own(seen.detail))
