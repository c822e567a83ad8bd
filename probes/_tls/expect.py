"""What a TLS server must offer: written in `Expect`, checked against what came of the handshake."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Annotated, Literal

from probes._look import Look
from probes._patterns import pattern, shown
from probes._tls.certificate import Certificate
from probes.contract import BadField, LookFailed, Reason, check_fields

_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_VERSIONS = {"TLSv1": "1.0", "TLSv1.1": "1.1", "TLSv1.2": "1.2", "TLSv1.3": "1.3"}


@dataclass(frozen=True, slots=True)
class Expect:
    """What the server must offer; everything that is written must hold."""

    version: Annotated[
        tuple[Literal["1.0", "1.1", "1.2", "1.3"], ...], "Versions of TLS that are fine, such as `1.3`; none: any."
    ] = ()
    cipher: Annotated[str | None, "A regular expression (RE2) that must be found in the cipher's name."] = None
    alpn: Annotated[str | None, "The protocol that must be agreed upon (ALPN), such as `h2`."] = None
    names: Annotated[tuple[str, ...], "Names and addresses that the certificate must be for, all of them."] = ()
    issuer: Annotated[
        str | None, "A regular expression (RE2) that must be found in the issuer's name: `Let's Encrypt`."
    ] = None
    key: Annotated[
        str | None, "A regular expression (RE2) that must be found in the kind of the key: `EC P-256`, `RSA 2048`."
    ] = None
    fingerprint: Annotated[
        tuple[str, ...], "SHA-256 of the certificate, in hexadecimal; it must be one of those."
    ] = ()

    def __post_init__(self) -> None:
        check_fields(
            lambda: pattern("cipher", self.cipher, as_text=True),
            lambda: pattern("issuer", self.issuer, as_text=True),
            lambda: pattern("key", self.key, as_text=True),
            self._check_fingerprints,
        )

    def _check_fingerprints(self) -> None:
        for written in self.fingerprint:
            if not _FINGERPRINT.fullmatch(_plain(written)):
                example = "`openssl x509 -noout -fingerprint -sha256` prints it"
                raise BadField("fingerprint", f"{written!r} is no SHA-256, of 64 hexadecimal digits: {example}")


@dataclass(frozen=True, slots=True)
class Offered:
    """What came of a handshake."""

    version: str
    """As OpenSSL says it: ``TLSv1.3``."""
    cipher: str
    alpn: str | None
    leaf: Certificate | None


def check(expect: Expect, offered: Offered, look: Look) -> None:
    """Raises `LookFailed` (version, answer) for the first thing that is not as expected."""
    version = _VERSIONS.get(offered.version, offered.version)
    if expect.version and version not in expect.version:
        wanted = " or ".join(expect.version)
        raise LookFailed(Reason.VERSION, f"TLS {version} was agreed upon, not {wanted}")
    _check_pattern("the cipher", expect.cipher, offered.cipher, look)
    if expect.alpn is not None and offered.alpn != expect.alpn:
        raise _unlike(f"{offered.alpn or 'no protocol'} was agreed upon by ALPN, not {expect.alpn}")
    if expect.names or expect.issuer or expect.key or expect.fingerprint:
        _check_certificate(expect, offered.leaf, look)


def _check_certificate(expect: Expect, leaf: Certificate | None, look: Look) -> None:
    if leaf is None:
        raise _unlike("the certificate cannot be read")
    for name in expect.names:
        if not covers(leaf, name):
            raise _unlike(f"the certificate is not for {name}")
    _check_pattern("the issuer", expect.issuer, leaf.issuer, look)
    _check_pattern("the key", expect.key, leaf.key or "of another kind", look)
    if expect.fingerprint and leaf.fingerprint not in map(_plain, expect.fingerprint):
        raise _unlike(f"the certificate's fingerprint is {leaf.fingerprint}")


def _check_pattern(what: str, wanted: str | None, found: str, look: Look) -> None:
    compiled = pattern("", wanted, as_text=True)
    if compiled is not None and not compiled.search(found):
        raise _unlike(f"{what} is {look.show(found, 100)}, in which {shown(compiled, look)} was not found")


def covers(certificate: Certificate, name: str) -> bool:
    """Whether a certificate is for this name, as clients see it: RFC 9525, 6.3; a wildcard is for one label."""
    try:
        wanted = str(ip_address(name))
    except ValueError:
        wanted = name.lower().rstrip(".")
    above = wanted.partition(".")[2]
    return any(each.lower() in (wanted, f"*.{above}" if above else wanted) for each in certificate.names)


def _plain(fingerprint: str) -> str:
    return fingerprint.replace(":", "").replace(" ", "").lower()


def _unlike(detail: str) -> LookFailed:
    return LookFailed(Reason.ANSWER, detail)
