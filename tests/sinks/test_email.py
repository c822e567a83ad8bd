"""E-mail, against a mail server on loopback that takes, refuses, hangs and lies as told."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from monitor.sinks._letter import page
from monitor.sinks._message import compose
from monitor.sinks._told import read
from monitor.sinks.contract import SendFailed, SinkContext
from monitor.sinks.email import Email
from probes.contract import BadField, Secret
from tests.servers import Absent
from tests.servers.authority import Authority, authority
from tests.servers.starttls_peers import peer
from tests.sinks.lives import ACKNOWLEDGED, ALL, CANNOT_TELL, OPENED, RESOLVED, START, WORSE, delivered, hostile
from tests.sinks.made import context

SENDER = "Brownout <brownout@example.com>"


@dataclass
class Server:
    """A mail server. `refuses` are the answers to a recipient, by address, each for once; `data` those to mails."""

    port: int = 0
    got: list[tuple[list[str], bytes]] = field(default_factory=list)
    refuses: dict[str, list[str]] = field(default_factory=dict)
    data: list[str] = field(default_factory=list)
    logins: list[tuple[bytes, bytes]] = field(default_factory=list)
    hello: str = ""

    async def handle_EHLO(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, name: str, answers: list[str]
    ) -> list[str]:
        self.hello = session.host_name = name
        return answers

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if waiting := self.refuses.get(address):
            return waiting.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.data and (answer := self.data.pop(0)) != "drop":
            return answer
        assert isinstance(envelope.original_content, bytes)
        self.got.append((list(envelope.rcpt_tos), envelope.original_content))
        if len(self.data) < self._owed:
            self._owed = len(self.data)
            server.transport.abort()
        return "250 OK"

    def __post_init__(self) -> None:
        self._owed = 0

    def drop_the_next(self) -> None:
        """Take the next mail, and hang up before saying so."""
        self.data, self._owed = ["drop"], 1

    @property
    def mails(self) -> list[EmailMessage]:
        return [message_from_bytes(raw, policy=default) for _, raw in self.got]  # type: ignore[misc]


@asynccontextmanager
async def serving(server: Server, *, tls: ssl.SSLContext | None = None, **facts: Any) -> AsyncIterator[Server]:
    def dialogue() -> SMTP:
        return SMTP(server, hostname="mx.example.com", loop=asyncio.get_running_loop(), **facts)

    listener = await asyncio.get_running_loop().create_server(dialogue, "127.0.0.1", 0, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        await listener.wait_closed()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serving(Server()) as found:
        yield found


def made(server: Server, **facts: Any) -> Email:
    given: dict[str, Any] = {"host": "127.0.0.1", "port": server.port, "security": "none", "to": ("ops@example.com",)}
    return Email(from_=SENDER, **(given | facts))


class Mailer:
    """The sink, and what the outbox keeps for it between deliveries."""

    def __init__(self, sink: Email) -> None:
        self.memory: dict[str, Any] = {}
        self._sink = sink

    async def tell(self, told: dict[str, Any]) -> None:
        async with httpx.AsyncClient(trust_env=False) as client:
            given = context(client, now=START)
            await self._sink.send(delivered(told), SinkContext(client, given.now, given.terminal, self.memory))

    async def fails(self, told: dict[str, Any] = OPENED) -> SendFailed:
        with pytest.raises(SendFailed) as raised:
            await self.tell(told)
        assert "s3cr3t" not in str(raised.value)
        return raised.value


def parts(mail: EmailMessage) -> tuple[str, str]:
    plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert plain is not None
    assert html is not None
    return plain.get_content(), html.get_content()


async def test_a_mail_has_two_parts_and_honest_headers(server: Server) -> None:
    await Mailer(made(server, to=("Ann Größe <ann@example.com>", "ops@example.com"))).tell(WORSE)
    [(to, raw)], [mail] = server.got, server.mails
    assert to == ["ann@example.com", "ops@example.com"]
    assert raw.isascii()
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    assert mail["from"] == SENDER
    assert mail["to"] == '"Ann Größe" <ann@example.com>, ops@example.com'.replace('"Ann Größe"', "Ann Größe")
    assert mail["subject"] == "Web shop: outage"
    assert mail["date"].datetime == START
    assert (mail["auto-submitted"], mail["importance"]) == ("auto-generated", "high")
    assert (mail["x-brownout-state"], mail["x-brownout-event"]) == ("outage", "incident.updated")
    assert mail.get_content_type() == "multipart/alternative"
    plain, html = parts(mail)
    for text in (WORSE["sentence"], "Condition", "192.0.2.7", WORSE["links"]["page"]):
        assert text in plain
        assert text in html
    assert WORSE["links"]["acknowledge"].replace("&", "&amp;") in html
    assert "&lt;h1&gt;Please wait&lt;/h1&gt;" in html
    assert server.hello == "example.com"


async def test_an_incident_is_one_thread(server: Server) -> None:
    mailer = Mailer(made(server))
    for told in (OPENED, WORSE, ACKNOWLEDGED, RESOLVED):
        await mailer.tell(told)
    first, *others = server.mails
    thread = first["references"]
    assert first["in-reply-to"] is None
    for before, mail in zip(server.mails, others, strict=False):
        assert mail["in-reply-to"] == before["message-id"]
        references = mail["references"].split()
        assert references[:2] == [thread, first["message-id"]]
        assert references[-1] == before["message-id"]
    assert len({mail["message-id"] for mail in server.mails}) == 4
    assert [mail["subject"] for mail in server.mails] == [
        "Web shop: degraded",
        "Web shop: outage",
        "Web shop: outage, acknowledged",
        "Web shop: back to normal",
    ]
    assert mailer.memory == {}


async def test_one_subject_for_gmail(server: Server) -> None:
    mailer = Mailer(made(server, one_subject=True))
    for told in (OPENED, WORSE, RESOLVED):
        await mailer.tell(told)
    assert [mail["subject"] for mail in server.mails] == [
        "Web shop: degraded",
        "Re: Web shop: degraded",
        "Re: Web shop: degraded",
    ]


async def test_a_digest_is_in_no_thread(server: Server) -> None:
    mailer = Mailer(made(server))
    for number in range(2):
        await mailer.tell(ALL["digest"] | {"id": f"evt_{number}"})
    assert [mail["references"] for mail in server.mails] == [None, None]
    assert mailer.memory == {}


async def test_what_is_no_incident_begins_a_thread_of_its_own_each_time(server: Server) -> None:
    mailer = Mailer(made(server))
    await mailer.tell(CANNOT_TELL | {"incident": {}})
    assert server.mails[0]["references"] is None
    await mailer.tell(CANNOT_TELL | {"id": "evt_2", "incident": {}})
    assert server.mails[1]["references"] == server.mails[0]["message-id"]


@pytest.mark.parametrize("name", sorted(ALL))
async def test_hostile_text_gets_into_no_header_and_no_markup(server: Server, name: str) -> None:
    await Mailer(made(server)).tell(hostile(ALL[name]))
    [(to, raw)], [mail] = server.got, server.mails
    assert to == ["ops@example.com"]
    assert mail["bcc"] is None
    assert "\n" not in mail["subject"]
    assert raw.isascii()
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    plain, html = parts(mail)
    assert "<script" not in html.lower()
    assert "\x1b" not in plain + html
    assert len(raw) < 100_000
    assert mail.defects == []


async def test_the_same_mail_has_the_same_name(server: Server) -> None:
    """The answer is lost: it is sent again, and known by its Message-ID."""
    mailer = Mailer(made(server))
    server.drop_the_next()
    failed = await mailer.fails()
    assert (failed.permanent, failed.uncertain) == (False, True)
    assert "handed over" in str(failed)
    await mailer.tell(OPENED)
    first, second = server.mails
    assert first["message-id"] == second["message-id"]
    assert second["in-reply-to"] is None


async def test_only_who_was_refused_for_now_is_asked_again(server: Server) -> None:
    mailer = Mailer(made(server, to=("ann@example.com", "bob@example.com", "cid@example.com")))
    server.refuses = {"bob@example.com": ["450 4.2.0 greylisted"]}
    failed = await mailer.fails()
    assert (failed.permanent, failed.uncertain) == (False, False)
    assert str(failed) == "the server refuses 1 of 3 recipients: bob@example.com: 450 4.2.0 greylisted"
    await mailer.tell(OPENED)
    assert [to for to, _ in server.got] == [["ann@example.com", "cid@example.com"], ["bob@example.com"]]
    await mailer.tell(OPENED)
    assert len(server.got) == 2, "all have it"
    await mailer.tell(WORSE)
    assert server.got[-1][0] == ["ann@example.com", "bob@example.com", "cid@example.com"]


async def test_who_is_refused_for_good_stops_nobody_else(server: Server) -> None:
    mailer = Mailer(made(server, to=("ann@example.com", "gone@example.com")))
    server.refuses = {"gone@example.com": ["550 5.1.1 no such user\x1b[2J"]}
    failed = await mailer.fails()
    assert failed.permanent
    assert str(failed).endswith("gone@example.com: 550 5.1.1 no such user [2J")
    assert [to for to, _ in server.got] == [["ann@example.com"]]


async def test_all_are_refused(server: Server) -> None:
    server.refuses = {"ops@example.com": ["550 5.7.1 relaying denied", "451 try later"]}
    mailer = Mailer(made(server))
    assert (await mailer.fails()).permanent
    assert not (await mailer.fails()).permanent
    assert server.got == []
    assert "done" not in mailer.memory


@pytest.mark.parametrize(
    ("answer", "permanent"), [("552 5.3.4 too big", True), ("554 5.7.1 spam", True), ("452 4.3.1 full", False)]
)
async def test_a_mail_is_refused(server: Server, answer: str, *, permanent: bool) -> None:
    server.data = [answer]
    failed = await Mailer(made(server)).fails()
    assert (failed.permanent, failed.uncertain) == (permanent, False)
    assert str(failed) == f"the server refuses it: {answer}"


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


@asynccontextmanager
async def talking(speak: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]) -> AsyncIterator[Server]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await speak(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield Server(listener.sockets[0].getsockname()[1])
    finally:
        listener.close()


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


def scripted(**answers: bytes | None) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]:
    """A server with these answers to commands; None: it hangs. ``MAIL_`` is the mail itself."""
    answers = {"EHLO": b"250 hi", "DATA": b"354 go", "MAIL_": b"250 taken"} | answers

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hi\r\n")
        while line := await reader.readline():
            command = line[:4].decode()
            answer = answers.get(command, b"250 OK")
            if command == "DATA" and answer:
                writer.write(answer + b"\r\n")
                await reader.readuntil(b"\r\n.\r\n")
                answer = answers["MAIL_"]
            if answer is None:
                await reader.read()
                return
            writer.write(answer + b"\r\n")

    return speak


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


# --- the rest -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field_", "facts"),
    [
        ("host", {"host": "smtp.example.com:25"}),
        ("host", {"host": "a\r\nb"}),
        ("from_", {"from_": "Brownout"}),
        ("from_", {"from_": "x@y\r\nBcc: z@y"}),
        ("to", {"to": ()}),
        ("to", {"to": ("ann@example.com", "bob")}),
        ("to", {"to": ("ann@exämple.com",)}),
        ("to", {"to": ("ann@example.com, bob@example.com",)}),
        ("port", {"port": 0}),
        ("password", {"user": "x"}),
        ("user", {"password": Secret("s3cr3t")}),
        ("security", {"user": "x", "password": Secret("s3cr3t"), "security": "none"}),
        ("hello", {"hello": "a b"}),
        ("timeout", {"timeout": timedelta(minutes=1)}),
    ],
)
def test_what_cannot_be_used_is_refused(field_: str, facts: dict[str, Any]) -> None:
    with pytest.raises(BadField) as raised:
        Email(**({"host": "mx.example.com", "from_": SENDER, "to": ("ops@example.com",)} | facts))
    assert raised.value.field == field_
    assert "s3cr3t" not in str(raised.value)


def test_its_repr_shows_no_secret() -> None:
    sink = Email(host="x", from_=SENDER, to=("a@example.com",), user="u", password=Secret("s3cr3t"))
    assert "s3cr3t" not in repr(sink)


def test_the_page_loads_nothing_from_elsewhere() -> None:
    html = page(compose(read(delivered(OPENED)), START))
    assert not any(word in html for word in ("<img", "<link", "<script", "@import", "url("))
