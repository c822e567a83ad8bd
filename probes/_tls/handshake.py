"""What a failed TLS handshake means, and what the other side has said in it.

OpenSSL tells a client little about why: a missing intermediate and an unknown authority are one code, a server that
does not speak TLS is a "wrong version number", and in TLS 1.3 a refused client certificate shows only when the first
answer is read. After a failed handshake the next one is overheard (`Peer`), as far as Python lets us: each message of
the server, in plaintext, among them its certificates, which OpenSSL drops when it does not trust them. Not every
handshake is, as that costs some 30 us, 3 % of one.
"""

from __future__ import annotations

import re
import ssl
import time
from typing import Any

from probes._look import visible
from probes._tls.certificate import Certificate
from probes._tls.chain import called, day, first_to_end, path_of, read
from probes.contract import LookFailed, Reason

_DER = 2  # _ssl.ENCODING_DER
_HANDSHAKE, _TLS_1_3 = 0x16, 0x304
_CERTIFICATE, _CERTIFICATE_REQUEST = 11, 13  # RFC 8446, appendix B.3

# verify_code: X509_V_ERR_... of openssl/x509_vfy.h
_NOT_YET, _EXPIRED = 9, 10
_NO_ISSUER = (20, 21)  # ..._UNABLE_TO_GET_ISSUER_CERT_LOCALLY, ..._UNABLE_TO_VERIFY_LEAF_SIGNATURE
_STRANGERS = (2, 19, *_NO_ISSUER)  # 19: ..._SELF_SIGNED_CERT_IN_CHAIN
_BY_CODE = {
    _NOT_YET: Reason.TLS_NOT_YET,
    _EXPIRED: Reason.TLS_EXPIRED,
    18: Reason.TLS_SELF_SIGNED,  # DEPTH_ZERO_SELF_SIGNED_CERT
    23: Reason.TLS_REVOKED,
    62: Reason.TLS_NAME,  # HOSTNAME_MISMATCH
    64: Reason.TLS_NAME,  # IP_ADDRESS_MISMATCH
}
_ABOUT_VERSIONS = frozenset(
    {
        "NO_PROTOCOLS_AVAILABLE",
        "TLSV1_ALERT_INAPPROPRIATE_FALLBACK",
        "TLSV1_ALERT_PROTOCOL_VERSION",
        "UNKNOWN_SSL_VERSION",
        "UNSUPPORTED_PROTOCOL",
        "UNSUPPORTED_SSL_VERSION",
        "VERSION_TOO_LOW",
        "WRONG_SSL_VERSION",
        "WRONG_VERSION_NUMBER",
    }
)
_NO_RECORD = "WRONG_VERSION_NUMBER"
"""What does not begin as a record of TLS; seldom one of SSL 3, which is told apart where the bytes are seen."""
_ABOUT_OUR_CERTIFICATE = frozenset(
    {
        "SSLV3_ALERT_BAD_CERTIFICATE",
        "SSLV3_ALERT_CERTIFICATE_EXPIRED",
        "SSLV3_ALERT_CERTIFICATE_REVOKED",
        "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
        "SSLV3_ALERT_NO_CERTIFICATE",
        "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
        "TLSV13_ALERT_CERTIFICATE_REQUIRED",
        "TLSV1_ALERT_ACCESS_DENIED",
        "TLSV1_ALERT_UNKNOWN_CA",
    }
)
_ALERT = re.compile(r"^(?:SSLV3|TLSV1|TLSV13)_ALERT_")
"""OpenSSL names alerts after the version that brought them: none of these is SSL 3."""
_REFUSED = "SSLV3_ALERT_HANDSHAKE_FAILURE"
"""What a server says in TLS 1.2 if it misses a client certificate; and also when no cipher suits it."""


class Unheard(LookFailed):
    """A handshake that has failed without being overheard: another one would tell more."""


class Peer(ssl.SSLObject):
    """The other side of a handshake, and what it has said that the ssl module does not pass on."""

    said: bytes = b""
    """Its message with its certificates."""
    version_said: int = 0
    asked: bool = False
    """Whether it has asked for a client certificate."""

    def leaf(self) -> bytes:
        return self.getpeercert(binary_form=True) or b""

    def path(self) -> tuple[bytes, ...]:
        """Certificates in DER, its own first: those by which it was verified, or as they came if it was not."""
        verified = self.context.verify_mode is not ssl.CERT_NONE
        inner: Any = self._sslobj  # type: ignore[attr-defined]
        # Public since Python 3.13, and there since 3.10.
        find = getattr(inner, "get_verified_chain" if verified else "get_unverified_chain", None)
        chain = find() if find is not None else None
        if chain:
            return tuple(each.public_bytes(_DER) for each in chain)
        return (leaf,) if (leaf := self.leaf()) else ()

    def sent(self) -> tuple[bytes, ...]:
        """The certificates as it sent them, also of a handshake that failed."""
        return _certificates(self.said, tls_1_3=self.version_said >= _TLS_1_3)


