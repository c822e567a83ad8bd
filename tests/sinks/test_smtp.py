"""Talking to a mail server: TLS, logging in, and what is no mail server at all."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from probes.contract import Secret
from tests.servers import Absent
from tests.servers.authority import Authority, authority
from tests.servers.mail import Server, scripted, serving, talking
from tests.servers.starttls_peers import peer
from tests.sinks.lives import OPENED
from tests.sinks.mailing import Mailer, made


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serving(Server()) as found:
        yield found


# --- TLS and logging in -------------------------------------------------------------------------------------------


def accept(server: SMTP, session: Session, envelope: Envelope, mechanism: str, given: Any) -> AuthResult:
    assert isinstance(given, LoginPassword)
    right = (given.login, given.password) == (b"user", b"s3cr3t")
    return AuthResult(success=right, handled=False) if not right else AuthResult(success=True)


async def test_starttls_and_a_password(certificates: Authority) -> None:
    facts = {"tls_context": certificates.server("good"), "require_starttls": True, "authenticator": accept}
    async with serving(Server(), auth_required=True, **facts) as server:
        given = {"security": "starttls", "user": "user", "ca": str(certificates.file)}
        await Mailer(made(server, password=Secret("s3cr3t"), **given)).tell(OPENED)
        assert len(server.got) == 1
        failed = await Mailer(made(server, password=Secret("s3cr3t-not"), **given)).fails()
        assert failed.permanent
        assert str(failed) == "the server refuses user or password (535)"
        failed = await Mailer(made(server, security="none")).fails()
        assert failed.permanent
        assert "530" in str(failed)


async def test_tls_from_the_first_byte(certificates: Authority) -> None:
    async with serving(Server(), tls=certificates.server("good")) as server:
        await Mailer(made(server, security="tls", ca=str(certificates.file), host="localhost")).tell(OPENED)
        assert len(server.got) == 1


def spooled(folder: Path) -> list[str]:
    """The headers of what Exim holds."""
    return [path.read_text(encoding="utf-8") for path in (folder / "spool" / "input").rglob("*-H")]


async def test_exim_takes_it(certificates: Authority) -> None:
    """Debian's own mail server, by GnuTLS: it keeps what it has taken in its spool."""
    if os.geteuid() != 0:
        raise Absent("needs root: exim changes its user")
    with TemporaryDirectory(prefix="brownout-exim-") as name, peer("smtp", certificates, Path(name)) as port:
        given = {"security": "starttls", "host": "localhost"}
        await Mailer(made(Server(port), ca=str(certificates.file), **given)).tell(OPENED)
        failed = await Mailer(made(Server(port), **given)).fails()
        assert "certificate" in str(failed), "it is not one that the system trusts"
        [headers] = spooled(Path(name))
        assert "Subject: Web shop: degraded" in headers


@pytest.mark.parametrize("security", ["starttls", "tls"])
@pytest.mark.parametrize(
    ("kind", "told"),
    [("expired", "certificate has expired"), ("other", "mismatch"), ("self_signed", "self-signed certificate")],
)
async def test_a_certificate_that_is_not_its_own(
    certificates: Authority, security: str, kind: str, told: str
) -> None:
    served = certificates.server(kind)
    facts: dict[str, Any] = {"tls": served} if security == "tls" else {"tls_context": served}
    async with serving(Server(), **facts) as server:
        failed = await Mailer(made(server, security=security, ca=str(certificates.file))).fails()
        assert not failed.permanent, "it may be renewed"
        assert told in str(failed)
        assert server.got == []


async def test_no_starttls_is_no_mail(server: Server) -> None:
    """Whoever takes STARTTLS out of the server's answer must not get to read it."""
    failed = await Mailer(made(server, security="starttls")).fails()
    assert not failed.permanent
    assert "offers no STARTTLS" in str(failed)
    assert server.got == []


async def test_tls_where_none_is_spoken(server: Server) -> None:
    failed = await Mailer(made(server, security="tls")).fails()
    assert "587 needs security: starttls" in str(failed)


async def test_no_way_to_log_in(server: Server) -> None:
    failed = await Mailer(made(server, user="user", password=Secret("s3cr3t"))).fails()
    assert failed.permanent
    assert "no way to log in" in str(failed)


# --- what is no mail server ---------------------------------------------------------------------------------------


async def test_nobody_is_there() -> None:
    async with talking(lambda reader, writer: asyncio.sleep(0)) as server:
        pass
    failed = await Mailer(made(server)).fails()
    assert (failed.permanent, failed.uncertain) == (False, False)
    assert str(failed) == "cannot reach it: Connection refused"


async def test_it_hangs() -> None:
    async with talking(lambda reader, writer: reader.read()) as server:
        failed = await Mailer(made(server, timeout=timedelta(milliseconds=50))).fails()
    assert str(failed) == "no answer within 0.05 s"
    assert not failed.uncertain


async def test_it_hangs_once_it_has_the_mail() -> None:
    async with talking(scripted(MAIL_=None)) as server:
        failed = await Mailer(made(server, timeout=timedelta(milliseconds=200))).fails()
    assert (failed.permanent, failed.uncertain) == (False, True)


