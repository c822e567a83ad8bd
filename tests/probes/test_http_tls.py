"""The http probe and TLS: certificates, names, and servers that speak none."""

from __future__ import annotations

import os
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest

from probes.contract import Context, Reason, Secret
from probes.http import Http
from tests.probes.answers import answer
from tests.probes.judged import look
from tests.servers.authority import Authority
from tests.servers.talker import TLS, talker

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


async def test_one_server_of_many(serve: Any, context: Context, authority: Any) -> None:
    """Past the load balancer: by its address, but asked for by the name of the shop."""
    asked: list[str | None] = []
    tls = authority.server("other")
    tls.sni_callback = lambda _, name, __: asked.append(name)
    server = await serve([answer()], tls=tls)
    headers = {"host": Secret("other.example")}
    probe = Http(url=server.url(scheme="https"), ca_file=authority.file, server_name="other.example", headers=headers)
    seen = await look(probe, context)
    assert seen.ok, seen
    assert asked == ["other.example"]
    assert server.requests[0].lower().count(b"\r\nhost: ") == 1
    assert b"\r\nhost: other.example\r\n" in server.requests[0]


async def test_tls_where_there_is_none(serve: Any, make_context: Any) -> None:
    plain = await serve([b"220 mail.example.com ESMTP\r\n"], ask=False)
    assert (await look(Http(url=plain.url(scheme="https")), make_context())).reason is Reason.TLS_PLAINTEXT
    silent = await serve([], ask=False, end="hang")
    assert (await look(Http(url=silent.url(scheme="https")), make_context(0.3))).reason is Reason.TLS_TIMEOUT


async def test_a_ca_file_that_is_not_there(serve: Any, context: Context) -> None:
    server = await serve([answer()])
    seen = await look(Http(url=server.url(scheme="https"), ca_file="/nowhere/ca.pem"), context)
    assert seen.reason is Reason.DENIED


async def test_a_client_certificate_is_missed_while_a_long_body_is_sent(
    context: Context, authority: Authority
) -> None:
    """By TLS 1.3 the server says so only then, and hangs up: that is no crash of the server's."""
    with talker(TLS, tls=authority.server(clients=True)) as (port, _):
        for size in (10, 4_000_000):
            probe = Http(f"https://localhost:{port}/", method="POST", body="x" * size, ca_file=authority.file)
            assert (await look(probe, context)).reason is Reason.TLS_CLIENT


async def test_a_file_system_that_hangs(make_context: Any, tmp_path: Path) -> None:
    """A pipe that nobody writes to stands for it. The look ends in time, whatever the files do."""
    hung = tmp_path / "ca.pem"
    os.mkfifo(hung)
    began = perf_counter()
    seen = await Http("https://127.0.0.1:1/", ca_file=str(hung)).look(make_context(0.2))
    assert (seen.reason, perf_counter() - began < 1) == (Reason.DENIED, True)
    hung.open("w").close()  # lets the thread go
