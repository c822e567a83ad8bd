"""Messages as e-mail: a text and an HTML part, threaded by References.

A header takes one harmless line only (`_message`), and `email` refuses newlines in it; in the HTML part every text is
escaped. It needs no fonts, pictures or styles from elsewhere: mail programs load none, and neither should a page at 3
a.m. depend on any.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from html import escape
from typing import Final

from monitor.sinks._message import Message, plain
from monitor.sinks._told import Class, Told

_COLOURS: Final = {
    Class.OUTAGE: "#c62828",
    Class.DEGRADED: "#b26a00",
    Class.RECOVERED: "#2e7d32",
    Class.UNKNOWN: "#5f6368",
    Class.MARK: "#1565c0",
}
"""Each has a contrast of 4.5 and more with white (WCAG 2.2, 1.4.3)."""
_FONT: Final = "font-family:-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif"
_POLICY: Final = SMTP.clone(max_line_length=78)


@dataclass(frozen=True, slots=True)
class Envelope:
    """From whom, to whom, and where in a thread. Ids are without their brackets: `id` is the mail's own, `thread` one
    that all mails of an incident refer to, though none has it, `before` the mails that it follows."""

    sender: Address
    to: Sequence[Address]
    subject: str
    id: str
    thread: str | None
    before: Sequence[str]
    at: datetime


def letter(message: Message, told: Told, envelope: Envelope) -> bytes:
    """The whole mail, ready for DATA: lines end with CRLF, and it is ASCII, so that any server takes it."""
    mail = EmailMessage(policy=_POLICY)
    mail["From"] = envelope.sender
    mail["To"] = tuple(envelope.to)
    mail["Subject"] = envelope.subject
    mail["Date"] = format_datetime(envelope.at)
    mail["Message-ID"] = f"<{envelope.id}>"
    if envelope.before:
        mail["In-Reply-To"] = f"<{envelope.before[-1]}>"
    if references := dict.fromkeys((*filter(None, [envelope.thread]), *envelope.before)):
        mail["References"] = " ".join(f"<{name}>" for name in references)
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's holiday message comes back
    mail["X-Auto-Response-Suppress"] = "All"  # the same for Exchange
    if message.cls is Class.OUTAGE:
        mail["Importance"] = "high"
    mail["X-Brownout-Event"] = told.type
    mail["X-Brownout-State"] = told.cls.value
    mail["X-Brownout-Key"] = told.key
    mail.set_content(plain(message) + "\n", cte="quoted-printable")
    mail.add_alternative(page(message), subtype="html", cte="quoted-printable")
    mail.set_boundary(f"=_{envelope.id.partition('@')[0]}")  # the same bytes on every attempt
    return mail.as_bytes()


def name_of(text: str, domain: str) -> str:
    """A Message-ID's inside that is the same for the same text: on every attempt, that is, so that a mail that comes
    twice is known for one."""
    return f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.brownout@{domain}"


def page(message: Message) -> str:
    """The HTML part."""
    colour = _COLOURS[message.cls]
    parts = [
        f'<p style="margin:0 0 16px;font-size:16px;line-height:1.45">{escape(message.sentence)}</p>',
        _listed(message.items),
        _table(message.facts),
        _buttons(message.links, colour),
        *(_evidence(title, lines) for title, lines in message.details),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(message.headline)}</title></head>\n"
        f'<body style="margin:0;padding:16px;background:#f3f4f6;color:#202124;{_FONT}">\n'
        '<table role="presentation" width="100%" cellpadding="0" cellspacing="0" style="max-width:640px;'
        'margin:0 auto;background:#ffffff;border-collapse:collapse">\n'
        f'<tr><td style="background:{colour};color:#ffffff;padding:14px 20px;font-size:18px;font-weight:600;'
        f'overflow-wrap:anywhere">{escape(message.headline)}</td></tr>\n'
        f'<tr><td style="padding:20px;font-size:14px;line-height:1.4;overflow-wrap:anywhere">\n'
        + "\n".join(part for part in parts if part)
        + "\n</td></tr>\n</table>\n</body></html>\n"
    )


def _table(facts: Sequence[tuple[str, str]]) -> str:
    if not facts:
        return ""
    rows = "\n".join(
        f'<tr><td style="padding:3px 16px 3px 0;color:#5f6368;vertical-align:top;white-space:nowrap">{escape(name)}'
        f'</td><td style="padding:3px 0;overflow-wrap:anywhere">{escape(value)}</td></tr>'
        for name, value in facts
    )
    return (
        '<table cellpadding="0" cellspacing="0" style="border-collapse:collapse;font-size:14px;margin:0 0 16px">\n'
        f"{rows}\n</table>"
    )


def _listed(items: Sequence[str]) -> str:
    if not items:
        return ""
    lines = "\n".join(f'<li style="margin:0 0 6px">{escape(item)}</li>' for item in items)
    return f'<ul style="margin:0 0 16px;padding-left:20px">\n{lines}\n</ul>'


def _buttons(links: Sequence[tuple[str, str, str]], colour: str) -> str:
    shown = []
    for number, (_, label, url) in enumerate(links):
        look = f"background:{colour};color:#ffffff" if number == 0 else f"background:#ffffff;color:{colour}"
        shown.append(
            f'<a href="{escape(url)}" style="display:inline-block;padding:8px 14px;margin:0 8px 8px 0;'
            f'border:1px solid {colour};border-radius:4px;text-decoration:none;font-weight:600;{look}">'
            f"{escape(label)}</a>"
        )
    return f'<p style="margin:0 0 12px">{"".join(shown)}</p>' if shown else ""


def _evidence(title: str, lines: Sequence[str]) -> str:
    text = "<br>\n".join(escape(line) for line in lines)
    return (
        f'<p style="margin:12px 0 4px;color:#5f6368">{escape(title)}</p>\n'
        '<p style="margin:0;padding:8px 10px;background:#f3f4f6;font:12px/1.5 ui-monospace,Menlo,Consolas,monospace;'
        f'overflow-wrap:anywhere">{text}</p>'
    )
