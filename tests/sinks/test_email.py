"""E-mail: what is in a mail, who gets it, and what it is threaded by."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from email.message import EmailMessage
from typing import Any

import pytest

from monitor.sinks._letter import page
from monitor.sinks._message import compose
from monitor.sinks._told import read
from monitor.sinks.email import Email
from probes.contract import BadField, Secret
from tests.servers.mail import Server, serving
from tests.sinks.lives import ACKNOWLEDGED, ALL, CANNOT_TELL, OPENED, RESOLVED, START, WORSE, delivered, hostile
from tests.sinks.mailing import SENDER, Mailer, made


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serving(Server()) as found:
        yield found


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
