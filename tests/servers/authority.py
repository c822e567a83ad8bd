"""A certificate authority for tests: certificates for servers and clients, good ones and each kind of bad one.

`authority(folder)` makes them all, in a few hundredths of a second; they are files of PEM, for servers of any kind:

- ``ca.pem``: the root, to be trusted (`Authority.file`); ``intermediate.pem``: signed by it.
- ``NAME.pem`` and ``NAME.key`` for each of `KINDS`, for localhost, 127.0.0.1 and ::1 unless it says otherwise.

OpenSSL checks the dates of a chain from its root to its leaf, and ends at the first thing that is wrong.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

HERE = ("localhost", "127.0.0.1", "::1")
PASSWORD = "swordfish"
"""Of the key of ``locked``."""
_PAST, _END = datetime(2020, 1, 1, tzinfo=UTC), datetime(2099, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Kind:
    """What a certificate is to be. `names` are those it is for; without them only its common name says so."""

    names: tuple[str, ...] = HERE
    common_name: str = ""
    start: datetime = _PAST
    end: datetime = _END
    by: Literal["root", "intermediate", "dying", "stranger", "self"] = "root"
    chained: bool = True
    """Whether the certificates between this one and the root are in its file."""
    with_root: bool = False
    """Whether the root is in its file, too, as some servers send it."""
    rsa_bits: int = 0
    """0: a key on the curve P-256."""
    client: bool = False
    must_staple: bool = False
    issuers_at: bool = False
    """Whether it says where its issuer's certificate can be fetched (AIA), as those of public authorities do."""


KINDS = {
    "good": Kind(),
    "soon": Kind(end=datetime(2049, 1, 1, tzinfo=UTC)),
    "expired": Kind(end=datetime(2021, 1, 1, tzinfo=UTC)),
    "not_yet": Kind(start=datetime(2089, 1, 1, tzinfo=UTC)),
    "other": Kind(names=("other.example",)),
    "wildcard": Kind(names=("*.example.com", "example.com")),
    "cn_only": Kind(names=(), common_name="localhost"),
    "self_signed": Kind(by="self"),
    "chained": Kind(by="intermediate", issuers_at=True),
    "chained_with_root": Kind(by="intermediate", with_root=True),
    "no_chain": Kind(by="intermediate", chained=False, issuers_at=True),
    "dying_chain": Kind(by="dying"),
    "stranger": Kind(by="stranger"),
    "stranger_with_root": Kind(by="stranger", with_root=True),
    "rsa": Kind(rsa_bits=2048),
    "must_staple": Kind(by="intermediate", must_staple=True),
    "client": Kind(names=(), common_name="agent", client=True),
    "expired_client": Kind(names=(), common_name="agent", client=True, end=datetime(2021, 1, 1, tzinfo=UTC)),
    "strange_client": Kind(names=(), common_name="agent", client=True, by="stranger"),
    "locked": Kind(names=(), common_name="agent", client=True),
}
"""By name. ``dying_chain`` has a good leaf below an intermediate that ends in ten days; ``stranger`` is signed by a
root that nobody trusts; the key of ``locked`` has a password (`PASSWORD`)."""


@dataclass(frozen=True)
class Signer:
    """One that signs: its certificate and its key."""

    certificate: x509.Certificate
    key: Key


