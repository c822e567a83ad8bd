"""The http probe with a certificate of its own, and with a lowest version of TLS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from probes.contract import Context, Reason, Secret
from probes.http import Http
from tests.probes.answers import answer
from tests.probes.conftest import Serve
from tests.probes.judged import sure_look as look
from tests.probes.judged import unless_void
from tests.servers.authority import PASSWORD, Authority
from tests.servers.openssl import openssl_server

pytestmark = pytest.mark.both_loops


@pytest.mark.parametrize(
    ("name", "password", "reason"),
    [
        ("client", None, None),
        ("locked", PASSWORD, None),
        ("locked", "tell-no-one", Reason.DENIED),
        ("locked", None, Reason.DENIED),
        ("expired_client", None, Reason.TLS_CLIENT),
        ("strange_client", None, Reason.TLS_CLIENT),
        (None, None, Reason.TLS_CLIENT),
    ],
)
@unless_void
async def test_the_certificate_is_shown(
    context: Context, authority: Authority, name: str | None, password: str | None, reason: Reason | None
) -> None:
    fields: dict[str, Any] = {}
    if name is not None:
        secret = Secret(password) if password is not None else None
        fields = {"certificate": authority.path(name), "key": authority.key(name), "key_password": secret}
    with openssl_server(authority, "good", *_asks_for_one(authority)) as port:
        seen = await look(Http(url=f"https://127.0.0.1:{port}/", ca_file=authority.file, **fields), context)
    assert seen.reason is reason, seen
    assert "tell-no-one" not in repr(seen)


@unless_void
async def test_it_is_shown_to_no_other_host(serve: Serve, context: Context, authority: Authority) -> None:
    with openssl_server(authority, "good", *_asks_for_one(authority)) as port:
        away = answer(302, b"", f"Location: https://127.0.0.1:{port}/")
        server = await serve([away], tls=authority.server(clients=True))
        probe = Http(
            url=server.url(scheme="https"),
            ca_file=authority.file,
            certificate=authority.path("client"),
            key=authority.key("client"),
        )
        seen = await look(probe, context)
        assert seen.reason is Reason.TLS_CLIENT, seen
        assert len(server.requests) == 1


def _asks_for_one(authority: Authority) -> tuple[str, ...]:
    return "-Verify", "1", "-verify_return_error", "-CAfile", authority.file


@unless_void
async def test_files_that_are_not_there(serve: Serve, context: Context, authority: Authority, tmp_path: Path) -> None:
    server = await serve([answer()], tls=authority.server())
    probe = Http(url=server.url(scheme="https"), ca_file=authority.file, certificate=str(tmp_path / "none.pem"))
    seen = await look(probe, context)
    assert seen.reason is Reason.DENIED
    assert "none.pem" in seen.detail


@pytest.mark.parametrize(("minimum", "reason"), [("1.2", None), ("1.3", Reason.TLS_VERSION), (None, None)])
@unless_void
async def test_the_lowest_version(
    context: Context, authority: Authority, minimum: Any, reason: Reason | None
) -> None:
    with openssl_server(authority, "good", "-tls1_2") as port:
        probe = Http(url=f"https://127.0.0.1:{port}/", ca_file=authority.file, minimum_version=minimum)
        seen = await look(probe, context)
    assert seen.reason is reason, seen
