"""Looks at the DNS: asks a name server one question, and compares the answer."""

from __future__ import annotations

import time
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from math import inf
from time import perf_counter
from typing import Annotated, ClassVar, Literal

from probes._dns.asked import REFUSED, SERVFAIL, rcode_of, truncated, without_edns
from probes._dns.expect import Expect, Expectation
from probes._dns.name import name_of, type_of
from probes._dns.question import Answer, Question
from probes._dns.server import PORT, TLS_PORT, server_of
from probes._dns.talk import by_datagrams, on_connection
from probes._look import Look, failed
from probes._names.resolv_conf import ResolvConf, Watched, resolv_conf
from probes._wire.dial import dial
from probes._wire.reach import Endpoint, reach, resolved
from probes.contract import (
    Blame,
    Context,
    FilePath,
    LookFailed,
    Measurement,
    Observation,
    Probe,
    Reason,
    TlsWanted,
    Unit,
    check_fields,
)

_OUR_RESOLVER = resolv_conf()
_TURN = 2.0
"""Seconds that one of the machine's name servers has by UDP, where there is another one: it is asked twice."""
_ABOUT_THE_NAME = frozenset({Reason.DNS_NXDOMAIN, Reason.ANSWER})
"""What is the target's trouble whoever says it."""


@dataclass(frozen=True, slots=True)
class Dns(Probe):
    """Asks a name server for the records of a name, and compares them with what they should be.

    With `server`, that server is what is looked at: when it is silent (`query_timeout`), fails or refuses (`rcode`),
    the look has failed. Without, the name is, as this machine's resolvers see it (those of /etc/resolv.conf, one
    after the other): where none of them can tell (`dns_timeout`, `dns_servfail`, `dns_refused`, `dns_protocol`), that
    is never an outage; a name that does not exist (`dns_nxdomain`), or has other records than expected (`answer`),
    has failed.

    ```yaml
    checks:
      - name: ns1 serves the shop
        probe: dns
        query: shop.example.com
        server: ns1.example.com
        recursion: false
        expect:
          authoritative: true
          answers: [203.0.113.7, 203.0.113.8]
        degraded: p95(response_time, 5m) > 200ms, clear < 150ms
      - name: mail is delivered to us
        probe: dns
        query: example.com
        type: MX
        expect: {answers: 10 mail.example.com, exact: true}
    ```

    By UDP, what does not answer the question (another id, another question, our own one sent back) is ignored, as
    anybody could have sent it; the evidence counts it. The question is asked again after a second, then after two
    more, four ..., as resolvers do: a lost packet is a slow answer. An answer that is cut off (TC) is asked for again
    by TCP, at once. On a connection (`transport: tcp` or `tls`) a message that is no answer breaks the protocol.

    Records are compared as records: `2001:db8:0::7` is `2001:db8::7`, case and final dots of names do not matter.
    Patterns see them as `dig +short` shows them, `10 mail.example.com.`; the strings of a TXT record are one text,
    without quotes. Aliases (CNAME) are followed within the answer. A type without a name of its own is written by its
    number, `TYPE65280`, and its records as RFC 3597 has them.

    Times: `response_time` is everything after the name of the server is resolved, up to the arrival of the answer at
    this machine; asking again and connecting are in it. A look that timed out reports at least its timeout; one that
    got no answer for another reason, none. A resolver with a cache answers most looks at once, and one each `ttl`
    from afar.

    Default thresholds: `certificate_expires_in < 14d` is degraded, for the reasons that the probe `http` gives; only
    with `transport: tls`. A `response_time` well above what it has been at this hour of the week is degraded, too
    (`usual: off` leaves that out). Else none: what the answer must be is for `expect` to say, and how slow is too
    slow is yours to say.

    A zone that is no longer transferred shows at its secondary name servers: look at each of them with `type: SOA`
    and `degraded: serial_age > 1d`, with a time in which the zone always changes. The serial is in the evidence.

    Limits: class IN; no zone transfers; names are whole: no search domains, no /etc/hosts. Questions have EDNS (RFC
    6891) and ask for up to 1232 bytes by UDP; a server that does not know it and says so is asked again without.
    Answers of more than 250 records are not read. Of a server with several addresses the first one that does not
    refuse is asked; no other takes the place of one that is silent. Signatures are not validated here: ask a resolver
    that does, and expect `authenticated`. Of DNS over HTTPS, the probe `http` sees whether it answers.
    """

    kind: ClassVar[str] = "dns"
    measurements: ClassVar[tuple[Measurement, ...]] = (
        Measurement(
            "response_time",
            Unit.SECONDS,
            "From after the server's name is resolved to the answer.",
            cut_by=Reason.QUERY_TIMEOUT,
        ),
        Measurement("resolve_time", Unit.SECONDS, "Resolution of the name of the server itself."),
        Measurement(
            "connect_time", Unit.SECONDS, "TCP connection, where one is made.", cut_by=Reason.CONNECT_TIMEOUT
        ),
        Measurement(
            "tls_time", Unit.SECONDS, "TLS handshake; only with `transport: tls`.", cut_by=Reason.TLS_TIMEOUT
        ),
        Measurement(
            "query_time",
            Unit.SECONDS,
            "From the question to the answer, asking again included.",
            cut_by=Reason.QUERY_TIMEOUT,
        ),
        Measurement("answers", Unit.COUNT, "Records of the type that was asked for; 0 where there are none."),
        Measurement("ttl", Unit.SECONDS, "How long the answer may be kept: the lowest of its records and aliases."),
        Measurement("serial_age", Unit.SECONDS, "Since the serial of a SOA record was first seen by this check."),
        Measurement(
            "certificate_expires_in", Unit.SECONDS, "Until the chain's first certificate ends; with `transport: tls`."
        ),
    )
    thresholds: ClassVar[Mapping[str, tuple[str, ...]]] = {"degraded": ("certificate_expires_in < 14d",)}
    usual: ClassVar[str | None] = "response_time"

    query: Annotated[str, "The name to ask for: `shop.example.com`, `bücher.example`."]
    type: Annotated[str, "The type of the records: `A`, `AAAA`, `MX`, `TXT`, `SOA`, or by number, `TYPE65`."] = "A"
    server: Annotated[
        str | None, "Whom to ask: `host`, `host:port`, `[IPv6 address]:port`; none: those of /etc/resolv.conf."
    ] = None
    transport: Annotated[
        Literal["udp", "tcp", "tls"], "How to ask: `udp`, with TCP for what is too long; `tcp`; `tls` (port 853)."
    ] = "udp"
    recursion: Annotated[bool, "Whether the server shall ask others (RD); `false` for the zone's own servers."] = True
    dnssec: Annotated[bool, "Whether to ask for signatures, too (DO)."] = False
    expect: Annotated[Expect, "What the answer must be."] = field(default_factory=Expect)
    verify: Annotated[bool, "Whether the certificate must be trusted and for this name."] = True
    ca_file: Annotated[FilePath | None, "A file of PEM certificates to trust instead of the system's."] = None
    server_name: Annotated[
        str | None, "The name to ask for by SNI and to verify, when it is not that of the server."
    ] = None
    _question: Question = field(init=False, repr=False, compare=False)
    _expectation: Expectation = field(init=False, repr=False, compare=False)
    _where: tuple[str, int] | None = field(init=False, repr=False, compare=False, default=None)
    """The server's host and port, where one is written."""
    _resolver: Watched[ResolvConf] = field(default=_OUR_RESOLVER, repr=False, compare=False)
    """Not of the YAML: so that a test can have one of its own."""

    def __post_init__(self) -> None:
        check_fields(self._check_question, self._check_server)

    def _check_question(self) -> None:
        check_fields(lambda: name_of(self.query), lambda: type_of(self.type))
        name, rdtype = name_of(self.query), type_of(self.type)
        validated = self.expect.authenticated is not None
        question = Question(name, rdtype, recursion=self.recursion, dnssec=self.dnssec, ad=validated)
        object.__setattr__(self, "_question", question)
        object.__setattr__(self, "_expectation", Expectation(self.expect, rdtype))

    def _check_server(self) -> None:
        if self.server is not None:
            object.__setattr__(self, "_where", server_of(self.server, self._port))

    @property
    def _port(self) -> int:
        return TLS_PORT if self.transport == "tls" else PORT

    @property
    def target(self) -> str:
        asked = f"{self.type.upper()} {self.query}"
        return asked if self.server is None else f"{asked} at {self.server}"

    @property
    def host(self) -> str | None:
        return self._where[0] if self._where is not None else None

    async def look(self, context: Context) -> Observation:
        look = Look(context.timeout, redact=context.redact)
        figures: dict[str, float] = {}
        try:
            data = await self._ask(look, context, figures)
            answer = await self._question.read(data, look.left)
            self._measure(answer, look, figures)
            _note(answer, look)
            look.check_clocks()
            if answer.serial is not None:
                figures["serial_age"] = _serial_age(answer.serial, context.memory, time.time())
            self._expectation.check(answer, look)
        except LookFailed as failure:
            return failed(look, self._attributed(failure, look), {**_times(look), **figures})
        finally:
            look.close()
        return Observation({**_times(look), **figures}, None, "", look.phases, look.evidence)

    async def _ask(self, look: Look, context: Context, figures: dict[str, float]) -> bytes:
        if self._where is not None:
            return await self._told(look, context, figures, self._where)
        passed: list[str] = []
        servers = self._resolver.now().servers
        for number, host in enumerate(servers, 1):
            last = number == len(servers)
            try:
                data = await self._told(look, context, figures, (host, self._port), last=last)
            except LookFailed as failure:
                if last or look.left() <= 0.0 or failure.reason.blame is Blame.US:
                    raise
                why = failure.detail
            else:
                if last or rcode_of(data) not in (SERVFAIL, REFUSED):
                    return data
                why = "SERVFAIL" if rcode_of(data) == SERVFAIL else "REFUSED"
            passed.append(f"{host}: {why}")
            look.evidence["passed_over"] = "; ".join(passed)
        raise LookFailed(Reason.DNS_SERVFAIL, "no server is named")

    async def _told(
        self, look: Look, context: Context, figures: dict[str, float], where: tuple[str, int], *, last: bool = True
    ) -> bytes:
        """What that server says. Where it is not the `last` one that can be asked, it has so long and no longer."""
        data = await self._once(look, context, figures, where, last=last)
        if without_edns(data) and not self.dnssec and not {"FORMERR", "NOTIMP"}.intersection(self.expect.rcode):
            look.evidence["edns"] = "the server does not know it: asked again without"
            data = await self._once(look, context, figures, where, last=last, edns=False)
        return data

    async def _once(
        self,
        look: Look,
        context: Context,
        figures: dict[str, float],
        where: tuple[str, int],
        *,
        last: bool,
        edns: bool = True,
    ) -> bytes:
        host, port = where
        if self.transport == "udp":
            addresses = await resolved(look, context, host, port)
            until = inf if last else perf_counter() + min(_TURN, look.left() / 2)
            data, address = await by_datagrams(look, addresses, self._question.ask(edns=edns), until)
            if not truncated(data):
                return data
            look.evidence["truncated"] = "by UDP: asked again by TCP"
            connection = await dial(look, (address,))
        else:
            name = (self.server_name or host) if self.transport == "tls" else None
            endpoint = Endpoint(host, port, name, TlsWanted(self.verify, self.ca_file))
            connection = await reach(look, context, endpoint, figures)
        with connection:
            data = await on_connection(look, connection, self._question.ask(edns=edns))
        if truncated(data):
            raise LookFailed(Reason.PROTOCOL, "the answer is cut off (TC) although it came on a connection")
        return data

    def _attributed(self, failure: LookFailed, look: Look) -> LookFailed:
        """Whose trouble it is: that of our own resolver says nothing about the name."""
        ours = self._where is None and failure.reason.blame is Blame.TARGET
        if not ours or failure.reason in _ABOUT_THE_NAME or look.evidence.get("rcode") == "NOERROR":
            return failure
        failure.__traceback__ = None  # as `failed` does, and for its reasons
        reason = Reason.DNS_SERVFAIL
        if failure.reason.timed_out:
            reason = Reason.DNS_TIMEOUT
        elif failure.reason in (Reason.PROTOCOL, Reason.TOO_LARGE):
            reason = Reason.DNS_PROTOCOL
        elif look.evidence.get("rcode") == "REFUSED":
            reason = Reason.DNS_REFUSED
        return LookFailed(reason, failure.detail)

    @staticmethod
    def _measure(answer: Answer, look: Look, figures: dict[str, float]) -> None:
        figures["response_time"] = sum(look.phases.values()) - look.phases["resolve"]
        figures["answers"] = float(len(answer.records))
        if answer.ttl is not None:
            figures["ttl"] = answer.ttl


def _times(look: Look) -> dict[str, float]:
    return {f"{phase}_time": took for phase, took in look.phases.items() if phase != "send"}


def _note(answer: Answer, look: Look) -> None:
    """What the server said, for people."""
    look.evidence["rcode"] = answer.rcode
    look.evidence["flags"] = " ".join(sorted(answer.flags)).lower()
    if answer.records:
        look.evidence["answer"] = look.show(", ".join(record.text for record in answer.records))
    elif answer.authority:
        look.evidence["authority"] = look.show(", ".join(answer.authority))
    if answer.aliases:
        look.evidence["alias_of"] = look.show(answer.owner, 120)
    if answer.errors:
        look.evidence["error"] = look.show("; ".join(answer.errors), 200)
    if answer.serial is not None:
        look.evidence["serial"] = str(answer.serial)


def _serial_age(serial: int, memory: MutableMapping[str, float | str], now: float) -> float:
    """Seconds since this serial was seen first; it is kept as a text, as figures may be rounded."""
    since = memory.get("serial_since")
    if memory.get("serial") != str(serial) or not isinstance(since, float) or since > now:
        memory["serial"], memory["serial_since"] = str(serial), now
        return 0.0
    return now - since
