"""STARTTLS with the servers that people run: Exim, Dovecot, vsftpd, OpenLDAP, PostgreSQL."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from probes.contract import Context, Reason, Secret
from probes.tcp import Step, Tcp
from probes.tls import Tls
from tests.probes.judged import prompt_look
from tests.servers import Absent
from tests.servers.authority import Authority
from tests.servers.postgres import postgres
from tests.servers.starttls_peers import PROTOCOLS, peer

SCRIPTS = {
    "smtp": (("EHLO me", "^250 "), ("MAIL FROM:<>", "^250"), ("RCPT TO:<a@never.example>", "^250"), ("QUIT", "^221")),
    "imap": (("a CAPABILITY", "^a OK"), ("a LOGOUT", "^a OK")),
    "pop3": (("CAPA", r"^\.$"), ("QUIT", r"^\+OK")),
    "ftp": (("USER anonymous", "^331"), ("QUIT", "^221")),
}


@pytest.fixture
def folder() -> Iterator[Path]:
    """Not pytest's own, which only its user may enter."""
    with TemporaryDirectory(prefix="brownout-peer-") as name:
        yield Path(name)


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_begins_when_asked(protocol: str, context: Context, authority: Authority, folder: Path) -> None:
    if os.geteuid() != 0:
        raise Absent("needs root: these servers change their user")
    with peer(protocol, authority, folder) as port:
        where = {"address": f"localhost:{port}", "starttls": protocol, "ca_file": authority.file}
        seen = await prompt_look(Tls(**where), context)  # type: ignore[arg-type]
        assert seen.ok, seen
        assert seen.evidence["tls"] == "TLSv1.3"
        assert seen.measurements["starttls_time"] > 0
        stranger = {**where, "ca_file": str(authority.folder / "stranger_ca.pem")}
        assert (await prompt_look(Tls(**stranger), context)).reason is Reason.TLS_UNTRUSTED  # type: ignore[arg-type]
        steps = tuple(
            Step(Secret(send), expect, "^(5|a NO|a BAD|-ERR)") for send, expect in SCRIPTS.get(protocol, ())
        )
        seen = await prompt_look(Tcp(**where, script=steps), context)  # type: ignore[arg-type]
        assert seen.ok, seen


async def test_postgres(context: Context, authority: Authority, tmp_path: Path) -> None:
    for end in ("pem", "key"):
        shutil.copy(authority.folder / f"chained.{end}", tmp_path / f"own.{end}")
        (tmp_path / f"own.{end}").chmod(0o600)
    settings = {"ssl": "on", "ssl_cert_file": str(tmp_path / "own.pem"), "ssl_key_file": str(tmp_path / "own.key")}
    where = {"starttls": "postgres", "ca_file": authority.file}
    with postgres(tmp_path, version="15", settings=settings) as server:
        seen = await prompt_look(Tls(f"localhost:{server.port}", **where), context)  # type: ignore[arg-type]
        assert seen.ok, seen
        assert seen.evidence["chain"] == "by Test Intermediate, by Test CA"
