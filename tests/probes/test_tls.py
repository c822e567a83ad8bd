"""The tls probe, mostly against OpenSSL's own server: what is verified, what is expected, what is told."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from probes._tls.expect import Expect, covers
from probes.contract import BadField, Context, Observation, Reason, Secret
from probes.tls import Tls
from tests.probes.judged import look, prompt_look
from tests.servers.authority import PASSWORD, Authority
from tests.servers.openssl import openssl_server

Make = Callable[..., Context]
DAY = 86_400


async def seen_at(port: int, context: Context, authority: Authority, **fields: Any) -> Observation:
    fields = {"address": f"localhost:{port}", "ca_file": authority.file, **fields}
    return await prompt_look(Tls(**fields), context)


async def test_a_good_server(context: Context, authority: Authority) -> None:
    with openssl_server(authority, "chained", "-alpn", "h2") as port:
        seen = await seen_at(port, context, authority, alpn="h2")
    assert seen.ok, seen
    assert list(seen.phases) == ["resolve", "connect", "tls"]
    figures = seen.measurements
    assert figures["response_time"] == pytest.approx(figures["connect_time"] + figures["tls_time"])
    assert figures["certificate_expires_in"] > 1e9
    told = seen.evidence
    assert (told["tls"], told["alpn"]) == ("TLSv1.3", "h2")
    assert told["cipher"].startswith("TLS_AES")
    assert told["certificate"] == "localhost, 127.0.0.1, ::1; until 2099-01-01; EC P-256"
    assert told["chain"] == "by Test Intermediate, by Test CA"
    assert len(told["fingerprint"]) == 64


async def test_the_chain_ends_with_its_first_end(context: Context, authority: Authority) -> None:
    """An intermediate that ends before the server's own certificate; and a root, that counts for nothing."""
    with openssl_server(authority, "dying_chain") as port:
        for verify in (True, False):
            seen = await seen_at(port, context, authority, verify=verify)
            assert 9 * DAY < seen.measurements["certificate_expires_in"] <= 10 * DAY
            assert "by Dying Intermediate until" in seen.evidence["chain"]
    with openssl_server(authority, "chained_with_root") as port:
        seen = await seen_at(port, context, authority, verify=False)
        assert seen.evidence["chain"] == "by Test Intermediate, by Test CA"


CERTIFICATES = [
    ("expired", Reason.TLS_EXPIRED, "the certificate has ended on 2021-01-01"),
    ("not_yet", Reason.TLS_NOT_YET, "the certificate begins on 2089-01-01"),
    ("other", Reason.TLS_NAME, "it is for other.example, not for localhost"),
    ("cn_only", Reason.TLS_NAME, "only by its common name localhost"),
    ("self_signed", Reason.TLS_SELF_SIGNED, "self_signed is signed by itself"),
    ("no_chain", Reason.TLS_CHAIN, "its issuer's certificate was not sent: Test Intermediate"),
    ("stranger", Reason.TLS_UNTRUSTED, "Strange CA is not trusted"),
    ("stranger_with_root", Reason.TLS_UNTRUSTED, "Strange CA is not trusted"),
]


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
async def test_why_a_certificate_is_refused(context: Context, authority: Authority, version: str) -> None:
    """The first look says it, by a second handshake; a later one in one."""
    for name, reason, why in CERTIFICATES:
        with openssl_server(authority, name, version) as port:
            for _ in range(2):
                seen = await seen_at(port, context, authority)
                assert (seen.reason, why in seen.detail) == (reason, True), seen
                assert "until" in seen.evidence["certificate"]
                assert "tls" not in seen.phases
            assert (await seen_at(port, context, authority, verify=False)).ok


async def test_a_client_certificate_that_is_wanted(context: Context, authority: Authority) -> None:
    """By TLS 1.3 the server says so when the handshake has ended, on our side."""
    wants = ("-Verify", "2", "-verify_return_error", "-CAfile", authority.file)
    for version in ("-tls1_2", "-tls1_3"):
        with openssl_server(authority, "good", version, *wants) as port:
            for name, why in (
                (None, "certificate required" if version == "-tls1_3" else "asked for a client certificate"),
                ("expired_client", "certificate expired"),
                ("strange_client", "unknown ca"),
            ):
                shown = {} if name is None else {"certificate": authority.path(name), "key": authority.key(name)}
                seen = await seen_at(port, context, authority, **shown)
                assert (seen.reason, why in seen.detail) == (Reason.TLS_CLIENT, True), seen
            locked = {"certificate": authority.path("locked"), "key": authority.key("locked")}
            assert (await seen_at(port, context, authority, **locked, key_password=Secret(PASSWORD))).ok
            seen = await seen_at(port, context, authority, **locked, key_password=Secret("tell-no-one"))
            assert (seen.reason, "key_password is wrong" in seen.detail) == (Reason.DENIED, True)
            assert "tell-no-one" not in repr(seen)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1:DeprecationWarning")
