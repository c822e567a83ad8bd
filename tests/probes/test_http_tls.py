"""The http probe and TLS: certificates, names, and servers that speak none."""

from __future__ import annotations

from typing import Any

import pytest

from probes.contract import Context, Reason
from probes.http import Http
from tests.probes.answers import answer
from tests.probes.judged import look

pytestmark = pytest.mark.both_loops


async def test_https(serve: Any, context: Context, authority: Any) -> None:
    server = await serve([answer()], tls=authority.server())
    seen = await look(Http(url=server.url(scheme="https"), ca_file=authority.file), context)
    assert seen.ok, seen
    assert list(seen.phases) == ["resolve", "connect", "tls", "send", "first_byte", "transfer"]
    assert seen.measurements["certificate_expires_in"] > 1e9
    assert seen.evidence["tls"] == "TLSv1.3"


@pytest.mark.parametrize(
    ("certificate", "trusted", "reason"),
    [
        ("expired", True, Reason.TLS_EXPIRED),
        ("other", True, Reason.TLS_NAME),
        ("good", False, Reason.TLS_UNTRUSTED),
    ],
)
async def test_certificates(
    serve: Any, context: Context, authority: Any, certificate: str, trusted: bool, reason: Reason
) -> None:
    server = await serve([answer()], tls=authority.server(certificate))
    ca_file = authority.file if trusted else None
    assert (await look(Http(url=server.url(scheme="https"), ca_file=ca_file), context)).reason is reason
    unverified = await look(Http(url=server.url(scheme="https"), verify=False), context)
    assert unverified.ok, unverified
    assert (unverified.measurements["certificate_expires_in"] < 0) is (certificate == "expired")


async def test_server_name(serve: Any, context: Context, authority: Any) -> None:
    server = await serve([answer()], tls=authority.server("other"))
    url = server.url(scheme="https")
    assert (await look(Http(url=url, ca_file=authority.file, server_name="other.example"), context)).ok


async def test_tls_where_there_is_none(serve: Any, make_context: Any) -> None:
    plain = await serve([b"220 mail.example.com ESMTP\r\n"], ask=False)
    assert (await look(Http(url=plain.url(scheme="https")), make_context())).reason is Reason.TLS_PROTOCOL
    silent = await serve([], ask=False, end="hang")
    assert (await look(Http(url=silent.url(scheme="https")), make_context(0.3))).reason is Reason.TLS_TIMEOUT


async def test_a_ca_file_that_is_not_there(serve: Any, context: Context) -> None:
    server = await serve([answer()])
    seen = await look(Http(url=server.url(scheme="https"), ca_file="/nowhere/ca.pem"), context)
    assert seen.reason is Reason.DENIED
