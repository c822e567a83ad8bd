"""What a server staples to its handshake of the state of its certificate (OCSP, RFC 6960 and 6066, 8).

Python's ssl module cannot ask for it, so this is a handshake of its own by pyOpenSSL, over a connection of ours; with
the OpenSSL that its wheel brings, which may agree on another version or cipher. Nothing is fetched from a responder.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import SSL

from probes._look import Look, visible
from probes._tls.certificate import decoded
from probes._wire.connection import Connection
from probes.contract import LookFailed, Reason, TlsWanted

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey

_CHUNK = 65_536
_LONGEST_FLIGHT = 256 * 1024
_AHEAD = timedelta(minutes=5)
"""By how much the clock of a responder may be ahead of ours."""


@dataclass(frozen=True, slots=True)
class Stapled:
    """What came: the answer of the responder in DER, empty where there was none, and the certificates."""

    answer: bytes
    certificates: tuple[bytes, ...]


async def ask(look: Look, connection: Connection, wanted: TlsWanted, server_name: str) -> Stapled:
    """Shakes hands on a connection that is open and plain. Raises `LookFailed`."""
    look.begin(Reason.TLS_TIMEOUT)
    async with look.phase("ocsp", Reason.TLS_TIMEOUT):
        context = await asyncio.to_thread(_context, wanted)
        peer = SSL.Connection(context, None)
        if not _is_address(server_name):
            peer.set_tlsext_host_name(server_name.encode("idna"))
        peer.set_connect_state()
        peer.request_ocsp()
        await _shake(peer, connection)
    chain = peer.get_peer_cert_chain(as_cryptography=True) or []
    return Stapled(_stapled(peer), tuple(each.public_bytes(Encoding.DER) for each in chain))


def _stapled(peer: SSL.Connection) -> bytes:
    """The answer, or b"".

    pyOpenSSL would hand it to a callback, which cffi makes in memory that can be written and executed: our systemd
    unit forbids that (MemoryDenyWriteExecute). So OpenSSL is asked for it, as pyOpenSSL itself does.
    """
    library: Any = SSL._lib  # type: ignore[attr-defined]  # noqa: SLF001  (see above; a test goes through it)
    memory: Any = SSL._ffi  # type: ignore[attr-defined]  # noqa: SLF001
    where = memory.new("unsigned char **")
    length = library.SSL_get_tlsext_status_ocsp_resp(peer._ssl, where)  # noqa: SLF001
    return bytes(memory.buffer(where[0], length)) if length > 0 else b""


async def _shake(peer: SSL.Connection, connection: Connection) -> None:
    came = 0
    while True:
        try:
            peer.do_handshake()
        except SSL.WantReadError:
            done = False
        except SSL.Error as error:
            raise LookFailed(
                Reason.TLS_PROTOCOL, f"the handshake that asks for OCSP has failed{_why(error)}"
            ) from None
        else:
            done = True
        with suppress(SSL.WantReadError):  # nothing to send
            await connection.send(peer.bio_read(_CHUNK))
        if done:
            return
        data = await connection.receive()
        came += len(data)
        if not data:
            raise LookFailed(Reason.TLS_CLOSED, "the server closed the connection during the handshake for OCSP")
        if came > _LONGEST_FLIGHT:
            raise LookFailed(Reason.TOO_LARGE, "the handshake for OCSP does not end")
        peer.bio_write(data)


def _context(wanted: TlsWanted) -> SSL.Context:
    """Verifies nothing: that was the first handshake's business."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_verify(SSL.VERIFY_NONE)
    if wanted.certificate is not None:
        context.use_certificate_chain_file(wanted.certificate)
        context.use_privatekey(_key(wanted))
    if wanted.alpn is not None:
        context.set_alpn_protos([wanted.alpn.encode()])
    return context


def _key(wanted: TlsWanted) -> Key:
    password = wanted.key_password.reveal().encode() if wanted.key_password is not None else None
    key = load_pem_private_key(Path(wanted.key or wanted.certificate or "").read_bytes(), password)
    if not isinstance(key, Key):
        raise LookFailed(Reason.DENIED, f"key {wanted.key}: of a kind that TLS does not use")
    return key


