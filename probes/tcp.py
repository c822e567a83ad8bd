"""Looks at a TCP port: does something accept connections, and does it say what it should?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, ClassVar, Literal

from probes._clean import Cleaner
from probes._look import Look, taken
from probes._script import LineEnd, Script, Step
from probes._tls.contexts import check_files
from probes._wire.dialogue import Upgrade, conduct
from probes._wire.endpoint import host_and_port
from probes._wire.figures import CONNECT_TIME, RESOLVE_TIME, STARTTLS_TIME, certificate_expires_in, tls_time
from probes._wire.reach import Endpoint, reach
from probes.contract import (
    BadField,
    Context,
    FilePath,
    Measurement,
    Observation,
    Probe,
    Reason,
    Secret,
    TlsWanted,
    Unit,
    check_fields,
)


@dataclass(frozen=True, slots=True)
class Tcp(Probe):
    """Connects to a port; with a script, it also talks to what listens there.

    Without one a look says that something listens and its kernel accepts: less than a probe that speaks the protocol,
    as a process that hangs still accepts connections for a while. With one, any protocol of lines of text can be
    looked at: mail servers, FTP, IRC, memcached, a licence server of 1998.

    ```yaml
    checks:
      - name: mail
        probe: tcp
        address: mail.example.com:25
        starttls: smtp
        script:
          - {send: EHLO monitor.example.com, expect: "^250 ", fail: "^[45]"}
          - {send: "MAIL FROM:<>", expect: ^250}
          - {send: "RCPT TO:<postmaster@example.com>", expect: ^250, fail: "^[45]"}
          - {send: QUIT, expect: ^221}
        degraded: p95(script_time, 5m) > 2s
      - name: cache
        probe: tcp
        address: 10.0.0.7:11211
        script:
          - {send: stats, expect: "^STAT version (?P<version>\\\\S+)"}
          - {expect: ^END}
    ```

    A step sends its line, if it has one, then reads lines until `expect` is found in one. Lines in which it is not
    found are passed over, unless `fail` is found: then the look has failed (`answer`). A server that closes before
    that has failed too (`empty_reply`, `truncated`, `answer`), and so has one that is silent (`first_byte_timeout`)
    or says other things until the time is over (`transfer_timeout`). Named groups of `expect` are captured: they are
    in the evidence, and `%{name}` in a later line to send is replaced by them. A line is sent with CR and LF behind
    it, unless it ends with a line feed itself or `line_end` says otherwise. What came before a line is sent is no
    answer to it, so expect the last line of an answer, not one in its middle. What is sent is never shown.

    With `tls: true` TLS is spoken from the first byte. With `starttls` the conversation begins in plain text, and the
    script begins when TLS is spoken. What a server must offer by TLS, and why a handshake has failed, stands with the
    probe `tls`. What comes along with the answer before TLS is refused (`protocol`): somebody in between could have
    written it.

    Times: `response_time` is everything after name resolution: connection, TLS, script. A look that timed out reports
    at least its timeout.

    Default thresholds: `certificate_expires_in < 14d` is degraded, for the reasons that the probe `http` gives; only
    with TLS. Else none, as what is slow depends on the distance and on the script. A `response_time` well above what
    it has been at this hour of the week is degraded (`usual: off` leaves that out).

    Limits: lines of at most 8 KiB; 2,000 lines, 256 KiB and 50 steps in all; text is read as UTF-8. Without a script
    nothing is sent and read, and some servers log each look as a client that went away. A script is sent as it is:
    one that orders something orders it at every look.
    """

    kind: ClassVar[str] = "tcp"
    measurements: ClassVar[tuple[Measurement, ...]] = (
        Measurement(
            "response_time",
            Unit.SECONDS,
            "From after name resolution to the connection, or to the end of the script.",
            cut_by=Reason.TRANSFER_TIMEOUT,
        ),
        CONNECT_TIME,
        RESOLVE_TIME,
        STARTTLS_TIME,
        tls_time("TLS"),
        Measurement(
            "script_time", Unit.SECONDS, "The script, from its begin to its end.", cut_by=Reason.TRANSFER_TIMEOUT
        ),
        certificate_expires_in("TLS"),
    )
    thresholds: ClassVar[Mapping[str, tuple[str, ...]]] = {"degraded": ("certificate_expires_in < 14d",)}
    usual: ClassVar[str | None] = "response_time"

    address: Annotated[str, "Where to connect: `host:port`, or `[IPv6 address]:port`."]
    script: Annotated[tuple[Step, ...], "What to say and what must be answered, step by step."] = ()
    line_end: Annotated[LineEnd, "What is sent behind a line: `crlf`, `lf`, or `none`."] = "crlf"
    tls: Annotated[bool, "Whether TLS is spoken from the first byte."] = False
    starttls: Annotated[
        Literal["smtp", "imap", "pop3", "ftp", "postgres", "ldap"] | None,
        "The protocol in which TLS is asked for in plain text, before the script.",
    ] = None
    server_name: Annotated[
        str | None, "The name to ask for by SNI and to verify, when it is not the host of `address`."
    ] = None
    verify: Annotated[bool, "Whether the certificate must be trusted and for this name."] = True
    ca_file: Annotated[FilePath | None, "A file of PEM certificates to trust instead of the system's."] = None
    certificate: Annotated[FilePath | None, "A file of PEM with a certificate to show, and its chain."] = None
    key: Annotated[FilePath | None, "The file of its key; none: it is in the file of the certificate."] = None
    key_password: Annotated[Secret | None, "The password of the key, if it has one."] = None
    minimum_version: Annotated[
        Literal["1.0", "1.1", "1.2", "1.3"] | None, "The lowest version of TLS to offer; none: 1.2."
    ] = None
    _endpoint: Endpoint = field(init=False, repr=False, compare=False)
    _script: Script = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_fields(
            self._check_tls,
            partial(check_files, self.certificate, self.key, self.key_password),
            self._find_endpoint,
            self._compile,
        )

    def _check_tls(self) -> None:
        if self.tls and self.starttls is not None:
            raise BadField("starttls", "TLS is spoken either from the first byte (tls) or when asked for (starttls)")
        if not self.tls and self.starttls is None and self.certificate is not None:
            raise BadField("certificate", "needs tls: true, or starttls")

    def _find_endpoint(self) -> None:
        host, port = host_and_port(self.address)
        secured = self.tls or self.starttls is not None
        wanted = TlsWanted(
            verify=self.verify,
            ca_file=self.ca_file,
            certificate=self.certificate,
            key=self.key,
            key_password=self.key_password,
            minimum=self.minimum_version,
        )
        before = Upgrade(self.starttls) if self.starttls is not None else None
        endpoint = Endpoint(host, port, (self.server_name or host) if secured else None, wanted, before)
        object.__setattr__(self, "_endpoint", endpoint)

    def _compile(self) -> None:
        object.__setattr__(self, "_script", Script(self.script, self.line_end))

    @property
    def target(self) -> str:
        return self.address

    @property
    def host(self) -> str | None:
        return self._endpoint.host

    async def look(self, context: Context) -> Observation:
        own = Cleaner(self._script.secrets) if self.script else None
        look = Look(context.timeout, own or None, context.redact)
        figures: dict[str, float] = {}
        return await taken(look, self._talk(look, context, figures), figures)

    async def _talk(self, look: Look, context: Context, figures: dict[str, float]) -> None:
        try:
            with await reach(look, context, self._endpoint, figures) as connection:
                if self.script:
                    left = await conduct(look, connection, self._script.run(look), "script")
                    if left:
                        await connection.send(left)
            figures["response_time"] = sum(look.phases.values()) - look.phases["resolve"]
        finally:
            for phase in ("resolve", "connect", "starttls", "tls", "script"):
                if phase in look.phases:
                    figures[f"{phase}_time"] = look.phases[phase]
