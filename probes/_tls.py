"""Shared TLS contexts, and what a failed handshake means."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime

from probes.contract import LookFailed, Reason

_EXPIRED = (9, 10)  # X509_V_ERR_CERT_NOT_YET_VALID, _CERT_HAS_EXPIRED
_NAME = (62, 64)  # X509_V_ERR_HOSTNAME_MISMATCH, _IP_ADDRESS_MISMATCH


class SharedTls:
    """Client contexts by (verify, ca_file, ALPN): reading the CA store costs more than a hundred looks.

    The system's store is read when this is made, before the loop turns: on a busy machine it takes 100 ms, and
    would void every look under way.
    """

    __slots__ = ("_contexts",)

    def __init__(self) -> None:
        self._contexts: dict[tuple[bool, str | None, str | None], ssl.SSLContext] = {
            (True, None, None): _build(verify=True, ca_file=None)
        }

    def get(self, *, verify: bool = True, ca_file: str | None = None, alpn: str | None = None) -> ssl.SSLContext:
        """Raises `LookFailed` (denied) when `ca_file` cannot be read."""
        key = (verify, ca_file if verify else None, alpn)
        context = self._contexts.get(key)
        if context is None:
            context = self._contexts[key] = _build(verify=verify, ca_file=ca_file)
            if alpn is not None:
                context.set_alpn_protocols([alpn])
        return context


def _build(*, verify: bool, ca_file: str | None) -> ssl.SSLContext:
    if not verify:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise LookFailed(Reason.DENIED, f"ca_file {ca_file}: {error}") from error


def handshake_failure(error: ssl.SSLError) -> LookFailed:
    """What stands in the way, in the words of `Reason`."""
    if isinstance(error, ssl.SSLCertVerificationError):
        text = error.verify_message
        if error.verify_code in _EXPIRED:
            return LookFailed(Reason.TLS_EXPIRED, text)
        if error.verify_code in _NAME:
            return LookFailed(Reason.TLS_NAME, text)
        return LookFailed(Reason.TLS_UNTRUSTED, text)
    return LookFailed(Reason.TLS_PROTOCOL, error.reason or str(error))


def not_after(certificate: bytes) -> float | None:
    """When a DER certificate ends, in seconds since 1970; None when it cannot be read.

    The ssl module decodes only certificates it has verified, and this is wanted with ``verify: false`` too. RFC 5280,
    4.1: Certificate > TBSCertificate > [0] version, serial, signature, issuer, validity > notBefore, notAfter.
    """
    try:
        _, start, _ = _element(certificate, 0)
        _, at, _ = _element(certificate, start)
        if certificate[at] == 0xA0:
            at = _element(certificate, at)[2]
        for _ in range(3):
            at = _element(certificate, at)[2]
        _, at, _ = _element(certificate, at)
        at = _element(certificate, at)[2]
        tag, start, end = _element(certificate, at)
        text = certificate[start:end].decode("ascii")
        if tag == 0x17:  # UTCTime has two digits of the year: 1950 to 2049
            text = ("19" if text >= "50" else "20") + text
        return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except (IndexError, ValueError):
        return None


def _element(data: bytes, at: int) -> tuple[int, int, int]:
    """(tag, where its content begins, where it ends) of the DER element at `at`."""
    tag, length, start = data[at], data[at + 1], at + 2
    if length & 0x80:
        size = length & 0x7F
        length = int.from_bytes(data[start : start + size], "big")
        start += size
    return tag, start, start + length