def judge(stapled: Stapled, known: Iterable[bytes], *, required: bool, now: datetime) -> tuple[float | None, str]:
    """When the proof ends, in seconds from `now`, and what is told of it; None where nothing was stapled.

    `known`: certificates that the issuer may be among, besides those that were sent. Raises `LookFailed` (tls_ocsp,
    tls_revoked).
    """
    try:
        if stapled.answer:
            return _judge(stapled, known, now)
        promised = decoded(stapled.certificates[0]).must_staple
    except (ValueError, UnsupportedAlgorithm) as error:
        raise LookFailed(Reason.TLS_OCSP, f"what was sent cannot be read: {visible(str(error), 100)}") from None
    if required or promised:
        whose = "" if required else ", though its certificate says that it will (must-staple)"
        raise LookFailed(Reason.TLS_OCSP, f"the server staples no proof{whose}")
    return None, "nothing stapled"


def _judge(stapled: Stapled, known: Iterable[bytes], now: datetime) -> tuple[float | None, str]:
    answer = ocsp.load_der_ocsp_response(stapled.answer)
    if answer.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
        said = answer.response_status.name.lower().replace("_", " ")
        raise LookFailed(Reason.TLS_OCSP, f"the stapled answer says: {said}")
    leaf = x509.load_der_x509_certificate(stapled.certificates[0])
    about = next((each for each in answer.responses if each.serial_number == leaf.serial_number), None)
    if about is None:
        raise LookFailed(Reason.TLS_OCSP, "the stapled answer is about another certificate")
    issuer = _issuer(leaf, (*stapled.certificates[1:], *known))
    if issuer is not None and not _signed(answer, issuer, now):
        raise LookFailed(Reason.TLS_OCSP, "the stapled answer is not signed by the certificate's authority")
    return _told(about, now, verified=issuer is not None)


def _told(about: ocsp.OCSPSingleResponse, now: datetime, *, verified: bool) -> tuple[float | None, str]:
    if about.certificate_status is ocsp.OCSPCertStatus.REVOKED:
        when = about.revocation_time_utc
        raise LookFailed(Reason.TLS_REVOKED, f"revoked on {when:%Y-%m-%d}" if when is not None else "revoked")
    if about.certificate_status is ocsp.OCSPCertStatus.UNKNOWN:
        raise LookFailed(Reason.TLS_OCSP, "the authority says that it does not know this certificate")
    if about.this_update_utc > now + _AHEAD:
        raise LookFailed(Reason.TLS_OCSP, f"the proof is of {_minute(about.this_update_utc)}, which is yet to come")
    end = about.next_update_utc
    by = "" if verified else ", by whom is not known"
    if end is None:
        return None, f"good, for no said time{by}"
    if end < now:
        raise LookFailed(Reason.TLS_OCSP, f"the proof has ended on {_minute(end)}")
    return (end - now).total_seconds(), f"good until {_minute(end)}{by}"


def _issuer(leaf: x509.Certificate, among: Iterable[bytes]) -> x509.Certificate | None:
    for der in among:
        one = x509.load_der_x509_certificate(der)
        try:
            leaf.verify_directly_issued_by(one)
        except (ValueError, TypeError, InvalidSignature):
            continue
        return one
    return None


def _signed(answer: ocsp.OCSPResponse, issuer: x509.Certificate, now: datetime) -> bool:
    """By the issuer itself, or by one whom it has given the right to do so (RFC 6960, 4.2.2.2)."""
    if _by(answer, issuer):
        return True
    for one in answer.certificates:
        try:
            one.verify_directly_issued_by(issuer)
            purposes = one.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
            continue
        valid = one.not_valid_before_utc <= now <= one.not_valid_after_utc
        if valid and ExtendedKeyUsageOID.OCSP_SIGNING in purposes and _by(answer, one):
            return True
    return False


def _by(answer: ocsp.OCSPResponse, signer: x509.Certificate) -> bool:
    key, kind = signer.public_key(), answer.signature_hash_algorithm
    signature, content = answer.signature, answer.tbs_response_bytes
    try:
        if isinstance(key, rsa.RSAPublicKey) and kind is not None:
            key.verify(signature, content, padding.PKCS1v15(), kind)
        elif isinstance(key, ec.EllipticCurvePublicKey) and kind is not None:
            key.verify(signature, content, ec.ECDSA(kind))
        elif isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
            key.verify(signature, content)
        else:
            return False
    except (InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _why(error: SSL.Error) -> str:
    found = error.args[0] if error.args else None
    text = found[0][-1] if isinstance(found, list) and found else ""
    return f": {visible(str(text), 100)}" if text else ""


def _is_address(name: str) -> bool:
    return ":" in name or name.replace(".", "").isdigit()


def _minute(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