def overhear(peer: Peer, direction: str, version: int, content: int, message: int, data: bytes) -> None:
    """Called by OpenSSL for each message: with plaintext, though TLS 1.3 sends certificates encrypted."""
    if content == _HANDSHAKE and direction == "read":
        if message == _CERTIFICATE:
            peer.said, peer.version_said = data, version
        elif message == _CERTIFICATE_REQUEST:
            peer.asked = True


def _certificates(message: bytes, *, tls_1_3: bool) -> tuple[bytes, ...]:
    """RFC 8446, 4.4.2 and RFC 5246, 7.4.2, each behind type and length (4 bytes)."""
    at = 4
    if tls_1_3 and len(message) > at:
        at += 1 + message[at]  # the request that it answers: none
    at += 3
    found = []
    while at + 3 <= len(message):
        size = int.from_bytes(message[at : at + 3], "big")
        at += 3
        found.append(message[at : at + size])
        at += size
        if tls_1_3:
            at += 2 + int.from_bytes(message[at : at + 2], "big")
    return tuple(found)


def closed_early(how: str = "closed") -> LookFailed:
    return LookFailed(Reason.TLS_CLOSED, f"the server {how} the connection during the handshake")


def handshake_failure(error: ssl.SSLError, peer: object = None, name: str = "") -> LookFailed:
    """What stands in the way, in the words of `Reason`; more can be told where the `peer` is known."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _unverified(error, peer, name)
    if isinstance(error, ssl.SSLEOFError):
        return closed_early()
    said = error.reason or ""
    if said == _NO_RECORD and not isinstance(peer, Peer):
        return LookFailed(Reason.TLS_PLAINTEXT, "the server does not speak TLS")
    text = _ALERT.sub("", said).replace("_", " ").lower() or str(error)
    if said in _ABOUT_VERSIONS:
        return LookFailed(Reason.TLS_VERSION, f"no version of TLS in common: {text}")
    if said in _ABOUT_OUR_CERTIFICATE:
        return LookFailed(Reason.TLS_CLIENT, f"the server says of our certificate: {text}")
    if said == _REFUSED and isinstance(peer, Peer) and peer.asked:
        return LookFailed(Reason.TLS_CLIENT, f"the server asked for a client certificate, and then: {text}")
    return LookFailed(Reason.TLS_PROTOCOL, text)


def _unverified(error: ssl.SSLCertVerificationError, peer: object, name: str) -> LookFailed:
    code, text = error.verify_code, error.verify_message
    sent = read(peer.sent()) if isinstance(peer, Peer) else ()
    path = path_of(sent)
    reason = _BY_CODE.get(code, Reason.TLS_UNTRUSTED)
    if code in _NO_ISSUER and len(path) == 1 and path[0].issuers_at:
        reason = Reason.TLS_CHAIN
    if path:
        text = _explained(reason, path, name, text, known=code not in _STRANGERS)
    return LookFailed(reason, text)


def _explained(reason: Reason, path: tuple[Certificate, ...], name: str, text: str, *, known: bool) -> str:
    """The same with names and days, so that nobody need connect by hand to see what is meant."""
    leaf = path[0]
    if reason is Reason.TLS_EXPIRED:
        late = first_to_end(path)
        if late.end < time.time():
            return f"{_which(late, leaf)} has ended on {day(late.end)}"
    elif reason is Reason.TLS_NOT_YET:
        early = max(path, key=lambda each: each.start)
        if early.start > time.time():
            return f"{_which(early, leaf)} begins on {day(early.start)}"
    elif reason is Reason.TLS_NAME:
        if not leaf.names:
            return f"it says whom it is for only by its common name {called(leaf)}, which clients no longer read"
        shown = ", ".join(visible(each, 64) for each in leaf.names[:5])
        return f"it is for {shown}, not for {name}"
    elif reason is Reason.TLS_SELF_SIGNED:
        return f"{called(leaf)} is signed by itself"
    elif reason is Reason.TLS_CHAIN:
        return f"its issuer's certificate was not sent: {visible(leaf.issuer, 80)}"
    elif not known:
        return f"{text}: {visible(path[-1].issuer, 80)} is not trusted"
    return text


def _which(certificate: Certificate, leaf: Certificate) -> str:
    return "the certificate" if certificate is leaf else f"the intermediate certificate {called(certificate)}"