@dataclass(frozen=True)
class Authority:
    """The files, and who signs: see the top of this file."""

    folder: Path
    signers: dict[str, Signer] = field(repr=False)

    @property
    def file(self) -> str:
        """The root, to be trusted."""
        return str(self.folder / "ca.pem")

    def path(self, name: str = "good") -> str:
        """The certificate of that name, and what is sent along with it."""
        return str(self.folder / f"{name}.pem")

    def key(self, name: str = "good") -> str:
        return str(self.folder / f"{name}.key")

    def certificate(self, name: str = "good") -> x509.Certificate:
        return x509.load_pem_x509_certificate((self.folder / f"{name}.pem").read_bytes())

    def server(
        self,
        name: str = "good",
        *,
        clients: bool = False,
        minimum: ssl.TLSVersion | None = None,
        maximum: ssl.TLSVersion | None = None,
    ) -> ssl.SSLContext:
        """A server's context. `clients`: a certificate of the root's is asked of them, and required."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path(name), self.key(name))
        if clients:
            context.load_verify_locations(self.file)
            context.verify_mode = ssl.CERT_REQUIRED
        if minimum is not None:
            context.minimum_version = minimum
        if maximum is not None:
            context.maximum_version = maximum
        return context

    def issue(self, name: str, kind: Kind) -> None:
        """One more certificate, or another one under the same name: written as a renewal is, by renaming."""
        key: Key = (
            rsa.generate_private_key(65537, kind.rsa_bits)
            if kind.rsa_bits
            else ec.generate_private_key(ec.SECP256R1())
        )
        signer = None if kind.by == "self" else self.signers[kind.by]
        made = _signed(name, kind, key, signer)
        sent = [made]
        if kind.chained and kind.by in ("intermediate", "dying"):
            sent.append(self.signers[kind.by].certificate)
        if kind.with_root:
            sent.append(self.signers["stranger" if kind.by == "stranger" else "root"].certificate)
        self._write(f"{name}.pem", b"".join(map(_pem, sent)))
        self._write(f"{name}.key", _key_pem(key, PASSWORD if name == "locked" else None))

    def ocsp_answer(
        self,
        name: str,
        *,
        revoked: bool = False,
        unknown: bool = False,
        at: datetime | None = None,
        lasts: timedelta = timedelta(days=7),
        by: str | None = None,
    ) -> bytes:
        """What the authority's OCSP responder says of a certificate, in DER: signed at `at` (an hour ago) by the
        certificate's own issuer, or by another signer. ``openssl s_server -status_file`` sends it along."""
        at = at or datetime.now(UTC) - timedelta(hours=1)
        issuer = self.signers[KINDS[name].by]
        signer = issuer if by is None else self.signers[by]
        status = ocsp.OCSPCertStatus.REVOKED if revoked else ocsp.OCSPCertStatus.GOOD
        if unknown:
            status = ocsp.OCSPCertStatus.UNKNOWN
        answer = (
            ocsp.OCSPResponseBuilder()
            .add_response(
                cert=self.certificate(name),
                issuer=issuer.certificate,
                algorithm=hashes.SHA1(),  # as responders name certificates, RFC 5019
                cert_status=status,
                this_update=at,
                next_update=at + lasts,
                revocation_time=at if revoked else None,
                revocation_reason=None,
            )
            .responder_id(ocsp.OCSPResponderEncoding.HASH, signer.certificate)
            .sign(signer.key, hashes.SHA256())
        )
        return answer.public_bytes(serialization.Encoding.DER)

    def _write(self, name: str, content: bytes) -> None:
        part = self.folder / f"{name}.part"
        part.write_bytes(content)
        part.chmod(0o600 if name.endswith(".key") else 0o644)
        part.rename(self.folder / name)


def authority(folder: Path) -> Authority:
    """All of `KINDS`, in files in `folder`."""
    root = _signer("Test CA")
    signers = {
        "root": root,
        "intermediate": _signer("Test Intermediate", by=root),
        "dying": _signer("Dying Intermediate", by=root, end=datetime.now(UTC) + timedelta(days=10)),
        "stranger": _signer("Strange CA"),
    }
    made = Authority(folder, signers)
    made._write("ca.pem", _pem(root.certificate))
    made._write("ca.key", _key_pem(root.key))
    made._write("intermediate.pem", _pem(signers["intermediate"].certificate))
    made._write("stranger_ca.pem", _pem(signers["stranger"].certificate))
    for name, kind in KINDS.items():
        made.issue(name, kind)
    return made


def _signer(name: str, by: Signer | None = None, end: datetime = _END) -> Signer:
    """One that signs others; by itself unless `by` somebody."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(name)
    builder = (
        _begun(subject, by.certificate.subject if by else subject, key, _PAST, end)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_usage(signs=True), critical=True)
    )
    if by is not None:
        builder = builder.add_extension(_issued_by(by), critical=False)
    return Signer(builder.sign(by.key if by else key, hashes.SHA256()), key)


def _signed(name: str, kind: Kind, key: Key, by: Signer | None) -> x509.Certificate:
    subject = _name(kind.common_name or name)
    issuer = by.certificate.subject if by is not None else subject
    purpose = ExtendedKeyUsageOID.CLIENT_AUTH if kind.client else ExtendedKeyUsageOID.SERVER_AUTH
    builder = (
        _begun(subject, issuer, key, kind.start, kind.end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    )
    if by is not None:
        builder = builder.add_extension(_issued_by(by), critical=False)
    if kind.names:
        builder = builder.add_extension(x509.SubjectAlternativeName([_alternative(n) for n in kind.names]), False)
    if kind.must_staple:
        builder = builder.add_extension(x509.TLSFeature([x509.TLSFeatureType.status_request]), critical=False)
    if kind.issuers_at:
        place = x509.UniformResourceIdentifier("http://ca.example/intermediate.der")
        access = x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, place)
        builder = builder.add_extension(x509.AuthorityInformationAccess([access]), critical=False)
    return builder.sign(by.key if by is not None else key, hashes.SHA256())


def _begun(
    subject: x509.Name, issuer: x509.Name, key: Key, start: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _issued_by(signer: Signer) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key())


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=not signs,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: Key, password: str | None = None) -> bytes:
    locked: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password is not None:
        locked = serialization.BestAvailableEncryption(password.encode())
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)