async def test_what_follows_the_mail_changes_nothing() -> None:
    """It has said that it took it: a second mail would be one too many."""
    async with talking(scripted(QUIT=None)) as server:
        await Mailer(made(server, timeout=timedelta(milliseconds=200))).tell(OPENED)
    async with talking(scripted(QUIT=b"\xff nonsense")) as server:
        await Mailer(made(server)).tell(OPENED)


async def test_what_a_server_repeats_is_not_shown() -> None:
    answers = {"EHLO": b"250-hi\r\n250 AUTH PLAIN", "AUTH": b"535 wrong: user s3cr3t"}
    async with talking(scripted(**answers)) as server:
        failed = await Mailer(made(server, user="user", password=Secret("s3cr3t"))).fails()
    assert (str(failed), failed.permanent) == ("the server refuses user or password (535)", True)
    async with talking(scripted(**answers | {"AUTH": b"454 try later"})) as server:
        assert not (await Mailer(made(server, user="user", password=Secret("s3cr3t"))).fails()).permanent


async def test_a_file_of_certificates_that_is_none(server: Server, tmp_path: Path) -> None:
    (tmp_path / "empty.pem").touch()
    for name, told in (("none.pem", "cannot be read: No such file"), ("empty.pem", "holds no certificates")):
        failed = await Mailer(made(server, security="starttls", ca=str(tmp_path / name))).fails()
        assert told in str(failed)
        assert not failed.permanent


@pytest.mark.parametrize(
    ("greeting", "permanent", "told"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", False, "does not speak SMTP"),
        (b"554 go away\r\n", True, "554 go away"),
        (b"421 too busy\r\n", False, "421 too busy"),
        (b"\x16\x03\x01" * 300, False, "it hung up"),
        (b"220-" + b"x" * 100_000, False, "does not speak SMTP"),
        (b"", False, "it hung up"),
    ],
)
async def test_what_speaks_otherwise(greeting: bytes, told: str, *, permanent: bool) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        await writer.drain()

    async with talking(speak) as server:
        failed = await Mailer(made(server, timeout=timedelta(seconds=2))).fails()
    assert failed.permanent is permanent
    assert told in str(failed)


@pytest.mark.parametrize("repeated", ["s3cr3t", "czNjcjN0", "AHVzZXIAczNjcjN0"], ids=["plain", "LOGIN", "PLAIN"])
@pytest.mark.parametrize("phase", ["MAIL", "RCPT", "DATA", "MAIL_"])
async def test_what_we_have_logged_in_with_is_shown_at_no_later_answer_either(phase: str, repeated: str) -> None:
    answers = {
        "EHLO": b"250-hi\r\n250 AUTH PLAIN",
        "AUTH": b"235 yes",
        phase: f"550 no: you said {repeated}".encode(),
    }
    async with talking(scripted(**answers)) as server:
        failed = await Mailer(made(server, user="user", password=Secret("s3cr3t"))).fails()
    assert failed.permanent
    assert "550" in str(failed)
    assert repeated not in str(failed)


async def test_whoever_was_refused_is_so_though_the_end_hangs() -> None:
    async with talking(scripted(RCPT=b"550 nobody", QUIT=None)) as server:
        failed = await Mailer(made(server, timeout=timedelta(milliseconds=700))).fails()
    assert failed.permanent
    assert "550 nobody" in str(failed)


async def test_what_is_no_answer_to_a_password_is_no_refusal_of_it() -> None:
    async with talking(scripted(EHLO=b"250-hi\r\n250 AUTH PLAIN", AUTH=b"\xff\x00")) as server:
        failed = await Mailer(made(server, user="user", password=Secret("s3cr3t"))).fails()
    assert "does not speak SMTP" in str(failed)
    assert not failed.permanent


ENDLESS = {"a line": b"2" * 65536, "lines": b"250-hi\r\n" * 8000}


@pytest.mark.parametrize("phase", ["EHLO", "MAIL", "RCPT", "DATA", "MAIL_"])
@pytest.mark.parametrize("words", ENDLESS.values(), ids=ENDLESS)
async def test_an_answer_that_never_ends(phase: str, words: bytes) -> None:
    """It is bounded in room and in time; what came of a mail that it had is not known."""
    polite = scripted()

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        command = ""

        class Writer:
            def write(self, data: bytes) -> None:
                writer.write(data)

        class Reader:
            async def readline(self) -> bytes:
                nonlocal command
                line = await reader.readline()
                command = line[:4].decode()
                if command == phase:
                    await pour()
                return line

            async def readuntil(self, end: bytes) -> bytes:
                mail = await reader.readuntil(end)
                if phase == "MAIL_":
                    await pour()
                return mail

        async def pour() -> None:
            while True:
                writer.write(words)
                await writer.drain()

        await polite(Reader(), Writer())  # type: ignore[arg-type]

    async with talking(flood) as server:
        failed = await Mailer(made(server)).fails()
    assert "does not speak SMTP" in str(failed)
    assert failed.uncertain is (phase in ("DATA", "MAIL_"))
