"""Looks at a TLS server: handshake, version, cipher, certificates and how long they last."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from time import perf_counter
from typing import Annotated, ClassVar, Literal

from probes._look import Look, taken
from probes._tls.chain import read
from probes._tls.contexts import check_files
from probes._tls.expect import Expect, Offered, check
from probes._tls.handshake import Peer
from probes._tls.session import TlsSession
from probes._wire.connection import Connection
from probes._wire.dial import dial
from probes._wire.dialogue import Upgrade
from probes._wire.endpoint import host_and_port
from probes._wire.figures import CONNECT_TIME, RESOLVE_TIME, STARTTLS_TIME, certificate_expires_in, tls_time
from probes._wire.reach import Endpoint, reach
from probes.contract import (
    Address,
    BadField,
    Context,
    FilePath,
    LookFailed,
    Measurement,
    Observation,
    Probe,
    Reason,
    Secret,
    TlsWanted,
    Unit,
    check_fields,
)

_LISTENS_FOR = 0.3
"""Seconds for which a server's word about our certificate is awaited, once the handshake has ended."""


@dataclass(frozen=True, slots=True)
class Tls(Probe):
    """Shakes hands with a TLS server, verifies its certificates, and says nothing more.

    For what is no website: mail servers, databases, message brokers, LDAP; and for names whose certificate matters
    more than their pages. The probe `http` notes the same of certificates with every look.

    ```yaml
    checks:
      - name: mail certificate
        probe: tls
        address: mail.example.com:25
        starttls: smtp
        every: 10m
        degraded: certificate_expires_in < 21d
      - name: broker
        probe: tls
        address: broker.example.com:8883
        ca_file: /etc/ssl/private-ca.pem
        certificate: /etc/brownout/agent.pem
        key: /etc/brownout/agent.key
        expect: {version: 1.3, names: [broker.example.com, mqtt.example.com], key: "^EC"}
    ```

    The certificate must be trusted, in force, and for the name: `server_name`, else the host of `address`. Names are
    those of subjectAltName; a certificate that says its name only as common name (CN) is for nobody, as browsers and
    Go have it. `certificate_expires_in` is the earliest end of the certificates between the server's own and the
    root, both of the server's own and of intermediate ones; roots do not count, and neither does a certificate that
    is sent along and not needed. Each way to fail has a reason of its own: `tls_expired`, `tls_not_yet`, `tls_name`,
    `tls_self_signed`, `tls_chain` (an intermediate certificate is missing), `tls_untrusted`, `tls_version`,
    `tls_plaintext`, `tls_closed`, `tls_timeout`, `tls_client` (it wants a client certificate, or not ours).

    With `starttls` the conversation begins in plain text, as mail servers and others have it on their usual ports.
    What comes along with the answer before TLS is refused (`protocol`): somebody in between could have written it.

    With `ocsp` the server is asked, in a handshake of its own, for the authority's word that the certificate is not
    revoked, which it fetches and staples. One that is stale, about another certificate, not signed by the authority,
    or missing where it is `required` or promised by the certificate (must-staple) fails (`tls_ocsp`); one that says
    so fails as `tls_revoked`. It needs pyOpenSSL (`brownout[ocsp]`), as Python's own TLS cannot ask. Several large
    authorities answer OCSP no longer; the others' revocations show nowhere else so soon.

    Times: `response_time` is everything after name resolution, up to the end of the handshake. A look that timed out
    reports at least its timeout.

    Default thresholds: `certificate_expires_in < 14d` is degraded, for the reasons that the probe `http` gives. A
    `response_time` well above what it has been at this hour of the week is degraded, too (`usual: off` leaves that
    out).

    Limits: OpenSSL's own choice of ciphers is offered, and TLS 1.2 and 1.3; `minimum_version: 1.0` offers older ones
    too, with the ciphers that belong to them. Revocation lists are not fetched. With TLS 1.3 a server says what it
    thinks of the agent's certificate only after the handshake: it is given 0.3 s for that, which no time contains.
    After a failed handshake one more is made to tell why, within the same look.
    """

    kind: ClassVar[str] = "tls"
    measurements: ClassVar[tuple[Measurement, ...]] = (
        Measurement(
            "response_time",
            Unit.SECONDS,
            "From after name resolution to the end of the handshake.",
            cut_by=Reason.TRANSFER_TIMEOUT,
        ),
        RESOLVE_TIME,
        CONNECT_TIME,
        STARTTLS_TIME,
        tls_time(),
        certificate_expires_in(),
        Measurement("ocsp_expires_in", Unit.SECONDS, "Until the stapled proof ends; only with `ocsp`."),
    )
    thresholds: ClassVar[Mapping[str, tuple[str, ...]]] = {"degraded": ("certificate_expires_in < 14d",)}
    usual: ClassVar[str | None] = "response_time"

    address: Annotated[str, "Where to connect: `host:port`, or `[IPv6 address]:port`."]
    server_name: Annotated[
        str | None, "The name to ask for by SNI and to verify, when it is not the host of `address`."
    ] = None
    starttls: Annotated[
        Literal["smtp", "imap", "pop3", "ftp", "postgres", "ldap"] | None,
        "The protocol in which TLS is asked for in plain text; none: TLS is spoken from the first byte.",
    ] = None
    verify: Annotated[bool, "Whether the certificate must be trusted and for this name."] = True
    ca_file: Annotated[FilePath | None, "A file of PEM certificates to trust instead of the system's."] = None
    certificate: Annotated[FilePath | None, "A file of PEM with a certificate to show, and its chain."] = None
    key: Annotated[FilePath | None, "The file of its key; none: it is in the file of the certificate."] = None
    key_password: Annotated[Secret | None, "The password of the key, if it has one."] = None
    minimum_version: Annotated[
        Literal["1.0", "1.1", "1.2", "1.3"] | None, "The lowest version of TLS to offer; none: 1.2."
    ] = None
    alpn: Annotated[str | None, "A protocol to offer by ALPN, such as `h2`."] = None
    expect: Annotated[Expect, "What the server must offer."] = field(default_factory=Expect)
    ocsp: Annotated[
        Literal["off", "check", "required"],
        "Whether to ask for a stapled OCSP answer: `check` it if there is one, or one is `required`.",
    ] = "off"
    _endpoint: Endpoint = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_fields(
            partial(check_files, self.certificate, self.key, self.key_password),
            self._find_endpoint,
            self._check_ocsp,
        )

    def _check_ocsp(self) -> None:
        if self.ocsp != "off" and importlib.util.find_spec("OpenSSL") is None:
            raise BadField("ocsp", "needs pyOpenSSL: pip install brownout[ocsp]")

    def _find_endpoint(self) -> None:
        host, port = host_and_port(self.address)
        wanted = TlsWanted(
            verify=self.verify,
            ca_file=self.ca_file,
            certificate=self.certificate,
            key=self.key,
            key_password=self.key_password,
            minimum=self.minimum_version,
            alpn=self.alpn,
        )
        before = Upgrade(self.starttls) if self.starttls is not None else None
        endpoint = Endpoint(host, port, self.server_name or host, wanted, before)
        object.__setattr__(self, "_endpoint", endpoint)

    @property
    def target(self) -> str:
        return self.address

    @property
    def host(self) -> str | None:
        return self._endpoint.host

    async def look(self, context: Context) -> Observation:
        look = Look(context.timeout, redact=context.redact)
        figures: dict[str, float] = {}
        return await taken(look, self._shake(look, context, figures), figures)

    async def _shake(self, look: Look, context: Context, figures: dict[str, float]) -> None:
        try:
            connection = await reach(look, context, self._endpoint, figures)
        finally:
            self._measure(look, figures)
        with connection:
            figures["response_time"] = sum(look.phases.values()) - look.phases["resolve"]
            tls = connection.tls
            if tls is None:
                return  # never: the endpoint has a server name
            offered = _offered(tls)
            look.evidence["cipher"] = offered.cipher
            if offered.alpn is not None:
                look.evidence["alpn"] = offered.alpn
            if offered.leaf is not None:
                look.evidence["fingerprint"] = offered.leaf.fingerprint
            await _listen(look, connection, offered)
            check(self.expect, offered, look)
        if self.ocsp != "off":
            await self._ask_for_proof(look, connection.address, tls, figures)

    async def _ask_for_proof(self, look: Look, address: Address, tls: TlsSession, figures: dict[str, float]) -> None:
        """By a handshake of its own with the same address. What it takes is no part of the look's times."""
        ocsp = importlib.import_module("probes._tls.ocsp")
        phases, where = dict(look.phases), self._endpoint
        with await dial(look, (address,)) as connection:
            if where.before is not None:
                await where.before(look, connection)
            stapled = await ocsp.ask(look, connection, where.tls, where.server_name)
        spent = look.phases.get("ocsp", 0.0)
        look.phases.clear()
        look.phases.update(phases, ocsp=spent)
        known = tls.peer.path() if isinstance(tls.peer, Peer) else ()
        end, told = ocsp.judge(stapled, known, required=self.ocsp == "required", now=datetime.now(UTC))
        look.evidence["ocsp"] = told
        if end is not None:
            figures["ocsp_expires_in"] = end

    @staticmethod
    def _measure(look: Look, figures: dict[str, float]) -> None:
        for phase in ("resolve", "connect", "starttls", "tls"):
            if phase in look.phases:
                figures[f"{phase}_time"] = look.phases[phase]


def _offered(tls: TlsSession) -> Offered:
    peer = tls.peer
    cipher = peer.cipher()
    leaf = next(iter(read(peer.path()[:1])), None) if isinstance(peer, Peer) else None
    return Offered(peer.version() or "", cipher[0] if cipher else "", peer.selected_alpn_protocol(), leaf)


async def _listen(look: Look, connection: Connection, offered: Offered) -> None:
    """What a server of TLS 1.3 says of our certificate, or of there being none. Raises `LookFailed` (tls_client).

    The end of what we say is told it, so most servers answer at once, by closing. What else it says is not our
    business here.
    """
    if offered.version != "TLSv1.3":
        return
    look.begin(Reason.TLS_TIMEOUT)
    limit = perf_counter() + min(_LISTENS_FOR, look.left() / 2)
    connection.finish()
    try:
        async with asyncio.timeout(max(0.0, limit - perf_counter())):
            while await connection.receive():
                pass
    except LookFailed as failure:
        if failure.reason is Reason.TLS_CLIENT:
            raise
    except TimeoutError:
        pass
