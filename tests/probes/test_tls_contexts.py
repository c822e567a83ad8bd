"""Shared TLS contexts: made once for all who want the same, off the loop, and anew when their files have changed."""

from __future__ import annotations

import asyncio
import os
import shutil
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest

from probes._tls import contexts
from probes._tls.contexts import SharedTls
from probes.contract import Context, LookFailed, Reason, Secret, TlsWanted
from probes.http import Http
from tests.probes.answers import answer
from tests.probes.judged import look
from tests.servers.authority import PASSWORD, Authority, Kind
from tests.servers.openssl import openssl_server

Make = Callable[..., Context]


class Only:
    """The same context for all."""

    def __init__(self, made: ssl.SSLContext) -> None:
        self._made = made

    async def get(self, wanted: TlsWanted) -> ssl.SSLContext:
        return self._made


async def denied(wanted: TlsWanted) -> str:
    with pytest.raises(LookFailed) as failed:
        await SharedTls().get(wanted)
    assert failed.value.reason is Reason.DENIED
    return failed.value.detail


async def test_who_wants_the_same_shares_it(shared_tls: SharedTls, authority: Authority) -> None:
    for wanted in (TlsWanted(), TlsWanted(verify=False), TlsWanted(ca_file=authority.file), TlsWanted(alpn="h2")):
        assert await shared_tls.get(wanted) is await shared_tls.get(wanted), wanted
    assert await shared_tls.get(TlsWanted()) is not await shared_tls.get(TlsWanted(verify=False))


