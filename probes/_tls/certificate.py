"""X.509 certificates as servers send them: for which names, by whom, until when. Nothing is trusted or refused here.

The ssl module decodes only a leaf that it has verified, and this is wanted of whole chains, of those that failed, and
with ``verify: false`` too. RFC 5280, 4.1: Certificate > TBSCertificate > [0] version, serial, signature, issuer,
validity > notBefore, notAfter; subject, subjectPublicKeyInfo, [3] extensions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address

MOST_NAMES = 250
"""Names that are read of one certificate; public authorities allow 100."""

_COMMON_NAME, _ORGANISATION = bytes.fromhex("550403"), bytes.fromhex("55040a")
_ALTERNATIVE_NAMES, _CONSTRAINTS = bytes.fromhex("551d11"), bytes.fromhex("551d13")
_ACCESS, _ISSUERS_AT = bytes.fromhex("2b06010505070101"), bytes.fromhex("2b06010505073002")
_TLS_FEATURE = bytes.fromhex("2b06010505070118")  # RFC 7633; 5 in it is status_request: "must staple"
_RSA, _RSA_PSS = bytes.fromhex("2a864886f70d010101"), bytes.fromhex("2a864886f70d01010a")
_EC = bytes.fromhex("2a8648ce3d0201")
_KEYS = {bytes.fromhex("2b6570"): "Ed25519", bytes.fromhex("2b6571"): "Ed448"}
_CURVES = {
    bytes.fromhex("2a8648ce3d030107"): "P-256",
    bytes.fromhex("2b81040022"): "P-384",
    bytes.fromhex("2b81040023"): "P-521",
}
_SEQUENCE, _SET, _INTEGER, _BITS, _OID, _TRUE = 0x30, 0x31, 0x02, 0x03, 0x06, 0xFF
_UTC_TIME, _GENERALIZED_TIME = 0x17, 0x18

Element = tuple[int, int, int]
"""(tag, where its content begins, where it ends)"""


@dataclass(frozen=True, slots=True)
class Certificate:
    """One certificate. Its texts are as whoever had it made wrote them: not cleaned, not bounded in length."""

    common_name: str
    """Of its subject; empty where it has none."""
    issuer: str
    """The common name of its issuer, with the organisation where that says more: ``R11 (Let's Encrypt)``."""
    names: tuple[str, ...]
    """DNS names and IP addresses that it is for (subjectAltName), in its order."""
    start: float
    """When it begins to be valid and when it ends, in seconds since 1970."""
    end: float
    key: str
    """``EC P-256``, ``RSA 2048``, ``Ed25519``; empty where it is another one."""
    serial: str
    fingerprint: str
    """SHA-256 in hexadecimal, as browsers show it, without colons."""
    signs: bool
    """Whether it may sign others."""
    by_itself: bool
    """Whether subject and issuer are the same: a root, or one that is signed by nobody else."""
    must_staple: bool
    issuers_at: bool
    """Whether it says where its issuer's certificate can be fetched, as all of public authorities do."""
    subject_der: bytes
    issuer_der: bytes


def decoded(der: bytes) -> Certificate:
    """Raises ValueError for what is no certificate."""
    try:
        return _certificate(der)
    except (IndexError, OverflowError) as error:
        raise ValueError("not a certificate in DER") from error


def _certificate(der: bytes) -> Certificate:
    outer = _element(der, 0, len(der))
    body = _first(der, outer)
    parts = list(_inside(der, body))
    if parts[0][0] == 0xA0:
        del parts[0]
    serial, _, issuer, validity, subject, key = parts[:6]
    start, end = list(_inside(der, validity))[:2]
    common, _ = _name(der, subject)
    signer, organisation = _name(der, issuer)
    found = _extensions(der, parts[6:])
    return Certificate(
        common_name=common,
        issuer=_issuer(signer, organisation),
        names=_names(found.get(_ALTERNATIVE_NAMES, b"")),
        start=_time(der, start),
        end=_time(der, end),
        key=_key(der, key),
        serial=der[serial[1] : serial[2]].hex(),
        fingerprint=hashlib.sha256(der).hexdigest(),
        signs=_signs(found.get(_CONSTRAINTS, b"")),
        by_itself=_content(der, subject) == _content(der, issuer),
        must_staple=_must_staple(found.get(_TLS_FEATURE, b"")),
        issuers_at=_ISSUERS_AT in _methods(found.get(_ACCESS, b"")),
        subject_der=_content(der, subject),
        issuer_der=_content(der, issuer),
    )


def _issuer(common: str, organisation: str) -> str:
    if common and organisation and organisation not in common:
        return f"{common} ({organisation})"
    return common or organisation


def _name(der: bytes, name: Element) -> tuple[str, str]:
    """The common name and the organisation of a Name."""
    found: dict[bytes, str] = {}
    for relative in _inside(der, name):
        for pair in _inside(der, relative):
            kind, value = list(_inside(der, pair))[:2]
            found[_content(der, kind)] = _text(der, value)
    return found.get(_COMMON_NAME, ""), found.get(_ORGANISATION, "")


def _text(der: bytes, value: Element) -> str:
    coding = {0x0C: "utf-8", 0x1E: "utf-16-be"}.get(value[0], "latin-1")
    return _content(der, value).decode(coding, "replace")


def _time(der: bytes, value: Element) -> float:
    text = _content(der, value).decode("ascii", "replace")
    if value[0] == _UTC_TIME:  # two digits of the year: 1950 to 2049
        text = ("19" if text >= "50" else "20") + text
    elif value[0] != _GENERALIZED_TIME:
        raise ValueError("a time is neither UTCTime nor GeneralizedTime")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()


def _key(der: bytes, key: Element) -> str:
    algorithm, bits = list(_inside(der, key))[:2]
    words = list(_inside(der, algorithm))
    kind = _content(der, words[0])
    if kind == _EC:
        curve = _content(der, words[1]) if len(words) > 1 else b""
        return f"EC {_CURVES.get(curve, '')}".strip()
    if kind in (_RSA, _RSA_PSS):
        pair = _element(der, bits[1] + 1, bits[2])
        modulus = _first(der, pair)
        return f"RSA {int.from_bytes(_content(der, modulus)[:1025], 'big').bit_length()}"
    return _KEYS.get(kind, "")


def _extensions(der: bytes, rest: list[Element]) -> dict[bytes, bytes]:
    """The contents of the extensions by their OIDs."""
    found: dict[bytes, bytes] = {}
    for part in rest:
        if part[0] == 0xA3:
            for extension in _inside(der, _first(der, part)):
                words = list(_inside(der, extension))
                found[_content(der, words[0])] = _content(der, words[-1])
    return found


def _names(extension: bytes) -> tuple[str, ...]:
    names: list[str] = []
    for tag, start, end in _list(extension):
        if tag == 0x82:
            names.append(extension[start:end].decode("ascii", "replace"))
        elif tag == 0x87 and end - start in (4, 16):
            names.append(str(ip_address(extension[start:end])))
        if len(names) == MOST_NAMES:
            break
    return tuple(names)


def _signs(extension: bytes) -> bool:
    return any(extension[start] == _TRUE for tag, start, end in _list(extension) if tag == 0x01 and end > start)


def _must_staple(extension: bytes) -> bool:
    return any(extension[start:end] == b"\x05" for tag, start, end in _list(extension) if tag == _INTEGER)


def _methods(extension: bytes) -> list[bytes]:
    return [_content(extension, _first(extension, each)) for each in _list(extension)]


def _list(data: bytes) -> Iterator[Element]:
    """What is in a SEQUENCE that is alone; nothing in no data."""
    return _inside(data, _element(data, 0, len(data))) if data else iter(())


def _content(data: bytes, element: Element) -> bytes:
    return data[element[1] : element[2]]


def _inside(data: bytes, element: Element) -> Iterator[Element]:
    _, at, end = element
    while at < end:
        found = _element(data, at, end)
        yield found
        at = found[2]


def _first(data: bytes, element: Element) -> Element:
    for found in _inside(data, element):
        return found
    raise ValueError("nothing is where something must be")


def _element(data: bytes, at: int, end: int) -> Element:
    tag, length, start = data[at], data[at + 1], at + 2
    if length & 0x80:
        size = length & 0x7F
        if not 0 < size <= 4:
            raise ValueError("a length that DER does not have")
        length = int.from_bytes(data[start : start + size], "big")
        start += size
    if start + length > end:
        raise ValueError("an element is longer than what it is in")
    return tag, start, start + length