async def test_versions(context: Context, authority: Authority) -> None:
    with openssl_server(authority, "good", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0") as port:
        assert (await seen_at(port, context, authority)).reason is Reason.TLS_VERSION
        seen = await seen_at(port, context, authority, minimum_version="1.0")
        assert (seen.reason, seen.evidence["tls"]) == (None, "TLSv1.1")
        seen = await seen_at(port, context, authority, minimum_version="1.0", expect=Expect(version=("1.2", "1.3")))
        assert (seen.reason, seen.detail) == (Reason.VERSION, "TLS 1.1 was agreed upon, not 1.2 or 1.3")


async def test_expectations(context: Context, authority: Authority) -> None:
    with openssl_server(authority, "chained", "-tls1_2") as port:
        first = await seen_at(port, context, authority)
        fingerprint = first.evidence["fingerprint"].upper()
        fine = Expect(
            version=("1.2",),
            cipher="^ECDHE-",
            names=("localhost", "127.0.0.1", "0:0::1"),
            issuer="^Test Inter",
            key="EC P-256",
            fingerprint=("00" * 32, ":".join(fingerprint[at : at + 2] for at in range(0, 64, 2))),
        )
        assert (await seen_at(port, context, authority, expect=fine)).ok
        for wrong, reason, why in (
            ({"version": ("1.3",)}, Reason.VERSION, "TLS 1.2 was agreed upon, not 1.3"),
            ({"cipher": "CHACHA"}, Reason.ANSWER, "'CHACHA' was not found"),
            ({"alpn": "h2"}, Reason.ANSWER, "no protocol was agreed upon by ALPN, not h2"),
            ({"names": ("localhost", "shop.example")}, Reason.ANSWER, "is not for shop.example"),
            ({"issuer": "Encrypt"}, Reason.ANSWER, "the issuer is Test Intermediate"),
            ({"key": "^RSA"}, Reason.ANSWER, "the key is EC P-256"),
            ({"fingerprint": ("00" * 32,)}, Reason.ANSWER, f"fingerprint is {fingerprint.lower()}"),
        ):
            seen = await seen_at(port, context, authority, expect=replace(fine, **wrong))  # type: ignore[arg-type]
            assert (seen.reason, why in seen.detail) == (reason, True), seen
            assert "response_time" in seen.measurements


def test_which_names_a_certificate_covers(authority: Authority) -> None:
    from cryptography.hazmat.primitives.serialization import Encoding

    from probes._tls.certificate import decoded

    wild = decoded(authority.certificate("wildcard").public_bytes(Encoding.DER))
    for name, yes in (("a.example.com", True), ("A.EXAMPLE.com.", True), ("example.com", True), ("com", False),
                      ("a.b.example.com", False), ("example.org", False), ("", False)):  # fmt: skip
        assert covers(wild, name) is yes, name


@pytest.mark.both_loops
async def test_servers_that_speak_no_tls(serve: Any, make_context: Make, authority: Authority) -> None:
    for said, end, reason in (
        ([b"220 mail.example.com ESMTP\r\n"], "hang", Reason.TLS_PLAINTEXT),
        ([b"\x00"], "close", Reason.TLS_PLAINTEXT),
        ([b"\x16"], "close", Reason.TLS_CLOSED),
        ([], "close", Reason.TLS_CLOSED),
        ([], "reset", Reason.TLS_CLOSED),
        ([b"\x15\x03\x01\x00\x02\x02\x46"], "hang", Reason.TLS_VERSION),
        ([b"\x15\x03\x01\x00\x02\x02\x28"], "hang", Reason.TLS_PROTOCOL),
        ([b"\x16\x03\x01\x00"], "hang", Reason.TLS_TIMEOUT),
    ):
        server = await serve(said, end=end, ask=False)
        seen = await look(Tls(f"localhost:{server.port}"), make_context(0.4))
        assert seen.reason is reason, (said, seen)
    assert seen.measurements["tls_time"] > 0.2
    assert seen.measurements["response_time"] >= 0.4


def test_fields() -> None:
    for fields, field, why in (
        ({"address": "mail.example.com"}, "address", "is not host:port"),
        ({"key": "/a"}, "key", "needs certificate"),
        ({"key_password": Secret("x")}, "key_password", "needs certificate"),
    ):
        with pytest.raises(BadField, match=why) as bad:
            Tls(**{"address": "mail.example.com:465", **fields})  # type: ignore[arg-type]
        assert bad.value.field == field
    for wrong, field in (({"cipher": "("}, "cipher"), ({"fingerprint": ("12",)}, "fingerprint")):
        with pytest.raises(BadField) as bad:
            Expect(**wrong)  # type: ignore[arg-type]
        assert bad.value.field == field
    assert Tls("[::1]:465").host == "::1"


def test_ocsp_needs_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert Tls("mail.example.com:465")
    with pytest.raises(BadField, match=r"pip install brownout\[ocsp\]"):
        Tls("mail.example.com:465", ocsp="check")