async def test_it_is_made_off_the_loop(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[threading.Thread] = []
    build = contexts._build

    def seen(wanted: TlsWanted) -> ssl.SSLContext:
        made.append(threading.current_thread())
        return build(wanted)

    shared = SharedTls()
    monkeypatch.setattr(contexts, "_build", seen)
    wanted = TlsWanted(ca_file=authority.file)
    assert len({id(context) for context in await asyncio.gather(*(shared.get(wanted) for _ in range(50)))}) == 1
    assert len(made) == 1
    assert made[0] is not threading.main_thread()


async def test_a_renewed_certificate_is_used_without_a_restart(
    serve: Any, context: Context, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As certbot does it: the name is a link, and is turned to another file."""
    monkeypatch.setattr(contexts, "_FRESH", 0.0)
    server = await serve([answer()], tls=authority.server())
    trusted = tmp_path / "ca.pem"
    trusted.symlink_to(authority.folder / "stranger_ca.pem")
    probe = Http(url=server.url(scheme="https"), ca_file=str(trusted))
    assert (await look(probe, context)).reason is Reason.TLS_UNTRUSTED
    (tmp_path / "new").symlink_to(authority.file)
    (tmp_path / "new").rename(trusted)
    assert (await look(probe, context)).ok
    before = await context.tls.get(TlsWanted(ca_file=str(trusted)))
    assert await context.tls.get(TlsWanted(ca_file=str(trusted))) is before
    trusted.unlink()
    seen = await look(probe, context)
    assert (seen.reason, str(trusted) in seen.detail) == (Reason.DENIED, True)


async def test_files_that_cannot_be_used_say_so(authority: Authority, tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.touch()
    assert "No such file" in await denied(TlsWanted(ca_file="/nowhere/ca.pem"))
    assert "no PEM" in await denied(TlsWanted(ca_file=str(empty)))
    assert "No such file" in await denied(TlsWanted(certificate="/nowhere/agent.pem"))
    assert "no PEM" in await denied(TlsWanted(certificate=str(empty)))
    mine, key = authority.path("client"), authority.key("client")
    assert "not that of the certificate" in await denied(TlsWanted(certificate=mine, key=authority.key("good")))
    assert "no PEM" in await denied(TlsWanted(certificate=mine))
    assert await SharedTls().get(TlsWanted(certificate=mine, key=key))


async def test_a_key_with_a_password(authority: Authority) -> None:
    """OpenSSL would ask for it at the terminal, and wait."""
    files = {"certificate": authority.path("locked"), "key": authority.key("locked")}
    assert "give key_password" in await denied(TlsWanted(**files))
    wrong = await denied(TlsWanted(**files, key_password=Secret("tell-no-one")))
    assert "key_password is wrong" in wrong
    assert "tell-no-one" not in wrong
    assert await SharedTls().get(TlsWanted(**files, key_password=Secret(PASSWORD)))


async def test_a_file_system_that_hangs_holds_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe that nobody writes to stands for a mount that hangs: opening it never comes back."""
    monkeypatch.setattr(contexts, "_PATIENCE", 0.2)
    hung = tmp_path / "ca.pem"
    os.mkfifo(hung)
    shared = SharedTls()
    began = perf_counter()
    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            await asyncio.sleep(0.01)
            beats += 1

    beating = asyncio.create_task(beat())
    with pytest.raises(LookFailed) as failed:
        await shared.get(TlsWanted(ca_file=str(hung)))
    beating.cancel()
    assert failed.value.reason is Reason.DENIED
    assert "does not answer" in failed.value.detail
    assert perf_counter() - began < 2
    assert beats > 3
    hung.open("w").close()  # lets the thread go


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1:DeprecationWarning")
@pytest.mark.parametrize(
    ("minimum", "offered", "reason"),
    [
        (None, "-tls1_2", None),
        ("1.2", "-tls1_2", None),
        ("1.3", "-tls1_3", None),
        ("1.3", "-tls1_2", Reason.TLS_VERSION),
        (None, "-tls1_1", Reason.TLS_VERSION),
        (None, "-tls1", Reason.TLS_VERSION),
        ("1.0", "-tls1_1", None),
        ("1.0", "-tls1", None),
        ("1.1", "-tls1", Reason.TLS_VERSION),
    ],
)
async def test_the_lowest_version(
    context: Context, authority: Authority, minimum: str | None, offered: str, reason: Reason | None
) -> None:
    with openssl_server(authority, "good", offered, "-cipher", "ALL:@SECLEVEL=0") as port:
        tls = await SharedTls().get(TlsWanted(ca_file=authority.file, minimum=minimum))
        seen = await look(Http(url=f"https://localhost:{port}/"), Context(5, context.resolver, Only(tls), {}))
    assert seen.reason is reason, seen


async def test_any_name_will_do_if_so_wanted(serve: Any, context: Context, authority: Authority) -> None:
    """PostgreSQL's ``sslmode=verify-ca``."""
    for certificate, trusted in (("other", True), ("stranger", False)):
        server = await serve([answer()], tls=authority.server(certificate))
        tls = await SharedTls().get(TlsWanted(ca_file=authority.file, any_name=True))
        seen = await look(Http(url=server.url(scheme="https")), Context(5, context.resolver, Only(tls), {}))
        assert seen.ok is trusted, seen


async def test_an_intermediate_can_be_what_is_trusted(serve: Any, context: Context, authority: Authority) -> None:
    server = await serve([answer()], tls=authority.server("chained"))
    trusted = str(authority.folder / "intermediate.pem")
    assert (await look(Http(url=server.url(scheme="https"), ca_file=trusted), context)).ok


async def test_a_server_that_signs_itself_can_be_trusted(serve: Any, context: Context, authority: Authority) -> None:
    """As the advice of `tls_self_signed` says."""
    server = await serve([answer()], tls=authority.server("self_signed"))
    url = server.url(scheme="https")
    assert (await look(Http(url=url, ca_file=authority.file), context)).reason is Reason.TLS_SELF_SIGNED
    assert (await look(Http(url=url, ca_file=authority.path("self_signed")), context)).ok


def test_not_too_many_are_kept(tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contexts, "_KEPT", 3)
    shared = SharedTls()
    for number in range(5):
        trusted = tmp_path / f"{number}.pem"
        shutil.copy(authority.file, trusted)
        asyncio.run(shared.get(TlsWanted(ca_file=str(trusted))))
    assert len(shared._made) == 3


def test_a_renewal_writes_both_files(tmp_path: Path, authority: Authority) -> None:
    """`Authority.issue` for tests of rotation."""
    made = Authority(tmp_path, authority.signers)
    made.issue("mine", Kind())
    first = Path(made.path("mine")).read_bytes()
    made.issue("mine", Kind())
    assert Path(made.path("mine")).read_bytes() != first
