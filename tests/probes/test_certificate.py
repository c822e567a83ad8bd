"""Certificates are read as `cryptography` reads them, and never trip over what is none."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from probes._tls import chain as _chain
from probes._tls.certificate import MOST_NAMES, decoded
from probes._tls.chain import described, first_to_end, path_of, read
from probes._tls.handshake import _certificates
from tests.servers.authority import KINDS, Authority


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


@pytest.mark.parametrize("name", KINDS)
def test_as_cryptography_reads_it(authority: Authority, name: str) -> None:
    one = authority.certificate(name)
    found = decoded(der(one))
    common = one.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    assert found.common_name == common
    assert found.issuer == one.issuer.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    assert found.names == KINDS[name].names
    assert found.start == one.not_valid_before_utc.timestamp()
    assert found.end == one.not_valid_after_utc.timestamp()
    assert int(found.serial, 16) == one.serial_number
    assert found.fingerprint == one.fingerprint(hashes.SHA256()).hex()
    assert found.by_itself is (one.subject == one.issuer)
    assert found.must_staple is KINDS[name].must_staple
    assert found.issuers_at is KINDS[name].issuers_at
    assert not found.signs
    assert found.key == ("RSA 2048" if name == "rsa" else "EC P-256")


def test_who_signs(authority: Authority) -> None:
    for signer in authority.signers.values():
        found = decoded(der(signer.certificate))
        assert found.signs
        assert found.by_itself is (signer.certificate.subject == signer.certificate.issuer)


def test_what_is_rare() -> None:
    """A key of Ed25519, an issuer with an organisation, a subject without any name, letters beyond ASCII."""
    key = ed25519.Ed25519PrivateKey.generate()
    issuer = [x509.NameAttribute(NameOID.COMMON_NAME, "R11"), x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Bücher")]
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name(issuer))
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(datetime(1970, 1, 1, tzinfo=UTC))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(f"{n}.example") for n in range(400)]), critical=True)
    )
    found = decoded(der(builder.sign(key, None)))
    assert (found.common_name, found.issuer, found.key) == ("", "R11 (Bücher)", "Ed25519")
    assert (found.start, len(found.names)) == (0.0, MOST_NAMES)
    shown = dict(described(b"rare", lambda: (der(builder.sign(key, None)),)).evidence)
    assert shown["certificate"].startswith(
        "0.example, 1.example, 2.example, 3.example, 4.example and 245 more; until"
    )


def test_cut_or_changed_it_is_read_or_refused(authority: Authority) -> None:
    whole = der(authority.certificate("chained"))
    for end in range(len(whole)):
        with pytest.raises(ValueError, match=r"."):
            decoded(whole[:end])
    dice = random.Random(6)
    for _ in range(3000):
        changed = bytearray(whole)
        for _ in range(dice.randint(1, 4)):
            changed[dice.randrange(len(changed))] = dice.randrange(256)
        read((bytes(changed),))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_anything_is_read_or_refused(data: bytes) -> None:
    assert read((data,)) == ()
    for tls_1_3 in (False, True):
        _certificates(data, tls_1_3=tls_1_3)


def test_the_way_to_the_root(authority: Authority) -> None:
    """What is sent along and not needed harms nobody, in whatever order."""
    leaf, signers = der(authority.certificate("chained")), authority.signers
    root, middle, dying = (der(signers[name].certificate) for name in ("root", "intermediate", "dying"))
    expired = der(authority.certificate("expired"))
    for sent in ((leaf, middle), (leaf, middle, root), (leaf, root, dying, middle), (leaf, expired, middle, middle)):
        path = path_of(read(sent))
        assert [one.common_name for one in path] == ["chained", "Test Intermediate"]
        assert first_to_end(path).end == decoded(leaf).end
    assert path_of(()) == ()
    assert [one.common_name for one in path_of(read((root, leaf)))] == ["Test CA"]


def test_certificates_that_sign_each_other() -> None:
    """A circle ends."""
    key = ec.generate_private_key(ec.SECP256R1())

    def made(name: str, by: str) -> bytes:
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, by)]))
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
            .not_valid_after(datetime(2030, 1, 1, tzinfo=UTC))
        )
        return der(builder.sign(key, hashes.SHA256()))

    assert len(path_of(read((made("a", "b"), made("b", "a"), made("a", "b"))))) == 3


def test_what_was_read_once_is_not_read_again(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0

    def chain() -> tuple[bytes, ...]:
        nonlocal asked
        asked += 1
        return (der(authority.certificate()),)

    leaf = chain()[0] + b"another"
    assert described(leaf, chain) is described(leaf, chain)
    assert asked == 2
    monkeypatch.setattr(_chain, "_FRESH", -1.0)
    described(leaf, chain)
    assert asked == 3  # it may come with another chain by now
    monkeypatch.setattr(_chain, "_KEPT", 3)
    for number in range(10):
        described(b"%d" % number, lambda: (b"",))
    assert described(b"none", lambda: (b"",)).evidence == (("certificate", "cannot be read"),)
